"""A plant's system: sends wave after wave, reads what it is told, asks for verdicts that do not come.

It does what the documents tell a sender to do, and no more: a message that the broker did not take is sent again; after
the broker has lost its data, everything without a verdict is sent again, under the same keys.
"""

import json
import threading
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any, Final
from uuid import UUID

from celery import states
from kombu.exceptions import OperationalError
from redis import Redis
from redis.exceptions import RedisError

from runworker.client import Client, NoVerdict
from runworker.commands import BULK_LIMIT, Command
from runworker.errors import RunworkerError
from runworker.simulation.chaos.damage import DamagedItem
from runworker.simulation.chaos.history import History
from runworker.simulation.chaos.load import Load, Message

MOST_OPEN: Final = 600
"""Commands without a verdict from which on nothing new is sent. A wave is always sent as a whole: its commands wait for
one another."""

LOOK_EVERY: Final = 0.1
ASK_AFTER: Final = 5.0
"""Seconds of waiting after which a sender asks for stored verdicts, as `Client` does."""

_REFUSED: Final = (RedisError, OperationalError, OSError)
_RESULTS: Final = "celery-task-meta-"
_SOCKET_SECONDS: Final = 5.0


class Upstream:
    """A client on a broker, in threads of its own, as a context manager. What breaks a thread is in `broken`.

    rate: commands a second that it sends at most, on average: where it was kept from sending, it catches up. busy:
    whether it sends more than that where nothing is open, for who needs work to be there.
    """

    def __init__(self, broker_url: str, queue: str, load: Load, history: History, rate: float) -> None:
        self.broken: list[BaseException] = []
        self.commands = 0
        self.busy = False
        self._load = load
        self._history = history
        self._queue = queue
        self._rate = rate
        self._url = broker_url
        self._unsent: deque[Message] = deque()
        self._sent: dict[str, Command | DamagedItem] = {}
        self._answers: dict[str, list[str]] = {}
        self._last_read: dict[str, bytes] = {}
        self._asked_at: dict[str, float] = {}
        self._again = threading.Event()
        self._no_more = threading.Event()
        self._ended = threading.Event()
        self._threads = [
            threading.Thread(target=self._guarded, args=(work,), name=work.__name__, daemon=True)
            for work in (self._send_all, self._hear_all, self._ask_all)
        ]

    def __enter__(self) -> "Upstream":
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
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

    def _guarded(self, work: Callable[[], None]) -> None:
        try:
            work()
        except BaseException as error:
            self.broken.append(error)

    def _send_all(self) -> None:
        began = time.monotonic()
        with Client(self._url, queue=self._queue) as client, self._redis() as redis:
            while not self._ended.is_set():
                if self._again.is_set():
                    self._again.clear()
                    self._unsent.extend(self._all_open())
                if self._unsent:
                    self._post(client, redis)
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
            for key, one in _parts(message):
                if key not in self._sent:
                    self._sent[key] = one
                    if isinstance(one, DamagedItem):
                        self._history.plan(key, None, is_answered=one.is_answered)
                    else:
                        self._history.plan(key, one.name)
                        self.commands += 1
        self._unsent.extend(wave)

    def _all_open(self) -> Iterator[Message]:
        waiting = {key for message in self._unsent for key, _ in _parts(message)}
        for key in self._history.open_keys():
            if key not in waiting:
                one = self._sent[key]
                yield one if isinstance(one, DamagedItem) else [one]

    def _post(self, client: Client, redis: Any) -> None:
        message = self._unsent[0]
        keys, began = [key for key, _ in _parts(message)], time.time()
        try:
            way = self._post_one(client, redis, message)
        except _REFUSED as error:
            self._history.refused(keys, error)
            self._ended.wait(LOOK_EVERY)
            return
        self._history.sent(keys, way, began)
        self._unsent.popleft()

    def _post_one(self, client: Client, redis: Any, message: Message) -> str:
        if isinstance(message, DamagedItem):
            redis.lpush(self._queue, message.content)
            return "damaged"
        if len(message) == 1:
            client.post(message[0])
            return "alone"
        with client.batch(len(message) + 1) as batch:
            sent = [batch.post(command) for command in message]
        if (packed := sent[0].message_id) is not None:
            self._answers[packed] = [str(command.idempotency_key) for command in message]
        return "packed"

    def _hear_all(self) -> None:
        with self._redis() as redis:
            while not self._ended.wait(LOOK_EVERY):
                try:
                    self._hear(redis, self._history.open_keys())
                except _REFUSED:
                    continue

    def hear_in_the_end(self, timeout: float) -> None:
        """Read once more everything that can be read: results, also of commands whose verdict is told, and the ledger's
        verdicts, as workers give them.

        Raises NoVerdict where none answers in time. Call it when the threads have ended.
        """
        keys = list(self._sent)
        with self._redis() as redis, Client(self._url, queue=self._queue) as client:
            self._hear(redis, keys)
            commands = [key for key in keys if isinstance(self._sent[key], Command)]
            deadline = time.monotonic() + timeout
            for some in _chunks(commands):
                while True:
                    try:
                        self._ask(client, some, ASK_AFTER)
                        break
                    except NoVerdict:
                        # A worker whose clock is wrong takes a question for one that has lapsed.
                        if time.monotonic() > deadline:
                            raise

    def _hear(self, redis: Any, keys: Iterable[str]) -> None:
        for some in _chunks([*keys, *self._answers]):
            for id_, raw in zip(some, redis.mget([_RESULTS + id_ for id_ in some]), strict=True):
                if raw is None or self._last_read.get(id_) == raw:
                    continue
                self._last_read[id_] = raw
                self._take_in(id_, json.loads(raw))

    def _take_in(self, id_: str, meta: Mapping[str, Any]) -> None:
        """Note the verdicts that a result has: one, or those of a packed message's commands."""
        keys = self._answers.pop(id_, [id_])
        result = meta["result"]
        if meta["status"] != states.SUCCESS:
            answers: Sequence[Any] = [{"status": meta["status"], "result": f"{result!r:.300}"}] * len(keys)
        else:
            answers = result if isinstance(result, list) else [result] * len(keys)
        for key, wire in zip(keys, answers, strict=True):
            self._history.told(key, wire)

    def _ask_all(self) -> None:
        with Client(self._url, queue=self._queue) as client:
            while not self._ended.wait(LOOK_EVERY):
                if some := self._to_ask():
                    try:
                        self._ask(client, some, ASK_AFTER)
                    except (*_REFUSED, RunworkerError):
                        continue  # asked again, as everything that goes on without a verdict

    def _to_ask(self) -> list[str]:
        """Keys that were accepted some time ago, and not asked for since."""
        now, found = time.time(), []
        for key in self._history.open_keys():
            exchange = self._history.exchanges[key]
            since = max(exchange.accepted_at, self._asked_at.get(key, 0.0))
            if exchange.accepted and exchange.command and now - since > ASK_AFTER:
                found.append(key)
                self._asked_at[key] = now
        return found[:BULK_LIMIT]

    def _ask(self, client: Client, keys: Sequence[str], timeout: float) -> None:
        for key, verdict in client.verdicts(*map(UUID, keys), timeout=timeout).items():
            if verdict is not None:
                self._history.told(str(key), verdict.as_dict())

    def _redis(self) -> Any:
        return Redis.from_url(self._url, socket_timeout=_SOCKET_SECONDS, socket_connect_timeout=_SOCKET_SECONDS)


def _parts(message: Message) -> list[tuple[str, Command | DamagedItem]]:
    if isinstance(message, DamagedItem):
        return [(message.identity, message)]
    return [(str(command.idempotency_key), command) for command in message]


def _chunks(keys: Sequence[str]) -> Iterator[Sequence[str]]:
    return (keys[at : at + BULK_LIMIT] for at in range(0, len(keys), BULK_LIMIT))
