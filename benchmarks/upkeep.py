"""How long one message waits for its verdict while workers have upkeep to do, beside workers that have none.

    uv run python -m benchmarks.upkeep
    uv run python -m benchmarks.upkeep --prefork --duty seal --duty archive

Starts durable servers of its own, unless settings name some. Messages leave at a steady rate. Upkeep comes every second
and not every five, so that a short turn meets several rounds of it. Each round starts workers anew and measures the
duties one after the other, and idle among them: what is laid for one is done before the next begins. Prints a line a
turn, and a table of medians; ratios are those of p99 and max to idle's of the same round.
"""

import argparse
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

import psycopg

from benchmarks.figures import median, percentile
from benchmarks.latency import LOW, measured
from benchmarks.outbox import insert_queued
from benchmarks.queue_candidates import PREFORK, SOLO, Single
from benchmarks.testbed import PlantDatabase, open_testbed
from benchmarks.workload import Workload
from runworker.config import Settings
from runworker.embedded import temporary_directory
from runworker.transport import UNREADABLE

IDLE: Final = "idle"
SECONDS: Final = 10.0
WARM_SECONDS: Final = 2.0
PATIENCE_SECONDS: Final = 60.0
QUEUED: Final = 5_000
UNREADABLES: Final = 300


@dataclass(frozen=True)
class Rows:
    """Rows that a duty is to work on. made: SQL that makes `many`. left: SQL that counts those not yet worked on."""

    many: int
    made: str
    left: str


ROWS: Final[Mapping[str, Rows]] = {
    "prune": Rows(
        60_000,
        "INSERT INTO commands (idempotency_key, command, payload, status, verdict, received_at, decided_at)"
        " SELECT gen_random_uuid(), 'advance_step', '{}', 'APPLIED', '{}', now() - interval '100 days',"
        " now() - interval '100 days' FROM generate_series(1, %(many)s)",
        "SELECT count(*) FROM commands WHERE decided_at < now() - interval '99 days'",
    ),
    "archive": Rows(
        3_000,
        "INSERT INTO production_runs (id, run_code, flow_version_id, operator_id, started_by, status,"
        " current_step_index, started_at, completed_at, ended_at, idempotency_key, command_key)"
        " SELECT id, 'RUN-' || id, %(version)s, %(user)s, %(user)s, 'COMPLETED', 10, now() - interval '40 days',"
        " now() - interval '40 days', now() - interval '40 days', id, id"
        " FROM (SELECT gen_random_uuid() AS id FROM generate_series(1, %(many)s)) AS made",
        "SELECT count(*) FROM production_runs WHERE status = 'COMPLETED' AND ended_at < now() - interval '39 days'",
    ),
    "seal": Rows(
        50_000,
        "INSERT INTO audit_events (at, entity, entity_id, operation, before, after, command_key, command, actor,"
        " db_user, xact_id)"
        " SELECT now(), 'production_runs', id, 'UPDATE', jsonb_build_object('id', id, 'status', 'RUNNING'),"
        " jsonb_build_object('id', id, 'status', 'HOLD'), id, 'hold_run', %(user)s, 'bench', 3"
        " FROM (SELECT gen_random_uuid() AS id FROM generate_series(1, %(many)s)) AS made",
        "SELECT count(*) FROM audit_events"
        " WHERE db_user = 'bench' AND id > (SELECT coalesce(max(last_event_id), 0) FROM audit_seals)",
    ),
    "overdue": Rows(
        2_000,
        "INSERT INTO commands (idempotency_key, command, payload, issued_by, status, run_id, blocked_on, received_at,"
        " expires_at)"
        " SELECT id, 'advance_step', jsonb_build_object('issued_by', %(user)s::uuid, 'run_id', id, 'to_step_index', 1),"
        " %(user)s, 'WAITING', id, ARRAY[id], now() - interval '10 minutes', now() - interval '5 minutes'"
        " FROM (SELECT gen_random_uuid() AS id FROM generate_series(1, %(many)s)) AS made",
        "SELECT count(*) FROM commands WHERE status = 'WAITING'",
    ),
}
DUTIES: Final = (*ROWS, "queued", "unreadable")
ORDER: Final = ("prune", "archive", "seal", IDLE, "overdue", "queued", "unreadable")
"""Prune first, as workers start. Idle in the middle: neither right after it nor after all."""


class Upkeep:
    """Lays work for the duties in a plant, and looks whether it is done."""

    def __init__(self, plant: PlantDatabase, workload: Workload, candidate: Single) -> None:
        self._plant = plant
        self._workload = workload
        self._candidate = candidate
        self._unreadable = candidate.queue + UNREADABLE

    def lay(self, duty: str) -> Callable[[], int]:
        """Lay a duty's work. Returns what counts how much of it is left."""
        if duty == IDLE:
            return lambda: 0
        if duty == "unreadable":
            self._candidate.broker.lpush(self._unreadable, *(f"no message {n}" for n in range(UNREADABLES)))
            return lambda: int(self._candidate.broker.llen(self._unreadable))
        if duty == "queued":
            work = self._workload.work(QUEUED)
            with psycopg.connect(self._plant.conninfo) as upstream:
                insert_queued(upstream, work)
            return lambda: self._count("SELECT count(*) FROM commands WHERE status IN ('QUEUED', 'WAITING')")
        rows = ROWS[duty]
        given = {"many": rows.many, "user": self._plant.manager, "version": self._plant.flow_version_id}
        with psycopg.connect(self._plant.conninfo) as owner:
            owner.execute("SET session_replication_role = replica")  # as benchmarks.history: past triggers
            owner.execute(rows.made, given)
        return lambda: self._count(rows.left)

    def _count(self, query: str) -> int:
        with psycopg.connect(self._plant.conninfo) as owner:
            (left,) = owner.execute(query).fetchone() or (0,)
            return int(left)


Turn = tuple[float, float, float, float]
"""Milliseconds: p50, p95, p99, max."""


def main() -> None:
    """Measure, and print a line a turn and the medians."""
    options = argparse.ArgumentParser(description="Time single messages beside upkeep.")
    options.add_argument("--rounds", type=int, default=3)
    options.add_argument("--prefork", action="store_true", help="one worker with a pool of two, not two solo ones")
    options.add_argument("--duty", action="append", choices=DUTIES, help="only this one; may be given several times")
    given = options.parse_args()
    duties = [duty for duty in DUTIES if duty in (given.duty or DUTIES)]
    turns: dict[str, list[Turn]] = {}
    with temporary_directory() as directory, open_testbed(Settings.load(), directory) as testbed:
        plant = testbed.plant("upkeep")
        plant = replace(plant, settings=plant.settings.model_copy(update={"sweep_seconds": 1.0}))
        workload = Workload(plant)
        candidate = Single("upkeep", workload, options=PREFORK if given.prefork else SOLO)
        for _ in range(given.rounds):
            for duty, turn in _round(Upkeep(plant, workload, candidate), candidate, duties, directory / "log").items():
                turns.setdefault(duty, []).append(turn)
        workload.close()
    print("| | p50 | p95 | p99 | max | p99 ÷ idle's | max ÷ idle's |\n|---|---|---|---|---|---|---|")  # noqa: T201
    for duty, found in turns.items():
        ratios = [[ours[i] / idle[i] for ours, idle in zip(found, turns[IDLE], strict=True)] for i in (2, 3)]
        medians = [f"{median(column):.0f}" for column in zip(*found, strict=True)]
        print("|", " | ".join([duty, *medians, *(f"{median(both):.1f}" for both in ratios)]), "|")  # noqa: T201


def _round(upkeep: Upkeep, candidate: Single, duties: list[str], log: Path) -> dict[str, Turn]:
    turns: dict[str, Turn] = {}
    # Workers look for what to prune as they start, and then once a minute: it lies ready, and comes first.
    pruned = upkeep.lay("prune") if "prune" in duties else None
    with candidate.running(log):
        if pruned is None:
            measured(candidate, LOW, WARM_SECONDS)  # connections and plans
        for duty in (turn for turn in ORDER if turn in (*duties, IDLE)):
            left = pruned if pruned is not None and duty == "prune" else upkeep.lay(duty)
            turns[duty] = _turn(candidate, duty, left)
    return turns


def _turn(candidate: Single, duty: str, left: Callable[[], int]) -> Turn:
    before = left()
    seconds, lost = measured(candidate, LOW, SECONDS)
    if lost:
        raise AssertionError("; ".join(lost))
    after = left()
    p50, p95, p99, most = (percentile(seconds, share) * 1000 for share in (0.5, 0.95, 0.99, 1.0))
    said = f"{duty}: p50 {p50:.0f}, p95 {p95:.0f}, p99 {p99:.0f}, max {most:.0f} ms; left {before:,} and then {after:,}"
    print(said, flush=True)  # noqa: T201 - a script's result
    deadline = time.monotonic() + PATIENCE_SECONDS
    while left():
        if time.monotonic() > deadline:
            raise AssertionError(f"{duty}: {left()} are left")
        time.sleep(0.1)
    return p50, p95, p99, most


if __name__ == "__main__":
    main()
