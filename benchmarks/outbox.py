"""How fast commands are decided that an upstream INSERTs, beside the same commands over the queue, by the same workers.

    uv run python -m benchmarks.outbox --commands 5000 --rounds 3 --workers 2
    uv run python -m benchmarks.outbox --prefork

Starts durable servers of its own, unless settings name some. A round is one turn of either: messages that lie ready are
handed over at once and counted until none is left; rows are committed in one transaction and counted until all are
decided. first: from the return of COMMIT until another session sees a decision.
"""

import argparse
import json
import statistics
import time
from typing import Final

import psycopg

from benchmarks.queue_candidates import PREFORK, SOLO, Single
from benchmarks.testbed import PlantDatabase, open_testbed
from benchmarks.workload import Work, Workload
from runworker.config import Settings
from runworker.embedded import temporary_directory

GLANCE_SECONDS: Final = 0.002
LEFT: Final = "SELECT count(*) FROM commands WHERE status IN ('QUEUED', 'WAITING')"


def main() -> None:
    """Measure and print a line a round, and the medians."""
    options = argparse.ArgumentParser(description="Time what upstreams queue by INSERT beside what they send.")
    options.add_argument("--commands", type=int, default=5000)
    options.add_argument("--rounds", type=int, default=3)
    options.add_argument("--workers", type=int, default=2, help="solo workers, or pool processes of one worker")
    options.add_argument("--prefork", action="store_true")
    given = options.parse_args()
    with temporary_directory() as directory, open_testbed(Settings.load(), directory) as testbed:
        plant = testbed.plant("outbox")
        workload = Workload(plant)
        candidate = Single("outbox", workload, given.workers, PREFORK if given.prefork else SOLO)
        with candidate.running(directory / "workers.log"):
            _sent(candidate, 500), _inserted(plant, workload, 500)  # connections and plans
            rounds = [_round(candidate, plant, workload, given.commands) for _ in range(given.rounds)]
        workload.close()
    ratio, first = (statistics.median(column) for column in zip(*rounds, strict=True))
    print(f"median: ratio {ratio:.2f}, first after {first * 1000:.0f} ms")  # noqa: T201 - a script's result


def _round(candidate: Single, plant: PlantDatabase, workload: Workload, commands: int) -> tuple[float, float]:
    queue = _sent(candidate, commands)
    outbox, first = _inserted(plant, workload, commands)
    said = (
        f"queue {queue:,.0f}/s, outbox {outbox:,.0f}/s, ratio {outbox / queue:.2f}, first after {first * 1000:.0f} ms"
    )
    print(said, flush=True)  # noqa: T201 - a script's result
    return outbox / queue, first


def _sent(candidate: Single, commands: int) -> float:
    laid = candidate.lay(commands)
    rate = laid.commands / candidate.do(laid)
    _require(candidate.shortcomings(laid))
    return rate


def _inserted(plant: PlantDatabase, workload: Workload, commands: int) -> tuple[float, float]:
    work = workload.work(commands)
    with psycopg.connect(plant.conninfo) as upstream, psycopg.connect(plant.conninfo, autocommit=True) as watch:
        insert_queued(upstream, work)
        upstream.commit()
        began, first, left = time.perf_counter(), None, len(work.commands)
        while left:
            (left,) = watch.execute(LEFT).fetchone() or (0,)
            if first is None and left < len(work.commands):
                first = time.perf_counter() - began
            time.sleep(GLANCE_SECONDS if first is None else 10 * GLANCE_SECONDS)
        rate = len(work.commands) / (time.perf_counter() - began)
    _require(workload.shortcomings(work))
    return rate, first or 0.0


def insert_queued(upstream: psycopg.Connection, work: Work) -> None:
    """Put commands into the ledger as an upstream does, in a transaction that is the caller's to commit."""
    rows = "COPY commands (idempotency_key, command, payload) FROM STDIN"
    with upstream.cursor() as cursor, cursor.copy(rows) as copy:
        for fields in work.commands:
            payload = {name: value for name, value in fields.items() if name != "idempotency_key"}
            copy.write_row((fields["idempotency_key"], "advance_step", json.dumps(payload)))


def _require(shortcomings: list[str]) -> None:
    if shortcomings:
        raise AssertionError("; ".join(shortcomings))


if __name__ == "__main__":
    main()
