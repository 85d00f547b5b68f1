"""In which order commands are sent, and how often each: a plan that is data, made before anything is sent."""

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import islice
from math import ceil
from random import Random
from uuid import UUID

from runworker.commands import Command


@dataclass(frozen=True)
class DeliveryPlan:
    """Messages in the order in which they are sent, a command each; a command as often as it is sent."""

    messages: tuple[Command, ...]

    @cached_property
    def copies(self) -> Counter[UUID]:
        """How often each command is sent, by key."""
        return Counter(message.idempotency_key for message in self.messages)

    def batches(self, random: Random, most: int = 40) -> Iterator[list[Command]]:
        """The same messages in batches of random size, for who calls the engine without a broker in between."""
        rest = iter(self.messages)
        while batch := list(islice(rest, random.randint(1, most))):
            yield batch


def in_disorder(random: Random, commands: Sequence[Command]) -> DeliveryPlan:
    """Every command twice, one in ten (at least one) three times, in random order."""
    thrice = random.sample(commands, ceil(len(commands) / 10))
    messages = [*commands, *commands, *thrice]
    random.shuffle(messages)
    return DeliveryPlan(tuple(messages))
