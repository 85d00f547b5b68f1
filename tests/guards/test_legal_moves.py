"""Python's tables of legal moves and the database agree on every ordered pair of states."""

from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

import psycopg
import pytest

from runworker.states import (
    FLOW_VERSION_MOVES,
    LOT_MOVES,
    RUN_MOVES,
    STEP_MOVES,
    CommandStatus,
    FlowVersionStatus,
    LotStatus,
    RunStatus,
    StepExecutionStatus,
)

Moves = Mapping[Any, frozenset[Any]]

_C = CommandStatus
COMMAND_MOVES: Moves = {
    _C.QUEUED: frozenset({_C.WAITING, _C.APPLIED, _C.REJECTED}),
    _C.WAITING: frozenset({_C.APPLIED, _C.REJECTED, _C.EXPIRED}),
    _C.APPLIED: frozenset(),
    _C.REJECTED: frozenset(),
    _C.EXPIRED: frozenset(),
}

OTHER_LOT_MOVES: Moves = {**LOT_MOVES, LotStatus.RELEASED: LOT_MOVES[LotStatus.RELEASED] - {LotStatus.FINISHED}}


@dataclass(frozen=True)
class Entity:
    """What moves.

    begin: SQL that makes one row in state `first`; change: SQL that sets its state to %(to)s; needs: SQL without which
    a legal move into a state is refused for another reason.
    """

    name: str
    states: type[StrEnum]
    moves: Moves
    refused_by: tuple[str, ...]
    first: StrEnum
    begin: str
    change: str
    needs: Mapping[StrEnum, str] = field(default_factory=dict)

    def path(self, to: StrEnum) -> list[StrEnum]:
        """Shortest legal way from `first`."""
        ways: deque[list[StrEnum]] = deque([[]])
        while ways:
            way = ways.popleft()
            here = way[-1] if way else self.first
            if here == to:
                return way
            ways.extend([*way, target] for target in sorted(self.moves[here]) if target not in way)
        raise AssertionError(f"no way to {to}")


_LOT_BEGINS = "INSERT INTO lots (id, lot_code, lot_type, weight_kg) VALUES (md5('moving')::uuid, 'moving', {}, 1)"
_LOT_CHANGE = "UPDATE lots SET status = %(to)s::text, status_reason = 'smells of smoke' WHERE lot_code = 'moving'"
_CHILD_OF_LOT = """
    INSERT INTO lots (id, lot_code, status) VALUES (md5('child')::uuid, 'child', 'QUARANTINE');
    INSERT INTO lot_genealogy (parent_lot_id, child_lot_id, quantity_used_kg)
    VALUES (md5('moving')::uuid, md5('child')::uuid, 1);
    UPDATE lots SET status = 'REJECTED', status_reason = 'smells of smoke' WHERE lot_code = 'child';
"""

ENTITIES = [
    Entity(
        "flow version",
        FlowVersionStatus,
        FLOW_VERSION_MOVES,
        ("guard_flow_versions_move", "guard_flow_versions_immutable"),
        FlowVersionStatus.DRAFT,
        """
        INSERT INTO flow_versions (id, flow_definition_id, version_num, graph_schema)
        VALUES (md5('moving')::uuid, md5('other flow')::uuid, 1, '{}')
        """,
        "UPDATE flow_versions SET status = %(to)s::text WHERE id = md5('moving')::uuid",
    ),
    Entity(
        "run",
        RunStatus,
        RUN_MOVES,
        ("guard_production_runs_move",),
        RunStatus.IDLE,
        """
        INSERT INTO production_runs (id, run_code, flow_version_id)
        VALUES (md5('moving')::uuid, 'moving', md5('published')::uuid);
        INSERT INTO run_step_executions (run_id, step_index, node_id) VALUES (md5('moving')::uuid, 0, 'only one');
        """,
        """
        UPDATE production_runs
        SET status = %(to)s::text, status_reason = 'belt is torn',
            completed_at = CASE %(to)s::text WHEN 'COMPLETED' THEN now() WHEN 'ARCHIVED' THEN completed_at END,
            ended_at = CASE WHEN %(to)s::text IN ('COMPLETED', 'ABORTED') THEN now()
                            WHEN %(to)s::text = 'ARCHIVED' THEN ended_at END
        WHERE run_code = 'moving'
        """,
    ),
    Entity(
        "step",
        StepExecutionStatus,
        STEP_MOVES,
        ("guard_run_step_executions_move",),
        StepExecutionStatus.PENDING,
        """
        INSERT INTO production_runs (id, run_code, flow_version_id, status)
        VALUES (md5('moving')::uuid, 'moving', md5('published')::uuid, 'RUNNING');
        INSERT INTO run_step_executions (run_id, step_index, node_id) VALUES (md5('moving')::uuid, 0, 'only one');
        """,
        """
        UPDATE run_step_executions
        SET status = %(to)s::text,
            started_at = CASE WHEN %(to)s::text IN ('IN_PROGRESS', 'COMPLETED') THEN now() END,
            completed_at = CASE WHEN %(to)s::text = 'COMPLETED' THEN now() END
        WHERE run_id = md5('moving')::uuid
        """,
    ),
    Entity(
        "shipped lot",
        LotStatus,
        LOT_MOVES,
        ("guard_lots_move",),
        LotStatus.CREATED,
        _LOT_BEGINS.format("'SHIP'"),
        _LOT_CHANGE,
        {LotStatus.CONSUMED: _CHILD_OF_LOT},
    ),
    Entity(
        "other lot",
        LotStatus,
        OTHER_LOT_MOVES,
        ("guard_lots_move",),
        LotStatus.CREATED,
        _LOT_BEGINS.format("'RAW'"),
        _LOT_CHANGE,
        {LotStatus.CONSUMED: _CHILD_OF_LOT},
    ),
    Entity(
        "legacy lot without a type",
        LotStatus,
        OTHER_LOT_MOVES,
        ("guard_lots_move",),
        LotStatus.CREATED,
        _LOT_BEGINS.format("NULL"),
        _LOT_CHANGE,
        {LotStatus.CONSUMED: _CHILD_OF_LOT},
    ),
    Entity(
        "command",
        CommandStatus,
        COMMAND_MOVES,
        ("guard_commands_move", "guard_commands_decided"),
        CommandStatus.QUEUED,
        "INSERT INTO commands (idempotency_key, command, payload) VALUES (md5('moving')::uuid, 'hold_run', '{}')",
        """
        UPDATE commands
        SET status = %(to)s::text,
            verdict = CASE WHEN %(to)s::text IN ('APPLIED', 'REJECTED', 'EXPIRED') THEN '{}'::jsonb END,
            decided_at = CASE WHEN %(to)s::text IN ('APPLIED', 'REJECTED', 'EXPIRED') THEN now() END,
            expires_at = CASE WHEN %(to)s::text = 'WAITING' THEN now() END
        WHERE idempotency_key = md5('moving')::uuid
        """,
    ),
]


PAIRS = [
    pytest.param(entity, source, target, id=f"{entity.name}: {source} to {target}")
    for entity in ENTITIES
    for source in entity.states
    for target in entity.states
    if source != target
]


@pytest.mark.parametrize(("entity", "source", "target"), PAIRS)
def test_database_moves_where_python_does(
    connection: psycopg.Connection, entity: Entity, source: StrEnum, target: StrEnum
) -> None:
    connection.execute(entity.begin)
    for state in entity.path(source):
        connection.execute(entity.needs.get(state, ""))
        connection.execute(entity.change, {"to": state})

    if target in entity.moves[source]:
        connection.execute(entity.needs.get(target, ""))
        assert connection.execute(entity.change, {"to": target}).rowcount == 1
    else:
        with pytest.raises(psycopg.errors.CheckViolation) as refused:
            connection.execute(entity.change, {"to": target})
        assert refused.value.diag.constraint_name in entity.refused_by


@pytest.mark.parametrize(
    ("insert", "begins"),
    [
        (
            "INSERT INTO flow_versions (flow_definition_id, version_num, status, graph_schema)"
            " VALUES (md5('other flow')::uuid, 1, %s, '{}')",
            set(FlowVersionStatus),
        ),
        (
            "INSERT INTO production_runs (run_code, flow_version_id, status, completed_at, ended_at)"
            " SELECT 'new', md5('published')::uuid, s, CASE s WHEN 'COMPLETED' THEN now() END,"
            " CASE WHEN s IN ('COMPLETED', 'ABORTED', 'ARCHIVED') THEN now() END FROM (VALUES (%s::text)) AS given (s)",
            {RunStatus.IDLE, RunStatus.RUNNING},
        ),
        (
            "INSERT INTO run_step_executions (run_id, step_index, node_id, status, started_at, completed_at)"
            " SELECT md5('new')::uuid, 0, 'node', s, CASE WHEN s IN ('IN_PROGRESS', 'COMPLETED') THEN now() END,"
            " CASE s WHEN 'COMPLETED' THEN now() END FROM (VALUES (%s::text)) AS given (s)",
            set(StepExecutionStatus) - {StepExecutionStatus.COMPLETED},
        ),
        ("INSERT INTO lots (lot_code, status) VALUES ('new', %s)", {LotStatus.CREATED, LotStatus.QUARANTINE}),
    ],
    ids=["flow version", "run", "step", "lot"],
)
def test_begins_in_these_states_only(connection: psycopg.Connection, insert: str, begins: set[StrEnum]) -> None:
    connection.execute(
        "INSERT INTO production_runs (id, run_code, flow_version_id)"
        " VALUES (md5('new')::uuid, 'for steps', md5('published')::uuid)"
    )
    begun = set()
    for state in type(next(iter(begins))):
        try:
            with connection.transaction(force_rollback=True):
                connection.execute(insert, [state])
                begun.add(state)
        except psycopg.errors.CheckViolation:
            continue
    assert begun == begins
