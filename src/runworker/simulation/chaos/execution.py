"""One run of chaos: sends, disturbs workers and servers by turns, waits for the end, and has it checked."""

import sys
import time
from collections import defaultdict
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from random import Random
from typing import Any, Final

from kombu.exceptions import OperationalError
from redis.exceptions import RedisError
from sqlalchemy import Engine, create_engine, select, text
from sqlalchemy.exc import DBAPIError

from runworker.client import NoVerdict
from runworker.errors import ServerError
from runworker.models import CommandRecord
from runworker.simulation.chaos.crew import KILLED, Crew
from runworker.simulation.chaos.evidence import read_evidence
from runworker.simulation.chaos.faults import FAULTS
from runworker.simulation.chaos.history import History
from runworker.simulation.chaos.load import Load
from runworker.simulation.chaos.plan import ChaosPlan
from runworker.simulation.chaos.report import ChaosReport, FaultRecord, judged, too_slow
from runworker.simulation.chaos.schedule import Turn, schedule
from runworker.simulation.chaos.site import ChaosSite
from runworker.simulation.chaos.upstream import Upstream
from runworker.simulation.database_state import read_state
from runworker.simulation.execution import Display
from runworker.simulation.lot_proof import LOT_CHECKS
from runworker.simulation.proof import STATE_CHECKS, Expectation, prove

LOSES_MESSAGES: Final = frozenset({"broker-flushed"})
"""Faults after which the broker has lost what it accepted, so that its senders send again."""

TICK_SECONDS: Final = 0.05
SWITCH_SECONDS: Final = 0.0001
"""After which a thread of this process gives way. By default it is 5 ms, for which every message of every worker would
wait: they pass through proxies here, beside a client that is at work all the time."""

PATIENCE_SECONDS: Final = 60.0
"""After a fault's end, without a decision for so long, the next one begins all the same."""


@dataclass(frozen=True)
class ChaosContext:
    """What a run of chaos is given from outside.

    site: servers, open. database: as the tables' owner, past all wires. directory: takes history and workers' logs.
    check: called in every loop, so that it may raise what ends the run.
    """

    site: ChaosSite
    database: Engine
    directory: Path
    display: Display
    check: Callable[[], None]


def chaos_on_own_servers(plan: ChaosPlan, directory: Path, display: Display, check: Callable[[], None]) -> ChaosReport:
    """Run chaos on servers that end with it. Raises as `run_chaos`, and ServerError where one does not start."""
    sys.setswitchinterval(SWITCH_SECONDS)
    with ChaosSite() as site:
        database = create_engine(site.owner_url, pool_pre_ping=True)
        try:
            return run_chaos(plan, ChaosContext(site, database, directory, display, check))
        finally:
            database.dispose()


def run_chaos(plan: ChaosPlan, on: ChaosContext) -> ChaosReport:
    """Run it and judge what became of it. Call it from the main thread. Raises ServerError where a server does not come
    back."""
    history = History(on.directory / "history.jsonl")
    try:
        return _Execution(plan, history, on).run()
    finally:
        history.close()


class _Execution:
    def __init__(self, plan: ChaosPlan, history: History, on: ChaosContext) -> None:
        self._plan = plan
        self._history = history
        self._on = on
        self._random = Random(plan.seed)  # noqa: S311 - a plan to repeat, not a secret
        self._faults: defaultdict[str, FaultRecord] = defaultdict(FaultRecord)
        self._turns = schedule(self._random, plan.faults, plan.seconds, every=plan.fault_every)
        self._load = Load(on.database, Random(plan.seed), plan.wave)  # noqa: S311 - as above
        settings = on.site.settings.model_copy(update=dict(plan.settings))
        self._crew = Crew(settings, plan.crew, Random(plan.seed), on.directory)  # noqa: S311 - as above
        self._upstream = Upstream(
            on.site.broker_url, settings.queue, on.database, load=self._load, history=history, rate=plan.rate
        )
        self._began = self._disturbed_at = time.monotonic()

    def run(self) -> ChaosReport:
        upstream = self._upstream
        with self._crew:
            self._began = self._disturbed_at = time.monotonic()
            with upstream:
                for turn in self._turns:
                    self._go_on_until(turn.at)
                    self._suffer(turn)
                self._go_on_until(self._plan.seconds)
                self._crew.calm_down()
                upstream.send_no_more_waves()
                self._await_end()
                silent = self._hear_in_the_end()
            figures = self._figures()
        others = (*self._crew.ended, *silent, *too_slow(self._faults), *self._proof())
        with self._on.database.connect() as connection:
            evidence = read_evidence(connection, list(self._history.exchanges))
        report = judged(self._history, evidence, figures, others)
        self._history.noted("ledger of violations", rows=[asdict(entry) for entry in report.entries(evidence)])
        return report

    def _figures(self) -> dict[str, Any]:
        with self._on.database.connect() as connection:
            postgresql = connection.execute(text("SHOW server_version")).scalar_one()
        return {
            "seed": self._plan.seed,
            "seconds": round(self._seconds, 1),
            "servers": {"postgresql": postgresql, "valkey": self._on.site.broker.info("server")["valkey_version"]},
            "kills": self._crew.killed[KILLED],
            "workers": dict(self._crew.killed),
            "inside_workers": dict(self._crew.inside),
            "faults": {name: record.as_dict for name, record in sorted(self._faults.items())},
        }

    def _hear_in_the_end(self) -> list[str]:
        """Hear the last of all verdicts. Returns why that cannot be, if so."""
        try:
            self._upstream.hear_in_the_end(self._plan.patience)
        except (NoVerdict, OperationalError, RedisError) as error:
            return [f"in the end stored verdicts could not be read: {error}"]
        return []

    def _proof(self) -> Iterator[str]:
        """What the scenario's own proof says."""
        scenario = self._load.scenario
        with self._on.database.connect() as connection:
            state = read_state(connection, scenario, queue=self._on.site.settings.queue)
        checks = {**STATE_CHECKS, **(LOT_CHECKS if scenario.lots else {})}
        for check in prove(checks, Expectation(scenario, {}), state):
            yield from check.violations

    @property
    def _seconds(self) -> float:
        return time.monotonic() - self._began

    def _suffer(self, turn: Turn) -> None:
        """Let one fault happen, and measure when the next command is decided after its end."""
        on, record = self._on, self._faults[turn.name]
        self._upstream.busy = True
        self._history.noted("fault begins", name=turn.name)
        with FAULTS[turn.name].disturb(on.site, self._random):
            if turn.name in LOSES_MESSAGES:
                self._upstream.send_again()
            self._go_on_until(self._seconds + turn.lasts)
        ended = time.time()
        self._history.noted("fault ended", name=turn.name)
        self._go_on(lambda: self._first_decision(ended) or time.time() - ended > PATIENCE_SECONDS)
        took = (self._first_decision(ended) or time.time()) - ended
        self._upstream.busy = False
        record.add(took)
        self._history.noted("first decision", name=turn.name, seconds=round(took, 2))
        on.display.say(f"{turn.name} for {turn.lasts:.1f} s; the first decision came {took:.1f} s after its end")
        on.site.restore()

    def _first_decision(self, since: float) -> float | None:
        """When the first command after a time was decided, None where none is yet."""
        found = (
            select(CommandRecord.decided_at)
            .where(CommandRecord.decided_at > _at(since))
            .order_by(CommandRecord.decided_at)
            .limit(1)
        )
        try:
            with self._on.database.connect() as connection:
                decided_at = connection.execute(found).scalar_one_or_none()
        except DBAPIError:
            return None
        return decided_at.timestamp() if decided_at else None

    def _go_on_until(self, seconds: float) -> None:
        self._go_on(lambda: self._seconds >= seconds)

    def _go_on(self, is_over: Callable[[], object]) -> None:
        """Supervise and disturb workers until something is over."""
        while not is_over():
            self._tick()
            is_due = time.monotonic() - self._disturbed_at > self._plan.disturb_every
            if self._seconds < self._plan.seconds and is_due and (what := self._crew.disturb()):
                self._disturbed_at = time.monotonic()
                self._history.noted("disturbed", what=what)
            time.sleep(TICK_SECONDS)

    def _await_end(self) -> None:
        """Wait until everything is told and the broker has nothing left, or nothing has come for too long."""
        least, moved_at = sys.maxsize, time.monotonic()
        while time.monotonic() - moved_at < self._plan.patience:
            self._tick()
            left = self._left()
            if self._upstream.has_sent and left == 0:
                return
            if left < least:
                least, moved_at = left, time.monotonic()
            time.sleep(TICK_SECONDS)

    def _left(self) -> int:
        redis, queue = self._on.site.broker, self._on.site.settings.queue
        with redis.pipeline(transaction=True) as look:
            look.llen(queue)
            look.llen(f"{queue}.unreadable")
            look.hlen("unacked")
            in_broker: int = sum(look.execute())
        return len(self._history.open_keys()) + in_broker

    def _tick(self) -> None:
        self._on.check()
        self._crew.supervise()
        if self._upstream.broken:
            raise ServerError(f"The client broke down: {self._upstream.broken[0]!r}") from self._upstream.broken[0]
        show = self._on.display.show
        show("seconds", min(int(self._seconds), int(self._plan.seconds)), int(self._plan.seconds))
        commands = self._upstream.commands
        show("commands told", commands - len(self._history.open_keys()), commands)


def _at(seconds: float) -> datetime:
    return datetime.fromtimestamp(seconds, tz=UTC)
