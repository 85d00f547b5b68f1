"""Writes what happens to one run, each command with what it has to come to, and ties in what the plan does not order.

What is written holds in whatever order the commands are delivered. A move to the next step is tied to all that this
step has to do before; what belongs to a step waits for the run to be there.
"""

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any
from uuid import UUID, uuid5

from runworker.commands import parse
from runworker.demo.day.book import Cast, ScriptedDecision, ScriptedLot
from runworker.demo.script import SITE, SOURCE, Expected, Flow, Life, Scripted
from runworker.states import CommandStatus, RunStatus, UserRole


@dataclass
class Book:
    """What the authors of all runs write into."""

    cast: Cast
    lots: dict[UUID, ScriptedLot] = field(default_factory=dict)
    decisions: dict[UUID, ScriptedDecision] = field(default_factory=dict)

    def scripted(self, name: str, place: str, by: UserRole, expected: Expected, **fields: Any) -> Scripted:
        """A command with a key of its own. place: names it among all commands of the day."""
        common = {
            "idempotency_key": uuid5(self.cast.series, place),
            "issued_by": self.cast.people[by],
            "source": SOURCE,
        }
        return Scripted(parse(name, common | fields), expected)


class Moves:
    """Writes one run. place: names it among the runs of the day."""

    def __init__(self, book: Book, flow: Flow, place: str) -> None:
        self.run_id = uuid5(book.cast.series, place)
        self.flow = flow
        self.step = flow.plan.first
        self.is_over = False
        self.book = book
        self._place = place
        self._script: list[Scripted] = []
        self._reached = self.step
        self._last_move: UUID | None = None
        # Commands of this step that no other is tied to yet: whoever leaves the step has to be.
        self._open: dict[UUID, None] = {}
        # Commands of this step, and the one that what is registered at it is tied to where the plan does not say.
        self._here: set[UUID] = set()
        self._entry: tuple[UUID, ...] = ()

    @property
    def life(self) -> Life:
        """All that has been written."""
        return Life(self.run_id, self.flow, tuple(self._script))

    def start(self, after: Iterable[UUID] = ()) -> UUID:
        """Begin the run. Returns the command's key."""
        version_id = self.flow.version_id
        key = self._move("start_run", RunStatus.RUNNING, after, flow_version_id=version_id, site_code=SITE)
        self._open = {}
        return key

    def advance(self) -> None:
        """Go to the plan's next step, after all that is to be done at this one."""
        following = self.flow.plan.next_after(self.step)
        assert following is not None  # noqa: S101 - an author's mistake
        self.step = following
        key = self._move("advance_step", RunStatus.RUNNING, tuple(self._open), to_step_index=following)
        self._open, self._here, self._entry = {}, set(), ()
        if following <= self._reached:
            # The run was here before, so what waits for this step would not wait for this move.
            self._tie_in(key)
        self._reached = max(self._reached, following)

    def roll_back(self, to_step_index: int, reason: str) -> None:
        """Go back to a step."""
        self.step = to_step_index
        fields: dict[str, Any] = {"to_step_index": to_step_index, "reason": reason}
        self._tie_in(self._move("rollback_step", RunStatus.RUNNING, self._now(), by=UserRole.MANAGER, **fields))

    def hold(self, reason: str) -> None:
        """Pause the run, after all that is written of this step so far and before all that comes."""
        self._tie_in(self._move("hold_run", RunStatus.HOLD, self._now(), by=UserRole.AUDITOR, reason=reason))

    def resume(self, resolution: str) -> None:
        """Go on after a hold."""
        fields = {"resolution": resolution}
        self._tie_in(self._move("resume_run", RunStatus.RUNNING, self._now(), by=UserRole.MANAGER, **fields))

    def _move(
        self, name: str, status: RunStatus, after: Iterable[UUID], by: UserRole = UserRole.OPERATOR, **fields: Any
    ) -> UUID:
        expected = Expected(CommandStatus.APPLIED, status, self.step)
        self._last_move = self._add(name, expected, after, by, run_id=self.run_id, **fields)
        return self._last_move

    def _now(self) -> tuple[UUID, ...]:
        """What has to be decided for all that is written of this step to have happened."""
        return tuple(self._open) or ((self._last_move,) if self._last_move else ())

    def _tie_in(self, key: UUID) -> None:
        self._open = {key: None}
        self._entry = (key,)

    def _add(self, name: str, expected: Expected, after: Iterable[UUID], by: UserRole, **fields: Any) -> UUID:
        tied = tuple(dict.fromkeys(after))
        place = f"{self._place} command {len(self._script)}"
        scripted = self.book.scripted(name, place, by, expected, after=tied, **fields)
        self._script.append(scripted)
        for key in tied:
            self._open.pop(key, None)
        self._open[scripted.key] = None
        self._here.add(scripted.key)
        return scripted.key
