"""Legal moves, as the domain reference draws them: every ordered pair of states of every entity."""

from collections.abc import Mapping
from enum import StrEnum

import pytest

from runworker.states import (
    DECIDED_COMMANDS,
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

Moves = Mapping[StrEnum, frozenset[StrEnum]]

# From the state at the left to the state above: x where it is legal.
FLOW_VERSION = """
               DRAFT  REVIEW  PUBLISHED  DEPRECATED
    DRAFT      -      x       -          -
    REVIEW     x      -       x          -
    PUBLISHED  -      -       -          x
    DEPRECATED -      -       -          -
"""
RUN = """
               IDLE  RUNNING  HOLD  COMPLETED  ABORTED  ARCHIVED
    IDLE       -     x        -     -          x        -
    RUNNING    -     -        x     x          x        -
    HOLD       -     x        -     -          x        -
    COMPLETED  -     -        -     -          -        x
    ABORTED    -     -        -     -          -        x
    ARCHIVED   -     -        -     -          -        -
"""
STEP = """
                PENDING  IN_PROGRESS  COMPLETED  SKIPPED
    PENDING     -        x            -          x
    IN_PROGRESS x        -            x          x
    COMPLETED   x        x            -          -
    SKIPPED     -        -            -          -
"""
LOT = """
               CREATED  QUARANTINE  RELEASED  HOLD  REJECTED  CONSUMED  FINISHED
    CREATED    -        x           -         -     -         -         -
    QUARANTINE -        -           x         x     x         -         -
    RELEASED   -        -           -         x     -         x         x
    HOLD       -        -           x         -     x         -         -
    REJECTED   -        -           -         -     -         -         -
    CONSUMED   -        -           -         -     -         -         x
    FINISHED   -        -           -         -     -         -         -
"""
ENTITIES: list[tuple[type[StrEnum], Moves, str]] = [
    (FlowVersionStatus, FLOW_VERSION_MOVES, FLOW_VERSION),
    (RunStatus, RUN_MOVES, RUN),
    (StepExecutionStatus, STEP_MOVES, STEP),
    (LotStatus, LOT_MOVES, LOT),
]


def drawn(table: str) -> dict[tuple[str, str], bool]:
    header, *lines = [line.split() for line in table.strip().splitlines()]
    return {
        (source, target): mark == "x" for source, *marks in lines for target, mark in zip(header, marks, strict=True)
    }


@pytest.mark.parametrize(("states", "moves", "table"), ENTITIES, ids=lambda part: getattr(part, "__name__", ""))
def test_moves_are_those_of_the_drawing(states: type[StrEnum], moves: Moves, table: str) -> None:
    assert {(source, target): target in moves[source] for source in states for target in states} == drawn(table)


@pytest.mark.parametrize("moves", [moves for _, moves, _ in ENTITIES])
def test_moves_cannot_be_changed(moves: Moves) -> None:
    with pytest.raises(TypeError):
        moves[next(iter(moves))] = frozenset()


def test_decided_commands_are_the_final_ones() -> None:
    assert set(CommandStatus) - DECIDED_COMMANDS == {CommandStatus.QUEUED, CommandStatus.WAITING}
