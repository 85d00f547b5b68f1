"""Somebody writes past the engine's locks while a batch is on its way: nothing is half done, nobody refused for it."""

from uuid import uuid4

from psycopg.types.json import Jsonb
from sqlalchemy import text
from tests.first_try import Attempts
from tests.outsider import Outsider
from tests.plant import Plant

from runworker.engine import Engine


def test_a_step_that_left_its_state_undoes_the_batch(
    plant: Plant, engine: Engine, outsider: Outsider, attempts: Attempts
) -> None:
    """Steps are not locked: whoever changes one is to lock its run. This one does not."""
    run, other = uuid4(), plant.command("start_run")
    start, advance, *_ = plant.life(run)
    engine.apply([start])
    plant.sql("ALTER TABLE run_step_executions DISABLE TRIGGER trg_run_step_executions_run")
    outsider.stop_before_writing(other)
    waiting = outsider.begin(lambda: engine.apply([advance, other]))
    plant.sql("UPDATE run_step_executions SET status = 'SKIPPED' WHERE run_id = :run AND step_index = 0", run=run)
    outsider.rollback()
    told, started = waiting.result()
    assert [(entry["event"], entry["error"]) for entry in attempts.again] == [("batch.split", "RuntimeError")]
    assert started.status == "APPLIED"
    status, step, steps = plant.run(run)
    assert (told.status, status, step, steps[0], steps[1]) == ("WAITING", "RUNNING", 0, "SKIPPED", "PENDING")


def test_a_run_whose_update_is_swallowed_is_not_told_of_as_moved(
    plant: Plant, engine: Engine, attempts: Attempts
) -> None:
    """A trigger of somebody else's lets an update do nothing, which PostgreSQL takes for done."""
    run = uuid4()
    engine.apply(plant.life(run)[:1])
    with plant.transaction() as connection:
        connection.execute(
            text(
                "CREATE FUNCTION swallow() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RETURN NULL; END $$;"
                "CREATE TRIGGER swallow BEFORE UPDATE ON production_runs FOR EACH ROW EXECUTE FUNCTION swallow()"
            )
        )
    held = plant.command("hold_run", run_id=run)
    verdict, started = engine.apply([held, plant.command("start_run")])
    assert (verdict.code, started.status) == ("INTERNAL_ERROR", "APPLIED")
    assert plant.run(run)[0] == "RUNNING"
    assert plant.count("dead_letters", "error LIKE 'RuntimeError: 0 of 1 locked rows%'") == 1
    assert plant.count("commands", f"idempotency_key = '{held.idempotency_key}'") == 0
    assert {entry["event"] for entry in attempts.again} == {"batch.split", "command.failed"}


def test_a_key_that_an_upstream_puts_into_the_ledger_is_looked_at_again(
    plant: Plant, engine: Engine, outsider: Outsider, attempts: Attempts
) -> None:
    """Its row is not there to be locked, and the id's number only workers lock."""
    asked = plant.command("start_run")
    outsider.execute(
        "INSERT INTO commands (idempotency_key, command, payload) VALUES (%s, 'start_run', %s)",
        asked.idempotency_key,
        Jsonb(asked.payload),
    )
    waiting = outsider.begin(lambda: engine.apply([asked, plant.command("start_run")]))
    outsider.commit()
    assert [(verdict.status, verdict.replayed) for verdict in waiting.result()] == [("APPLIED", False)] * 2
    assert [(entry["event"], entry["error"]) for entry in attempts.again] == [("database.retry", "IntegrityError")]
    assert attempts.undone == 1


def test_a_run_code_that_somebody_takes_is_left_to_them(
    plant: Plant, engine: Engine, outsider: Outsider, attempts: Attempts
) -> None:
    version = plant.version()
    asked = [plant.command("start_run", flow_version_id=version) for _ in range(2)]
    outsider.stop_before_writing(asked[0])
    waiting = outsider.begin(lambda: engine.apply(asked))
    ((taken,),) = plant.sql(
        "INSERT INTO production_runs (run_code, flow_version_id)"
        " SELECT format('%s-%s-%s-%s', prefix, to_char(day, 'YYYYMMDD'), site_code, '0001'), :version"
        " FROM code_counters RETURNING run_code",
        version=version,
    )
    outsider.rollback()
    verdicts = waiting.result()
    codes = [verdict.state["run_code"] for verdict in verdicts]
    assert [code[-4:] for code in codes] == ["0003", "0004"]
    assert taken not in codes
    assert [(entry["event"], entry["error"]) for entry in attempts.again] == [("database.retry", "IntegrityError")]
