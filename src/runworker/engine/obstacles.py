"""What stands in the way: commands that could not get past a lock, or past a rule that is none of ours.

They are remembered for a while, so that no batch waits for the same lock again. A command that is about all that a
locked one is about is blocked as well; one that is about less, or other things, is tried. What met a rule of somebody
else's blocks itself alone: who is about the same may well get past it.
"""

from collections.abc import Iterable
from time import monotonic
from typing import Final, NamedTuple
from uuid import UUID

from runworker.commands import Command
from runworker.engine.constraints import Blame, blame

PAUSE_SECONDS: Final = 2.0
"""Until a blocked message comes again. What it is about may have to wait longer before it is tried."""

_SECONDS_A_LOCK: Final = 0.5
"""Pause for each lock where there are many: to try one takes half of that, and the others are to come round as well."""

_MOST_DOUBLINGS: Final = 4
"""Of the pause of what meets a rule again and again: half a minute."""

_FORGOTTEN_SECONDS: Final = 60.0
"""After which a command that could have been tried again, and did not come, is no longer told apart."""

Needs = frozenset[UUID]
"""Ids that something needs: a command's key and what it is about."""


def needs(key: UUID, command: Command | None) -> Needs:
    """What a command needs. None: of a stored one that cannot be read, no more is known than its key."""
    return frozenset((key,)) | (command.targets if command else frozenset())


class _Met(NamedTuple):
    """What is in the way of some needs. times: met in a row. until: not to be tried before, on the monotonic clock."""

    is_lock: bool
    times: int
    until: float


class Obstacles:
    """Needs that met something in their way. Empty but for the hours in which somebody holds a lock."""

    def __init__(self) -> None:
        self._met: dict[Needs, _Met] = {}

    @property
    def are_any(self) -> bool:
        """Whether anything was in somebody's way lately."""
        return bool(self._met)

    def meet(self, error: BaseException, key: UUID, command: Command | None) -> bool:
        """Remember a command that could not get past an error, and forget those of long ago.

        Returns whether to tell of it: the first time, the second, the fourth, and so on.
        """
        is_lock = blame(error) is Blame.LOCK
        needed = (is_lock and command and command.targets) or frozenset((key,))
        now = monotonic()
        met = {needs: each for needs, each in self._met.items() if now - each.until < _FORGOTTEN_SECONDS}
        times = met[needed].times + 1 if needed in met else 1
        if is_lock:
            pause = max(PAUSE_SECONDS, _SECONDS_A_LOCK * sum(each.is_lock for each in met.values()))
        else:
            pause = PAUSE_SECONDS * 2.0 ** min(times - 1, _MOST_DOUBLINGS)
        self._met = met | {needed: _Met(is_lock, times, now + pause)}
        return times.bit_count() == 1

    def pass_by(self, served: Iterable[Needs]) -> None:
        """Forget what stood in the way of needs that were served.

        Who lets go of one lock lets go of others, too: all that is locked may be tried at once.
        """
        before = self._met
        if not before:
            return
        for needed in served:
            self._met = {needs: met for needs, met in self._met.items() if not needs <= needed}
        if any(met.is_lock for needs, met in before.items() if needs not in self._met):
            now = monotonic()
            self._met = {
                needs: met._replace(until=min(met.until, now)) if met.is_lock else met
                for needs, met in self._met.items()
            }

    def are_known_to(self, needed: Needs) -> bool:
        """Whether something of that kind was blocked lately: it is to be tried apart from others."""
        return bool(self._met) and any(needs <= needed for needs in self._met)

    def block(self, needed: Needs) -> bool:
        """Whether it is too early to try again."""
        return bool(self._met) and any(needs <= needed and monotonic() < met.until for needs, met in self._met.items())
