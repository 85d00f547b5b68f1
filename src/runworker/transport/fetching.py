"""One request to the broker for messages: its keys and arguments, and the items of its answer."""

from collections.abc import Iterator, Sequence
from typing import Any, Final, NamedTuple
from uuid import uuid4

from runworker.transport.leases import LEASE_SECONDS
from runworker.transport.scripts import TAKE

AT_ONCE: Final = 100
"""Most messages of one fetch. Batches of the engine are best near it."""

BYTES_AT_ONCE: Final = 128_000
"""Bytes after which a fetch takes no further message. One message may be longer.

A hundred commands in messages of their own are less. Of messages with fifty commands each a fetch takes a few, and
leaves the others to other workers: the steps of a run that two workers hold wait for each other.
"""


class Source(NamedTuple):
    """A list to fetch from. address: where its messages go back to; empty where they are not acknowledged."""

    key: str
    queue: str
    address: str


class Item(NamedTuple):
    """One item of a queue. tag: its delivery tag, which is its key in `unacked`."""

    queue: str
    tag: str
    content: bytes


class FetchRequest:
    """A request for up to `wanted` messages, to be sent once.

    unacked: the keys of hash and sorted set. leases: the key of leases. holder: of the one under which they are
    fetched, if there is one.
    """

    def __init__(
        self, unacked: tuple[str, str], leases: str, sources: Sequence[Source], wanted: int, holder: str = ""
    ) -> None:
        self._sources = sources
        # Tags of our own, since a sender's, used twice, would hide one message behind another.
        self._begin = f"{holder}.{uuid4().hex}."
        keys = [*unacked, leases, *(source.key for source in sources)]
        addresses = [source.address for source in sources]
        limits = [min(wanted, AT_ONCE), BYTES_AT_ONCE]
        self.arguments: list[Any] = [len(keys), *keys, *limits, self._begin, holder, LEASE_SECONDS, *addresses]

    def by_text(self) -> tuple[Any, ...]:
        """The command with the script in it, from which the server knows it the next time."""
        return ("EVAL", TAKE, *self.arguments)

    def by_digest(self, digest: str) -> tuple[Any, ...]:
        """The command for a server that knows the script."""
        return ("EVALSHA", digest, *self.arguments)

    def items(self, taken: Sequence[Sequence[bytes]]) -> Iterator[Item]:
        """The fetched items, in the order of delivery. taken: the answer without its first part."""
        number = 0
        for source, contents in zip(self._sources, taken, strict=True):
            for content in contents:
                yield Item(source.queue, f"{self._begin}{number}", content)
                number += 1
