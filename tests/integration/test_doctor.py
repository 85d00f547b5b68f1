"""The doctor: each check finds a real fault of a real server once, and tells what to do."""

import json
import re
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

import psycopg
import pytest
from celery import Celery
from redis import Redis
from sqlalchemy import make_url
from tests.command_line import CommandLine
from tests.crew import eventually
from tests.plant import Plant
from tests.servers import Servers, conninfo, fresh_broker, fresh_database

from runworker import doctor, revisions
from runworker.codes import Code
from runworker.doctor import Finding, Group, Severity, measures, postgres, sessions
from runworker.doctor.access import Access
from runworker.engine.sql.dead_letters import NewDeadLetter
from runworker.workers import WorkerProcesses

NOTE, WARNING, ERROR = Severity.NOTE, Severity.WARNING, Severity.ERROR
CHECKS = {each.name: each for each in doctor.all_checks()}


class Patient:
    """A migrated database and a broker that tests make ill and heal."""

    def __init__(self, plant: Plant, worker_url: str, broker_url: str) -> None:
        self.plant = plant
        self.worker_url = worker_url
        self.broker_url = broker_url
        self.redis = Redis.from_url(broker_url)

    def access(self, **settings: Any) -> Access:
        own = {"database_url": self.worker_url, "migration_url": self.plant.url, "broker_url": self.broker_url}
        return Access(self.plant.settings(**(own | settings)))

    def findings(self, check: str, **settings: Any) -> list[Finding]:
        """What one check finds."""
        found = list(doctor.examine(self.access(**settings), [Group(None, [CHECKS[check]])]))
        assert {each.name for each in found} <= set(CHECKS[check].names)
        return found

    def worst(self, check: str, **settings: Any) -> Finding:
        """The one finding of a check, none of which may be a failure of the check itself."""
        [found] = self.findings(check, **settings)
        return found

    def told(self, *statements: str) -> None:
        """Have the owner say so, outside of any transaction."""
        with psycopg.connect(conninfo(self.plant.url), autocommit=True) as owner:
            for statement in statements:
                owner.execute(statement.replace("THIS", make_url(self.plant.url).database or ""))


@pytest.fixture(scope="module")
def patient(servers: Servers, template_database: str, worker_login: tuple[str, str]) -> Iterator[Patient]:
    with fresh_database(servers, template=template_database) as url, fresh_broker(servers) as broker_url:
        name, password = worker_login
        plant = Plant(url.render_as_string(hide_password=False))
        worker = url.set(username=name, password=password).render_as_string(hide_password=False)
        ill = Patient(plant, worker, broker_url)
        yield ill
        ill.redis.close()
        plant.close()


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
    "a seal from the future": (
        "audit-seals", ERROR,
        [
            "INSERT INTO audit_seals (first_event_id, last_event_id, events, previous_sha256, sha256)"
            " VALUES (1, 1000000000, 1, '', '')"
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


def test_clocks_and_disks(patient: Patient, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for name in ("clock-postgresql", "clock-broker"):
        assert patient.worst(name).severity is Severity.OK
    now = time.time
    monkeypatch.setattr(time, "time", lambda: now() - 300)
    for name in ("clock-postgresql", "clock-broker"):
        found = patient.worst(name)
        assert (found.severity, "clock is 5 min ahead of this machine's" in found.seen) == (WARNING, True)
    assert measures.room("disk", "it", str(tmp_path)).severity is Severity.OK
    monkeypatch.setattr(measures, "TIGHT", 1.1)
    assert measures.room("disk", "it", str(tmp_path)).severity is WARNING
    monkeypatch.setattr(measures, "LEAST_FREE", 2**60)
    assert measures.room("disk", "it", str(tmp_path)).severity is ERROR


def test_a_broker_that_evicts_is_full_or_a_replica(patient: Patient) -> None:
    redis = patient.redis
    for name in ("broker-policy", "broker-memory", "broker-replica", "broker-version", "broker-disk", "results-away"):
        assert patient.worst(name).severity is Severity.OK, name
    try:
        redis.config_set("maxmemory-policy", "volatile-lru")
        assert patient.worst("broker-policy").severity is NOTE
        redis.config_set("maxmemory-policy", "allkeys-lru")
        evicts = patient.worst("broker-policy")
        used: Any = redis.info("memory")["used_memory"]
        redis.config_set("maxmemory-policy", "noeviction")
        redis.config_set("maxmemory", int(used / 0.9))
        filling = patient.worst("broker-memory")
        redis.config_set("maxmemory", 1)
        full = patient.worst("broker-memory")
        redis.config_set("maxmemory", 0)
        redis.replicaof("127.0.0.1", 1)
        replica, refuses = patient.worst("broker-replica"), patient.worst("broker-policy")
    finally:
        redis.config_set("maxmemory", 0)
        redis.config_set("maxmemory-policy", "noeviction")
        redis.replicaof("NO", "ONE")
    assert (evicts.name, evicts.severity) == ("broker-evicts", ERROR)
    assert (filling.severity, full.severity) == (WARNING, ERROR)
    assert (replica.severity, "127.0.0.1" in replica.seen) == (ERROR, True)
    assert (refuses.name, refuses.severity) == ("broker-refuses", ERROR)
    away = patient.worst("results-away", result_backend_url="redis://:s3cret@127.0.0.1:1/0")
    assert (away.severity, "s3cret" in away.seen) == (ERROR, False)


def test_a_broker_that_cannot_save(patient: Patient) -> None:
    redis = patient.redis

    def saved() -> Finding:
        redis.bgsave()
        eventually(lambda: not redis.info("persistence")["rdb_bgsave_in_progress"], "it has tried")
        return patient.worst("broker-persistence")

    in_the_way = Path(str(redis.config_get("dir")["dir"]), str(redis.config_get("dbfilename")["dbfilename"]))
    if not in_the_way.parent.is_dir():
        pytest.skip("the broker is another machine's")
    in_the_way.mkdir()
    try:
        found = saved()
    finally:
        in_the_way.rmdir()
    assert (found.severity, "rdb_last_bgsave_status" in found.seen) == (ERROR, True)
    assert saved().severity is not ERROR
    in_the_way.unlink()


def test_what_lies_about_in_the_broker(patient: Patient) -> None:
    redis = patient.redis
    for name in ("broker-unacked", "broker-unreadable", "broker-shared", "workers-settings"):
        assert patient.worst(name).severity is Severity.OK, name
    assert patient.worst("broker-workers").severity is WARNING
    redis.lpush("celery\x06\x163", "a message")
    redis.lpush("celery.unreadable", "no message")
    redis.hset("unacked", "a-stock-tag", "[]")
    redis.zadd("unacked_index", {"a-stock-tag": time.time() - 7200})
    redis.sadd("_kombu.binding.others", "others\x06\x16\x06\x16others", "x\x06\x16\x06\x16w1@h.dq2")
    try:
        alone, unacked, unreadable = (patient.worst(f"broker-{it}") for it in ("workers", "unacked", "unreadable"))
        shared = patient.findings("broker-shared")
        redis.zadd("unacked_leases", {"7@press:0123": time.time() + 60})
        assert "7@press" in patient.worst("broker-workers").seen
    finally:
        redis.flushdb()
    assert (alone.severity, "1 messages in celery" in alone.seen) == (ERROR, True)
    assert (unacked.severity, "the first for 2 h" in unacked.seen) == (WARNING, True)
    assert unreadable.severity is WARNING
    assert [each.severity for each in shared] == [WARNING, NOTE]
    assert "others." in shared[0].seen


def test_a_login_that_may_not_look_is_a_finding(patient: Patient) -> None:
    redis = patient.redis
    redis.execute_command("ACL", "SETUSER", "few", "on", ">pw", "~*", "&*", "+@read", "+@write", "+@scripting",
                          "+@pubsub", "+@connection", "+@transaction")  # fmt: skip
    url = re.sub(r"//[^@]*@", "//few:pw@", patient.broker_url)
    try:
        [group] = [each for each in doctor.GROUPS if each.opening and each.opening.name == "broker-away"]
        found = list(doctor.examine(patient.access(broker_url=url), [group]))
    finally:
        redis.execute_command("ACL", "DELUSER", "few")
    assert {each.severity for each in found if "may not" in each.seen} == {NOTE}
    assert {each.name for each in found if "may not" in each.seen} >= {"broker-policy", "broker-version"}
    assert not [each for each in found if "The check failed" in each.seen]


def test_a_worker_with_other_settings_is_told_of(patient: Patient, forked_workers: None, tmp_path: Path) -> None:
    settings = patient.plant.settings(
        database_url=patient.worker_url, broker_url=patient.broker_url, visibility_timeout_seconds=30
    )
    with WorkerProcesses(settings, log=tmp_path / "worker.log") as workers:
        workers.start()
        found = patient.worst("workers-settings")
        fitting = patient.worst("workers-settings", visibility_timeout_seconds=30)
    assert (found.severity, "visibility_timeout = 30" in found.seen) == (WARNING, True)
    assert fitting.seen == "1 workers answered"


def test_another_applications_worker_is_told_of(patient: Patient) -> None:
    """One that answers the doctor as Celery's own workers do."""
    conf = {
        "broker_transport_options": {"visibility_timeout": 10},
        "worker_consumer": "celery.worker.consumer:Consumer",
    }
    done = threading.Event()
    with Celery("theirs", broker=patient.broker_url, set_as_current=False) as theirs, theirs.connection() as connection:
        node = theirs.control.mailbox.Node("theirs@elsewhere", channel=connection.channel())
        node.handlers["conf"] = lambda state, **_: conf
        consumer = node.listen()

        def answer() -> None:
            while not done.is_set():
                with suppress(TimeoutError):
                    connection.drain_events(timeout=0.1)

        def seen() -> Finding | None:
            found = patient.worst("workers-settings")
            return found if found.name == "workers-others" else None

        thread = threading.Thread(target=answer)
        thread.start()
        impatient = eventually(seen, "a finding about theirs")
        conf["broker_transport_options"]["visibility_timeout"] = 3600
        patient_one = eventually(seen, "a finding about theirs")
        done.set()
        thread.join()
        consumer.cancel()
    patient.redis.flushdb()
    assert (impatient.severity, patient_one.severity) == (WARNING, NOTE)
    assert "theirs@elsewhere is no worker of runworker; its visibility timeout is 10 s, ours is 60 s" in impatient.seen


def test_the_whole_of_it(
    command_line: CommandLine, monkeypatch: pytest.MonkeyPatch, worker_database_url: str, servers: Servers
) -> None:
    command_line.settings |= {"migration_url": command_line.settings["database_url"]}
    command_line.settings["database_url"] = worker_database_url
    told = command_line.run("doctor", "--json")
    result = json.loads(told.stdout)
    names = [found["name"] for found in result["findings"]]
    assert set(CHECKS) <= set(names)
    worst = "warning" if servers.durable else "error"
    assert (result["severity"], told.exit_code) == (worst, Severity[worst.upper()])
    bad = {each["name"] for each in result["findings"] if each["severity"] in ("warning", "error")}
    assert bad <= {"postgresql-durability", "broker-persistence", "broker-workers"}

    lines = command_line.run("doctor").stdout.splitlines()
    assert all(line.count("\t") == 4 for line in lines)
    monkeypatch.setenv("TTY_COMPATIBLE", "1")
    monkeypatch.setenv("TERM", "dumb")
    drawn = command_line.run("doctor", terminal_width=80).stdout
    assert max(map(len, drawn.splitlines())) <= 80
    monkeypatch.delenv("TTY_COMPATIBLE")

    monkeypatch.setenv("CELERY_BROKER_URL", "redis://elsewhere")
    command_line.settings |= {
        "database_url": "postgresql://a:s3cret@127.0.0.1:1/x",
        "broker_url": "redis://:s3cret@127.0.0.1:1",
    }
    command_line.settings["migration_url"] = command_line.settings["database_url"]
    away = command_line.run("doctor")
    assert away.exit_code == 2
    assert "s3cret" not in away.output
    assert [line.split("\t")[:2] for line in away.stdout.splitlines() if line.startswith("error")] == [
        ["error", "celery-environment"],
        ["error", "celery-settings"],
        ["error", "postgresql-away"],
        ["error", "broker-away"],
    ]
    command_line.settings["pool_size"] = "none"
    wrong = command_line.run("doctor")
    assert (wrong.exit_code, wrong.stdout.split("\t")[:2]) == (2, ["error", "settings"])
