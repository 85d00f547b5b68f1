"""Behind a pooler that shares connections, what a transaction needs comes with it and goes with it."""

from typing import Any
from uuid import uuid4

import psycopg
import pytest
from structlog.testing import capture_logs
from tests.plant import Plant

from runworker.engine import Engine
from runworker.errors import ConfigurationError
from runworker.states import CommandStatus
from runworker.upkeep import sweep

SHARED = ("transaction", "transaction-prepared")
STATE = (
    "SELECT current_user::text, current_setting('statement_timeout'), current_setting('lock_timeout'),"
    " current_setting('idle_in_transaction_session_timeout'), current_setting('TimeZone')"
)


def state_after(engine: Engine) -> tuple[Any, ...]:
    """As what the server's connection would be given to the next client."""
    with engine.database.connect() as connection:
        server = connection.connection.driver_connection
        assert server.info.transaction_status == psycopg.pq.TransactionStatus.IDLE
        return tuple(server.execute(STATE).fetchone())


def state_within(engine: Engine) -> tuple[Any, ...]:
    with engine.database.begin() as connection:
        return tuple(connection.exec_driver_sql(STATE).one())


def state_of_nobody(plant: Plant) -> tuple[Any, ...]:
    return tuple(plant.sql(STATE)[0])


def work(plant: Plant, engine: Engine) -> None:
    """Whole lives, often enough for psycopg to prepare what it may, and the chores beside them."""
    for _ in range(8):
        verdicts = engine.apply([plant.command("start_run"), *plant.life(uuid4())])
        assert {verdict.status for verdict in verdicts} == {CommandStatus.APPLIED}
    sweep(engine)
    engine.verdicts([uuid4()])


def prepared(engine: Engine) -> set[str]:
    with engine.database.connect() as connection:
        return set(connection.exec_driver_sql("SELECT statement FROM pg_prepared_statements").scalars())


@pytest.mark.parametrize("mode", SHARED)
def test_role_and_timeouts_are_the_transactions(plant: Plant, worker_database_url: str, mode: str) -> None:
    engine = plant.engine(pool_mode=mode, database_url=worker_database_url, statement_timeout_seconds=7)
    untouched = state_after(plant.engine(pool_mode=mode, database_url=worker_database_url, database_role=None))

    assert state_within(engine) == ("runworker_worker", "7s", "10s", "7s", "UTC")
    assert state_after(engine)[:4] == untouched[:4]
    assert untouched[1:4] == state_of_nobody(plant)[1:4]
    with pytest.raises(ZeroDivisionError), engine.database.begin():
        raise ZeroDivisionError
    assert state_after(engine)[:4] == untouched[:4]


@pytest.mark.parametrize("mode", SHARED)
def test_goes_on_as_itself_where_it_may_not(plant: Plant, worker_database_url: str, mode: str) -> None:
    with capture_logs() as events:
        engine = plant.engine(pool_mode=mode, database_url=worker_database_url, database_role="no_such_role")
        within = state_within(engine)
    assert [event["reason"] for event in events if event["event"] == "database.role_not_taken"] == ["absent"]
    assert within == (state_after(engine)[0], "15s", "10s", "15s", "UTC")


def test_transaction_mode_prepares_nothing(plant: Plant, worker_database_url: str) -> None:
    engine = plant.engine(pool_mode="transaction", database_url=worker_database_url)
    work(plant, engine)
    assert prepared(engine) == set()


@pytest.mark.parametrize("mode", ["session", "transaction-prepared"])
def test_hot_statements_are_prepared(plant: Plant, mode: str) -> None:
    engine = plant.engine(pool_mode=mode)
    work(plant, engine)
    found = prepared(engine)
    for hot in (
        "INSERT INTO commands",
        "INSERT INTO production_runs",
        "INSERT INTO run_step_executions",
        "UPDATE production_runs",
        "UPDATE run_step_executions",
        "SELECT commands.",
        "SELECT production_runs.",
    ):
        assert any(statement.startswith(hot) for statement in found), f"{hot} is not among {found}"


def test_sends_nothing_at_the_start_that_a_pooler_refuses(plant: Plant) -> None:
    for mode in SHARED:
        with plant.engine(pool_mode=mode).database.connect() as connection:
            assert connection.connection.driver_connection.info.options == ""
    with plant.engine().database.connect() as connection:
        assert "statement_timeout=15s" in connection.connection.driver_connection.info.options


def test_prepares_through_a_pooler_only_with_a_libpq_that_can(plant: Plant, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(psycopg.capabilities, "has_send_close_prepared", lambda: False)
    with pytest.raises(ConfigurationError, match="libpq 17"):
        plant.engine(pool_mode="transaction-prepared")
    plant.engine(pool_mode="transaction")
