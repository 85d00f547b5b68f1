"""How deep a message may nest, and what is told of one that cannot be read. What is refused: see tests/malformed.py."""

import json
from typing import Any

import pytest
from kombu.message import Message

from runworker.codes import Code
from runworker.errors import InvalidMessage
from runworker.safe_text import is_storable
from runworker.tasks.admission import name_and_id, require_task_message
from runworker.transport import is_deeper

HEADERS = {"task": "runworker.start_run", "id": "1"}


def nested(levels: int) -> Any:
    return json.loads("[" * levels + "]" * levels)


def received(body: object, headers: dict[str, Any]) -> Message:
    raw = body if isinstance(body, bytes) else json.dumps(body)
    return Message(
        raw, content_type="application/json", content_encoding="utf-8", headers=headers, accept={"application/json"}
    )


@pytest.mark.parametrize(
    ("value", "levels", "deeper"),
    [
        (5, 0, False),
        ("[[[[]]]]", 0, False),
        ([], 0, True),
        ([], 1, False),
        ({}, 1, False),
        ([1, "a", None], 1, False),
        ([[]], 1, True),
        ({"a": {"b": 1}}, 1, True),
        ({"a": {"b": 1}}, 2, False),
        ([1, {"a": [2]}, 3], 2, True),
        ([1, {"a": [2]}, 3], 3, False),
        (nested(900), 899, True),
        (nested(900), 900, False),
    ],
)
def test_nesting_is_counted_in_levels(value: object, levels: int, deeper: bool) -> None:
    assert is_deeper(value, levels) is deeper


def test_a_body_may_nest_as_deep_as_no_command_does() -> None:
    require_task_message(received([[], {"x": nested(60)}, {}], HEADERS))
    with pytest.raises(InvalidMessage, match="nests deeper than 64 levels") as refused:
        require_task_message(received([[], {"x": nested(70)}, {}], HEADERS))
    assert refused.value.code is Code.MALFORMED_MESSAGE


def test_what_is_wrong_is_said_part_by_part() -> None:
    with pytest.raises(InvalidMessage) as refused:
        require_task_message(received([[], {}, {}], {"task": 5, "timelimit": [1]}))
    assert refused.value.message == (
        "no Celery task message: task: Input should be a valid string; id: Field required; "
        "timelimit: List should have at least 2 items after validation, not 1"
    )


@pytest.mark.parametrize(
    ("body", "headers", "told"),
    [
        (b"nonsense", HEADERS, ("runworker.start_run", "1")),
        (b"nonsense", {"id": "1"}, (None, "1")),
        (b"nonsense", {}, (None, None)),
        ([1], {"id": "1"}, (None, "1")),
        ({"task": "old", "id": "2"}, {}, ("old", "2")),
        ({"task": "old", "id": "2"}, HEADERS, ("runworker.start_run", "1")),
        ({"task": ["old"], "id": 2}, {}, (None, None)),
    ],
)
def test_name_and_id_are_found_where_there_are_any(
    body: object, headers: dict[str, Any], told: tuple[str | None, str | None]
) -> None:
    assert name_and_id(received(body, headers)) == told


@pytest.mark.parametrize(
    ("text", "storable"), [("", True), ("lépés", True), ("😀", True), ("a\0b", False), ("\ud800", False)]
)
def test_text_is_storable_unless_postgresql_or_redis_cannot_take_it(text: str, storable: bool) -> None:
    assert is_storable(text) is storable
