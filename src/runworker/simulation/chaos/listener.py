"""The ways in which a plant's system is told: results in the broker, and stored verdicts that it asks workers for."""

import json
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from types import TracebackType
from typing import Any, Final, Self
from uuid import UUID

from celery import states

from runworker.client import Client, NoVerdict
from runworker.commands import BULK_LIMIT
from runworker.simulation.chaos.history import History
from runworker.simulation.chaos.sender import broker_connection

ASK_AFTER: Final = 5.0
"""Seconds of waiting after which a sender asks for stored verdicts, as `Client` does."""

ANSWER_SECONDS: Final = 3.0
"""After which a question is asked anew in the end, when there is nothing else to do."""

_RESULTS: Final = "celery-task-meta-"


class Listener:
    """Reads verdicts into a history, as a context manager.

    answers: keys of the commands of each packed message, by the message's id. An answer that was read is taken out.
    """

    def __init__(self, broker_url: str, queue: str, history: History, answers: dict[str, list[str]]) -> None:
        self._client = Client(broker_url, queue=queue)
        self._redis = broker_connection(broker_url)
        self._history = history
        self._answers = answers
        self._last_read: dict[str, bytes] = {}
        self._asked_at: dict[str, float] = {}

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._client.close()
        self._redis.close()

    def hear(self, keys: Iterable[str]) -> None:
        """Read the results of these keys, and the answers to packed messages."""
        for some in _chunks([*keys, *self._answers]):
            for id_, raw in zip(some, self._redis.mget([_RESULTS + id_ for id_ in some]), strict=True):
                if raw is not None and self._last_read.get(id_) != raw:
                    self._last_read[id_] = raw
                    self._take_in(id_, json.loads(raw))

    def ask(self) -> None:
        """Ask for the stored verdicts of what has been without one for long. Raises NoVerdict where nobody answers."""
        now, found = time.time(), []
        for key in self._history.open_keys():
            exchange = self._history.exchanges[key]
            since = max(exchange.accepted_at, self._asked_at.get(key, 0.0))
            if exchange.accepted and exchange.command and now - since > ASK_AFTER:
                found.append(key)
        if some := found[:BULK_LIMIT]:
            self._asked_at.update(dict.fromkeys(some, now))
            self._ask(some, ASK_AFTER)

    def hear_all(self, keys: Sequence[str], timeout: float) -> None:
        """Read once more all results, also of commands whose verdict was told, and the verdicts of the ledger.

        timeout: seconds for each question. Raises NoVerdict where no worker answers one.
        """
        self.hear(keys)
        for some in _chunks([key for key in keys if self._history.exchanges[key].command]):
            self._ask_again_and_again(some, time.monotonic() + timeout)

    def _ask_again_and_again(self, keys: Sequence[str], deadline: float) -> None:
        while True:
            try:
                return self._ask(keys, ANSWER_SECONDS)
            except NoVerdict:
                # A worker whose clock is wrong takes a question for one that has lapsed, and says nothing.
                if time.monotonic() > deadline:
                    raise

    def _ask(self, keys: Sequence[str], timeout: float) -> None:
        for key, verdict in self._client.verdicts(*map(UUID, keys), timeout=timeout).items():
            if verdict is not None:
                self._history.told(str(key), verdict.as_dict())

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


def _chunks(keys: Sequence[str]) -> Iterator[Sequence[str]]:
    return (keys[at : at + BULK_LIMIT] for at in range(0, len(keys), BULK_LIMIT))
