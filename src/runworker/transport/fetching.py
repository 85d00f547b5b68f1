"""One question to the broker for messages: its keys and arguments, and what the answer means."""

from collections.abc import Iterator, Sequence
from time import time
from typing import Any, Final, NamedTuple
from uuid import uuid4

from runworker.transport.scripts import TAKE

AT_ONCE: Final = 100
"""Messages taken in one step at most. Batches of the engine are best near it."""

BYTES_AT_ONCE: Final = 128_000
"""After so many bytes no further message is taken. One may be longer.

A hundred commands in messages of their own are less. Of messages with fifty commands each it is a few, and the others
are left to other workers: the steps of a run that two workers hold wait for each other.
"""


class Source(NamedTuple):
    """A list to take from. address: where its messages go back to; empty where they are not acknowledged."""

    key: str
    queue: str
    address: str


class Item(NamedTuple):
    """What stood in a queue. tag: under which it is noted as unacknowledged."""

    queue: str
    tag: str
    content: bytes


class FetchRequest:
    """A question for up to `wanted` messages, to be asked once.

    unacked: the keys of hash and sorted set. holder: under whose lease they are taken, if there is one.
    """

    def __init__(self, unacked: tuple[str, str], sources: Sequence[Source], wanted: int, holder: str = "") -> None:
        self._sources = sources
        # Tags of our own, since a sender's, used twice, would hide one message behind another.
        self._begin = f"{holder}.{uuid4().hex}."
        keys = [*unacked, *(source.key for source in sources)]
        addresses = [source.address for source in sources]
        limits = [min(wanted, AT_ONCE), BYTES_AT_ONCE, time()]
        self.arguments: list[Any] = [len(keys), *keys, *limits, self._begin, *addresses]

    def by_text(self) -> tuple[Any, ...]:
        """The command with the script in it, from which the server knows it the next time."""
        return ("EVAL", TAKE, *self.arguments)

    def by_digest(self, digest: str) -> tuple[Any, ...]:
        """The command for a server that knows the script."""
        return ("EVALSHA", digest, *self.arguments)

    def items(self, taken: Sequence[Sequence[bytes]]) -> Iterator[Item]:
        """What was taken, in the order of delivery. taken: the answer without its first part."""
        number = 0
        for source, contents in zip(self._sources, taken, strict=True):
            for content in contents:
                yield Item(source.queue, f"{self._begin}{number}", content)
                number += 1
