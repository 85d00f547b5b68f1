"""How the engine uses the database: as whom, with how many statements, and what it leaves open."""

from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any
from uuid import UUID, uuid4

import pytest
from sqlalchemy import Connection, Select, event
from sqlalchemy import Engine as Database
from structlog.testing import capture_logs
from tests.plant import Plant

from runworker.commands import Command
from runworker.engine import Engine
from runworker.engine.batch import BatchRequest
from runworker.engine.process import process
from runworker.engine.sql import ledger
from runworker.engine.sql.arrays import Uuids
from runworker.engine.sql.claims import OVERDUE, QUEUED
from runworker.errors import ConfigurationError
from runworker.states import CommandStatus
from runworker.upkeep import sweep
from runworker.upkeep.expire import ALL

APPLIED = CommandStatus.APPLIED


def whoami(engine: Engine) -> tuple[str, str]:
    with engine.database.connect() as connection:
        return tuple(connection.exec_driver_sql("SELECT session_user, current_user").one())


def lives(plant: Plant, engine: Engine) -> bool:
    """Whether a whole life, held and swept, goes through."""
    run = uuid4()
    *rest, complete = plant.life(run)
    engine.apply([complete, *rest])
    plant.queue("start_run")
    sweep(engine)
    return plant.count("commands", "status <> 'APPLIED'") == 0


def test_takes_on_the_workers_role(plant: Plant, engine: Engine) -> None:
    assert whoami(engine)[1] == "runworker_worker"
    assert lives(plant, engine)


def test_a_login_of_the_group_takes_it_on_too(plant: Plant, worker_database_url: str) -> None:
    engine = plant.engine(database_url=worker_database_url)
    login, role = whoami(engine)
    assert login != role == "runworker_worker"
    assert lives(plant, engine)


@pytest.mark.parametrize("role", [None, "pg_read_all_data", "no_such_role"])
def test_goes_on_as_itself_where_it_may_not(plant: Plant, worker_database_url: str, role: str | None) -> None:
    with capture_logs() as events:
        engine = plant.engine(database_url=worker_database_url, database_role=role)
        login, current = whoami(engine)
    assert login == current
    reasons = [event["reason"] for event in events if event["event"] == "database.role_not_taken"]
    assert reasons == {None: [], "pg_read_all_data": ["not a member"], "no_such_role": ["absent"]}[role]
    assert lives(plant, engine)


def test_owns_nothing(engine: Engine) -> None:
    for statement in (
        "DROP TABLE production_runs",
        "TRUNCATE commands",
        "ALTER TABLE production_runs DISABLE TRIGGER ALL",
        "DELETE FROM production_runs",
        "UPDATE users SET role = 'ADMIN'",
        "INSERT INTO audit_events (entity, entity_id, operation, db_user, xact_id)"
        " VALUES ('x', gen_random_uuid(), 'x', 'x', 1)",
    ):
        with (
            pytest.raises(Exception, match=r"must be owner|permission denied"),
            engine.database.begin() as connection,
        ):
            connection.exec_driver_sql(statement)


def test_needs_a_database(plant: Plant) -> None:
    with pytest.raises(ConfigurationError, match="RUNWORKER_DATABASE_URL"):
        plant.engine(database_url=None)


def test_leaves_no_transaction_open(plant: Plant, engine: Engine) -> None:
    assert lives(plant, engine)
    engine.apply([plant.command("start_run", scenario_id=uuid4())])
    engine.verdicts([uuid4()])
    open_ones = plant.count(
        "pg_stat_activity", "application_name = 'runworker' AND datname = current_database() AND state <> 'idle'"
    )
    assert open_ones == 0


def test_close_closes_every_connection(plant: Plant, engine: Engine) -> None:
    assert lives(plant, engine)
    engine.close()
    plant.wait_for(
        "SELECT count(*) = 0 FROM pg_stat_activity"
        " WHERE application_name = 'runworker' AND datname = current_database()"
    )


@contextmanager
def statements() -> Iterator[Counter[str]]:
    """What is asked of the database within the block, by its first words."""
    asked: Counter[str] = Counter()

    def count(_connection: Any, _cursor: Any, statement: str, *_rest: Any) -> None:
        asked[" ".join(statement.split()[:3])] += 1

    event.listen(Database, "before_cursor_execute", count)
    yield asked
    event.remove(Database, "before_cursor_execute", count)


def starts(plant: Plant, size: int) -> tuple[list[Command], list[Command]]:
    return [], [plant.command("start_run") for _ in range(size)]


def advances(plant: Plant, size: int) -> tuple[list[Command], list[Command]]:
    _, before = starts(plant, size)
    return before, [plant.command("advance_step", run_id=start.target_run, to_step_index=1) for start in before]


def holds(plant: Plant, size: int) -> tuple[list[Command], list[Command]]:
    _, before = starts(plant, size)
    return before, [plant.command("hold_run", run_id=start.target_run) for start in before]


def replays(plant: Plant, size: int) -> tuple[list[Command], list[Command]]:
    _, before = starts(plant, size)
    return before, before


def waits(plant: Plant, size: int) -> tuple[list[Command], list[Command]]:
    return [], [plant.command("hold_run", run_id=uuid4(), after=[uuid4()]) for _ in range(size)]


def releases(plant: Plant, size: int) -> tuple[list[Command], list[Command]]:
    _, asked = starts(plant, size)
    return [plant.command("hold_run", run_id=start.target_run) for start in asked], asked


Batch = Callable[[Plant, int], tuple[list[Command], list[Command]]]


@pytest.mark.parametrize("batch", [starts, advances, holds, replays, waits, releases])
def test_statements_do_not_grow_with_the_batch(plant: Plant, engine: Engine, batch: Batch) -> None:
    engine.apply([plant.command("start_run")])
    counted = []
    for size in (1, 100):
        before, asked = batch(plant, size)
        engine.apply(before)
        with statements() as made:
            verdicts = engine.apply(asked)
        assert len(verdicts) == size
        counted.append(made)
    assert counted[0] == counted[1]
    assert counted[0].total() <= 15


@contextmanager
def rows_read(connection: Connection) -> Iterator[Counter[str]]:
    """Rows of each table that PostgreSQL looks at within the block, in its triggers too."""
    seen = "SELECT relname, coalesce(seq_tup_read, 0) + coalesce(idx_tup_fetch, 0) FROM pg_stat_xact_user_tables"
    read = Counter[str]()
    before = Counter(dict(connection.exec_driver_sql(seen).all()))
    yield read
    read.update(Counter(dict(connection.exec_driver_sql(seen).all())) - before)


def rows_read_for(engine: Engine, command: Command) -> Counter[str]:
    """Rows that one command reads. Nothing is kept of it."""
    with engine.database.connect() as connection, rows_read(connection) as read:
        process(connection, engine._transactions._resources, BatchRequest([command], {}))
    return read


@pytest.mark.parametrize("batch", [starts, advances, holds])
def test_no_table_is_read_through_however_little_is_known_of_it(plant: Plant, engine: Engine, batch: Batch) -> None:
    before, (asked, *_) = batch(plant, 1)
    engine.apply(before)
    read = []
    for size in (4, 200):
        engine.apply([*starts(plant, size)[1], *waits(plant, size)[1]])
        read.append(rows_read_for(engine, asked))
    few, many = read
    # A row or two more where an index still has versions of it that are gone.
    assert all(abs(many[table] - few[table]) <= 2 for table in few | many), read


@pytest.mark.parametrize("sought", [QUEUED.free, OVERDUE.free, ledger.BLOCKED])
def test_what_waits_is_found_among_what_is_decided(plant: Plant, engine: Engine, sought: Select[UUID]) -> None:
    engine.apply([*starts(plant, 200)[1], *waits(plant, 20)[1]])
    given = {"changed_ids": Uuids([uuid4()]), "seen_until": ALL}
    with engine.database.connect() as connection:
        for _ in range(6):  # it is prepared by then
            connection.execute(sought, given)
        with rows_read(connection) as read:
            assert not connection.execute(sought, given).all()
    assert not read


def test_plans_are_read_once(plant: Plant, engine: Engine) -> None:
    version = plant.version()
    engine.apply([plant.command("start_run", flow_version_id=version)])
    # What a published graph is cannot change, so that it is not even looked at again.
    plant.sql("ALTER TABLE flow_versions DISABLE TRIGGER USER")
    plant.sql("UPDATE flow_versions SET graph_schema = '{}' WHERE id = :id", id=version)
    assert engine.apply([plant.command("start_run", flow_version_id=version)])[0].status is APPLIED


def test_more_versions_than_plans_are_kept(plant: Plant, engine: Engine) -> None:
    versions = sorted(plant.version() for _ in range(258))

    def start(some: list[Any]) -> set[CommandStatus]:
        commands = [plant.command("start_run", flow_version_id=version) for version in some]
        return {verdict.status for verdict in engine.apply(commands)}

    assert start(versions[-1:]) == start(versions[:254]) == start(versions[254:]) == start(versions) == {APPLIED}
