"""How long a sender waits for a result: from the moment a message is due to the moment its result is told.

Messages leave at even distances. The result is seen as a Celery client sees it, by what the result backend publishes.
A message that leaves late counts from when it was due, so that a sender that cannot keep up hides nothing.
"""

import threading
import time
from collections.abc import Sequence
from typing import Any, Final

from benchmarks.figures import percentile
from benchmarks.queue_candidates import QueueCandidate

SAMPLES: Final = 1000
"""Results that are listened for, at most; evenly spread. At high rates more would cost the workers processor time."""

LAG_SECONDS: Final = 30.0
TICK_SECONDS: Final = 0.002
"""Messages that are due within so much leave together, where the rate is high."""

LOW: Final = 50
"""Messages a second: a busy plant, and far from any limit."""


class Latencies:
    """Seconds from due to told, by candidate and load."""

    def __init__(self) -> None:
        self._seconds: dict[str, dict[str, list[float]]] = {}
        self._rates: dict[str, dict[str, float]] = {}

    def add(self, candidate: str, load: str, rate: float, seconds: Sequence[float]) -> None:
        """Take in what was measured in one round."""
        self._seconds.setdefault(candidate, {}).setdefault(load, []).extend(seconds)
        self._rates.setdefault(candidate, {})[load] = rate

    def milliseconds(self, candidate: str, load: str, share: float) -> float | None:
        """A percentile of all rounds, None where nothing was measured."""
        seconds = self._seconds.get(candidate, {}).get(load)
        return round(percentile(seconds, share) * 1000, 2) if seconds else None

    def as_dict(self) -> dict[str, Any]:
        """JSON types: milliseconds by candidate and load."""
        return {
            candidate: {
                load: {
                    "messages_per_second": round(self._rates[candidate][load], 1),
                    "samples": len(seconds),
                    "p50": self.milliseconds(candidate, load, 0.5),
                    "p95": self.milliseconds(candidate, load, 0.95),
                    "p99": self.milliseconds(candidate, load, 0.99),
                }
                for load, seconds in loads.items()
            }
            for candidate, loads in self._seconds.items()
        }


def measured(candidate: QueueCandidate, rate: float, seconds: float) -> tuple[list[float], list[str]]:
    """Send at this rate for so long, to workers that run. Seconds of each sample, and what was lost."""
    messages, work = candidate.written(max(1, round(rate * seconds)))
    items = [candidate.message(id_, fields) for id_, fields in messages]
    ids = [id_ for id_, _ in messages]
    every = -(-len(ids) // SAMPLES)
    listener = _Listener(candidate, ids[::every])
    began = time.perf_counter() + 0.05
    _send(candidate, items, rate, began)
    told = listener.told()
    lost = [] if len(told) == len(ids[::every]) else [f"results: {len(told)} told and not {len(ids[::every])}"]
    candidate.emptied()
    lost += candidate.shortcomings(candidate.laid(ids, work))
    due = {id_: began + number / rate for number, id_ in enumerate(ids)}
    return [at - due[id_] for id_, at in told.items()], lost


def _send(candidate: QueueCandidate, items: Sequence[bytes], rate: float, began: float) -> None:
    sent = 0
    while sent < len(items):
        time.sleep(max(0.0, began + sent / rate - time.perf_counter()))
        due = min(len(items), int((time.perf_counter() - began + TICK_SECONDS / 2) * rate) + 1)
        candidate.broker.lpush(candidate.queue, *items[sent : max(due, sent + 1)])
        sent = max(due, sent + 1)


class _Listener:
    """Hears when results are told, in a thread."""

    def __init__(self, candidate: QueueCandidate, ids: Sequence[str]) -> None:
        self._wanted = {f"celery-task-meta-{id_}".encode(): id_ for id_ in ids}
        self._told: dict[str, float] = {}
        self._pubsub = candidate.broker.pubsub(ignore_subscribe_messages=True)
        self._pubsub.subscribe(*self._wanted)
        self._last = time.monotonic()
        self._ending = threading.Event()
        self._thread = threading.Thread(target=self._listen, daemon=True)
        self._thread.start()

    def told(self) -> dict[str, float]:
        """When each result was told, once all are, or none has been for long."""
        while len(self._told) < len(self._wanted) and time.monotonic() - self._last < LAG_SECONDS:
            self._thread.join(0.05)
        self._ending.set()
        self._thread.join()
        self._pubsub.close()
        return self._told

    def _listen(self) -> None:
        while len(self._told) < len(self._wanted) and not self._ending.is_set():
            message = self._pubsub.get_message(timeout=0.2)
            if message is not None:
                self._told.setdefault(self._wanted[message["channel"]], time.perf_counter())
                self._last = time.monotonic()
