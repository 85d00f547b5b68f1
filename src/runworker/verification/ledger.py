"""Is the ledger what was asked and what came of it: payloads, verdicts, and the events that each command left."""

import json
from collections.abc import Iterator
from typing import Any, Final
from uuid import UUID

from sqlalchemy import Connection, text

from runworker.commands import fingerprint_of, parse
from runworker.errors import InvalidMessage
from runworker.verification.discrepancies import AT_A_TIME, Discrepancy, Question

LOOK: Final = "ledger"

_DIGITS: Final = 15
"""Of a whole number; one with more may have been sent as a float."""

_ROW: Final = "SELECT * FROM commands WHERE idempotency_key = '{row}'"
_EVENTS: Final = "SELECT * FROM audit_events WHERE command_key = '{row}' ORDER BY id"
_LEFT: Final = "SELECT DISTINCT command_key FROM audit_events WHERE command_key IS NOT NULL"

EFFECTS: Final = (
    # What was decided before the last archived event was sealed may have its events in an archive alone.
    Question(
        "commands",
        f"""
        WITH effect AS MATERIALIZED ({_LEFT})
        SELECT idempotency_key::text AS row, format('%s is APPLIED and left no event', command) AS problem,
               'the events of what it did' AS expected
        FROM commands LEFT JOIN effect ON command_key = idempotency_key
        WHERE status = 'APPLIED' AND command_key IS NULL
          AND decided_at > coalesce(CAST(:told_from AS timestamptz), '-infinity')
        """,
        _ROW,
    ),
    # Events are older than the row where the ledger had forgotten the command, and it came again.
    Question(
        "commands",
        """
        WITH effect AS MATERIALIZED (
            SELECT command_key, max(at) AS at FROM audit_events WHERE command_key IS NOT NULL GROUP BY 1
        )
        SELECT idempotency_key::text AS row, format('%s is %s and left events', command, status) AS problem,
               'APPLIED, or no events' AS expected
        FROM commands JOIN effect ON command_key = idempotency_key
        WHERE status <> 'APPLIED' AND effect.at >= received_at
        """,
        _EVENTS,
    ),
    # The ledger forgets commands of ARCHIVED runs, and of no run.
    Question(
        "commands",
        """
        SELECT DISTINCT ON (event.command_key) event.command_key::text AS row,
               format('it is gone, and event %s of run %s names it', event.id, run.run_code) AS problem,
               format('a row of %s until the run is ARCHIVED', coalesce(event.command, 'the command')) AS expected
        FROM audit_events AS event
             JOIN production_runs AS run
             ON run.id = CASE event.entity
                         WHEN 'lots' THEN (coalesce(event.after, event.before) ->> 'production_run_id')::uuid
                         ELSE event.entity_id END
             LEFT JOIN commands AS asked ON asked.idempotency_key = event.command_key
        WHERE event.entity IN ('production_runs', 'lots') AND event.command_key IS NOT NULL
          AND asked.idempotency_key IS NULL AND run.status <> 'ARCHIVED'
        ORDER BY event.command_key, event.id
        """,
        _EVENTS,
    ),
    # Events of an earlier release name a key and no command.
    Question(
        "audit_events",
        """
        SELECT event.id::text AS row, format('by %s, command %s', event.actor, event.command) AS problem,
               format('by %s, command %s, as the ledger has it', asked.issued_by, asked.command) AS expected
        FROM audit_events AS event JOIN commands AS asked ON asked.idempotency_key = event.command_key
        WHERE (event.command, event.actor) IS DISTINCT FROM (asked.command, asked.issued_by)
          AND (event.command IS NOT NULL OR event.entity NOT IN ('lot_genealogy', 'qc_decisions'))
        """,
        "SELECT * FROM audit_events WHERE id = {row}",
    ),
)
VERDICTS: Final = (
    Question(
        "commands",
        """
        SELECT idempotency_key::text AS row,
               format('the verdict says %s', left(verdict::text, 300)) AS problem,
               format('%s of %s, code %s, as its other columns have it', status, command, coalesce(code, 'none'))
               AS expected
        FROM commands
        WHERE verdict IS NOT NULL AND (
            verdict ->> 'status' <> status
            OR verdict ->> 'idempotency_key' <> idempotency_key::text
            OR verdict ->> 'code' IS DISTINCT FROM code
            OR verdict ->> 'command' <> command
        )
        """,
        _ROW,
    ),
    Question(
        "commands",
        """
        SELECT idempotency_key::text AS row,
               format('the verdict says run %s, step %s', verdict ->> 'run_status', verdict ->> 'current_step_index')
               AS problem,
               format('%s, step %s, as event %s has it', event.after ->> 'status', event.after ->> 'current_step_index',
                      event.id) AS expected
        FROM commands JOIN audit_events AS event ON event.command_key = idempotency_key
        WHERE status = 'APPLIED' AND event.entity = 'production_runs' AND verdict ->> 'run_id' = event.entity_id::text
          AND (verdict ->> 'run_status', verdict ->> 'current_step_index', verdict ->> 'run_code')
              IS DISTINCT FROM
              (event.after ->> 'status', event.after ->> 'current_step_index', event.after ->> 'run_code')
        """,
        _ROW,
    ),
    Question(
        "commands",
        """
        SELECT idempotency_key::text AS row,
               format('the verdict says lot %s is %s', verdict ->> 'lot_code', verdict ->> 'lot_status') AS problem,
               format('%s is %s, as event %s has it', event.after ->> 'lot_code', event.after ->> 'status', event.id)
               AS expected
        FROM commands JOIN audit_events AS event ON event.command_key = idempotency_key
        WHERE commands.status = 'APPLIED' AND event.entity = 'lots' AND verdict ? 'lot_status'
          AND verdict ->> 'lot_id' = event.entity_id::text
          AND (verdict ->> 'lot_status', verdict ->> 'lot_code')
              IS DISTINCT FROM (event.after ->> 'status', event.after ->> 'lot_code')
        """,
        _ROW,
    ),
)
QUESTIONS: Final = (*EFFECTS, *VERDICTS)

_PAYLOADS: Final = text("""
    SELECT idempotency_key::text, command, payload::text, payload_sha256,
           coalesce(verdict ->> 'payload_sha256' <> encode(payload_sha256, 'hex'), false)
           OR coalesce(payload ->> 'issued_by' <> issued_by::text, false)
           OR coalesce(payload ->> 'run_id' <> run_id::text, false) AS is_spelled_otherwise
    FROM commands
    WHERE status = 'APPLIED' OR payload_sha256 IS NOT NULL
""").execution_options(yield_per=AT_A_TIME)

_COMMAND: Final = text("""
    SELECT idempotency_key, command, payload::text AS payload, payload_sha256, issued_by, run_id,
           verdict ->> 'payload_sha256' AS told
    FROM commands WHERE idempotency_key = CAST(:key AS uuid)
""")


def changed_payloads(connection: Connection) -> Iterator[Discrepancy]:
    """Commands whose payload is not the one that their fingerprint was taken of."""
    with connection.execute(_PAYLOADS) as rows:
        for key, command, payload, digest, is_spelled_otherwise in rows:
            if not is_spelled_otherwise and _is_as_fingerprinted(command, payload, digest):
                continue
            if (problem := _fault(connection.execute(_COMMAND, {"key": key}).one())) is not None:
                where = _ROW.replace("{row}", key)
                expected = "what was asked, as payload_sha256 has it"
                yield Discrepancy(LOOK, "commands", key, problem, expected, where)


def _is_as_fingerprinted(command: str, payload: str, digest: bytes | None) -> bool:
    """Whether a payload needs no second look; of a million, nearly all do not."""
    try:
        return fingerprint_of(command, json.loads(payload)) == digest
    except (AttributeError, ValueError, TypeError, RecursionError):
        return False


def _fault(row: Any) -> str | None:
    """What is wrong with a command's payload, its fingerprint, or what was taken from it."""
    if row.payload_sha256 is None:
        return "it is APPLIED, and no fingerprint says what was asked"
    try:
        fields = json.loads(row.payload)
        prints = {fingerprint_of(row.command, fields)}
        if row.payload_sha256 not in prints or row.told not in (None, row.payload_sha256.hex()):
            prints |= _other_prints(row, fields)
        asked = {name: UUID(str(fields[name])) for name in ("issued_by", "run_id") if fields.get(name) is not None}
    except (InvalidMessage, AttributeError, ValueError, TypeError, RecursionError) as error:
        return f"its payload cannot be read: {error}"
    if row.payload_sha256 not in prints:
        return "the fingerprint of its payload is another one"
    if row.told is not None and row.told not in {digest.hex() for digest in prints}:
        return f"the verdict is about another fingerprint, {row.told}"
    for name, kept in (("issued_by", row.issued_by), ("run_id", row.run_id)):
        if kept is not None and asked.get(name, kept) != kept:
            return f"{name} is {kept}, and the payload says {asked[name]}"
    return None


def _other_prints(row: Any, fields: Any) -> set[bytes]:
    """Fingerprints that the same payload had in other spellings.

    An upstream may have spelled a field otherwise than a worker does; and PostgreSQL writes 1e16 as a whole number.
    """
    as_sent = json.loads(row.payload, parse_int=lambda digits: float(digits) if len(digits) > _DIGITS else int(digits))
    read = [parse(row.command, {**each, "idempotency_key": row.idempotency_key}) for each in (fields, as_sent)]
    return {command.fingerprint for command in read}
