"""Flow files: JSON, either `{"name": ..., "description": ..., "graph": {...}}` or a bare graph as React Flow saves it.

A file is either taken whole, character for character as JSON means it, or refused with every reason: what PostgreSQL's
jsonb cannot hold (NUL characters, lone surrogates, NaN and infinities) is never replaced or dropped.
"""

import json
import math
from collections import Counter
from dataclasses import dataclass, replace
from importlib.resources import files
from typing import Any, Final, NoReturn

from runworker.codes import Code
from runworker.imports.refusal import ImportRefused
from runworker.plan import PlanProblem

MOST_BYTES: Final = 10_000_000
DEEPEST: Final = 100
"""Levels of objects and lists. A drawing has about ten; what reads it later must not run out of stack."""

_WRAPPED: Final = frozenset({"name", "description", "graph"})
_SHOWN_PROBLEMS: Final = 20
_SHOWN_PATH: Final = 200


@dataclass(frozen=True, slots=True)
class FlowFile:
    """A flow as a file has it. name: by language; None in a bare graph. graph: any JSON value, not yet judged."""

    name: dict[str, str] | None
    description: str | None
    graph: Any


def canonical_flow() -> FlowFile:
    """The plant's own eleven steps, which come with the package."""
    return read_flow_file((files("runworker") / "data" / "canonical_flow.json").read_bytes())


def read_flow_file(content: bytes) -> FlowFile:
    """Read the content of a flow file. Raises ImportRefused with every problem found."""
    value = _parsed(content)
    problems = _unstorable(value)
    if problems:
        raise ImportRefused("The file holds what PostgreSQL cannot keep:", problems)
    if not isinstance(value, dict):
        raise ImportRefused('Expected an object: {"nodes": [...], "edges": [...]}, or one with "name" and "graph".')
    if "graph" not in value:
        return FlowFile(None, None, value)
    unknown = sorted(value.keys() - _WRAPPED)
    if unknown:
        raise ImportRefused(f"Beside graph only name and description are known, not {', '.join(map(ascii, unknown))}.")
    return FlowFile(_name(value.get("name")), _description(value.get("description")), value["graph"])


def named(file: FlowFile, name: str) -> FlowFile:
    """The file under another name, which stands for all of the plant's languages. Raises ImportRefused."""
    if fault := _fault(name, 0):
        raise ImportRefused(f"The name {name!a:.80} {fault}.")
    return replace(file, name=_name(name))


def _parsed(content: bytes) -> Any:
    if len(content) > MOST_BYTES:
        raise ImportRefused(f"The file is larger than {MOST_BYTES} bytes; no flow is.")
    try:
        return json.loads(
            content.decode("utf-8-sig"), parse_constant=_refuse_constant, object_pairs_hook=_without_duplicates
        )
    except UnicodeDecodeError as error:
        raise ImportRefused(f"The file is not UTF-8: {error.reason} at byte {error.start}.") from error
    except json.JSONDecodeError as error:
        raise ImportRefused(
            f"The file is not JSON: {error.msg} at line {error.lineno}, column {error.colno}."
        ) from error
    except RecursionError as error:
        raise ImportRefused(f"The file is nested deeper than {DEEPEST} levels; no flow is.") from error
    except ValueError as error:  # an integer of more digits than Python reads
        raise ImportRefused(f"The file holds a number that cannot be read: {error}.") from error


def _refuse_constant(name: str) -> NoReturn:
    raise ImportRefused(
        f"The file holds {name}, which is no JSON and which PostgreSQL cannot keep; give a number or null."
    )


def _without_duplicates(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    result = dict(pairs)
    if len(result) < len(pairs):
        (twice, _), *_ = Counter(key for key, _ in pairs).most_common(1)
        raise ImportRefused(f"The key {twice!a:.80} occurs twice in one object, and only one of them could be kept.")
    return result


def _unstorable(value: Any) -> list[PlanProblem]:
    """Everything in a JSON value that jsonb cannot hold. A loop, because a hostile file must not exhaust the stack."""
    problems: list[PlanProblem] = []
    open_ends: list[tuple[str, int, Any]] = [("", 0, value)]
    while open_ends and len(problems) < _SHOWN_PROBLEMS:
        where, depth, part = open_ends.pop()
        if fault := _fault(part, depth):
            problems.append(PlanProblem(Code.INVALID_FIELD, where.lstrip(".") or "file", fault))
        elif isinstance(part, dict):
            open_ends += [(f"{where}.{key}"[:_SHOWN_PATH], depth + 1, each) for key, each in reversed(part.items())]
            open_ends += [(f"{where}, a key", depth, key) for key in reversed(part)]
        elif isinstance(part, list):
            open_ends += [(f"{where}[{number}]", depth + 1, each) for number, each in reversed([*enumerate(part)])]
    return problems


def _fault(part: Any, depth: int) -> str | None:
    if depth > DEEPEST:
        return f"nested deeper than {DEEPEST} levels"
    if isinstance(part, float) and not math.isfinite(part):
        return "the number is too large; expected one below 1.8e308"
    if isinstance(part, str) and "\x00" in part:
        return "contains a NUL character (\\u0000); remove it"
    if isinstance(part, str) and any("\ud800" <= character <= "\udfff" for character in part):
        return "contains a lone surrogate (half of a character, \\ud800 to \\udfff); write the whole character"
    return None


def _name(raw: Any) -> dict[str, str] | None:
    if raw is None:
        return None
    texts = {"hu": raw, "en": raw} if isinstance(raw, str) else raw
    if isinstance(texts, dict) and texts and all(isinstance(text, str) and text.strip() for text in texts.values()):
        return texts
    raise ImportRefused(
        'The name does not fit: expected a text, or texts by language such as {"hu": "...", "en": "..."}.'
    )


def _description(raw: Any) -> str | None:
    if raw is None or isinstance(raw, str):
        return raw
    raise ImportRefused("The description does not fit: expected a text or null.")
