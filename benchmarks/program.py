"""What the command does: lay the ground, measure what was asked for, say what came of it."""

from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

import psycopg
from redis.exceptions import RedisError
from sqlalchemy.exc import SQLAlchemyError

from benchmarks import history, latency, memory, profiles
from benchmarks.contenders import Contender, Missing
from benchmarks.contest import Contest, Pace, Screen
from benchmarks.engines import EngineContender, Pgbench
from benchmarks.figures import ratio, ratios_of
from benchmarks.ground import Ground, ground
from benchmarks.others import Other
from benchmarks.outcome import Outcome, machine
from benchmarks.queues import PREFORK, Bulk, Noop, Orm, QueueContender, Single
from benchmarks.workload import Workload
from runworker.config import Settings
from runworker.errors import ConfigurationError, ServerError

QUICK: Final = Pace(rounds=3, seconds=1.0, least=200, most=20_000, latency_seconds=2.5, warm_up=200)
FULL: Final = Pace(rounds=3, seconds=4.0, least=1000, most=60_000)

NO_EVENTS: Final = {"worker_send_task_events": False}
NO_RESULTS: Final = {"task_ignore_result": True}

CONTENDERS: Final[Mapping[str, Callable[[str, Workload, Ground], Contender]]] = {
    "noop": lambda name, work, place: Noop(name, work),
    "single": lambda name, work, place: Single(name, work),
    "bulk": lambda name, work, place: Bulk(name, work),
    "engine": lambda name, work, place: EngineContender(name, work, 2),
    "dbos": lambda name, work, place: Other(name, place),
    "procrastinate": lambda name, work, place: Other(name, place),
    "orm": lambda name, work, place: Orm(name, work),
    "pgbench": lambda name, work, place: Pgbench(name, work, 2),
    "noop_1": lambda name, work, place: Noop(name, work, processes=1),
    "noop_prefork": lambda name, work, place: Noop(name, work, options=PREFORK),
    "noop_no_events": lambda name, work, place: Noop(name, work, celery=NO_EVENTS),
    "noop_no_results": lambda name, work, place: Noop(name, work, celery=NO_RESULTS),
    "single_1": lambda name, work, place: Single(name, work, processes=1),
    "single_4": lambda name, work, place: Single(name, work, processes=4),
    "single_prefork": lambda name, work, place: Single(name, work, options=PREFORK),
    "single_no_events": lambda name, work, place: Single(name, work, celery=NO_EVENTS),
    "single_no_results": lambda name, work, place: Single(name, work, celery=NO_RESULTS),
    "engine_1": lambda name, work, place: EngineContender(name, work, 1),
}
PARTS: Final = ("latency", "profile", "memory", "history")
IN_QUICK: Final = ("noop", "single", "bulk", "engine", "dbos", "procrastinate", "latency")
COMPARED: Final = ("noop", "single")
"""Contenders whose latencies are measured."""

LOW: Final = f"{latency.LOW}/s"
SHARES: Final = {"10 %": 0.1, "50 %": 0.5, "80 %": 0.8}
"""Loads in shares of what a contender has just been seen to do."""


def perform(
    given: Settings, directory: Path, screen: Screen, *, quick: bool, only: Sequence[str], pace: Pace | None = None
) -> Outcome:
    """Measure. directory: for the servers' data and for logs. Call it from the main thread.

    only: names of contenders and parts; all that the quick or the full run has, where none is given.
    Raises ConfigurationError for a name that there is not, ServerError where no server can be started.
    """
    if unknown := sorted(set(only) - CONTENDERS.keys() - set(PARTS)):
        raise ConfigurationError(f"{', '.join(unknown)}: no such part; expected {', '.join([*CONTENDERS, *PARTS])}.")
    names = list(only or (IN_QUICK if quick else (*CONTENDERS, *PARTS)))
    if "latency" in names:
        names = [*COMPARED, *(name for name in names if name not in COMPARED)]
    log = directory / "bench.log"
    with ground(given, directory) as place:
        outcome = Outcome(machine(place), datetime.now(UTC).isoformat(" ", "minutes"))
        run = _Run(place, Contest(pace or (QUICK if quick else FULL), log, screen), screen, outcome)
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
                outcome.failures.append(f"{name}: {error}")  # what was measured before is told all the same
    return outcome


class _Run:
    def __init__(self, place: Ground, contest: Contest, screen: Screen, outcome: Outcome) -> None:
        self._place = place
        self._contest = contest
        self._screen = screen
        self._outcome = outcome

    def rates(self, names: Sequence[str], shares: Mapping[str, float]) -> None:
        """All contenders that are named, side by side, and the latencies of two of them meanwhile."""
        wanted = [name for name in names if name in CONTENDERS]
        if not wanted:
            return
        workload, latencies = Workload(self._place.plant("plant")), latency.Latencies()
        out = self._outcome

        def also_latency(contender: Contender, rate: float) -> None:
            if isinstance(contender, QueueContender) and contender.name in COMPARED and "latency" in names:
                for load, messages in {
                    LOW: latency.LOW,
                    **{load: share * rate for load, share in shares.items()},
                }.items():
                    seconds, lost = latency.measured(contender, messages, self._contest.pace.latency_seconds)
                    latencies.add(contender.name, load, messages, seconds)
                    out.failures += [f"{contender.name} at {load}: {wrong}" for wrong in lost]

        try:
            results = self._contest.measure(self._present(wanted, workload), also_latency)
        finally:
            workload.close()
        out.take(results)
        if workload.started:
            out.rates["start_run"] = round(workload.started / workload.seconds, 1)
        out.rates |= {name: None for name in wanted if name not in results}
        out.ratios |= ratios_of(out.rates)
        out.latency_ms = latencies.as_dict()
        for share, name in ((0.5, "latency_p50_to_noop"), (0.99, "latency_p99_to_noop")):
            ours, theirs = (latencies.milliseconds(contender, LOW, share) for contender in ("single", "noop"))
            out.ratios[name] = ratio(ours, theirs)

    def profile(self, directory: Path) -> None:
        """One engine process under the profiler."""
        workload = Workload(self._place.plant("profile"))
        try:
            self._outcome.profile, lost = profiles.measured(workload, directory)
        finally:
            workload.close()
        self._outcome.failures += lost

    def memory(self, log: Path) -> None:
        """Two workers over two hundred thousand commands."""
        workload = Workload(self._place.plant("memory"))
        try:
            figures, lost = memory.measured(Single("memory", workload), log, self._screen)
        finally:
            workload.close()
        self._outcome.memory = figures
        self._outcome.ratios["memory_200k_to_20k"] = figures["memory_200k_to_20k"]
        self._outcome.failures += lost

    def history(self) -> None:
        """Two workers on plants of different age, side by side."""
        if not self._place.embedded:
            self._screen.say("history is skipped: it is only made on embedded servers")
            return
        mould = self._place.plant("mould")
        pasts = history.PASTS
        plants = {name: history.aged(self._place, mould, name, past, self._screen) for name, past in pasts.items()}
        workloads = {name: Workload(plant, pasts[name].make_id) for name, plant in plants.items()}
        try:
            contenders = {name: Single(f"history_{name}", workload) for name, workload in workloads.items()}
            results = self._contest.measure(list(contenders.values()))
        finally:
            for workload in workloads.values():
                workload.close()
        self._outcome.take(results, as_rates=False)
        rates = {name: results[contender.name].rate for name, contender in contenders.items()}
        self._outcome.history = rates
        self._outcome.ratios["history_5m_to_empty"] = ratio(rates["5_million"], rates["empty"])

    def _present(self, names: Sequence[str], workload: Workload) -> list[Contender]:
        found: list[Contender] = []
        for name in names:
            try:
                found.append(CONTENDERS[name](name, workload, self._place))
            except Missing as error:
                self._screen.say(str(error))
        return found
