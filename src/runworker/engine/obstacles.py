"""What stands in the way: commands that could not get past a lock, or past a rule that is none of ours.

They are remembered for a while, so that no batch waits for the same lock again. A command that is about all that a
locked one is about is blocked as well; one that is about less, or other things, is tried. What met a rule of somebody
else's blocks itself alone: who is about the same may well get past it.
"""

from collections.abc import Iterable
from time import monotonic
from typing import Final
from uuid import UUID

from runworker.commands import Command
from runworker.engine.constraints import Blame, blame

PAUSE_SECONDS: Final = 2.0
"""Until a blocked command is tried again."""

_FORGOTTEN_SECONDS: Final = 60.0
"""After which a command that did not come again is no longer told apart."""

Needs = frozenset[UUID]
"""Ids that something needs: a command's key and what it is about."""


def needs(key: UUID, command: Command | None) -> Needs:
    """What a command needs. None: of a stored one that cannot be read, no more is known than its key."""
    return frozenset((key,)) | (command.targets if command else frozenset())


class Obstacles:
    """Needs that met something in their way. Empty but for the hours in which somebody holds a lock."""

    def __init__(self) -> None:
        self._met: dict[Needs, float] = {}

    @property
    def are_any(self) -> bool:
        """Whether anything was in somebody's way lately."""
        return bool(self._met)

    def meet(self, error: BaseException, key: UUID, command: Command | None) -> None:
        """Remember a command that could not get past an error, and forget those of long ago."""
        needed: Needs = frozenset((key,))
        if command and blame(error) is Blame.LOCK:
            needed = command.targets or needed
        now = monotonic()
        self._met = {needs: at for needs, at in self._met.items() if now - at < _FORGOTTEN_SECONDS} | {needed: now}

    def pass_by(self, served: Iterable[Needs]) -> None:
        """Forget what stood in the way of needs that were served."""
        if self._met:
            for needed in served:
                self._met = {needs: at for needs, at in self._met.items() if not needs <= needed}

    def are_known_to(self, needed: Needs) -> bool:
        """Whether something of that kind was blocked lately: it is to be tried apart from others."""
        return bool(self._met) and any(needs <= needed for needs in self._met)

    def block(self, needed: Needs) -> bool:
        """Whether it is too early to try again."""
        return bool(self._met) and any(
            needs <= needed and monotonic() - at < PAUSE_SECONDS for needs, at in self._met.items()
        )
