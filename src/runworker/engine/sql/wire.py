"""The wire to PostgreSQL: no wait on it is without an end.

The kernel ends a wait on a wire that was cut without a word (keepalives, TCP user timeout), and a server that works on
a long statement answers those. Something in between that acknowledges everything and passes nothing on is found by the
clock alone: a server that has not answered for longer than it lets a statement run does not answer any more.
"""

from collections.abc import Generator
from time import monotonic
from typing import Any, Final, TypeVar

import psycopg
from psycopg.abc import RV, PQGen

_MARGIN_SECONDS: Final = 3.0
"""More than a statement's timeout, since the server's word that it is over has to come through."""

_Ready = TypeVar("_Ready")


def options(silence_seconds: int) -> dict[str, int]:
    """Libpq's parameters for a wire that is given up when it was silent for so long. Unix sockets do without them."""
    return {
        "tcp_user_timeout": silence_seconds * 1000,
        "keepalives": 1,
        "keepalives_idle": max(silence_seconds // 3, 1),
        "keepalives_interval": max(silence_seconds // 6, 1),
        "keepalives_count": 4,
    }


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
