"""What seals are taken over: a line that describes the seal, and a line an event, as PostgreSQL prints jsonb."""

import json
from typing import Any, Final

from sqlalchemy import Integer, Row, Text, bindparam, cast, func, select

from runworker.models import AuditEvent, AuditSeal

FORMAT: Final = "runworker.audit_seal.1"
_TIME: Final = 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"'


def instant(at: Any) -> Any:
    """A time as lines have it: in UTC, with microseconds."""
    return func.to_char(func.timezone("UTC", at), _TIME)


_EVENT_LINE: Final = cast(
    func.jsonb_build_array(
        AuditEvent.id,
        instant(AuditEvent.at),
        AuditEvent.entity,
        AuditEvent.entity_id,
        AuditEvent.operation,
        cast(AuditEvent.before, Text),
        cast(AuditEvent.after, Text),
        AuditEvent.command_key,
        AuditEvent.command,
        AuditEvent.actor,
        AuditEvent.db_user,
        AuditEvent.xact_id,
    ),
    Text,
)
LINES: Final = (
    select(AuditEvent.id, _EVENT_LINE.label("line"))
    .where(AuditEvent.id > bindparam("after"), AuditEvent.id <= bindparam("up_to"))
    .order_by(AuditEvent.id)
    .limit(bindparam("most", type_=Integer()))
)
"""Lines of events, in id order; `most` of them, or all where it is None."""

BARE_LINES: Final = LINES.with_only_columns(_EVENT_LINE)
"""The lines alone."""

SEALS: Final = (
    select(
        AuditSeal.id,
        AuditSeal.first_event_id,
        AuditSeal.last_event_id,
        AuditSeal.events,
        AuditSeal.previous_sha256,
        AuditSeal.sha256,
        instant(AuditSeal.sealed_at).label("instant"),
    )
    .where(AuditSeal.id > bindparam("after_seal"))
    .order_by(AuditSeal.id)
    .execution_options(yield_per=100)
)


def description(seal: Row[Any]) -> str:
    """The line that describes one of `SEALS`."""
    return json.dumps([FORMAT, seal.first_event_id, seal.last_event_id, seal.events, seal.instant])
