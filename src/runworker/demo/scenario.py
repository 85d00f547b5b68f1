"""Which commands the demo sends, and what each of them has to come to, in whatever order it is delivered.

What the plan does not order is tied in by `after`: a hold to the move before it, its resume to the hold, the next move
to the resume; an abort to the move or hold before it. So every outcome is known before anything is sent.
"""

from dataclasses import dataclass
from enum import Enum, auto
from random import Random
from typing import Any, Final
from uuid import UUID, uuid5

from runworker.codes import Code
from runworker.commands import parse
from runworker.demo.script import SITE, SOURCE, Expected, Flow, Life, Scripted
from runworker.states import CommandStatus, RunStatus

REASON: Final = "the demo shows how a run is held"
RESOLUTION: Final = "the demo lets the run go on"
ABORT_REASON: Final = "the demo shows how a run is ended early"


class Kind(Enum):
    """How a run's life goes."""

    WHOLE = auto()  # from start to completion
    HELD = auto()  # held and resumed on the way
    ABORTED = auto()  # ended early; the rest of its commands must be rejected
    ABORTED_ON_HOLD = auto()  # likewise, from HOLD


KINDS: Final = (
    Kind.WHOLE,
    Kind.HELD,
    Kind.WHOLE,
    Kind.ABORTED,
    Kind.WHOLE,
    Kind.HELD,
    Kind.WHOLE,
    Kind.ABORTED_ON_HOLD,
    Kind.WHOLE,
    Kind.WHOLE,
)
"""The kinds of ten runs; a seed shuffles which run gets which."""


@dataclass(frozen=True, slots=True)
class Cast:
    """Who sends what for which flow.

    series: names this performance; all ids derive from it, so that the same scenario can be performed again on the
    same database.
    """

    issued_by: UUID
    flow: Flow
    series: UUID


def write_lives(random: Random, runs: int, cast: Cast) -> tuple[Life, ...]:
    """The lives of so many runs. The same random state, number and cast give the same lives."""
    kinds = [KINDS[number % len(KINDS)] for number in range(runs)]
    random.shuffle(kinds)
    return tuple(_Author(cast, number).write(random, kind) for number, kind in enumerate(kinds))


class _Author:
    """Writes one life, command by command."""

    def __init__(self, cast: Cast, number: int) -> None:
        self._cast = cast
        self._number = number
        self._run_id = uuid5(cast.series, f"run {number}")
        self._script: list[Scripted] = []
        self._after: tuple[UUID, ...] = ()

    def write(self, random: Random, kind: Kind) -> Life:
        indices = [step.index for step in self._cast.flow.plan.steps]
        turn = random.choice(indices)
        for index in indices:
            self._move_to(index)
            if index == turn:
                self._turn(kind, index)
        self._add("complete_run", Expected(CommandStatus.APPLIED, RunStatus.COMPLETED, indices[-1]))
        return Life(self._run_id, self._cast.flow, tuple(self._script))

    def _move_to(self, index: int) -> None:
        expected = Expected(CommandStatus.APPLIED, RunStatus.RUNNING, index)
        if index == self._cast.flow.plan.first:
            self._add("start_run", expected, flow_version_id=self._cast.flow.version_id, site_code=SITE)
        else:
            self._add("advance_step", expected, to_step_index=index)

    def _turn(self, kind: Kind, index: int) -> None:
        if kind in (Kind.HELD, Kind.ABORTED_ON_HOLD):
            self._tied("hold_run", Expected(CommandStatus.APPLIED, RunStatus.HOLD, index), reason=REASON)
        if kind is Kind.HELD:
            self._tied("resume_run", Expected(CommandStatus.APPLIED, RunStatus.RUNNING, index), resolution=RESOLUTION)
        elif kind is not Kind.WHOLE:
            self._tied("abort_run", Expected(CommandStatus.APPLIED, RunStatus.ABORTED, index), reason=ABORT_REASON)

    def _tied(self, name: str, expected: Expected, **fields: Any) -> None:
        """Add a command after the one before it, and before the one that comes next."""
        self._after = (self._script[-1].key,)
        self._add(name, expected, **fields)
        self._after = (self._script[-1].key,)

    def _add(self, name: str, expected: Expected, **fields: Any) -> None:
        if self._script and self._is_over():
            expected = Expected(CommandStatus.REJECTED, code=Code.RUN_NOT_RUNNING)
        common = {
            "idempotency_key": uuid5(self._cast.series, f"run {self._number} command {len(self._script)}"),
            "issued_by": self._cast.issued_by,
            "source": SOURCE,
            "after": self._after,
            "run_id": self._run_id,
        }
        self._after = ()
        self._script.append(Scripted(parse(name, common | fields), expected))

    def _is_over(self) -> bool:
        last = self._script[-1].expected
        return last.run_status is RunStatus.ABORTED or last.status is CommandStatus.REJECTED
