"""Items of a queue: read as messages, with tag and address written anew, and marked when they go back."""

import json
from collections.abc import Callable, Mapping
from typing import Any, Final

from kombu.utils.json import loads

UNREADABLE: Final = ".unreadable"
"""Suffix of a queue's name that names the queue's unreadable list."""

DEATHS: Final = "runworker_deaths"
AMONG_MANY: Final = -1
"""Header of a message that was lost with a process: how many processes have ended while they did it alone."""

_LEVELS: Final = 8
"""Levels that an envelope may nest. Celery's own go to three; at some hundred Python's recursion ends."""


def is_deeper(value: object, levels: int) -> bool:
    """Whether JSON nests deeper than so many levels. Does not recurse itself."""
    layer = [value]
    for _ in range(levels + 1):
        inner = [each.values() if isinstance(each, dict) else each for each in layer if isinstance(each, dict | list)]
        if not inner:
            return False
        layer = [part for parts in inner for part in parts]
    return True


def opened(item: bytes, queue: str, tag: str, decode: Callable[..., object]) -> dict[str, Any] | None:
    """The message in a queue's item, or None where no Celery client would write such an item.

    decode: the channel's, for bodies. Tag and address are written anew. The sender's are not to be trusted: a tag used
    twice would hide one message behind another, and a message that is put back goes to its address, be there a queue or
    not.
    """
    try:
        message = loads(item)
        properties, headers, body = message["properties"], message["headers"], message["body"]
        decode(body, properties.get("body_encoding"))
        readable = isinstance(headers, Mapping) and isinstance(body, str) and not is_deeper(message, _LEVELS)
        address = {**properties.get("delivery_info", {}), "exchange": "", "routing_key": queue}
    except Exception:  # kombu's decoders raise whatever an item makes them raise
        return None
    if not readable:
        return None
    properties |= {"delivery_tag": tag, "delivery_info": address}
    return message


def address_of(queue: str) -> str:
    """Exchange and routing key, as they follow the item in an unacked entry of stock kombu's."""
    return f'"",{json.dumps(queue)}'


def entry_parts(entry: bytes) -> tuple[Any, str, str]:
    """Message, exchange and routing key of an unacked entry. Raises ValueError where its item is no JSON."""
    message, exchange, routing_key = json.loads(entry)
    return message, exchange, routing_key


def entry_item(entry: bytes) -> tuple[bytes, str]:
    """The item of an unacked entry of ours as it came, whatever it is, and its queue. Raises ValueError for others."""
    item, address, queue = entry[1:].rpartition(b',"",')
    if not address:
        raise ValueError("no entry of ours")
    return item, json.loads(queue[:-1])


def deaths_of(headers: Mapping[str, Any]) -> int | None:
    """How many processes have ended while they did this message alone. None: it was lost with no process yet.

    AMONG_MANY: it was lost with one that had many, and never with one that was doing a few.
    """
    deaths = headers.get(DEATHS)
    return deaths if isinstance(deaths, int) and not isinstance(deaths, bool) else None


def after_death(deaths: int | None, company: int) -> int:
    """What a message tells of deaths once it was lost with a process.

    deaths: what it told before. company: how many messages that process was doing, this one among them; 0 where it was
    not, or where nobody knows.
    """
    if company == 1:
        return max(deaths or 0, 0) + 1
    if deaths is None:
        return AMONG_MANY
    return max(deaths, 0) if company else deaths


def redelivered(message: Any, deaths: int | None, company: int | None) -> bytes:
    """A message that goes back to its queue, marked as stock kombu marks it, whatever else it holds.

    deaths: counted by this process; None where it has not counted. company: of a message that was lost with a process,
    as `after_death` says; None where it was not lost.
    """
    if isinstance(message, dict):
        properties, headers = message.get("properties"), message.get("headers")
        if isinstance(headers, dict) and (deaths is not None or company is not None):
            headers[DEATHS] = after_death(deaths_of(headers), company or 0) if deaths is None else deaths
        for part in (message.get("headers"), properties.get("delivery_info") if isinstance(properties, dict) else None):
            if isinstance(part, dict):
                part["redelivered"] = True
    return json.dumps(message).encode()
