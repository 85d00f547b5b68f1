"""Up to which id the audit trail is settled: no transaction can add an event below it any more.

Ids are given out before their transactions commit, so that an event may appear below one that is long there. Whoever
adds an event holds a lock on `audit_events` (ROW EXCLUSIVE) from before its id is drawn until after its commit can be
seen. So the highest id is read first, and then who holds that lock: each that drew a lower id is among them, or can be
seen. Nobody else is waited for: not who only reads, not who works in another database.
"""

from typing import Any, Final

import structlog
from sqlalchemy import ARRAY, Engine, Text, bindparam, func, select, text
from tenacity import Retrying, retry_if_result, stop_after_delay, wait_fixed

from runworker.models import AuditEvent, AuditSeal

POLL_SECONDS: Final = 0.05

_log = structlog.get_logger(__name__)

_WRITERS: Final = text("""
    SELECT DISTINCT virtualtransaction
    FROM pg_locks
    WHERE locktype = 'relation' AND mode = 'RowExclusiveLock' AND granted
      AND database = (SELECT oid FROM pg_database WHERE datname = current_database())
      AND relation = 'public.audit_events'::regclass AND pid IS DISTINCT FROM pg_backend_pid()
""")
_WHO: Final = text("""
    SELECT DISTINCT lock.pid, activity.usename::text AS login, activity.application_name AS application,
           coalesce(activity.xact_start, prepared.prepared)::text AS since, prepared.gid AS prepared
    FROM pg_locks AS lock LEFT JOIN pg_stat_activity AS activity ON activity.pid = lock.pid
         LEFT JOIN pg_prepared_xacts AS prepared ON lock.virtualtransaction = '-1/' || prepared.transaction::text
    WHERE lock.virtualtransaction = ANY (:writers) AND lock.locktype = 'relation'
""").bindparams(bindparam("writers", type_=ARRAY(Text)))


def last_settled_id(database: Engine, patience: float) -> int | None:
    """The highest event id that is settled; None where all is sealed, or where somebody takes longer than `patience`.

    Logs `seal.postponed` with whom it waited for.
    """
    with database.begin() as connection:
        horizon: int | None = connection.execute(select(func.max(AuditEvent.id))).scalar_one()
        if horizon is None or horizon == connection.execute(select(func.max(AuditSeal.last_event_id))).scalar_one():
            return None
    writers = _writing(database)
    attempts = Retrying(
        stop=stop_after_delay(patience),
        wait=wait_fixed(POLL_SECONDS),
        retry=retry_if_result(bool),
        retry_error_callback=lambda state: state.outcome and state.outcome.result(),
    )
    if left := attempts(lambda: writers and writers & _writing(database)):
        _log.warning("seal.postponed", waits_for=_who(database, left), events_to=horizon)
        return None
    return horizon


def _writing(database: Engine) -> frozenset[str]:
    with database.begin() as connection:
        return frozenset(connection.execute(_WRITERS).scalars())


def _who(database: Engine, writers: frozenset[str]) -> list[dict[str, Any]]:
    with database.begin() as connection:
        rows = connection.execute(_WHO, {"writers": sorted(writers)}).mappings()
        return [{name: value for name, value in row.items() if value is not None} for row in rows]
