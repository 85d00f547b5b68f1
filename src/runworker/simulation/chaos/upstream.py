"""A plant's system: sends wave after wave, reads what it is told, asks for verdicts that do not come.

It does what the documents tell a sender to do, and no more: what the broker did not take is sent again; after the
broker has lost its data, everything without a verdict is sent again, under the same keys.
"""

import threading
import time
from collections import deque
from collections.abc import Callable, Iterator
from types import TracebackType
from typing import Final, Self

from kombu.exceptions import OperationalError
from redis.exceptions import RedisError
from sqlalchemy import Engine

from runworker.commands import Command
from runworker.errors import RunworkerError
from runworker.simulation.chaos.damage import DamagedItem
from runworker.simulation.chaos.history import History
from runworker.simulation.chaos.listener import Listener
from runworker.simulation.chaos.load import MOST_PACKED, EnqueuedCommands, Load, Message
from runworker.simulation.chaos.sender import NOT_TAKEN, ChaosSender

MOST_OPEN: Final = 5_000
"""Commands without a verdict from which on nothing new is sent. A wave is always sent as a whole: its commands wait for
one another."""

LOOK_EVERY: Final = 0.1
HEAR_EVERY: Final = 0.5
NOT_HEARD: Final = (RedisError, OperationalError, OSError, RunworkerError)
"""Errors of reading: it is tried again in a moment."""


class Upstream:
    """A client in threads of its own, as a context manager. What breaks a thread is in `broken`.

    rate: commands a second that it sends at most, on average: where it was kept from sending, it catches up. busy:
    whether it sends more than that where nothing is open, for who needs work to be there.
    """

    def __init__(
        self, broker_url: str, queue: str, database: Engine, *, load: Load, history: History, rate: float
    ) -> None:
        self.broken: list[BaseException] = []
        self.commands = 0
        self.busy = False
        self._load = load
        self._history = history
        self._rate = rate
        answers: dict[str, list[str]] = {}
        self._sender = ChaosSender(broker_url, queue, database, answers)
        self._listener = Listener(broker_url, queue, history, answers)
        self._unsent: deque[Message] = deque()
        self._sent: dict[str, Command | DamagedItem] = {}
        self._again = threading.Event()
        self._no_more = threading.Event()
        self._ended = threading.Event()
        self._threads = [
            threading.Thread(target=self._guarded, args=(work,), name=work.__name__, daemon=True)
            for work in (self._send_all, self._hear, self._ask)
        ]

    def __enter__(self) -> Self:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()
        with self._sender, self._listener:
            pass

    def stop(self) -> None:
        """Send, hear and ask nothing any more."""
        self._no_more.set()
        self._ended.set()
        for thread in self._threads:
            thread.join()

    def send_no_more_waves(self) -> None:
        """Send what is begun and nothing new."""
        self._no_more.set()

    def send_again(self) -> None:
        """Send everything without a verdict once more: the broker has lost its data."""
        self._history.lost()
        self._again.set()

    @property
    def has_sent(self) -> bool:
        """Whether nothing is left to be sent."""
        return self._no_more.is_set() and not self._unsent and not self._again.is_set()

    def hear_in_the_end(self, timeout: float) -> None:
        """Stop, and read once more whatever can be read. Raises as `Listener.hear_all`."""
        self.stop()
        self._listener.hear_all(list(self._sent), timeout)

    def _guarded(self, work: Callable[[], None]) -> None:
        try:
            work()
        except BaseException as error:
            self.broken.append(error)

    def _send_all(self) -> None:
        began = time.monotonic()
        while not self._ended.is_set():
            if self._again.is_set():
                self._again.clear()
                self._unsent.extend(self._all_open())
            if self._unsent:
                self._send()
            elif self._may_begin(time.monotonic() - began):
                self._begin_wave()
            else:
                self._ended.wait(LOOK_EVERY)

    def _may_begin(self, seconds: float) -> bool:
        is_behind = self.commands < self._rate * (seconds + 1)
        open_ = len(self._history.open_keys())
        return not self._no_more.is_set() and ((is_behind and open_ < MOST_OPEN) or (self.busy and not open_))

    def _begin_wave(self) -> None:
        wave = self._load.wave()
        for message in wave:
            for key, one in _parts(message).items():
                if key in self._sent:
                    continue
                self._sent[key] = one
                if isinstance(one, DamagedItem):
                    self._history.plan(key, None, is_answered=one.is_answered)
                else:
                    self._history.plan(key, one.name)
                    self.commands += 1
        self._unsent.extend(wave)

    def _all_open(self) -> Iterator[Message]:
        waiting = {key for message in self._unsent for key in _parts(message)}
        missing = [self._sent[key] for key in self._history.open_keys() if key not in waiting]
        yield from (one for one in missing if isinstance(one, DamagedItem))
        commands = [one for one in missing if not isinstance(one, DamagedItem)]
        yield from (commands[at : at + MOST_PACKED] for at in range(0, len(commands), MOST_PACKED))

    def _send(self) -> None:
        message = self._unsent[0]
        keys, began = list(_parts(message)), time.time()
        try:
            way = self._sender.send(message)
        except NOT_TAKEN as error:
            self._history.refused(keys, error)
            self._ended.wait(LOOK_EVERY)
            return
        self._history.sent(keys, way, began)
        self._unsent.popleft()

    def _hear(self) -> None:
        self._as_long_as_it_lasts(lambda: self._listener.hear(self._history.open_keys()), HEAR_EVERY)

    def _ask(self) -> None:
        self._as_long_as_it_lasts(self._listener.ask, LOOK_EVERY)

    def _as_long_as_it_lasts(self, work: Callable[[], None], every: float) -> None:
        while not self._ended.wait(every):
            try:
                work()
            except NOT_HEARD:
                continue


def _parts(message: Message) -> dict[str, Command | DamagedItem]:
    """The commands of a message, or the damaged one, by key."""
    if isinstance(message, DamagedItem):
        return {message.identity: message}
    commands = message.commands if isinstance(message, EnqueuedCommands) else message
    return {str(command.idempotency_key): command for command in commands}
