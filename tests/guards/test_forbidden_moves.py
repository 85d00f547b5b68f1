"""Every move that the domain reference forbids, tried in raw SQL as the tables' owner: all are refused.

The moves between states come from Python's tables of legal moves, the others from `forbidden_moves.sql`. What depends
on the plan of a run, on roles or on who asks is the worker's to judge and not in here: gates, lot types of a step,
retention.
"""

import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import psycopg
from tests.guards.test_legal_moves import ENTITIES

_HEADER = re.compile(r"^-- (?P<entity>[a-z ]+): (?P<move>.+)$", re.MULTILINE)
_RULE = Path(__file__).with_name("forbidden_moves.sql")


@dataclass(frozen=True)
class Refusal:
    """A move that was tried, and what PostgreSQL said to it."""

    move: str
    sqlstate: str
    constraint: str
    message: str


def _tried(connection: psycopg.Connection, move: str, statements: list[tuple[str, dict[str, str] | None]]) -> Refusal:
    """Try the last of `statements` after the others, and take everything back."""
    *preparation, forbidden = statements
    with connection.transaction(force_rollback=True):
        for statement in preparation:
            connection.execute(*statement)
        try:
            with connection.transaction():
                connection.execute(*forbidden)
        except psycopg.Error as error:
            return Refusal(
                move, error.sqlstate or "", error.diag.constraint_name or "", error.diag.message_primary or ""
            )
    return Refusal(move, "", "", "NOT REFUSED")


def _moves_between_states(connection: psycopg.Connection) -> list[Refusal]:
    return [
        _tried(
            connection,
            f"{entity.name}: {source} to {target}",
            [
                (entity.begin, None),
                *(
                    statement
                    for state in entity.path(source)
                    for statement in ((entity.needs.get(state, ""), None), (entity.change, {"to": state}))
                ),
                (entity.change, {"to": target}),
            ],
        )
        for entity in ENTITIES
        for source in entity.states
        for target in entity.states
        if source != target and target not in entity.moves[source]
    ]


def _other_moves(connection: psycopg.Connection) -> list[Refusal]:
    text = _RULE.read_text()
    headers = list(_HEADER.finditer(text))
    ends = [header.start() for header in headers[1:]] + [len(text)]
    return [
        _tried(
            connection,
            f"{header['entity']}: {header['move']}",
            [(part, None) for part in text[header.end() : end].split(";\n") if part.strip()],
        )
        for header, end in zip(headers, ends, strict=True)
    ]


def _as_table(refusals: list[Refusal]) -> str:
    move = max(len(refusal.move) for refusal in refusals)
    constraint = max(len(refusal.constraint) for refusal in refusals)
    lines = [
        f"{refusal.move:{move}} | {refusal.sqlstate:8} | {refusal.constraint:{constraint}} | {refusal.message}"
        for refusal in [Refusal("move", "SQLSTATE", "constraint", "message"), *refusals]
    ]
    return "\n".join([*lines, f"{len(refusals)} forbidden moves tried"])


def test_every_forbidden_move_is_refused(
    connection: psycopg.Connection, record_property: Callable[[str, object], None]
) -> None:
    refusals = [*_moves_between_states(connection), *_other_moves(connection)]

    record_property("forbidden moves", _as_table(refusals))
    assert [refusal for refusal in refusals if not refusal.sqlstate.startswith("23") or not refusal.constraint] == []
    assert len(refusals) > 150
