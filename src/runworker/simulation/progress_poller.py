"""Asks the database and the broker how far the workers are."""

import time
from collections.abc import Mapping
from typing import Final
from uuid import UUID

from sqlalchemy import Engine, select

from runworker.models import CommandRecord
from runworker.simulation.database_state import one_of
from runworker.simulation.own_queue import OwnQueue
from runworker.states import DECIDED_COMMANDS

PATIENCE_SECONDS: Final = 60.0
"""Without anything new for so long, nobody waits any more."""

SETTLE_SECONDS: Final = 5.0
"""The same where no message is left: nothing can come any more but what was being taken from the queue."""

LEAST_PAUSE_SECONDS: Final = 0.02
"""Between two looks at least, and ten times as long as a look takes: polling must not slow the workers."""


class ProgressPoller:
    """Follows the commands of one queue until each is decided and each of its messages counted.

    copies: how many messages there are, or will be, of each command.
    """

    def __init__(self, database: Engine, queue: OwnQueue, copies: Mapping[UUID, int]) -> None:
        self.commands = len(copies)
        self.messages = sum(copies.values())
        self.counted = 0
        self.left = 0
        self._database = database
        self._queue = queue
        self._open = dict(copies)
        self._undecided = set(copies)
        self._partly: dict[UUID, int] = {}
        self._moved_at = self._next_look = time.monotonic()

    @property
    def decided(self) -> int:
        """How many commands have their verdict."""
        return self.commands - len(self._undecided)

    @property
    def is_over(self) -> bool:
        """Whether all is decided and counted and no message is left, or nothing has come for too long."""
        patience = PATIENCE_SECONDS if self.left else SETTLE_SECONDS
        finished = not self._open and self.left == 0
        return finished or time.monotonic() - self._moved_at > patience

    @property
    def unfinished(self) -> str | None:
        """Says what had not come when the wait was given up; None where all had."""
        undecided = len(self._undecided)
        if not undecided and not self.left:
            return None
        return (
            f"nothing new came any more, and {undecided} commands are not decided and {self.left} messages not "
            "acknowledged"
        )

    @property
    def seconds_to_next_look(self) -> float:
        """Seconds in which the caller may do something else."""
        return max(0.0, self._next_look - time.monotonic())

    def look(self) -> None:
        """Take in what is new, unless the last look was a moment ago."""
        began = time.monotonic()
        if began < self._next_look:
            return
        # The broker first: what leaves it is counted already, so what is counted must be read later.
        self.left = self._queue.left()
        before = self.decided, self.counted
        self._read()
        ended = time.monotonic()
        if (self.decided, self.counted) != before:
            self._moved_at = ended
        self._next_look = ended + max(LEAST_PAUSE_SECONDS, 10 * (ended - began))

    def begin_to_wait(self) -> None:
        """Count the time without anything new from now on: until now there was nobody to look, or more to send."""
        self._moved_at = time.monotonic()

    def _read(self) -> None:
        ledger = select(CommandRecord.idempotency_key, CommandRecord.status, CommandRecord.deliveries).where(
            CommandRecord.idempotency_key == one_of(self._open)
        )
        with self._database.connect() as connection:
            for key, status, deliveries in connection.execute(ledger):
                counted = min(deliveries, self._open[key])
                self.counted += counted - self._partly.get(key, 0)
                self._partly[key] = counted
                if status in DECIDED_COMMANDS:
                    self._undecided.discard(key)
                    if counted == self._open[key]:
                        del self._open[key]
