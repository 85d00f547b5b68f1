"""What stands in the way: commands that could not get past a lock, or past a rule that is none of ours.

They are remembered for a while, so that no batch waits for the same lock again. A command that needs all that a blocked
one needed is blocked as well; one that needs less, or other things, is tried.
"""

from collections.abc import Iterable
from time import monotonic
from typing import Final
from uuid import UUID

from runworker.commands import Command

PAUSE_SECONDS: Final = 2.0
"""Until a blocked command is tried again."""

_FORGOTTEN_SECONDS: Final = 60.0
"""After which a command that did not come again is no longer told apart."""

Needs = frozenset[UUID]
"""Ids that something needs: what a command is about, or the key of a stored one."""


def needs(command: Command) -> Needs:
    """What a command is about; its own key where that is neither a run nor a lot."""
    return command.targets or frozenset((command.idempotency_key,))


class Obstacles:
    """Needs that met something in their way. Empty but for the hours in which somebody holds a lock."""

    def __init__(self) -> None:
        self._met: dict[Needs, float] = {}

    def meet(self, needed: Needs) -> None:
        """Remember needs that could not be served, and forget those of long ago."""
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
