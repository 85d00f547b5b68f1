"""What stood in somebody's way is forgotten as soon as it does so no more."""

from uuid import UUID, uuid4

import psycopg
import pytest
from sqlalchemy.exc import DBAPIError

from runworker.commands import Command, parse
from runworker.engine import obstacles as module
from runworker.engine.obstacles import PAUSE_SECONDS, Obstacles, needs

LOCKED = DBAPIError("UPDATE", {}, psycopg.errors.LockNotAvailable("lock timeout"))
REFUSED = DBAPIError("UPDATE", {}, psycopg.errors.RaiseException("not on Sundays"))


def hold(run: UUID | None = None) -> Command:
    fields = {"idempotency_key": uuid4(), "issued_by": uuid4(), "run_id": run or uuid4(), "reason": "to be seen"}
    return parse("hold_run", fields)


def meet(obstacles: Obstacles, error: Exception, command: Command) -> bool:
    return obstacles.meet(error, command.idempotency_key, command)


def seconds_blocked(obstacles: Obstacles, command: Command, clock: list[float]) -> float:
    """How long the command is blocked from now on. Leaves the clock at the end of that."""
    began = clock[0]
    while obstacles.block(needs(command.idempotency_key, command)):
        clock[0] += 0.5
    return clock[0] - began


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """The time, in seconds: moved by the test alone."""
    now = [0.0]
    monkeypatch.setattr(module, "monotonic", lambda: now[0])
    return now


def test_what_was_served_is_no_longer_told_apart() -> None:
    """Else commands about it would be tried apart, for a moment only, and not expire, for a minute more."""
    obstacles = Obstacles()
    held, other = hold(), hold()
    for command in (held, other):
        meet(obstacles, REFUSED, command)
    served, left = (needs(command.idempotency_key, command) for command in (held, other))
    obstacles.pass_by([served])
    assert not obstacles.are_known_to(served)
    assert not obstacles.block(served)
    assert obstacles.are_known_to(left)
    assert obstacles.block(left)
    obstacles.pass_by([left])
    assert not obstacles.are_any


def test_what_meets_a_rule_again_is_tried_less_and_less_often(clock: list[float]) -> None:
    obstacles, command = Obstacles(), hold()
    pauses = []
    for _ in range(7):
        meet(obstacles, REFUSED, command)
        pauses.append(seconds_blocked(obstacles, command, clock))
    assert pauses == [2, 4, 8, 16, 32, 32, 32]
    obstacles.pass_by([needs(command.idempotency_key, command)])
    meet(obstacles, REFUSED, command)
    assert seconds_blocked(obstacles, command, clock) == PAUSE_SECONDS


def test_a_lock_is_tried_soon_however_long_it_is_held(clock: list[float]) -> None:
    obstacles, command = Obstacles(), hold()
    for _ in range(50):
        meet(obstacles, REFUSED, hold())
        meet(obstacles, LOCKED, command)
        assert seconds_blocked(obstacles, command, clock) == PAUSE_SECONDS


def test_many_locks_all_come_round_and_at_once_when_one_is_let_go(clock: list[float]) -> None:
    obstacles, commands = Obstacles(), [hold() for _ in range(100)]
    for command in (*commands, *commands):
        meet(obstacles, LOCKED, command)
    refused = hold()
    meet(obstacles, REFUSED, refused)
    first, last = (needs(each.idempotency_key, each) for each in (commands[0], commands[-1]))
    clock[0] += 49
    assert obstacles.block(last)
    clock[0] += 1
    assert not obstacles.block(last)
    meet(obstacles, LOCKED, commands[-1])
    meet(obstacles, REFUSED, refused)
    obstacles.pass_by([first])
    assert not obstacles.block(last)
    assert obstacles.are_known_to(last)
    assert obstacles.block(needs(refused.idempotency_key, refused))


def test_what_is_met_again_and_again_is_told_at_growing_intervals() -> None:
    obstacles, run = Obstacles(), uuid4()
    told = [number for number in range(1, 101) if meet(obstacles, LOCKED, hold(run))]
    assert told == [1, 2, 4, 8, 16, 32, 64]


def test_what_did_not_come_again_is_forgotten(clock: list[float]) -> None:
    obstacles, command, other = Obstacles(), hold(), hold()
    meet(obstacles, REFUSED, command)
    for seconds, is_known in ((61, True), (2, False)):
        clock[0] += seconds
        meet(obstacles, REFUSED, other)
        assert obstacles.are_known_to(needs(command.idempotency_key, command)) is is_known
