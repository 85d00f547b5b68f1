"""Archiving: by command, and by schedule in chunks that let others work."""

from datetime import timedelta
from uuid import UUID, uuid4

from sqlalchemy import text
from tests.integration.test_engine_lots_life import Life
from tests.plant import REASON, Plant

from runworker.codes import Code
from runworker.engine import Engine
from runworker.upkeep.archive import CHUNK, archive_finished_runs

MONTH = timedelta(days=30)


def finished_runs(plant: Plant, count: int, *, days_ago: int) -> None:
    """Runs that ended then, written past the guards."""
    version = plant.version()
    with plant.transaction() as connection:
        connection.execute(text("ALTER TABLE production_runs DISABLE TRIGGER USER"))
        connection.execute(
            text(
                "INSERT INTO production_runs (run_code, flow_version_id, status, started_at, completed_at, ended_at)"
                " SELECT format('OLD-%s', gen_random_uuid()), :version, 'COMPLETED', ended, ended, ended"
                " FROM (SELECT now() - make_interval(days => :days, secs => number) AS ended"
                "       FROM generate_series(1, :count) AS number) AS run"
            ),
            {"version": version, "days": days_ago, "count": count},
        )
        connection.execute(text("ALTER TABLE production_runs ENABLE TRIGGER USER"))


def test_a_chunk_at_a_time_oldest_first(plant: Plant, engine: Engine) -> None:
    finished_runs(plant, CHUNK + 20, days_ago=31)
    finished_runs(plant, 5, days_ago=29)
    assert archive_finished_runs(engine.database, MONTH) == CHUNK
    oldest_left, newest_gone = (
        plant.sql(f"SELECT {pick} FROM production_runs WHERE status {state}")[0][0]  # noqa: S608 - own words
        for pick, state in (("min(ended_at)", "= 'COMPLETED'"), ("max(ended_at)", "= 'ARCHIVED'"))
    )
    assert newest_gone < oldest_left
    assert [archive_finished_runs(engine.database, MONTH) for _ in range(2)] == [20, 0]
    assert plant.count("production_runs", "status = 'COMPLETED'") == 5


def test_runs_that_somebody_works_on_are_left_for_the_next_round(plant: Plant, engine: Engine) -> None:
    finished_runs(plant, 3, days_ago=31)
    with plant.transaction() as connection:
        connection.execute(text("SELECT FROM production_runs ORDER BY id LIMIT 1 FOR UPDATE"))
        assert archive_finished_runs(engine.database, MONTH) == 2
    assert archive_finished_runs(engine.database, MONTH) == 1


def test_nobody_is_said_to_have_asked_for_it(plant: Plant, engine: Engine) -> None:
    run = uuid4()
    engine.apply([*plant.life(run)])
    assert archive_finished_runs(engine.database, timedelta(0)) == 1
    last = audit(plant, run)[-1]
    assert last == (None, None, "ARCHIVED")


def audit(plant: Plant, run: UUID) -> list[tuple[str | None, UUID | None, str]]:
    return [
        tuple(row)
        for row in plant.sql(
            "SELECT command, actor, after ->> 'status' FROM audit_events"
            " WHERE entity = 'production_runs' AND entity_id = :run ORDER BY id",
            run=run,
        )
    ]


def test_by_command_once_the_retention_has_passed(plant: Plant, engine: Engine) -> None:
    run = uuid4()
    engine.apply([plant.command("start_run", run_id=run), plant.command("abort_run", run_id=run)])
    (kept,) = engine.apply([plant.command("archive_run", run_id=run)])
    assert kept.code == Code.RETENTION_NOT_PASSED
    (archived,) = plant.engine(archive_after_days=0).apply([plant.command("archive_run", run_id=run)])
    assert archived.state["run_status"] == "ARCHIVED"
    assert audit(plant, run)[-1] == ("archive_run", plant.user("ADMIN"), "ARCHIVED")


def test_lots_of_an_archived_run_are_left_alone(plant: Plant) -> None:
    engine, life = plant.engine(archive_after_days=0), Life(plant)
    engine.apply([*life.until(1), plant.command("abort_run", run_id=life.run)])
    engine.apply([plant.command("archive_run", run_id=life.run)])
    (refused,) = engine.apply([life.decide("mell", "HOLD", notes=REASON)])
    assert refused.code == Code.RUN_READ_ONLY

    other = Life(plant)
    engine.apply([other.start(), other.advance(1), other.advance(2)])
    taken = {"run_id": other.run, "lot_type": "DEB", "step_index": 2, "weight_kg": "1"}
    made_of = [{"lot_id": life.lots["mell"], "quantity_used_kg": "1"}]
    (refused,) = engine.apply([plant.command("register_lot", parents=made_of, **taken)])
    assert refused.code == Code.PARENT_RUN_ARCHIVED


def test_a_run_goes_back_once_later_lots_are_rejected(plant: Plant, engine: Engine) -> None:
    life = Life(plant)
    engine.apply([*life.until(1), life.advance(2), life.register("boned")])
    back = {"run_id": life.run, "to_step_index": 1, "reason": REASON}
    (refused,) = engine.apply([plant.command("rollback_step", **back)])
    assert (refused.code, len(refused.state["lots"])) == (Code.LIVE_LOTS_AHEAD, 1)
    engine.apply([life.decide("boned", "FAIL", notes=REASON)])
    _, again = engine.apply([plant.command("rollback_step", **back), life.advance(2)])
    assert (again.status, plant.run(life.run)[:2]) == ("APPLIED", ("RUNNING", 2))
