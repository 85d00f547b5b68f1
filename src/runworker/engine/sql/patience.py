"""Patience with PostgreSQL: no wait for an answer is without an end.

The kernel notices a wire that was cut (`runworker.wire`). Something in between that acknowledges everything and passes
nothing on is found by the clock alone: a server that has not answered for longer than it lets a statement run does not
answer any more. So is a COMMIT that waits for a replica which is away, which no timeout of PostgreSQL's ends.
"""

from collections.abc import Generator
from time import monotonic
from typing import Any, Final, TypeVar

import psycopg
from psycopg.abc import RV, PQGen

_MARGIN_SECONDS: Final = 3.0
"""More than a statement's timeout, since the server's word that it is over has to come through."""

_Ready = TypeVar("_Ready")


class PatientConnection(psycopg.Connection[Any]):
    """A connection that is given up when an answer takes longer than `patience_seconds`."""

    patience_seconds: float = float("inf")

    def be_patient(self, statement_timeout_seconds: float) -> None:
        """Wait for each answer as long as the server lets a statement run, and a little longer."""
        self.patience_seconds = statement_timeout_seconds + _MARGIN_SECONDS

    def wait(self, gen: PQGen[RV], *how: Any, **else_how: Any) -> RV:
        """As psycopg does. Raises OperationalError, with the connection closed, when there was no answer in time."""
        return super().wait(_within(gen, self), *how, **else_how)


def _within(gen: PQGen[RV], connection: PatientConnection) -> Generator[Any, Any, RV]:
    """`gen`, which psycopg resumes at least every tenth of a second, until the connection's patience is at its end."""
    end = monotonic() + connection.patience_seconds
    try:
        wanted = next(gen)
        while True:
            ready = yield wanted
            if not ready and monotonic() > end:
                connection.pgconn.finish()
                raise psycopg.OperationalError(f"no answer within {connection.patience_seconds} s: connection given up")
            wanted = gen.send(ready)
    except StopIteration as last:
        result: RV = last.value
        return result
