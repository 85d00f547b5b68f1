"""Is the state what the audit trail says: every row as its last event left it, every event on top of the one before.

Rows that are older than the audit trail, in a database that was taken over from another system, have no event that
began them. Such a row bears no command's key and a time before the first event; it is counted, and no discrepancy.

Of archived months the table has the last event of each row, which is all that is asked of them: `:after` is the event
behind which rows are looked at, and `:chained` the one behind which each event follows on the one before.
"""

from dataclasses import dataclass
from typing import Final

from runworker.verification.discrepancies import Question

LOOK: Final = "state"

IGNORED: Final = "ARRAY['command_key', 'last_login']"
"""Columns whose change alone leaves no event."""


@dataclass(frozen=True, slots=True)
class Audited:
    """A table whose rows have events of their own.

    recorded: when a row came, or is said to have been done. document: the one JSONB column, NULLs within which count.
    by_command: whether rows name the command that changed them last.
    """

    table: str
    recorded: str
    document: str | None = None
    by_command: bool = True

    @property
    def newer(self) -> str:
        """Condition that the row `now` came after the trail began."""
        key = "now.command_key IS NOT NULL OR " if self.by_command else ""
        return f"({key}now.{self.recorded} >= {_BEGIN})"

    @property
    def older_rows(self) -> str:
        """Statement that counts rows that no event vouches for, and that may be older than the trail."""
        return f"""
            SELECT count(*) FROM {self.table} AS now
            WHERE NOT EXISTS (SELECT FROM audit_events AS event
                              WHERE event.entity_id = now.id AND event.entity = '{self.table}')
        """


_BEGIN: Final = """(
    SELECT CASE WHEN event.id <= coalesce(seal.first_event_id, event.id) THEN event.at
                WHEN event.id IS NULL AND NOT given.is_called THEN 'infinity'
                ELSE '-infinity' END
    FROM audit_events_id_seq AS given
         LEFT JOIN (SELECT id, at FROM audit_events WHERE id > 0 ORDER BY id LIMIT 1) AS event ON true
         LEFT JOIN (SELECT first_event_id FROM audit_seals ORDER BY id LIMIT 1) AS seal ON true
)"""
"""When the trail began. Where its first events are gone, every row has lost its own."""

AUDITED: Final = (
    Audited("users", "created_at", by_command=False),
    Audited("flow_definitions", "created_at", "name", by_command=False),
    Audited("flow_versions", "created_at", "graph_schema"),
    Audited("production_runs", "started_at", "summary"),
    Audited("lots", "created_at", "metadata"),
    Audited("lot_genealogy", "linked_at"),
    Audited("qc_decisions", "decided_at"),
)


def _differences(told: str, found: str) -> tuple[str, str]:
    """Two SQL expressions: what is found and what was told, in the columns in which two documents differ."""
    listed = """(
        SELECT string_agg(format('%s = %s', key, left(coalesce({side}.value::text, 'NULL'), 200)), ', ' ORDER BY key)
        FROM jsonb_each(jsonb_strip_nulls({told})) AS told FULL JOIN jsonb_each(jsonb_strip_nulls({found})) AS found
             USING (key)
        WHERE told.value IS DISTINCT FROM found.value AND key <> ALL ({ignored})
    )"""
    problem, expected = (
        listed.format(side=side, told=told, found=found, ignored=IGNORED) for side in ("found", "told")
    )
    return problem, expected


def rows_as_told(audited: Audited) -> Question:
    """Rows that are not as their last event says, rows without events, and events without their row.

    Documents are compared as they are, and typed only where they differ: a session with another time zone writes the
    same instant in other words.
    """
    table, document = audited.table, audited.document
    same_document = f"AND now.{document} IS NOT DISTINCT FROM told.after -> '{document}'" if document else ""
    typed = f"to_jsonb(jsonb_populate_record(NULL::{table}, told.after))"
    problem, expected = _differences(typed, "to_jsonb(now)")
    return Question(
        table,
        f"""
        WITH last AS MATERIALIZED (
            SELECT max(id) AS id FROM audit_events WHERE entity = '{table}' GROUP BY entity_id
            HAVING max(id) > :after
        ), told AS (
            SELECT event.id AS event, event.entity_id, event.operation, event.after
            FROM last JOIN audit_events AS event ON event.id = last.id
        )
        SELECT coalesce(told.entity_id, now.id)::text AS row,
               CASE WHEN told.event IS NULL THEN 'no event says how the row came to be'
                    WHEN now.id IS NULL THEN format('the row is gone, and event %s left it there', told.event)
                    WHEN told.operation = 'DELETE' THEN format('the row is there, and event %s deleted it', told.event)
                    ELSE {problem} END AS problem,
               CASE WHEN told.event IS NULL THEN 'an event of its INSERT'
                    WHEN now.id IS NULL
                    THEN format('the row as event %s has it: %s', told.event, left(told.after::text, 200))
                    WHEN told.operation = 'DELETE' THEN 'no row'
                    ELSE format('as event %s has it: %s', told.event, {expected}) END AS expected
        FROM told FULL JOIN {table} AS now ON now.id = told.entity_id
        WHERE CASE WHEN told.event IS NULL THEN :after = 0 AND {audited.newer}
                   WHEN now.id IS NULL THEN told.operation <> 'DELETE'
                   WHEN told.operation = 'DELETE' THEN true
                   WHEN jsonb_strip_nulls(to_jsonb(now)) - {IGNORED} = jsonb_strip_nulls(told.after) - {IGNORED}
                        {same_document} THEN false
                   ELSE to_jsonb(now) - {IGNORED} IS DISTINCT FROM {typed} - {IGNORED} END
        """,
        "SELECT * FROM audit_events WHERE entity_id = '{row}' ORDER BY id",
    )


def events_in_a_row(audited: Audited) -> Question:
    """Events that do not begin where the one before ended, that change nothing, or whose first one is missing.

    Hashes go through the sort in place of documents; the documents are read again where hashes differ.
    """
    table = audited.table
    key = "event.before ? 'command_key' OR " if audited.by_command else ""
    of_type = f"jsonb_populate_record(NULL::{table}, {{}})"
    before, after = (f"to_jsonb({of_type.format(which)}) - {IGNORED}" for which in ("event.before", "earlier.after"))
    return Question(
        table,
        f"""
        WITH short AS MATERIALIZED (
            SELECT id, entity_id, operation, jsonb_hash_extended(before - {IGNORED}, 0) AS before,
                   jsonb_hash_extended(after - {IGNORED}, 0) AS after
            FROM audit_events WHERE entity = '{table}'
        ), pairs AS (
            SELECT *, lag(id) OVER by_row AS earlier, lag(after) OVER by_row AS earlier_after
            FROM short WINDOW by_row AS (PARTITION BY entity_id ORDER BY id)
        ), odd AS MATERIALIZED (
            SELECT id, earlier, before = after AS is_same FROM pairs
            WHERE id > :chained AND (
               (earlier IS NULL AND operation <> 'INSERT')
               OR (earlier IS NOT NULL AND before IS DISTINCT FROM earlier_after)
               OR before = after)
        )
        SELECT event.entity_id::text AS row,
               CASE WHEN odd.earlier IS NULL AND is_same IS NOT TRUE
                    THEN format('its events begin with a %s, event %s', event.operation, event.id)
                    WHEN is_same IS TRUE THEN format('event %s changes nothing', event.id)
                    ELSE format('event %s does not begin where event %s ended', event.id, earlier.id) END AS problem,
               CASE WHEN odd.earlier IS NULL AND is_same IS NOT TRUE THEN 'an INSERT, or a row older than the trail'
                    WHEN is_same IS TRUE THEN 'no event: it was added by hand, or one was changed'
                    ELSE 'events in a row: one of the two was changed, or others between them are gone' END AS expected
        FROM odd JOIN audit_events AS event ON event.id = odd.id
             LEFT JOIN audit_events AS earlier ON earlier.id = odd.earlier
        WHERE is_same IS TRUE
           OR CASE WHEN odd.earlier IS NULL
                   THEN {key}(event.before ->> '{audited.recorded}')::timestamptz >= {_BEGIN}
                   WHEN earlier.after IS NULL OR event.before IS NULL THEN true
                   ELSE {before} IS DISTINCT FROM {after} END
        """,
        "SELECT * FROM audit_events WHERE entity_id = '{row}' ORDER BY id",
    )


_TYPED_STEP: Final = "to_jsonb(jsonb_populate_record(NULL::run_step_executions, {}))"
_STEP_FOUND, _STEP_TOLD = _differences(_TYPED_STEP.format("told.after"), "to_jsonb(now)")

STEPS: Final = Question(
    "run_step_executions",
    f"""
    WITH short AS MATERIALIZED (
        SELECT event.id, event.entity_id AS run_id, event.operation, step.key::int AS step_index,
               jsonb_hash_extended((event.before -> step.key) - {IGNORED}, 0) AS before,
               jsonb_hash_extended((event.after -> step.key) - {IGNORED}, 0) AS after
        FROM audit_events AS event, LATERAL jsonb_object_keys(coalesce(event.after, event.before)) AS step (key)
        WHERE event.entity = 'run_step_executions'
    ), changed AS MATERIALIZED (
        SELECT *, lag(id) OVER by_step AS earlier, lag(after) OVER by_step AS earlier_after,
               lead(id) OVER by_step IS NULL AS is_last
        FROM short WINDOW by_step AS (PARTITION BY run_id, step_index ORDER BY id)
    ), odd_row AS MATERIALIZED (
        SELECT told.id AS event_id, told.run_id, told.step_index, now.id AS row_id
        FROM (SELECT * FROM changed WHERE is_last AND id > :after) AS told
             FULL JOIN run_step_executions AS now
             ON now.run_id = told.run_id AND now.step_index = told.step_index
        WHERE told.id IS NULL OR now.id IS NULL
           OR jsonb_hash_extended(jsonb_strip_nulls(to_jsonb(now)) - {IGNORED}, 0) IS DISTINCT FROM told.after
    ), told AS (
        SELECT odd_row.*, event.after -> step_index::text AS after
        FROM odd_row LEFT JOIN audit_events AS event ON event.id = odd_row.event_id
    ), odd_event AS MATERIALIZED (
        SELECT id, run_id, step_index, operation, earlier
        FROM changed WHERE id > :chained AND before IS DISTINCT FROM earlier_after
    ), chained AS (
        SELECT odd_event.*, event.before -> step_index::text AS before, ended.after -> step_index::text AS earlier_after
        FROM odd_event JOIN audit_events AS event ON event.id = odd_event.id
             LEFT JOIN audit_events AS ended ON ended.id = odd_event.earlier
    )
    SELECT format('%s step %s', coalesce(told.run_id, now.run_id), coalesce(told.step_index, now.step_index)) AS row,
           CASE WHEN told.event_id IS NULL THEN 'no event says how the row came to be'
                WHEN now.id IS NULL THEN format('the row is gone, and event %s left it there', told.event_id)
                WHEN told.after IS NULL THEN format('the row is there, and event %s deleted it', told.event_id)
                ELSE {_STEP_FOUND} END AS problem,
           CASE WHEN told.event_id IS NULL THEN 'an event of its INSERT'
                WHEN now.id IS NULL
                THEN format('the row as event %s has it: %s', told.event_id, left(told.after::text, 200))
                WHEN told.after IS NULL THEN 'no row'
                ELSE format('as event %s has it: %s', told.event_id, {_STEP_TOLD}) END AS expected
    FROM told LEFT JOIN run_step_executions AS now ON now.id = told.row_id
    WHERE CASE WHEN told.event_id IS NULL
               THEN :after = 0 AND (now.command_key IS NOT NULL OR now.created_at >= {_BEGIN})
               WHEN now.id IS NULL THEN told.after IS NOT NULL
               WHEN told.after IS NULL THEN true
               ELSE to_jsonb(now) - {IGNORED} IS DISTINCT FROM {_TYPED_STEP.format("told.after")} - {IGNORED} END
    UNION ALL
    SELECT format('%s step %s', run_id, step_index) AS row,
           CASE WHEN earlier IS NULL THEN format('its events begin with a %s, event %s', operation, id)
                ELSE format('event %s does not begin where event %s ended', id, earlier) END AS problem,
           CASE WHEN earlier IS NULL THEN 'an INSERT, or a row older than the trail'
                ELSE 'events in a row: one of the two was changed, or others between them are gone' END AS expected
    FROM chained
    WHERE CASE WHEN earlier IS NULL
               THEN operation <> 'INSERT'
                    AND (before ? 'command_key' OR (before ->> 'created_at')::timestamptz >= {_BEGIN})
               WHEN before IS NULL OR earlier_after IS NULL THEN true
               ELSE {_TYPED_STEP.format("before")} - {IGNORED}
                    IS DISTINCT FROM {_TYPED_STEP.format("earlier_after")} - {IGNORED} END
    """,
    "SELECT * FROM audit_events WHERE entity_id = split_part('{row}', ' ', 1)::uuid AND entity = 'run_step_executions'",
)
"""Steps that are not as their last event says, and events that do not begin where the one before ended."""

_COUNTED: Final = "ARRAY['raw_body', 'headers', 'times', 'last_seen_at', 'code', 'error', 'task_id', 'task_name']"
LETTERS_AS_TOLD: Final = Question(
    "dead_letters",
    f"""
    WITH told AS (
        SELECT DISTINCT ON (coalesce(after, before) ->> 'id') (coalesce(after, before) ->> 'id')::bigint AS letter,
               id AS event, operation, after
        FROM audit_events WHERE entity = 'dead_letters' ORDER BY coalesce(after, before) ->> 'id', id DESC
    )
    SELECT coalesce(told.letter, now.id)::text AS row,
           CASE WHEN told.event IS NULL THEN 'it is marked, and no event says who did it'
                WHEN now.id IS NULL THEN format('the letter is gone, and event %s left it there', told.event)
                ELSE 'its marks are not those of its last event' END AS problem,
           CASE WHEN told.event IS NULL THEN 'an event of the replay or discard'
                ELSE format('as event %s has it: %s', told.event, left(told.after::text, 200)) END AS expected
    FROM told FULL JOIN dead_letters AS now ON now.id = told.letter
    WHERE CASE WHEN told.event IS NULL THEN num_nonnulls(now.replay_reason, now.discarded_at, now.discard_reason) > 0
               WHEN now.id IS NULL THEN told.operation <> 'DELETE'
               WHEN told.operation = 'DELETE' THEN true
               ELSE to_jsonb(now) - {_COUNTED}
                    IS DISTINCT FROM to_jsonb(jsonb_populate_record(NULL::dead_letters, told.after)) - {_COUNTED} END
    """,
    "SELECT * FROM dead_letters WHERE id = {row}",
)

QUESTIONS: Final = (
    *(question(audited) for audited in AUDITED for question in (rows_as_told, events_in_a_row)),
    STEPS,
    LETTERS_AS_TOLD,
)
