"""The faults of `runworker chaos`: a plain client sees that each has begun, and works again when it has ended."""

import json
import os
import select
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager
from pathlib import Path
from random import Random
from typing import Final
from uuid import uuid4

import psycopg
import pytest
from psycopg import errors, sql
from redis import Redis
from redis import exceptions as refusals
from redis.backoff import NoBackoff
from redis.retry import Retry
from tests.crew import eventually
from tests.plant import Plant

from runworker.embedded.postgres import WORKER_LOGIN
from runworker.simulation.chaos.faults import FAULTS
from runworker.simulation.chaos.network_faults import DELAY_SECONDS
from runworker.simulation.chaos.site import ChaosSite

pytestmark = [pytest.mark.chaos, pytest.mark.timeout(120)]

SILENCE_SECONDS: Final = 0.5
"""A client that hears nothing for so long is not going to."""

OWNER: Final = Path(__file__).with_name("owner_of_a_site.py")

Fault = AbstractContextManager[None]
Sight = Callable[[ChaosSite, Fault], None]
"""Does what a client does before, during and after a fault, and asserts what it sees."""


@pytest.fixture(scope="module")
def site() -> Iterator[ChaosSite]:
    with ChaosSite() as site:
        yield site


def client_of(site: ChaosSite, patience: float = 10 * SILENCE_SECONDS) -> Redis:
    """A client of the broker that comes as workers do, through the proxy, and tries once."""
    assert site.settings.broker_url is not None
    return Redis.from_url(
        site.settings.broker_url.get_secret_value(), socket_timeout=patience, retry=Retry(NoBackoff(), 0)
    )


def session_of(site: ChaosSite) -> psycopg.Connection:
    """A session as workers have: through the proxies."""
    return site.cluster.connect(WORKER_LOGIN, direct=False)


def write(session: psycopg.Connection) -> str:
    """Write a row as a worker may, and return its key."""
    key = str(uuid4())
    session.execute("INSERT INTO commands (idempotency_key, command, payload) VALUES (%s, 'start_run', '{}')", [key])
    return key


def broker_refuses(refusal: type[Exception], said: str | None = None) -> Sight:
    def see(site: ChaosSite, fault: Fault) -> None:
        with client_of(site) as client:
            client.set("told", "yes")
            with fault, pytest.raises(refusal, match=said):
                client.set("told", "no")
            assert client.get("told") == b"yes"

    return see


def broker_is_silent(site: ChaosSite, fault: Fault) -> None:
    with client_of(site, SILENCE_SECONDS) as client:
        client.ping()
        with fault, pytest.raises(refusals.TimeoutError):
            client.ping()


def broker_refuses_reads(site: ChaosSite, fault: Fault) -> None:
    with client_of(site) as client, fault, pytest.raises(refusals.MasterDownError):
        client.get("told")


def broker_is_empty(site: ChaosSite, fault: Fault) -> None:
    with client_of(site) as client:
        client.set("told", "yes")
        with fault:
            assert client.dbsize() == 0


def broker_is_slow(site: ChaosSite, fault: Fault) -> None:
    with client_of(site) as client:
        client.ping()
        with fault:
            assert took(client.ping) > 2 * DELAY_SECONDS[0]


def no_session_is_had(site: ChaosSite, fault: Fault) -> None:
    with session_of(site) as session, fault:
        with pytest.raises(psycopg.OperationalError):
            session.execute("SELECT 1")
        with pytest.raises(psycopg.OperationalError):
            session_of(site)


def sessions_end(site: ChaosSite, fault: Fault) -> None:
    with session_of(site) as session, fault, pytest.raises(psycopg.OperationalError):
        eventually(lambda: session.execute("SELECT NULL").fetchone() is None, "a session that ends")


def open_sessions_are_read_only(site: ChaosSite, fault: Fault) -> None:
    with session_of(site) as session:
        with fault:
            eventually(
                lambda: session.execute("SHOW transaction_read_only").fetchone() == ("on",), "a read-only session"
            )
            with pytest.raises(errors.ReadOnlySqlTransaction):
                write(session)
            with pytest.raises(psycopg.OperationalError, match="session is read-only"):
                session_of(site)
        write(session)


def it_recovers(site: ChaosSite, fault: Fault) -> None:
    with fault, site.cluster.primary.connect() as session:
        session.execute("SET default_transaction_read_only = off")
        with pytest.raises(errors.ReadOnlySqlTransaction):
            write(session)


def another_takes_over(site: ChaosSite, fault: Fault) -> None:
    before = site.cluster.primary
    with session_of(site) as session:
        told = write(session)
    with fault, pytest.raises(psycopg.OperationalError):
        session_of(site)
    assert site.cluster.primary is not before
    with session_of(site) as session:
        assert session.execute("SELECT FROM commands WHERE idempotency_key = %s", [told]).rowcount == 1
    site.restore()
    assert site.cluster.follows(before)


def commits_wait(site: ChaosSite, fault: Fault) -> None:
    waiting = "SELECT FROM pg_stat_activity WHERE wait_event = 'SyncRep'"
    with ThreadPoolExecutor(1) as background, session_of(site) as session:
        with fault:
            told = background.submit(write, session)
            eventually(lambda: site.cluster.primary.execute(waiting), "a commit that waits")
            assert not told.done()
        assert told.result(timeout=30)


def no_session_is_left(site: ChaosSite, fault: Fault) -> None:
    with session_of(site) as session, fault:
        with pytest.raises(psycopg.OperationalError):
            session.execute("SELECT 1")
        with pytest.raises(psycopg.OperationalError, match=r"connection slots|too many clients"):
            session_of(site)


def a_table_is_locked(site: ChaosSite, fault: Fault) -> None:
    locked = "SELECT relation::regclass::text FROM pg_locks WHERE mode = 'AccessExclusiveLock' AND granted"
    with session_of(site) as session, fault:
        session.execute("SET lock_timeout = '10ms'")
        ((table,),) = site.cluster.primary.execute(locked)
        with pytest.raises(errors.LockNotAvailable):
            session.execute(sql.SQL("SELECT FROM {}").format(sql.Identifier(table)))


def a_run_is_locked(site: ChaosSite, fault: Fault) -> None:
    plant = Plant(site.owner_url)
    plant.engine().apply([plant.command("start_run")])
    plant.close()
    with session_of(site) as session, fault, pytest.raises(errors.LockNotAvailable):
        session.execute("SELECT FROM production_runs FOR UPDATE NOWAIT")


def sessions_are_slow(site: ChaosSite, fault: Fault) -> None:
    with session_of(site) as session, fault:
        assert took(lambda: session.execute("SELECT 1")) > 2 * DELAY_SECONDS[0]


def nothing_is_heard(site: ChaosSite, fault: Fault) -> None:
    address = ("127.0.0.1", site.cluster.primary.proxy.port)
    with fault, socket.create_connection(address, timeout=SILENCE_SECONDS) as connection:
        connection.sendall(b"\0\0\0\x08\x04\xd2\x16\x2f")  # may we speak TLS?
        with pytest.raises(TimeoutError):
            connection.recv(1)


def took(work: Callable[[], object]) -> float:
    """Seconds."""
    began = time.monotonic()
    work()
    return time.monotonic() - began


SEEN: Final[Mapping[str, Sight]] = {
    "broker-killed": broker_refuses(refusals.ConnectionError),
    "broker-flushed": broker_is_empty,
    "broker-paused": broker_is_silent,
    "broker-replica": broker_refuses(refusals.ReadOnlyError),
    "broker-masterless": broker_refuses_reads,
    "broker-full": broker_refuses(refusals.OutOfMemoryError),
    "broker-unable-to-save": broker_refuses(refusals.ResponseError, "MISCONF"),
    "broker-without-replicas": broker_refuses(refusals.ResponseError, "NOREPLICAS"),
    "broker-network-cut": broker_refuses(refusals.ConnectionError),
    "broker-network-slow": broker_is_slow,
    "broker-network-silent": broker_is_silent,
    "postgres-crashed": no_session_is_had,
    "postgres-restarted": no_session_is_had,
    "postgres-backend-killed": sessions_end,
    "postgres-read-only": open_sessions_are_read_only,
    "postgres-demoted": it_recovers,
    "postgres-failed-over": another_takes_over,
    "postgres-standby-away": commits_wait,
    "postgres-out-of-connections": no_session_is_left,
    "postgres-table-locked": a_table_is_locked,
    "postgres-row-locked": a_run_is_locked,
    "postgres-backends-terminated": sessions_end,
    "postgres-network-cut": no_session_is_had,
    "postgres-network-slow": sessions_are_slow,
    "postgres-network-silent": nothing_is_heard,
}


@pytest.mark.parametrize("name", FAULTS)
def test_a_fault_is_seen_and_over(site: ChaosSite, name: str) -> None:
    random = Random(name)  # noqa: S311 - which table, how long a delay
    SEEN[name](site, FAULTS[name].disturb(site, random))
    with client_of(site) as client, session_of(site) as session:
        assert client.set("told", "yes")
        assert write(session)


def test_nothing_outlives_a_killed_owner() -> None:
    with subprocess.Popen([sys.executable, OWNER], stdout=subprocess.PIPE, text=True) as owner:
        assert owner.stdout is not None
        told = json.loads(owner.stdout.readline())
        servers = {pid: os.pidfd_open(pid) for pid in told["pids"]}
        owner.kill()
        for pid, descriptor in servers.items():
            poll = select.poll()
            poll.register(descriptor, select.POLLIN)  # readable once the process has ended
            assert poll.poll(30_000), f"{pid} outlived its owner"
            os.close(descriptor)
        shutil.rmtree(told["directory"])
