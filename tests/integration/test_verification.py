"""Every kind of tampering is found, by its table, its row and what should be there; a clean plant gives nothing."""

import json
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import NamedTuple
from uuid import UUID

import pytest
from sqlalchemy import Connection, Engine, create_engine, pool, text
from tests.integration.tampering import KINDS, REPLICA, RULES
from tests.plant import REASON, Plant
from tests.servers import Servers, fresh_database
from tests.whole_run import whole_run

from runworker.codes import Code
from runworker.migrations import upgrade
from runworker.states import UserRole
from runworker.upkeep.archive import archive_finished_runs
from runworker.upkeep.prune import prune_commands
from runworker.upkeep.seal import seal
from runworker.verification import VerificationReport, examine, look_at

LEGACY = Path(__file__).parents[1] / "migrations" / "legacy.sql"


class Used(NamedTuple):
    """A database that has been worked in. run: one that is under way."""

    database: Engine
    url: str
    run: UUID


@pytest.fixture(scope="module")
def used(servers: Servers, template_database: str) -> Iterator[Used]:
    """A run that was taken to its end, one that is under way, and one that was aborted; three seals, and news."""
    with fresh_database(servers, template=template_database) as url:
        plant = Plant(url.render_as_string(hide_password=False))
        engine = plant.engine()
        database = create_engine(plant.url, poolclass=pool.NullPool)
        whole_run(plant, engine)
        seal(database)
        running, aborted = UUID(int=1), UUID(int=2)
        engine.apply([plant.command("start_run", run_id=run) for run in (running, aborted)])
        seal(database)
        told = engine.apply(
            [
                plant.command("advance_step", run_id=running, to_step_index=1),
                plant.command("advance_step", run_id=running, to_step_index=10),
                plant.command("abort_run", run_id=aborted, reason=REASON),
                plant.command("hold_run", run_id=UUID(int=3), reason=REASON),
            ]
        )
        assert [str(verdict.status) for verdict in told] == ["APPLIED", "WAITING", "APPLIED", "WAITING"]
        plant.version(status="DRAFT")
        plant.version(status="DRAFT")
        plant.sql("UPDATE users SET full_name = 'Dóra Tóth' WHERE role = 'ADMIN'")
        seal(database)
        plant.another_user(UserRole.VIEWER)
        plant.sql("UPDATE users SET role = 'OPERATOR' WHERE role = 'VIEWER'")
        engine.apply([plant.command("hold_run", run_id=running, reason=REASON)])
        plant.sql(
            "INSERT INTO dead_letters (body_sha256, raw_body, code, error)"
            " VALUES (sha256('x'), 'x', 'MALFORMED_MESSAGE', 'x')"
        )
        plant.sql(
            "UPDATE dead_letters SET discarded_at = now(), discarded_by = (SELECT id FROM users LIMIT 1),"
            " discard_reason = :reason",
            reason=REASON,
        )
        yield Used(database, plant.url, running)
        plant.close()


@pytest.fixture
def connection(used: Used) -> Iterator[Connection]:
    """A superuser's transaction, which is rolled back."""
    with used.database.connect() as connection:
        connection.execute(text("SET LOCAL TIME ZONE 'UTC'"))
        yield connection
        connection.rollback()


def found(report: VerificationReport) -> list[str]:
    return [f"{each.table}: {each.problem}; expected {each.expected}" for each in report.discrepancies]


def test_a_clean_plant_gives_nothing(used: Used) -> None:
    report = examine(used.database)
    assert found(report) == []
    assert (report.outcome, report.not_looked_at, report.older) == ("intact", [], {})
    assert report.rows["lots"] == 27


def test_an_older_systems_rows_are_counted_and_break_no_rule(empty_database_url: str) -> None:
    upgrade(empty_database_url, "20260124_add_flow_definitions")
    database = create_engine(empty_database_url, poolclass=pool.NullPool)
    with database.begin() as connection:
        connection.exec_driver_sql(LEGACY.read_text())
    upgrade(empty_database_url)
    report = examine(database)
    assert (found(report), report.outcome) == ([], "intact")
    assert report.older["lots"] == report.rows["lots"] > 0
    with database.begin() as connection:
        connection.exec_driver_sql("UPDATE users SET full_name = 'Dóra Tóth'")
    assert found(examine(database)) == []


def test_what_the_ledger_forgets_is_no_discrepancy(plant: Plant) -> None:
    engine = plant.engine()
    run = UUID(int=1)
    start, *rest = plant.life(run)
    engine.apply([start, *rest])
    assert archive_finished_runs(engine.database, timedelta(0)) == 1
    plant.sql("ALTER TABLE commands DISABLE TRIGGER USER")
    plant.sql("UPDATE commands SET decided_at = decided_at - interval '100 days'")
    plant.sql("ALTER TABLE commands ENABLE TRIGGER USER")
    assert prune_commands(engine.database, timedelta(days=30)) > 0
    [again] = engine.apply([start])
    assert again.code == Code.RUN_ALREADY_EXISTS
    assert plant.discrepancies() == []


def test_a_verdict_that_is_none_is_told(connection: Connection) -> None:
    connection.exec_driver_sql(REPLICA)
    connection.exec_driver_sql("UPDATE commands SET verdict = '7' WHERE status = 'REJECTED'")
    assert any("the verdict says 7" in line for line in found(look_at(connection)))


def test_another_sessions_time_zone_is_no_discrepancy(plant: Plant) -> None:
    with plant.transaction() as connection:
        connection.exec_driver_sql("SET LOCAL TIME ZONE 'Europe/Budapest'")
        connection.exec_driver_sql("INSERT INTO users (email, role) VALUES ('a@b', 'ADMIN')")
    plant.sql("UPDATE users SET role = 'VIEWER'")
    assert plant.discrepancies() == []


@pytest.mark.parametrize("name", KINDS)
def test_tampering_is_found(connection: Connection, name: str) -> None:
    kind = KINDS[name]
    for statement in kind.change.split("; "):
        assert connection.exec_driver_sql(statement).rowcount != 0, "it changed nothing"
    report = look_at(connection)
    assert report.outcome == "tampered"
    told = [line for line in found(report) if line.startswith(f"{kind.table}: ")]
    assert any(kind.said in line for line in told), json.dumps(found(report), indent=1)
    if name in RULES:
        assert not {each.look for each in report.discrepancies} & {"trail", "state"}, "state and trail agree"
    assert all(discrepancy.row and discrepancy.expected and discrepancy.where for discrepancy in report.discrepancies)
