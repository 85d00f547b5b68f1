"""Sets up the testbed, measures what was asked for, and returns the figures."""

from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

import psycopg
from redis.exceptions import RedisError
from sqlalchemy.exc import SQLAlchemyError

from benchmarks import history, latency, memory, profiles
from benchmarks.bench_result import BenchResult, machine
from benchmarks.candidates import Candidate, Missing
from benchmarks.engine_candidates import EngineCandidate, Pgbench
from benchmarks.figures import ratio, ratios_of
from benchmarks.peer_candidates import PeerCandidate
from benchmarks.queue_candidates import PREFORK, Bulk, Noop, Orm, QueueCandidate, Single
from benchmarks.rounds import RoundLimits, Rounds
from benchmarks.testbed import Testbed, open_testbed
from benchmarks.workload import Workload
from runworker.config import Settings
from runworker.errors import ConfigurationError, ServerError
from runworker.simulation.execution import Display

QUICK: Final = RoundLimits(rounds=3, seconds=1.0, least=200, most=20_000, latency_seconds=2.5, warm_up=200)
FULL: Final = RoundLimits(rounds=3, seconds=4.0, least=1000, most=60_000)

NO_EVENTS: Final = {"worker_send_task_events": False}
NO_RESULTS: Final = {"task_ignore_result": True}

CANDIDATES: Final[Mapping[str, Callable[[str, Workload, Testbed], Candidate]]] = {
    "noop": lambda name, work, testbed: Noop(name, work),
    "single": lambda name, work, testbed: Single(name, work),
    "bulk": lambda name, work, testbed: Bulk(name, work),
    "engine": lambda name, work, testbed: EngineCandidate(name, work, 2),
    "dbos": lambda name, work, testbed: PeerCandidate(name, testbed),
    "procrastinate": lambda name, work, testbed: PeerCandidate(name, testbed),
    "orm": lambda name, work, testbed: Orm(name, work),
    "pgbench": lambda name, work, testbed: Pgbench(name, work, 2),
    "noop_1": lambda name, work, testbed: Noop(name, work, processes=1),
    "noop_prefork": lambda name, work, testbed: Noop(name, work, options=PREFORK),
    "noop_no_events": lambda name, work, testbed: Noop(name, work, celery=NO_EVENTS),
    "noop_no_results": lambda name, work, testbed: Noop(name, work, celery=NO_RESULTS),
    "single_1": lambda name, work, testbed: Single(name, work, processes=1),
    "single_4": lambda name, work, testbed: Single(name, work, processes=4),
    "single_prefork": lambda name, work, testbed: Single(name, work, options=PREFORK),
    "single_no_events": lambda name, work, testbed: Single(name, work, celery=NO_EVENTS),
    "single_no_results": lambda name, work, testbed: Single(name, work, celery=NO_RESULTS),
    "engine_1": lambda name, work, testbed: EngineCandidate(name, work, 1),
}
PARTS: Final = ("latency", "profile", "memory", "history")
IN_QUICK: Final = ("noop", "single", "bulk", "engine", "dbos", "procrastinate", "latency")
COMPARED: Final = ("noop", "single")
"""Candidates whose latencies are measured."""

LOW: Final = f"{latency.LOW}/s"
SHARES: Final = {"10 %": 0.1, "50 %": 0.5, "80 %": 0.8}
"""Loads in shares of what a candidate has just been seen to do."""


def run_benchmark(
    given: Settings,
    directory: Path,
    display: Display,
    *,
    quick: bool,
    only: Sequence[str],
    limits: RoundLimits | None = None,
) -> BenchResult:
    """Measure. directory: for the servers' data and for logs. Call it from the main thread.

    only: names of candidates and parts; all that the quick or the full run has, where none is given.
    Raises ConfigurationError for a name that there is not, ServerError where no server can be started.
    """
    if unknown := sorted(set(only) - CANDIDATES.keys() - set(PARTS)):
        raise ConfigurationError(f"{', '.join(unknown)}: no such part; expected {', '.join([*CANDIDATES, *PARTS])}.")
    names = list(only or (IN_QUICK if quick else (*CANDIDATES, *PARTS)))
    if "latency" in names:
        names = [*COMPARED, *(name for name in names if name not in COMPARED)]
    log = directory / "bench.log"
    with open_testbed(given, directory) as testbed:
        result = BenchResult(machine(testbed), datetime.now(UTC).isoformat(" ", "minutes"))
        run = _Run(testbed, Rounds(limits or (QUICK if quick else FULL), log, display), display, result)
        run.rates(names, shares={} if quick else SHARES)
        parts: dict[str, Callable[[], None]] = {
            "profile": lambda: run.profile(directory),
            "memory": lambda: run.memory(log),
            "history": run.history,
        }
        for name, measure in parts.items():
            if name not in names:
                continue
            try:
                measure()
            except (ServerError, RedisError, psycopg.Error, SQLAlchemyError) as error:
                result.failures.append(f"{name}: {error}")  # what was measured before is told all the same
    return result


class _Run:
    def __init__(self, testbed: Testbed, rounds: Rounds, display: Display, result: BenchResult) -> None:
        self._testbed = testbed
        self._rounds = rounds
        self._display = display
        self._result = result

    def rates(self, names: Sequence[str], shares: Mapping[str, float]) -> None:
        """All candidates that are named, side by side, and the latencies of two of them meanwhile."""
        wanted = [name for name in names if name in CANDIDATES]
        if not wanted:
            return
        workload, latencies = Workload(self._testbed.plant("plant")), latency.Latencies()
        out = self._result

        def also_latency(candidate: Candidate, rate: float) -> None:
            if isinstance(candidate, QueueCandidate) and candidate.name in COMPARED and "latency" in names:
                for load, messages in {
                    LOW: latency.LOW,
                    **{load: share * rate for load, share in shares.items()},
                }.items():
                    seconds, lost = latency.measured(candidate, messages, self._rounds.limits.latency_seconds)
                    latencies.add(candidate.name, load, messages, seconds)
                    out.failures += [f"{candidate.name} at {load}: {wrong}" for wrong in lost]

        try:
            results = self._rounds.measure(self._present(wanted, workload), also_latency)
        finally:
            workload.close()
        out.take(results)
        if workload.started:
            out.rates["start_run"] = round(workload.started / workload.seconds, 1)
        out.rates |= {name: None for name in wanted if name not in results}
        out.ratios |= ratios_of(out.rates)
        out.latency_ms = latencies.as_dict()
        for share, name in ((0.5, "latency_p50_to_noop"), (0.99, "latency_p99_to_noop")):
            ours, theirs = (latencies.milliseconds(candidate, LOW, share) for candidate in ("single", "noop"))
            out.ratios[name] = ratio(ours, theirs)

    def profile(self, directory: Path) -> None:
        """One engine process under the profiler."""
        workload = Workload(self._testbed.plant("profile"))
        try:
            self._result.profile, lost = profiles.measured(workload, directory)
        finally:
            workload.close()
        self._result.failures += lost

    def memory(self, log: Path) -> None:
        """Two workers over two hundred thousand commands."""
        workload = Workload(self._testbed.plant("memory"))
        try:
            figures, lost = memory.measured(Single("memory", workload), log, self._display)
        finally:
            workload.close()
        self._result.memory = figures
        self._result.ratios["memory_200k_to_20k"] = figures["memory_200k_to_20k"]
        self._result.failures += lost

    def history(self) -> None:
        """Two workers on plants of different age, side by side."""
        if not self._testbed.embedded:
            self._display.say("history is skipped: it is only made on embedded servers")
            return
        template = self._testbed.plant("template")
        pasts = history.PASTS
        plants = {
            name: history.aged(self._testbed, template, name, past, self._display) for name, past in pasts.items()
        }
        workloads = {name: Workload(plant, pasts[name].make_id) for name, plant in plants.items()}
        try:
            candidates = {name: Single(f"history_{name}", workload) for name, workload in workloads.items()}
            results = self._rounds.measure(list(candidates.values()))
        finally:
            for workload in workloads.values():
                workload.close()
        self._result.take(results, as_rates=False)
        rates = {name: results[candidate.name].rate for name, candidate in candidates.items()}
        self._result.history = rates
        self._result.ratios["history_5m_to_empty"] = ratio(rates["5_million"], rates["empty"])

    def _present(self, names: Sequence[str], workload: Workload) -> list[Candidate]:
        found: list[Candidate] = []
        for name in names:
            try:
                found.append(CANDIDATES[name](name, workload, self._testbed))
            except Missing as error:
                self._display.say(str(error))
        return found
