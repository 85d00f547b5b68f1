"""Messages as a broken or hostile sender makes them, at random: sound ones of which some parts are anything at all.

Names and places are those that Celery and kombu look at. What comes out need not be broken.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from random import Random
from typing import Any, Final

from celery.app.task import Context
from tests.envelopes import ABSENT, Fields, Item, message, nested, old_message

_ANYTHING: Final = [
    ABSENT, None, True, False, 0, 1, -1, 5, 0.5, 1e308, -1e308, 2**63, 10**400, "", "x", "0", "a\0b", "\ud800",
    "ä" * 300, [], [None], [1, "a"], [[]], [{}], {}, {"a": 1}, {"": None}, nested(30),
    "2001-01-01T00:00:00", "2001-01-01T00:00:00+14:00", "9999-12-31T23:59:59-12:00", "0001-01-01T00:00:00+14:00",
]  # fmt: skip
_SIGNATURES: Final = [
    {"task": "somebody.elses"},
    {"task": "somebody.elses", "args": [1], "kwargs": {"a": 1}, "options": {}, "subtask_type": None, "immutable": True},
    {"task": "runworker.verdicts", "args": [], "kwargs": {"keys": []}, "options": {}, "immutable": True},
    {"task": "runworker.start_run"},
    {"task": None},
    {"task": 5, "args": 5, "kwargs": 5, "options": 5},
    {"task": "somebody.elses", "args": "ab", "kwargs": [], "options": {}},
    {"task": "somebody.elses", "options": {"queue": 5}},
    {"task": "somebody.elses", "options": {"countdown": 1e308, "expires": "soon", "priority": "x"}},
    {"task": "somebody.elses", "options": {"link": 5, "link_error": [5], "serializer": "pickle", "retries": "x"}},
    {"task": "somebody.elses", "options": {"producer": 5, "connection": 5, "chord": 5, "chain": 5, "group_id": []}},
    {"task": "celery.group", "subtask_type": "group", "kwargs": {"tasks": [{"task": "somebody.elses"}, 5]}},
    {"task": "celery.group", "subtask_type": "group", "args": [], "kwargs": {}, "options": {}},
    {"task": "celery.chain", "subtask_type": "chain", "kwargs": {"tasks": []}, "args": [], "options": {}},
    {"task": "celery.chord", "subtask_type": "chord", "kwargs": {"header": 5, "body": 5}, "args": [], "options": {}},
    {"task": "somebody.elses", "subtask_type": "no such type", "chord_size": "x"},
    {"subtask_type": "group"},
    {},
]
_OWN: Final = ("task", "argsrepr", "kwargsrepr", "lang", "compression", "meth", "groups", "runworker_dropped")
_HEADERS: Final = sorted({*(name for name in vars(Context) if name[:2] != "__"), *_OWN} - {"self"})
_EMBEDDED: Final = ("callbacks", "errbacks", "chain", "chord")
_PROPERTIES: Final = ("correlation_id", "reply_to", "delivery_mode", "delivery_info", "priority", "delivery_tag")


@dataclass(frozen=True)
class Mutant:
    """A mutated message. key: of its command. task_id: where its sender looks; ignored: it does not."""

    item: Item
    key: str
    ignored: bool


def mutant(random: Random, fields: Fields) -> Mutant:
    """A message that asks for start_run with these fields, one to four of its parts changed."""
    headers: dict[str, Any] = {}
    embed: dict[str, Any] = {}
    properties: dict[str, Any] = {}
    kwargs: dict[str, Any] = {**fields, "correlation_id": fields["idempotency_key"]}  # by which letters differ
    for _ in range(random.randint(1, 4)):
        match random.choice(("header", "header", "embed", "embed", "embed", "group", "property", "field")):
            case "header":
                headers[random.choice(_HEADERS)] = _anything(random)
            case "embed":
                embed[random.choice(_EMBEDDED)] = _signatures(random)
            case "group":  # with which Celery counts parts of a chord
                embed["chord"] = random.choice(_SIGNATURES)
                headers |= {"group": random.choice(["g", *_ANYTHING]), "group_index": _anything(random)}
            case "property":
                properties[random.choice(_PROPERTIES)] = _anything(random)
            case "field":
                kwargs[random.choice([*fields, "self", "request", "commands"])] = _anything(random)
    if isinstance(headers.get("id"), str):  # no two share one
        headers["id"] += fields["idempotency_key"]
    kwargs = {name: value for name, value in kwargs.items() if value is not ABSENT}
    present = {name: value for name, value in embed.items() if value is not ABSENT}
    if random.random() < 0.1:
        parts = {name: value for name, value in {**headers, **embed}.items() if name not in ("args", "kwargs")}
        item = old_message(kwargs | {"idempotency_key": fields["idempotency_key"]}, **parts)
    else:
        sound = kwargs | {"idempotency_key": fields["idempotency_key"]}
        item = message(sound, body=[[], kwargs, present], headers=headers, properties=properties)
    return Mutant(item, fields["idempotency_key"], bool(_given(headers, "ignore_result")))


def _given(headers: Mapping[str, Any], name: str) -> Any:
    value = headers.get(name)
    return None if value is ABSENT else value


def _anything(random: Random) -> Any:
    return random.choice([*_ANYTHING, random.choice(_SIGNATURES)])


def _signatures(random: Random) -> Any:
    if random.random() < 0.2:
        return _anything(random)
    made = [random.choice(_SIGNATURES) for _ in range(random.randint(1, 3))]
    return random.choice([made, made[0], json.loads(json.dumps(made))])
