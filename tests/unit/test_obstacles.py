"""What stood in somebody's way is forgotten as soon as it does so no more."""

from uuid import uuid4

import psycopg
from sqlalchemy.exc import DBAPIError

from runworker.commands import parse
from runworker.engine.obstacles import Obstacles, needs


def test_what_was_served_is_no_longer_told_apart() -> None:
    """Else commands about it would be tried apart, for a moment only, and not expire, for a minute more."""
    obstacles = Obstacles()
    held, other = (
        parse("hold_run", {"idempotency_key": uuid4(), "issued_by": uuid4(), "run_id": uuid4(), "reason": "to be seen"})
        for _ in range(2)
    )
    locked = DBAPIError("UPDATE", {}, psycopg.errors.LockNotAvailable("lock timeout"))
    for command in (held, other):
        obstacles.meet(locked, command.idempotency_key, command)
    served, left = (needs(command.idempotency_key, command) for command in (held, other))
    obstacles.pass_by([served])
    assert not obstacles.are_known_to(served)
    assert not obstacles.block(served)
    assert obstacles.are_known_to(left)
    assert obstacles.block(left)
    obstacles.pass_by([left])
    assert not obstacles.are_any
