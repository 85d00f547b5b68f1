"""Faults of PostgreSQL: dead, read-only, failed over, out of connections, locked."""

import os
import signal
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager, suppress
from random import Random
from typing import Final

import psycopg
from psycopg import sql

from runworker.embedded.postgres import WORKER_LOGIN
from runworker.simulation.chaos.fault import Fault
from runworker.simulation.chaos.site import ChaosSite
from runworker.simulation.chaos.waiting import wait_until

TABLES: Final = ("commands", "production_runs", "run_step_executions", "lots")
TERMINATION_SECONDS: Final = (0.05, 0.5)
"""Between one killing spree among backends and the next."""


@contextmanager
def crashed(site: ChaosSite, _: Random) -> Iterator[None]:
    """The primary ends at once, with no checkpoint, and recovers from its log when it is started again."""
    site.cluster.crash()
    try:
        yield
    finally:
        site.cluster.start()
        site.await_postgres()


@contextmanager
def restarted(site: ChaosSite, _: Random) -> Iterator[None]:
    """The primary ends its sessions and itself, cleanly, as for an upgrade."""
    site.cluster.stop(site.cluster.primary)
    try:
        yield
    finally:
        site.cluster.start()
        site.await_postgres()


@contextmanager
def backend_killed(site: ChaosSite, _: Random) -> Iterator[None]:
    """One session's process gets SIGKILL, as from the kernel out of memory: PostgreSQL ends all others and recovers."""
    with site.cluster.primary.connect() as victim:
        os.kill(victim.info.backend_pid, signal.SIGKILL)
    try:
        yield
    finally:
        site.await_postgres()


@contextmanager
def read_only(site: ChaosSite, _: Random) -> Iterator[None]:
    """Transactions are read-only unless their session says otherwise; connections stay open."""
    primary = site.cluster.primary
    primary.execute("ALTER SYSTEM SET default_transaction_read_only = on")
    primary.execute("SELECT pg_reload_conf()")
    try:
        yield
    finally:
        with primary.connect() as connection:
            connection.execute("SET default_transaction_read_only = off")
            connection.execute("ALTER SYSTEM RESET default_transaction_read_only")
            connection.execute("SELECT pg_reload_conf()")
        site.await_postgres()


@contextmanager
def demoted(site: ChaosSite, _: Random) -> Iterator[None]:
    """The primary comes back as a standby, read-only whatever a session says, until it is promoted again."""
    site.cluster.demote()
    try:
        yield
    finally:
        site.cluster.promote(site.cluster.primary)
        site.await_postgres()


@contextmanager
def failed_over(site: ChaosSite, random: Random) -> Iterator[None]:
    """The primary dies for good; a standby takes over when the block ends."""
    site.restore()
    site.cluster.crash()
    try:
        yield
    finally:
        site.cluster.fail_over(random.choice(site.cluster.standbys))
        site.await_postgres()


@contextmanager
def standby_away(site: ChaosSite, _: Random) -> Iterator[None]:
    """No standby is there to have what is committed: every commit waits until one is back."""
    site.restore()
    for standby in site.cluster.standbys:
        site.cluster.stop(standby)
    try:
        yield
    finally:
        for standby in site.cluster.standbys:
            site.cluster.start(standby)
        site.await_postgres()


@contextmanager
def out_of_connections(site: ChaosSite, _: Random) -> Iterator[None]:
    """Others have all connections, and workers, who have to make new ones, get none."""
    with ExitStack() as others:
        try:
            _take_all(site, others)
            yield
        finally:
            others.close()
            site.await_postgres()


@contextmanager
def table_locked(site: ChaosSite, random: Random) -> Iterator[None]:
    """Somebody locks a whole table against everybody."""
    lock = sql.SQL("LOCK TABLE {} IN ACCESS EXCLUSIVE MODE").format(sql.Identifier(random.choice(TABLES)))
    with _holding(site, lock):
        yield


@contextmanager
def row_locked(site: ChaosSite, _: Random) -> Iterator[None]:
    """Somebody locks a run that is under way, where there is one."""
    lock = sql.SQL("SELECT FROM production_runs WHERE status = 'RUNNING' ORDER BY random() LIMIT 1 FOR UPDATE")
    with _holding(site, lock):
        yield


@contextmanager
def backends_terminated(site: ChaosSite, random: Random) -> Iterator[None]:
    """Every now and then an administrator ends about half of the workers' sessions."""
    over = threading.Event()
    pauses = Random(random.random())  # noqa: S311 - a schedule, not a secret

    def terminate() -> None:
        end = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = %s AND random() < 0.5"
        with site.cluster.primary.connect() as administrator:
            while not over.wait(pauses.uniform(*TERMINATION_SECONDS)):
                administrator.execute(end, [WORKER_LOGIN])

    with ThreadPoolExecutor(1) as thread:
        terminating = thread.submit(terminate)
        try:
            yield
        finally:
            over.set()
            terminating.result()
            site.await_postgres()


def _take_all(site: ChaosSite, others: ExitStack) -> None:
    """Take every connection that is free or a worker's, until no worker has any."""
    taken: list[int] = []
    ours = "FROM pg_stat_activity WHERE usename = %s AND pid <> ALL(%s)"

    def none_is_left() -> bool:
        with suppress(psycopg.OperationalError):
            while True:
                connection = site.cluster.connect(WORKER_LOGIN, direct=True)
                others.enter_context(connection)
                taken.append(connection.info.backend_pid)
        return not site.cluster.primary.execute(f"SELECT pg_terminate_backend(pid) {ours}", WORKER_LOGIN, taken)

    # Even what PostgreSQL reserves for administrators may be in use for a moment.
    wait_until(none_is_left, "all connections taken", passing=(psycopg.OperationalError,))


@contextmanager
def _holding(site: ChaosSite, lock: sql.SQL | sql.Composed) -> Iterator[None]:
    """Hold a lock for as long as the block lasts."""
    with site.cluster.primary.connect() as outsider:
        outsider.execute("SET lock_timeout = '5s'")  # the queue behind the lock is held up by no more than that

        def locked() -> bool:
            outsider.execute("BEGIN")
            try:
                outsider.execute(lock)
            except psycopg.errors.LockNotAvailable:
                outsider.execute("ROLLBACK")
                return False
            return True

        wait_until(locked, "a lock")
        yield  # the end of the session ends the lock


POSTGRES_FAULTS: Final = (
    Fault("postgres-crashed", "postgres", crashed),
    Fault("postgres-restarted", "postgres", restarted),
    Fault("postgres-backend-killed", "postgres", backend_killed),
    Fault("postgres-read-only", "postgres", read_only),
    Fault("postgres-demoted", "postgres", demoted),
    Fault("postgres-failed-over", "postgres", failed_over),
    Fault("postgres-standby-away", "postgres", standby_away),
    Fault("postgres-out-of-connections", "postgres", out_of_connections),
    Fault("postgres-table-locked", "postgres", table_locked),
    Fault("postgres-row-locked", "postgres", row_locked),
    Fault("postgres-backends-terminated", "postgres", backends_terminated),
)
