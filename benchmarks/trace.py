"""How long a trace and a recall take, and whether that grows with the plant's history.

    uv run python benchmarks/trace.py

Starts PostgreSQL of its own, fills it with families of 550 lots on eleven levels (50 a level, each made of three of the
level before) past the guards, and measures, warm, the whole call with its connection open: medians of `--rounds`
rounds over lots in the middle of families spread over the table. A chain of eleven lots is among them. Compared
with finding the same lots by a query a level, and by a query a lot, which reads neither quantities nor what was taken.
"""

import argparse
import statistics
import time
from collections.abc import Callable
from typing import Final

from sqlalchemy import Connection, create_engine, make_url, text

from runworker.embedded import EmbeddedServers, temporary_directory
from runworker.migrations import upgrade
from runworker.tracing import Direction, recall, trace

LEVELS: Final = 11
WIDTH: Final = 50
FAMILY: Final = LEVELS * WIDTH
SAMPLES: Final = 10

FILL: Final = (
    """
    INSERT INTO lots (id, lot_code, status, weight_kg, step_index)
    SELECT lpad(to_hex(i + 1), 32, '0')::uuid, 'LOT-' || i, 'RELEASED', 100,
           i % CAST(:family AS int) / CAST(:width AS int)
    FROM generate_series(CAST(:first AS int), CAST(:last AS int)) AS i
    """,
    """
    INSERT INTO lot_genealogy (parent_lot_id, child_lot_id, quantity_used_kg)
    SELECT lpad(to_hex(i - i % CAST(:width AS int) - :width + (i * 7 + j * 11) % :width + 1), 32, '0')::uuid,
           lpad(to_hex(i + 1), 32, '0')::uuid, 12.5
    FROM generate_series(CAST(:first AS int), CAST(:last AS int)) AS i, generate_series(0, 2) AS j
    WHERE i % :family >= :width
    """,
)
CHAIN: Final = (
    "INSERT INTO lots (lot_code, status, weight_kg, step_index)"
    " SELECT 'CHAIN-' || i, 'RELEASED', 100, i FROM generate_series(0, 10) AS i",
    "INSERT INTO lot_genealogy (parent_lot_id, child_lot_id, quantity_used_kg)"
    " SELECT parent.id, child.id, 12.5 FROM lots AS parent JOIN lots AS child"
    " ON child.lot_code = 'CHAIN-' || parent.step_index + 1 WHERE parent.lot_code LIKE 'CHAIN-%'",
)
NEXT: Final = {
    Direction.BACK: text("SELECT parent_lot_id FROM lot_genealogy WHERE child_lot_id = ANY (:ids)"),
    Direction.FORWARD: text("SELECT child_lot_id FROM lot_genealogy WHERE parent_lot_id = ANY (:ids)"),
}


def main() -> None:
    """Measure at both sizes and print a table."""
    options = argparse.ArgumentParser(description="Time traces and recalls.")
    options.add_argument("--rounds", type=int, default=5)
    options.add_argument("--lots", type=int, nargs="+", default=[10_000, 100_000])
    given = options.parse_args()
    with temporary_directory() as directory, EmbeddedServers(directory, durable=False) as servers:
        upgrade(servers.urls.admin_database_url)
        url = make_url(servers.urls.admin_database_url).set(drivername="postgresql+psycopg")
        database = create_engine(url)
        filled = 0
        print(f"{'lots':>8}  {'what':42}{'lots found':>11}{'median ms':>11}")  # noqa: T201 - a script's result
        for lots in given.lots:
            with database.begin() as connection:
                _fill(connection, filled, lots)
            with database.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
                connection.execute(text("VACUUM ANALYZE lots, lot_genealogy"))
                _measure(connection, lots, given.rounds)
            filled = lots
        database.dispose()


def _fill(connection: Connection, first: int, lots: int) -> None:
    for table in ("lots", "lot_genealogy"):
        connection.execute(text(f"ALTER TABLE {table} DISABLE TRIGGER USER"))
    for statement in (*FILL, *(CHAIN if first == 0 else ())):
        connection.execute(text(statement), {"first": first, "last": lots - 1, "family": FAMILY, "width": WIDTH})
    for table in ("lots", "lot_genealogy"):
        connection.execute(text(f"ALTER TABLE {table} ENABLE TRIGGER USER"))


def _measure(connection: Connection, lots: int, rounds: int) -> None:
    families = lots // FAMILY
    middles = [f"LOT-{family * families // SAMPLES * FAMILY + FAMILY // 2}" for family in range(SAMPLES)]
    measured: tuple[tuple[str, list[str], Callable[[Connection, str], int]], ...] = (
        ("trace, chain of 11", ["CHAIN-5"], _trace),
        ("  ids and lots alone, a query a level", ["CHAIN-5"], _by_level),
        ("trace both ways", middles, _trace),
        ("  ids and lots alone, a query a level", middles, _by_level),
        ("  ids and lots alone, a query a lot", middles, _by_lot),
        ("recall", middles, _recall),
    )
    for name, codes, call in measured:
        found = [call(connection, code) for code in codes]
        medians = statistics.median(
            statistics.mean(_timed(connection, code, call) for code in codes) for _ in range(rounds)
        )
        print(f"{lots:>8}  {name:42}{round(statistics.mean(found)):>11}{medians:>11.2f}")  # noqa: T201 - a script's result


def _timed(connection: Connection, code: str, call: Callable[[Connection, str], int]) -> float:
    began = time.perf_counter()
    call(connection, code)
    return (time.perf_counter() - began) * 1000


def _trace(connection: Connection, code: str) -> int:
    return len(trace(connection, code).genealogy.lots)


def _recall(connection: Connection, code: str) -> int:
    return len(recall(connection, code).genealogy.lots)


def _by_level(connection: Connection, code: str) -> int:
    return _walked(connection, code, whole_level=True)


def _by_lot(connection: Connection, code: str) -> int:
    return _walked(connection, code, whole_level=False)


def _walked(connection: Connection, code: str, *, whole_level: bool) -> int:
    """Ids alone, level by level; then all the lots at once, as a trace reads them."""
    root = connection.execute(text("SELECT id FROM lots WHERE lot_code = :code"), {"code": code}).scalar_one()
    reached = {root}
    for query in NEXT.values():
        seen, front = {root}, {root}
        while front:
            asked = [list(front)] if whole_level else [[lot] for lot in front]
            ahead = {id_ for ids in asked for id_ in connection.execute(query, {"ids": ids}).scalars()}
            front = ahead - seen
            seen |= ahead
        reached |= seen
    return len(connection.execute(text("SELECT * FROM lots WHERE id = ANY (:ids)"), {"ids": list(reached)}).all())


if __name__ == "__main__":
    main()
