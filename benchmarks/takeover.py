"""What a plant notices while its database is taken over: `python -m benchmarks.takeover --lots 1000000`.

Durable servers of its own, or those that settings name, get a database with an older system's tables and so many lots.
A reader and a writer go on as that system does, with a pause of a few milliseconds, while the database is migrated to
head. Prints how long their statements took and how long they waited for locks, by PostgreSQL's own word.
"""

import argparse
import random
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from threading import Event, Thread
from typing import Any, Final

import psycopg
from sqlalchemy import make_url

from benchmarks.figures import percentile
from benchmarks.testbed import open_testbed
from runworker.config import Settings
from runworker.embedded import temporary_directory
from runworker.migrations import upgrade

BASELINE: Final = "20260124_add_flow_definitions"
PAUSE_SECONDS: Final = 0.003
LOOK_SECONDS: Final = 0.02
TABLES: Final = ("lots", "production_runs", "lot_genealogy", "qc_decisions")
OLDER_SYSTEM: Final = "older system"
"""What sessions of the older system call themselves."""

PAST: Final = """
    INSERT INTO users (id, email, role) VALUES (md5('user')::uuid, 'legacy@plant.example', 'MANAGER');
    INSERT INTO production_runs (id, run_code, operator_id, status, started_at, ended_at)
    SELECT md5('run ' || i)::uuid, 'RUN-' || i, md5('user')::uuid,
           CASE i % 10 WHEN 0 THEN 'ACTIVE' WHEN 1 THEN 'CANCELLED' ELSE 'COMPLETED' END,
           now() - interval '1 day', CASE WHEN i % 10 > 2 THEN now() END
    FROM generate_series(0, {lots} / 100) AS i;
    INSERT INTO lots (id, lot_code, lot_type, production_run_id, weight_kg)
    SELECT md5('lot ' || i)::uuid, 'LOT-' || i, (enum_range(NULL::lot_type))[1 + i % 9], md5('run ' || i / 100)::uuid,
           10
    FROM generate_series(1, {lots}) AS i;
    INSERT INTO lot_genealogy (parent_lot_id, child_lot_id, quantity_used_kg)
    SELECT md5('lot ' || i)::uuid, md5('lot ' || i + 1)::uuid, 10 FROM generate_series(1, {lots} - 1, 3) AS i;
    INSERT INTO qc_decisions (lot_id, decision)
    SELECT md5('lot ' || i)::uuid, CASE i % 20 WHEN 0 THEN 'FAIL' WHEN 1 THEN 'HOLD' ELSE 'PASS' END
    FROM generate_series(1, {lots}) AS i;
    ANALYZE
"""
FILES: Final = "SELECT relname::text, pg_relation_filenode(oid) FROM pg_class WHERE oid = ANY (%s::regclass[])"
WAITING: Final = """
    SELECT extract(epoch FROM max(clock_timestamp() - waitstart))::float8
    FROM pg_locks JOIN pg_stat_activity USING (pid)
    WHERE NOT granted AND datname = current_database() AND application_name = %s
"""


@dataclass
class OlderSystem:
    """One session that goes on with its statements: how many seconds each took, and which failed."""

    seconds: list[float] = field(default_factory=list)
    errors: list[str] = field(default_factory=list)

    def run(self, conninfo: str, act: Callable[[psycopg.Connection, int], Any], over: Event) -> None:
        """Call `act` with a growing number until it is over."""
        with psycopg.connect(conninfo, autocommit=True, application_name=OLDER_SYSTEM) as connection:
            while not over.wait(PAUSE_SECONDS):
                began = time.perf_counter()
                try:
                    act(connection, len(self.seconds))
                except psycopg.Error as error:
                    self.errors.append(f"{type(error).__name__}: {error}")
                self.seconds.append(time.perf_counter() - began)


@dataclass
class Witness:
    """What the older system's sessions went through. lock_wait: the longest that one of them waited for a lock."""

    reader: OlderSystem = field(default_factory=OlderSystem)
    writer: OlderSystem = field(default_factory=OlderSystem)
    lock_wait: float = 0.0

    def look(self, conninfo: str, over: Event) -> None:
        """Note the longest wait until it is over."""
        with psycopg.connect(conninfo, autocommit=True) as connection:
            while not over.wait(LOOK_SECONDS):
                waited = connection.execute(WAITING, [OLDER_SYSTEM]).fetchone()[0]
                self.lock_wait = max(self.lock_wait, waited or 0.0)


@contextmanager
def at_work(conninfo: str, lots: int) -> Iterator[Witness]:
    """An older system that reads and writes its tables for as long as the block lasts."""

    def read(connection: psycopg.Connection, number: int) -> None:
        del number
        lot = f"lot {random.randint(1, lots)}"  # noqa: S311 - any will do
        connection.execute(
            "SELECT lot_code, lot_type, lots.weight_kg, run.status FROM lots"
            " LEFT JOIN production_runs AS run ON run.id = production_run_id WHERE lots.id = md5(%s)::uuid",
            [lot],
        ).fetchall()

    def write(connection: psycopg.Connection, number: int) -> None:
        if number % 2:
            connection.execute(
                "INSERT INTO lots (lot_code, lot_type, production_run_id, weight_kg)"
                " VALUES (%s, 'RAW', md5('run 0')::uuid, 10)",
                [f"NEW-{number}"],
            )
        else:
            lot = f"lot {random.randint(1, lots)}"  # noqa: S311 - any will do
            connection.execute("UPDATE lots SET temperature_c = %s WHERE id = md5(%s)::uuid", [number % 9, lot])

    witness, over = Witness(), Event()
    threads = [
        Thread(target=witness.reader.run, args=(conninfo, read, over)),
        Thread(target=witness.writer.run, args=(conninfo, write, over)),
        Thread(target=witness.look, args=(conninfo, over)),
    ]
    for thread in threads:
        thread.start()
    try:
        yield witness
    finally:
        over.set()
        for thread in threads:
            thread.join()


def make_past(url: str, lots: int) -> None:
    """The older system's tables with so many lots, a decision for each, and a run for each hundred."""
    upgrade(url, BASELINE)
    with psycopg.connect(conninfo_of(url), autocommit=True) as connection:
        connection.execute(PAST.format(lots=lots))


def files_of(conninfo: str) -> dict[str, int]:
    """The file of each table: another one, once the table is rewritten."""
    with psycopg.connect(conninfo) as connection:
        return dict(connection.execute(FILES, [list(TABLES)]).fetchall())


def conninfo_of(url: str) -> str:
    """A SQLAlchemy URL as psycopg takes it."""
    return make_url(url).set(drivername="postgresql").render_as_string(hide_password=False)


def main() -> None:
    """Take a plant over and print what it noticed."""
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--lots", type=int, default=1_000_000)
    lots = options.parse_args().lots
    with temporary_directory() as directory, open_testbed(Settings.load(), directory) as testbed:
        url = testbed.database("takeover")
        make_past(url, lots)
        before = files_of(conninfo_of(url))
        with at_work(conninfo_of(url), lots) as witness:
            began = time.perf_counter()
            upgrade(url)
            took = time.perf_counter() - began
        rewritten = sorted(dict(files_of(conninfo_of(url)).items() - before.items()))
        print(f"{lots} lots migrated in {took:.0f} s; tables rewritten: {', '.join(rewritten) or 'none'}")  # noqa: T201 - a script's result
        for name, system in (("reader", witness.reader), ("writer", witness.writer)):
            p99 = percentile(system.seconds, 0.99)
            print(  # noqa: T201 - as above
                f"{name}: {len(system.seconds)} statements, {len(system.errors)} errors;"
                f" p99 {p99 * 1000:.0f} ms, longest {max(system.seconds) * 1000:.0f} ms"
            )
        print(f"longest wait for a lock: {witness.lock_wait * 1000:.0f} ms")  # noqa: T201 - as above


if __name__ == "__main__":
    main()
