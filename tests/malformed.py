"""Every way we know in which an item of the queue is no task message, or none that a worker may act on."""

import json
from collections.abc import Callable
from typing import Any, Final

from tests.envelopes import ABSENT, Fields, Item, message, nested, old_message, unopened

from runworker.codes import Code

Make = Callable[[Fields], Item]

NAN: Final = float("nan")
UNDECODABLE: Final = {"__type__": "uuid", "__value__": 5}
"""What kombu's JSON takes for a UUID of its own, and fails to make one of."""


def _put_aside(make: Callable[[Fields], Item]) -> Make:
    """The envelope itself cannot be opened: the whole item is kept, and nobody can be told."""
    return lambda fields: unopened(make(fields).content)


def _envelope(**parts: Any) -> Make:
    return _put_aside(
        lambda fields: message(fields, parts={name.replace("_", "-"): part for name, part in parts.items()})
    )


def _properties(**properties: Any) -> Make:
    return _put_aside(lambda fields: message(fields, properties=properties))


def _headers(**headers: Any) -> Make:
    return lambda fields: message(fields, headers=headers)


def _body(make_body: Callable[[Fields], Any]) -> Make:
    return lambda fields: message(fields, body=make_body(fields))


def _old(**parts: Any) -> Make:
    return lambda fields: old_message(fields, **parts)


NOT_OPENED: Final[dict[str, Make]] = {
    "not JSON": lambda fields: unopened(b"hello"),
    "empty": lambda fields: unopened(b""),
    "NUL bytes": lambda fields: unopened(b"\0" * 10),
    "invalid UTF-8": lambda fields: unopened(b'{"body": "\xff"}'),
    "5 MB of garbage": lambda fields: unopened(b"x" * 5_000_000),
    "5 MB of brackets": lambda fields: unopened(b"[" * 5_000_000),
    "JSON, but no object": lambda fields: unopened(b"[1, 2]"),
    "JSON, but no envelope": lambda fields: unopened(b'{"task": "runworker.start_run"}'),
    "a type that kombu fails to make": _put_aside(lambda fields: message(fields, headers={"x": UNDECODABLE})),
    "headers absent": _envelope(headers=ABSENT),
    "headers a list": _envelope(headers=[]),
    "headers null": _envelope(headers=None),
    "headers nested deep": _put_aside(lambda fields: message(fields, headers={"x": nested(600)})),
    "body absent": _envelope(body=ABSENT),
    "body a number": _envelope(body=5),
    "body no base64": _envelope(body="A"),
    "properties absent": _envelope(properties=ABSENT),
    "properties a list": _envelope(properties=[]),
    "body encoding unknown": _properties(body_encoding="rot13"),
    "body encoding a number": _properties(body_encoding=5),
    "delivery info a number": _properties(delivery_info=5),
}

NOT_READ: Final[dict[str, Make]] = {
    "pickled": lambda fields: message(
        fields,
        body=b"\x80\x04N.",
        parts={"content-type": "application/x-python-serialize", "content-encoding": "binary"},
    ),
    "content type a number": lambda fields: message(fields, parts={"content-type": 5}),
    "content type absent": lambda fields: message(fields, parts={"content-type": ABSENT}),
    "content encoding a number": lambda fields: message(fields, parts={"content-encoding": 7}),
    "compression unknown": _headers(compression="bogus"),
    "compression a list": _headers(compression=[1]),
    "task absent": _headers(task=ABSENT),
    "task null": _headers(task=None),
    "task a number": _headers(task=5),
    "task a list": _headers(task=[1]),
    "task a lone surrogate": _headers(task="start\ud800"),
    "id absent": _headers(id=ABSENT),
    "id null": _headers(id=None),
    "id empty": _headers(id=""),
    "id a number": _headers(id=5),
    "id a list": _headers(id=[1]),
    "id with NUL": _headers(id="a\0b"),
    "id a lone surrogate": _headers(id="a\ud800b"),
    "time limit a number": _headers(timelimit=5),
    "time limit of words": _headers(timelimit=["soon", "later"]),
    "eta no time": _headers(eta="soon"),
    "eta a number": _headers(eta=5),
    "eta beyond time": _headers(eta="9999-12-31T23:59:59-12:00"),
    "expiry no time": _headers(expires="soon"),
    "stamps that are none": _headers(stamped_headers=5, stamps=7),
    "shadow a list": _headers(shadow=[5]),
    "callbacks in a header": lambda fields: message(fields, body=[[], fields, {}], headers={"chain": [5]}),
    "NaN in a header": lambda fields: message(fields, body=b"not JSON", headers={"x": NAN}),
    "body not JSON": _body(lambda fields: fields["idempotency_key"][:-1].encode()),
    "body empty": _body(lambda fields: b""),
    "body invalid UTF-8": _body(lambda fields: b'[[], {"source": "\xff"}, {}]'),
    "body of a type that kombu fails to make": _body(lambda fields: [[], {**fields, "source": UNDECODABLE}, {}]),
    "body an empty list": _body(lambda fields: []),
    "body without embed": _body(lambda fields: [[], fields]),
    "body of four": _body(lambda fields: [[], fields, {}, 4]),
    "body an object": _body(lambda fields: {"kwargs": fields}),
    "body an object of three": _body(lambda fields: {"kwargs": fields, "a": 1, "b": 2}),
    "body nested deep": _body(lambda fields: [[], {**fields, "site_code": nested(400)}, {}]),
    "embed a word": _body(lambda fields: [[], fields, "x"]),
    "embed a list": _body(lambda fields: [[], fields, [1]]),
    "embed with a chord that is none": _body(lambda fields: [[], fields, {"chord": 5}]),
    "embed with callbacks that are none": _body(lambda fields: [[], fields, {"callbacks": 5}]),
    "embed with a chain that is none": _body(lambda fields: [[], fields, {"chain": [5]}]),
    "args null": _body(lambda fields: [None, fields, {}]),
    "args a word": _body(lambda fields: ["ab", fields, {}]),
    "kwargs null": _body(lambda fields: [[], None, {}]),
    "kwargs a list": _body(lambda fields: [[], [], {}]),
    "both protocols at once, args a number": _body(lambda fields: {"args": 5, "kwargs": fields}),
    "old protocol, id absent": _old(id=ABSENT),
    "old protocol, task absent": _old(task=ABSENT),
    "old protocol, task a list": _old(task=[]),
    "old protocol, kwargs absent": _old(kwargs=ABSENT),
    "old protocol, kwargs a list": _old(kwargs=[]),
    "old protocol, args a number": _old(args=5),
    "old protocol, parts of all sorts": _old(taskset=5, callbacks=4, chord=3, timelimit=5),
}

UNKNOWN: Final[dict[str, Make]] = {
    "no command of ours": _headers(task="runworker.fly"),
    "somebody else's task": _headers(task="other.task"),
    "old protocol, no command of ours": _old(task="runworker.fly"),
}

MALFORMED: Final[dict[str, tuple[Make, Code]]] = {
    **{name: (make, Code.MALFORMED_MESSAGE) for name, make in (NOT_OPENED | NOT_READ).items()},
    **{name: (make, Code.UNKNOWN_COMMAND) for name, make in UNKNOWN.items()},
}

ODD_BUT_SOUND: Final[dict[str, Make]] = {
    "as Celery writes it": message,
    "old protocol": old_message,
    "old protocol, args absent": _old(args=ABSENT),
    "both protocols at once": _body(lambda fields: {"args": [], "kwargs": fields}),
    "embed null": _body(lambda fields: [[], fields, None]),
    "embed with parts nobody knows": _body(lambda fields: [[], fields, {"colour": 1, "self": 3}]),
    "an address that no queue has": lambda fields: message(
        fields, properties={"delivery_info": {"exchange": "nowhere", "routing_key": "no one"}}
    ),
    "no address": lambda fields: message(fields, properties={"delivery_info": ABSENT}),
    "no tag": lambda fields: message(fields, properties={"delivery_tag": ABSENT}),
    "a tag that is a lone surrogate": lambda fields: message(fields, properties={"delivery_tag": "\ud800"}),
    "priority a word": lambda fields: message(fields, properties={"priority": "x"}),
    "correlation of all sorts": lambda fields: message(
        fields, properties={"correlation_id": [5], "reply_to": {"a": 1}}
    ),
    "body not encoded": lambda fields: message(
        fields, properties={"body_encoding": ABSENT}, parts={"body": json.dumps([[], fields, {}])}
    ),
    "eta long past": _headers(eta="2001-01-01T00:00:00"),
    "headers nobody knows": _headers(self=1, args=3, kwargs=4, called_directly=1, delivery_info=5, is_eager=True),
    "id of a megabyte": _headers(id="a" * 1_000_000),
}
