"""Flow files: what is read, and what is refused with which words."""

import contextlib
import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from runworker.imports import FlowFile, ImportRefused, canonical_flow, named, read_flow_file
from runworker.imports.files import DEEPEST, MOST_BYTES
from runworker.plan import find_problems

GRAPH: dict[str, Any] = {"nodes": [], "edges": []}

json_values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**70), 2**70)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(),
    lambda children: st.lists(children, max_size=4) | st.dictionaries(st.text(max_size=5), children, max_size=4),
    max_leaves=20,
)


def refusal(content: bytes | str) -> str:
    with pytest.raises(ImportRefused) as refused:
        read_flow_file(content if isinstance(content, bytes) else content.encode())
    return str(refused.value)


def test_a_bare_graph_has_no_name() -> None:
    assert read_flow_file(json.dumps(GRAPH).encode()) == FlowFile(None, None, GRAPH)


def test_a_wrapped_graph_brings_name_and_description() -> None:
    wrapped: dict[str, Any] = {"name": {"hu": "Nyárs", "en": "Skewer"}, "description": "eleven steps", "graph": GRAPH}
    assert read_flow_file(json.dumps(wrapped).encode()) == FlowFile(wrapped["name"], "eleven steps", GRAPH)


def test_a_name_in_one_text_stands_for_both_languages() -> None:
    file = read_flow_file(json.dumps({"name": "Skewer", "graph": GRAPH}).encode())
    assert file.name == {"hu": "Skewer", "en": "Skewer"}
    assert named(file, "Spit").name == {"hu": "Spit", "en": "Spit"}


def test_a_byte_order_mark_is_no_fault() -> None:
    assert read_flow_file(b"\xef\xbb\xbf{}").graph == {}


def test_the_canonical_flow_gives_a_plan() -> None:
    file = canonical_flow()
    assert file.name == {"hu": "Dönernyárs gyártása", "en": "Döner skewer production"}
    assert find_problems(file.graph) == ()


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        (b"", "not JSON: Expecting value at line 1, column 1"),
        (b'{"nodes": [,]}', "not JSON: Expecting value at line 1, column 12"),
        (b"\xff\xfe{", "not UTF-8: invalid start byte at byte 0"),
        ("[]", 'Expected an object: {"nodes"'),
        ('{"nodes": [], "x": NaN}', "holds NaN"),
        ('{"nodes": [], "x": -Infinity}', "holds -Infinity"),
        ('{"nodes": [], "x": 1e999}', "x: the number is too large; expected one below 1.8e308 [INVALID_FIELD]"),
        ('{"nodes": [{"data": {"label": {"hu": "a\\u0000b"}}}]}', "nodes[0].data.label.hu: contains a NUL character"),
        ('{"nodes": [{"a\\u0000": 1}]}', "nodes[0], a key: contains a NUL character"),
        ('{"nodes": [["\\ud800"]]}', "nodes[0][0]: contains a lone surrogate"),
        ('"\\udc00"', "file: contains a lone surrogate"),
        ('{"nodes": [], "nodes": []}', "The key 'nodes' occurs twice"),
        ('{"graph": {}, "title": "x", "nodes": []}', "not 'nodes', 'title'"),
        ('{"graph": {}, "name": 3}', "The name does not fit"),
        ('{"graph": {}, "name": ""}', "The name does not fit"),
        ('{"graph": {}, "name": {"hu": ""}}', "The name does not fit"),
        ('{"graph": {}, "name": {}}', "The name does not fit"),
        ('{"graph": {}, "name": "x", "description": ["x"]}', "The description does not fit"),
        ('{"x": ' + "[" * (DEEPEST + 1) + "]" * (DEEPEST + 1) + "}", f"nested deeper than {DEEPEST} levels"),
        ("[" * 200_000, f"nested deeper than {DEEPEST} levels"),
        ('{"x": ' + "9" * 5000 + "}", "holds a number that cannot be read"),
        (b" " * (MOST_BYTES + 1), f"larger than {MOST_BYTES} bytes"),
    ],
    ids=lambda value: str(value)[:30],
)
def test_what_cannot_be_kept_is_refused(content: bytes | str, expected: str) -> None:
    assert expected in refusal(content)


def test_everything_that_cannot_be_kept_is_listed_on_lines_of_its_own() -> None:
    lines = refusal('{"a": "\\u0000", "b": {"c": "\\ud800"}, "d": [1e999]}').splitlines()
    assert [line.strip().partition(":")[0] for line in lines] == [
        "The file holds what PostgreSQL cannot keep",
        "a",
        "b.c",
        "d[0]",
    ]


def test_a_name_that_cannot_be_kept_is_refused() -> None:
    for name in ("", "  ", "a\x00b", "\ud800"):
        with pytest.raises(ImportRefused, match="name"):
            named(FlowFile(None, None, {}), name)


@given(json_values)
def test_any_json_is_read_as_it_is_or_refused(value: Any) -> None:
    content = json.dumps({"graph": value, "name": "n"}).encode()
    try:
        file = read_flow_file(content)
    except ImportRefused:
        text = json.dumps(value)
        assert "\\u0000" in text or "\\ud" in text
    else:
        assert file.graph == value


@given(st.binary(max_size=200))
def test_any_bytes_are_read_or_refused(content: bytes) -> None:
    with contextlib.suppress(ImportRefused):
        read_flow_file(content)
