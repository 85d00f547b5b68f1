"""Commands that are asked for together, and what has been decided of each so far."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from math import inf
from time import monotonic
from typing import Final
from uuid import UUID

from runworker.commands import Command
from runworker.engine.batch import BatchRequest
from runworker.engine.constraints import Blame, blame, is_passing, reason
from runworker.engine.obstacles import PAUSE_SECONDS
from runworker.errors import Blocked
from runworker.verdicts import Verdict

_SEARCH_SECONDS: Final = 10.0
"""How long it is looked for those that something stands in the way of, while the others are decided."""

Places = Sequence[int]
"""Which of the commands, by their place in the order in which they came."""


@dataclass
class Asked:
    """Commands and their verdicts, by place.

    hasty: one part has waited for a lock as long as anybody should; the others wait for a moment only.
    """

    commands: Sequence[Command]
    task_ids: Mapping[UUID, str]
    hasty: bool = False
    verdicts: list[Verdict | None] = field(init=False)
    _left: str | None = field(default=None, init=False)
    _end: float = field(default=inf, init=False)

    def __post_init__(self) -> None:
        self.verdicts = [None] * len(self.commands)

    @property
    def is_over(self) -> bool:
        """Whether so much time was spent on what is in the way that the rest is left for the next time."""
        return monotonic() > self._end

    def meet(self, error: BaseException) -> None:
        """Take note of what a part of the commands met."""
        if is_passing(error):
            self._end = min(self._end, monotonic() + _SEARCH_SECONDS)
            self.hasty |= blame(error) is Blame.LOCK

    def hurry(self) -> None:
        """Wait for a moment only, and for no longer than a pause in all, for what is known to be blocked."""
        self.hasty = True
        self._end = min(self._end, monotonic() + PAUSE_SECONDS)

    def request(self, places: Places) -> BatchRequest:
        """A batch of some of the commands."""
        return BatchRequest([self.commands[place] for place in places], self.task_ids)

    def answer(self, places: Places, verdicts: Sequence[Verdict]) -> None:
        """Take down the verdicts of some of the commands."""
        for place, verdict in zip(places, verdicts, strict=True):
            self.verdicts[place] = verdict

    def leave(self, why: BaseException | str) -> None:
        """Take down why a command is left undecided."""
        self._left = reason(why) if isinstance(why, BaseException) else why

    def told(self) -> list[Verdict]:
        """A verdict for each. Raises Blocked where some are left."""
        decided = [verdict for verdict in self.verdicts if verdict is not None]
        left = len(self.verdicts) - len(decided)
        if not left:
            return decided
        message = f"{left} of {len(self.verdicts)} commands wait for what stands in their way: {self._left}"
        raise Blocked(message, self.verdicts, PAUSE_SECONDS)
