"""The doctor at PostgreSQL: each check finds a real fault of a real database once, and tells what to do."""

import threading
from collections.abc import Sequence

import psycopg
import pytest
from tests.patient import Patient
from tests.servers import Servers, conninfo

from runworker import doctor, revisions
from runworker.codes import Code
from runworker.doctor import Severity, measures, postgres, sessions
from runworker.engine.sql.dead_letters import NewDeadLetter

NOTE, WARNING, ERROR = Severity.NOTE, Severity.WARNING, Severity.ERROR


ILLNESSES: dict[str, tuple[str, Severity, Sequence[str], Sequence[str], str, str]] = {
    "a guard is off": (
        "readiness", ERROR,
        ["ALTER TABLE lots DISABLE TRIGGER guard_lots_truncate"],
        ["ALTER TABLE lots ENABLE TRIGGER guard_lots_truncate"],
        "disabled on lots", "ENABLE TRIGGER",
    ),
    "a newer release": (
        "schema-newer", NOTE,
        ["UPDATE alembic_version SET version_num = '29991231_unheard_of'"],
        [f"UPDATE alembic_version SET version_num = '{revisions.known()[-1]}'"],  # noqa: S608 - our own revision
        "29991231_unheard_of", "Upgrade runworker",
    ),
    "everybody may prune": (
        "rights-of-others", ERROR,
        ["GRANT EXECUTE ON FUNCTION prune_commands TO PUBLIC"],
        ["REVOKE EXECUTE ON FUNCTION prune_commands FROM PUBLIC"],
        "prune_commands(interval,integer)", "REVOKE EXECUTE ON FUNCTION prune_commands(interval,integer) FROM PUBLIC",
    ),
    "everybody may write": (
        "rights-of-others", ERROR,
        ["GRANT UPDATE ON lots TO PUBLIC"], ["REVOKE UPDATE ON lots FROM PUBLIC"],
        "UPDATE ON lots", "REVOKE UPDATE ON lots FROM PUBLIC",
    ),
    "another login may write": (
        "rights-of-others", WARNING,
        ["GRANT DELETE ON commands TO pg_monitor"], ["REVOKE DELETE ON commands FROM pg_monitor"],
        "DELETE ON commands (pg_monitor)", "GRANT INSERT (idempotency_key, command, payload)",
    ),
    "the worker may mark dead letters": (
        "rights-of-others", WARNING,
        ["GRANT UPDATE ON dead_letters TO runworker_worker"],
        [
            "REVOKE UPDATE ON dead_letters FROM runworker_worker",
            "GRANT UPDATE (code, error, last_seen_at, times) ON dead_letters TO runworker_worker",
        ],
        "UPDATE ON dead_letters", "GRANT UPDATE (code, error, last_seen_at, times)",
    ),
    "no vacuum": (
        "postgresql-vacuum", WARNING,
        ["ALTER TABLE lots SET (autovacuum_enabled = false)"], ["ALTER TABLE lots RESET (autovacuum_enabled)"],
        "off for lots", "ALTER TABLE lots RESET",
    ),
    "upkeep does not expire": (
        "commands-waiting", WARNING,
        [
            "INSERT INTO commands (idempotency_key, command, payload, status, expires_at)"
            " VALUES (gen_random_uuid(), 'hold_run', '{}', 'WAITING', now() - interval '1 hour')"
        ],
        ["DELETE FROM commands"],
        "expired 60 min ago", "Start a worker",
    ),
    "upkeep does not take in": (
        "commands-queued", WARNING,
        [
            "INSERT INTO commands (idempotency_key, command, payload, received_at)"
            " VALUES (gen_random_uuid(), 'hold_run', '{}', now() - interval '3 days')"
        ],
        ["DELETE FROM commands"],
        "the first for 3 d", "Start a worker",
    ),
    "a sequence is where it began": (
        "sequences", ERROR,
        [
            "INSERT INTO dead_letters (body_sha256, raw_body, code, error) VALUES ('\\x02', '', 'INVALID_FIELD', '')",
            "SELECT setval('dead_letters_id_seq', 1, false)",
        ],
        ["SELECT setval('dead_letters_id_seq', max(id)) FROM dead_letters", "DELETE FROM dead_letters"],
        "dead_letters_id_seq", "SELECT setval('public.dead_letters_id_seq', ",
    ),
    "a seal from the future": (
        "audit-seals", ERROR,
        [
            "ALTER TABLE audit_seals DISABLE TRIGGER USER",
            "INSERT INTO audit_seals (first_event_id, last_event_id, events, previous_sha256, sha256)"
            " VALUES (1, 1000000000, 1, '', '')",
            "ALTER TABLE audit_seals ENABLE TRIGGER USER",
        ],
        [
            "ALTER TABLE audit_seals DISABLE TRIGGER USER", "DELETE FROM audit_seals",
            "ALTER TABLE audit_seals ENABLE TRIGGER USER",
        ],
        "event 1000000000", "runworker verify",
    ),
    "nobody seals": (
        "audit-seals", WARNING,
        [
            # What others deleted from the ledger, to heal it, is an event.
            "ALTER TABLE audit_events DISABLE TRIGGER USER", "DELETE FROM audit_events",
            "ALTER TABLE audit_events ENABLE TRIGGER USER",
            "INSERT INTO audit_events (at, entity, entity_id, operation, db_user, xact_id)"
            " VALUES (now() - interval '5 hours', 'lots', gen_random_uuid(), 'INSERT', 'x', 1)"
        ],
        [
            "ALTER TABLE audit_events DISABLE TRIGGER USER", "DELETE FROM audit_events",
            "ALTER TABLE audit_events ENABLE TRIGGER USER",
        ],
        "1 audit events have no seal, the first for 5 h", "postgresql-sessions",
    ),
}  # fmt: skip


@pytest.mark.parametrize("illness", ILLNESSES)
def test_an_illness_of_the_database_is_found(patient: Patient, illness: str) -> None:
    check, severity, fall_ill, heal, seen, remedy = ILLNESSES[illness]
    patient.told(*fall_ill)
    try:
        found = patient.worst(check)
    finally:
        patient.told(*heal)
    assert (found.severity, seen in found.seen, remedy in found.remedy, bool(found.why)) == (severity, True, True, True)
    assert patient.worst(check).severity is not severity


def test_servers_that_may_lose_what_they_told(patient: Patient, servers: Servers) -> None:
    """Those of the tests do, unless they are somebody's own."""
    patient.told("ALTER DATABASE THIS SET synchronous_commit = local")
    broker = patient.worst("broker-persistence")
    found = patient.findings("postgresql-durability")
    assert [each.severity for each in found] == ([Severity.OK] if servers.durable else [ERROR])
    patient.told("ALTER DATABASE THIS SET synchronous_commit = off")
    assert [each.severity for each in patient.findings("postgresql-durability")] == [
        each.severity for each in found[:-1]
    ] + ([WARNING] if servers.durable else [ERROR, WARNING])
    patient.told("ALTER DATABASE THIS RESET synchronous_commit")
    assert servers.durable or (broker.severity, "appendonly yes" in broker.remedy) == (WARNING, True)


def test_dead_letters_that_nobody_looked_at(patient: Patient) -> None:
    plant = patient.plant
    assert patient.worst("dead-letters").severity is Severity.OK
    letter = plant.engine().keep(NewDeadLetter(b"{", Code.MALFORMED_MESSAGE, "no JSON"))
    assert patient.worst("dead-letters").severity is NOTE
    plant.engine().keep(NewDeadLetter(b"{}", Code.INTERNAL_ERROR, "out of luck"))
    found = patient.worst("dead-letters")
    assert (found.severity, found.seen[:21]) == (WARNING, "2 dead letters are op")
    plant.sql("UPDATE dead_letters SET replayed_at = clock_timestamp() WHERE id <> :id", id=letter)
    assert patient.worst("dead-letters").severity is NOTE


def test_an_isolation_in_which_stale_rows_are_seen(patient: Patient) -> None:
    patient.told("ALTER DATABASE THIS SET default_transaction_isolation = 'repeatable read'")
    with patient.access().worker() as connection:
        of_workers = connection.exec_driver_sql("SHOW transaction_isolation").scalar_one()
    found = patient.worst("postgresql-isolation")
    patient.told("ALTER DATABASE THIS RESET default_transaction_isolation")
    assert found.severity is (NOTE if of_workers == "read committed" else ERROR)
    assert "repeatable read" in found.seen
    assert patient.worst("postgresql-isolation").severity is Severity.OK


def test_logins_that_may_too_much_or_too_little(patient: Patient, servers: Servers) -> None:
    assert patient.worst("database-login").severity is Severity.OK
    owner = patient.worst("database-login", database_url=patient.plant.url)
    assert (owner.severity, "CREATE ROLE" in owner.remedy) == (WARNING, True)
    other = patient.worst("database-login", database_role="nobody_at_all")
    assert (other.severity, "cannot take on the role nobody_at_all" in other.seen) == (WARNING, True)
    # Without the owner's URL, as on a worker's machine, no check fails or may not look, but for others' sessions.
    hidden = {
        found.name
        for found in doctor.examine(patient.access(migration_url=None), doctor.GROUPS)
        if "may not look" in found.seen or "could not be" in found.seen.lower() or "failed" in found.seen
    }
    assert hidden == set()


def test_sessions_that_keep_others_waiting(patient: Patient, monkeypatch: pytest.MonkeyPatch) -> None:
    assert patient.worst("postgresql-sessions").severity is Severity.OK
    monkeypatch.setattr(sessions, "IDLE_SECONDS", 0)
    with psycopg.connect(conninfo(patient.plant.url), application_name="lunch") as idle:
        idle.execute("LOCK TABLE suppliers")
        thread = threading.Thread(target=lambda: patient.told("SELECT count(*) FROM suppliers"))
        thread.start()
        patient.plant.wait_for("SELECT count(*) > 0 FROM pg_locks WHERE NOT granted")
        found = patient.findings("postgresql-sessions")
        pid = idle.info.backend_pid
        idle.rollback()
        thread.join()
    [sleeper, waiter] = sorted(found, key=lambda each: "waited" in each.seen)
    assert "(lunch, pid" in sleeper.seen
    assert sleeper.remedy == f"SELECT pg_terminate_backend({pid})"
    assert f"behind pid {pid}" in waiter.seen


def test_a_server_of_another_kind_than_it_has_to_be(patient: Patient, monkeypatch: pytest.MonkeyPatch) -> None:
    """What cannot be changed in a running server is asked with other bounds."""
    assert patient.worst("postgresql-connections", pool_size=100).severity is WARNING
    assert {patient.worst(f"postgresql-{name}").severity for name in ("version", "connections", "disk")} == {
        Severity.OK
    }
    monkeypatch.setattr(postgres, "OLDEST", 99)
    monkeypatch.setattr(sessions, "LEAST_LOCKS", 10_000)
    monkeypatch.setattr(measures, "LEAST_FREE", 2**60)
    assert patient.worst("postgresql-version").severity is ERROR
    assert patient.worst("postgresql-locks").severity is NOTE
