"""Definitions in SQL as PostgreSQL prints them, without what a dump and a restore change in them.

That is casts of text, brackets around a single word, and brackets within a row of ANDs or of ORs.
"""

import re
from typing import Final

_TEXT_CASTS: Final = re.compile(r"::(?:character varying|text)(?:\(\d+\))?(?:\[\])?")
_TOKENS: Final = re.compile(r"'(?:[^']|'')*'|[()]|[^'()]+")
_WORD: Final = re.compile(r"'(?:[^']|'')*'|[\w.]+")
_LISTED: Final = re.compile(r"ARRAY\[[^\[\]]*\]")
_CONNECTIVES: Final = re.compile(r"\b(?:AND|OR|NOT|CASE)\b")

Group = list["str | Group"]


def plain(said: str) -> str:
    """The definition in the one form that all that mean the same have."""
    return _text(_simpler(_parsed(_TEXT_CASTS.sub("", " ".join(said.split())))))


def _parsed(said: str) -> Group:
    """Texts and, for what stands in brackets, groups."""
    groups: list[Group] = [[]]
    for token in _TOKENS.findall(said):
        if token == "(":  # noqa: S105 - a bracket, no password
            groups.append([])
        elif token == ")" and len(groups) > 1:  # noqa: S105 - likewise
            inner = groups.pop()
            groups[-1].append(inner)
        else:
            groups[-1].append(token)
    return groups[0]


def _simpler(group: Group) -> Group:
    """The group without brackets that it can do without."""
    joined = _joined_by(group)
    simple: Group = []
    for part in group:
        if isinstance(part, str):
            simple.append(part)
            continue
        inner = _simpler(part)
        called = bool(simple) and isinstance(simple[-1], str) and re.search(r"\w$", simple[-1])
        if not called and (_is_single(inner) or (joined in ("AND", "OR") and _joined_by(inner) == joined)):
            simple += inner
        else:
            simple.append(inner)
    return simple


def _joined_by(group: Group) -> str | None:
    """AND or OR, where it is all that joins the parts of a group."""
    words = {word for part in group if isinstance(part, str) and part[0] != "'" for word in _CONNECTIVES.findall(part)}
    return words.pop() if len(words) == 1 else None


def _is_single(group: Group) -> bool:
    if len(group) == 1 and not isinstance(group[0], str):
        return True
    said = _text(group)
    return bool(_WORD.fullmatch(said) or _LISTED.fullmatch(said))


def _text(group: Group) -> str:
    return "".join(part if isinstance(part, str) else f"({_text(part)})" for part in group)
