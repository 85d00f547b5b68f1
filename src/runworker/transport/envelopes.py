"""Items of a queue: which of them are messages, what is written anew in those that are, and the way back."""

import json
from collections.abc import Callable, Mapping
from typing import Any, Final

from kombu.utils.json import loads

UNREADABLE: Final = ".unreadable"
"""What is added to a queue's name for the list of its unreadable items."""

_LEVELS: Final = 8
"""How deep an envelope may nest. Celery's own go to three; at some hundred Python's recursion ends."""


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
    """The message in a queue's item, or None where it is not what a Celery client writes.

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
    """What follows an item in the note of its being unacknowledged: exchange and routing key, as stock kombu has it."""
    return f'"",{json.dumps(queue)}'


def entry_parts(entry: bytes) -> tuple[Any, str, str]:
    """Message, exchange and routing key in a note. Raises ValueError where the item in it is no JSON."""
    message, exchange, routing_key = json.loads(entry)
    return message, exchange, routing_key


def entry_item(entry: bytes) -> tuple[bytes, str]:
    """The item in a note of ours as it came, whatever it is, and its queue. Raises ValueError for any other note."""
    item, address, queue = entry[1:].rpartition(b',"",')
    if not address:
        raise ValueError("no note of ours")
    return item, json.loads(queue[:-1])


def redelivered(message: Any) -> bytes:
    """A message that goes back to its queue, marked as stock kombu marks it, whatever else it holds."""
    if isinstance(message, dict):
        properties = message.get("properties")
        for part in (message.get("headers"), properties.get("delivery_info") if isinstance(properties, dict) else None):
            if isinstance(part, dict):
                part["redelivered"] = True
    return json.dumps(message).encode()
