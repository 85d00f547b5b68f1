"""What the surroundings do to a command decides nothing: it is applied when they are mended."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from uuid import uuid4

import pytest
from structlog.testing import capture_logs
from tests.plant import Plant

from runworker.engine import Engine
from runworker.errors import Blocked, Unavailable
from runworker.states import CommandStatus

APPLIED = CommandStatus.APPLIED


@contextmanager
def numbers_that_are_taken(plant: Plant) -> Iterator[None]:
    """As after a failover to a logical replica, which has the rows and not the sequences."""
    sequence = "pg_get_serial_sequence('audit_events', 'id')"
    plant.sql(f"SELECT setval({sequence}, 1, false)")
    yield
    plant.sql(f"SELECT setval({sequence}, (SELECT max(id) FROM audit_events))")  # noqa: S608 - our words


@contextmanager
def somebody_elses_rule(plant: Plant) -> Iterator[None]:
    plant.sql("ALTER TABLE commands ADD CONSTRAINT ck_house CHECK (command <> 'hold_run') NOT VALID")
    yield
    plant.sql("ALTER TABLE commands DROP CONSTRAINT ck_house")


@contextmanager
def somebody_elses_trigger(plant: Plant) -> Iterator[None]:
    plant.sql(
        "CREATE FUNCTION house() RETURNS trigger LANGUAGE plpgsql AS"
        " $$BEGIN RAISE EXCEPTION 'the house is closed'; END$$"
    )
    plant.sql("CREATE TRIGGER house BEFORE UPDATE ON production_runs EXECUTE FUNCTION house()")
    yield
    plant.sql("DROP FUNCTION house CASCADE")


@contextmanager
def rows_hidden(plant: Plant) -> Iterator[None]:
    """To the worker's role, which has no policy."""
    plant.sql("ALTER TABLE production_runs ENABLE ROW LEVEL SECURITY")
    yield
    plant.sql("ALTER TABLE production_runs DISABLE ROW LEVEL SECURITY")


@pytest.mark.parametrize(
    ("wrong", "met"),
    [
        (numbers_that_are_taken, Blocked),
        (somebody_elses_rule, Blocked),
        (somebody_elses_trigger, Blocked),
        (rows_hidden, Unavailable),
    ],
    ids=lambda it: it.__name__,
)
def test_what_is_none_of_our_rules_decides_nothing(
    plant: Plant, wrong: Callable[[Plant], Iterator[None]], met: type[Unavailable]
) -> None:
    """Only where the look at the servers finds it too is it told as their failure."""
    engine = plant.engine(retry_seconds=0)
    (started,) = engine.apply([plant.command("start_run")])
    holds = [plant.command("hold_run", run_id=started.run_id) for _ in range(3)]
    with wrong(plant):  # type: ignore[attr-defined] - a context manager
        commands = plant.count("commands")
        with pytest.raises(Unavailable) as raised:
            engine.apply(holds)
        assert raised.type is met
        assert (plant.count("commands"), plant.count("dead_letters")) == (commands, 0)
    assert plant.applied_at_last(engine, holds)[0].status is APPLIED
    assert plant.count("dead_letters") == 0


def test_a_column_that_changes_its_type_under_a_running_worker(plant: Plant, engine: Engine) -> None:
    """Statements that the server has prepared do not fit any more; the connections do not go back to the pool."""
    for _ in range(8):
        engine.apply([plant.command("start_run", run_id=uuid4())])
    with capture_logs() as events:
        plant.sql("ALTER TABLE commands ALTER COLUMN command TYPE varchar(60)")
        runs = [uuid4() for _ in range(3)]
        assert {engine.apply([plant.command("start_run", run_id=run)])[0].status for run in runs} == {APPLIED}
    assert {event["sqlstate"] for event in events if event["event"] == "database.retry"} == {"0A000"}
    assert {event["reason"] for event in events if event["event"] == "database.retry"} == {
        "cached plan must not change result type"
    }
    assert plant.count("dead_letters") == 0
