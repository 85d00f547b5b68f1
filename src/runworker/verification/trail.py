"""Is the audit trail all there: seals, ids and what each event follows on.

Seals prove what they cover. What they cannot tell is told by what else PostgreSQL keeps: sequences remember ids that
were given out, and each event of a row begins where the event before it ended.
"""

from collections.abc import Iterator
from typing import Final

from runworker.upkeep.seal import Verification
from runworker.verification.discrepancies import Discrepancy, Question

LOOK: Final = "trail"

_AHEAD: Final = 33
"""Ids that a sequence may skip when PostgreSQL crashes: it writes down 32 of them in advance."""

_EVENT: Final = "SELECT * FROM audit_events WHERE id = {row}"
_SEAL: Final = "SELECT * FROM audit_seals WHERE id = {row}"

IDS: Final = (
    Question(
        "audit_events",
        """
        SELECT id::text AS row, 'its id is below 1' AS problem, 'an id that the sequence gave out' AS expected
        FROM audit_events WHERE id < 1
        """,
        _EVENT,
    ),
    Question(
        "audit_events",
        """
        SELECT event.id::text AS row,
               format('its id is above %s, the last that was given out', given.last_value) AS problem,
               'an id that the sequence gave out' AS expected
        FROM audit_events_id_seq AS given JOIN audit_events AS event ON event.id > given.last_value
        """,
        _EVENT,
    ),
    Question(
        "audit_seals",
        """
        SELECT seal.id::text AS row,
               CASE WHEN seal.id < 1 THEN 'its id is below 1'
                    ELSE format('its id is above %s, the last that was given out', given.last_value) END AS problem,
               'an id that the sequence gave out' AS expected
        FROM audit_seals_id_seq AS given JOIN audit_seals AS seal ON seal.id < 1 OR seal.id > given.last_value
        """,
        _SEAL,
    ),
    # A sealing that was cut off leaves its events unsealed, and the next one covers them: the end is soon right again.
    Question(
        "audit_seals",
        f"""
        SELECT coalesce(last.id::text, '(all)') AS row,
               format('%s is the last id that was given out, and %s is there', given.last_value,
                      coalesce('seal ' || last.id || ' is the last that', 'no seal')) AS problem,
               'no seal to be gone; a sealing that was cut off is followed by another' AS expected
        FROM audit_seals_id_seq AS given CROSS JOIN (SELECT max(id) AS id FROM audit_seals) AS last
        WHERE given.is_called AND (last.id IS NULL OR given.last_value > last.id + CASE given.log_cnt
                                                                                  WHEN 0 THEN {_AHEAD} ELSE 0 END)
        """,
        "the head that you keep elsewhere; a backup",
    ),
    Question(
        "audit_archives",
        """
        SELECT archive.file_name AS row,
               format('it is of seals %s to %s, and of events %s to %s, %s of them', archive.first_seal_id,
                      archive.last_seal_id, archive.first_event_id, archive.last_event_id, archive.events) AS problem,
               format('seals %s to %s, and events %s to %s, %s of them, as audit_seals has it',
                      covered.first_seal, covered.last_seal, covered.first, covered.last, covered.many) AS expected
        FROM (SELECT *, lag(last_seal_id, 1, 0::bigint) OVER (ORDER BY month) AS before FROM audit_archives) AS archive,
             LATERAL (
                 SELECT min(id) AS first_seal, max(id) AS last_seal, min(first_event_id) AS first,
                        max(last_event_id) AS last, sum(events) AS many
                 FROM audit_seals WHERE id > archive.before AND id <= archive.last_seal_id
             ) AS covered
        WHERE (archive.first_seal_id, archive.last_seal_id, archive.first_event_id, archive.last_event_id,
               archive.events::numeric)
              IS DISTINCT FROM (covered.first_seal, covered.last_seal, covered.first, covered.last, covered.many)
        """,
        "SELECT * FROM audit_archives WHERE file_name = '{row}'",
    ),
    Question(
        "audit_events",
        """
        SELECT '(all)' AS row, format('no event is there, and %s ids were given out', given.last_value) AS problem,
               'the events of all changes' AS expected
        FROM audit_events_id_seq AS given
        WHERE given.is_called AND NOT EXISTS (SELECT FROM audit_events)
          AND (EXISTS (SELECT FROM lots) OR EXISTS (SELECT FROM production_runs) OR EXISTS (SELECT FROM users)
               OR EXISTS (SELECT FROM commands) OR (SELECT is_called FROM audit_seals_id_seq))
        """,
        "a backup",
    ),
    Question(
        "audit_events",
        """
        SELECT id::text AS row, format('a %s of %s with%s a before and with%s an after', operation, entity,
                                       CASE WHEN before IS NULL THEN 'out' ELSE '' END,
                                       CASE WHEN after IS NULL THEN 'out' ELSE '' END) AS problem,
               'an INSERT with an after, an UPDATE with both, a DELETE with a before, of a table that is audited'
               AS expected
        FROM audit_events
        WHERE CASE operation WHEN 'INSERT' THEN before IS NOT NULL OR after IS NULL
                             WHEN 'UPDATE' THEN before IS NULL OR after IS NULL
                             WHEN 'DELETE' THEN before IS NULL OR after IS NOT NULL
                             ELSE true END
           OR entity NOT IN ('users', 'flow_definitions', 'flow_versions', 'production_runs', 'run_step_executions',
                             'lots', 'lot_genealogy', 'qc_decisions', 'dead_letters', 'commands')
           OR (entity NOT IN ('run_step_executions', 'dead_letters', 'commands')
               AND coalesce(after, before) ->> 'id' IS DISTINCT FROM entity_id::text)
        """,
        _EVENT,
    ),
)


def broken_seal(chain: Verification) -> Iterator[Discrepancy]:
    """The first seal that does not fit, where there is one."""
    if (broken := chain.broken) is not None:
        events = f"events {broken.first_event_id} to {broken.last_event_id}"
        yield Discrepancy(
            LOOK,
            "audit_seals",
            str(broken.seal_id),
            f"the seal over {events} is broken: {broken.reason}",
            "the hash that was taken over these events and the seal before",
            f"SELECT * FROM audit_events WHERE id BETWEEN {broken.first_event_id} AND {broken.last_event_id}",
        )
