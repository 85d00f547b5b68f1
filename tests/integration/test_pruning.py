"""The ledger forgets what was decided long ago: in chunks, beside others, and nothing that is still needed."""

from datetime import timedelta
from uuid import UUID, uuid4

import pytest
from sqlalchemy import text
from sqlalchemy.exc import IntegrityError
from tests.plant import REASON, Plant

from runworker.codes import Code
from runworker.engine import Engine
from runworker.states import CommandStatus
from runworker.upkeep.archive import archive_finished_runs
from runworker.upkeep.prune import CHUNK, prune_commands

MONTH = timedelta(days=30)


def age(plant: Plant, days: int) -> None:
    """Let everything in the ledger have been decided that much earlier, past the guards."""
    with plant.transaction() as connection:
        connection.execute(text("ALTER TABLE commands DISABLE TRIGGER USER"))
        connection.execute(
            text("UPDATE commands SET decided_at = decided_at - make_interval(days => :days)"), {"days": days}
        )
        connection.execute(text("ALTER TABLE commands ENABLE TRIGGER USER"))


def refused_ones(plant: Plant, count: int, *, days_ago: int) -> None:
    """Commands that were refused then and are about no run, a second apart."""
    plant.sql(
        "INSERT INTO commands (idempotency_key, command, payload, status, verdict, decided_at)"
        " SELECT gen_random_uuid(), 'hold_run', '{}', 'REJECTED', '{}', now() - make_interval(days => :days, secs => n)"
        " FROM generate_series(1, :count) AS n",
        days=days_ago,
        count=count,
    )


def keys(plant: Plant) -> set[UUID]:
    return {row.idempotency_key for row in plant.sql("SELECT idempotency_key FROM commands")}


def test_forgets_what_is_decided_and_of_no_run_that_is_not_archived(plant: Plant, engine: Engine) -> None:
    archived, finished, running = uuid4(), uuid4(), uuid4()
    engine.apply(plant.life(archived))
    assert archive_finished_runs(engine.database, timedelta(0)) == 1
    of_no_run = plant.command("submit_flow_version", flow_version_id=uuid4())
    waiting = plant.command("hold_run", run_id=archived, after=[uuid4()], reason=REASON)
    kept = [*plant.life(finished), plant.command("start_run", run_id=running), waiting]
    engine.apply([of_no_run, *kept])
    queued = plant.queue("start_run")
    age(plant, 31)
    young = plant.command("submit_flow_version", flow_version_id=uuid4())
    engine.apply([young])

    assert prune_commands(engine.database, MONTH) == len(plant.life(archived)) + 1
    assert keys(plant) == {command.idempotency_key for command in (*kept, young)} | {queued}
    assert prune_commands(engine.database, MONTH) == 0


def test_a_chunk_at_a_time_oldest_first(plant: Plant, engine: Engine) -> None:
    refused_ones(plant, CHUNK + 20, days_ago=31)
    refused_ones(plant, 5, days_ago=29)
    (newest,) = plant.sql("SELECT max(decided_at) FROM commands WHERE decided_at < now() - interval '30 days'")

    assert prune_commands(engine.database, MONTH) == CHUNK
    assert plant.count("commands", f"decided_at = '{newest[0]}'") == 1
    assert [prune_commands(engine.database, MONTH) for _ in range(2)] == [20, 0]
    assert plant.count("commands") == 5


def test_rows_that_somebody_works_on_are_left_for_the_next_round(plant: Plant, engine: Engine) -> None:
    refused_ones(plant, 3, days_ago=31)
    with plant.transaction() as connection:
        connection.execute(text("SELECT FROM commands ORDER BY decided_at LIMIT 1 FOR UPDATE"))
        assert prune_commands(engine.database, MONTH) == 2
    assert prune_commands(engine.database, MONTH) == 1


def test_a_start_that_is_forgotten_still_takes_effect_once(plant: Plant, engine: Engine) -> None:
    start, *rest = plant.life(uuid4())
    engine.apply([start, *rest])
    archive_finished_runs(engine.database, timedelta(0))
    age(plant, 31)
    assert prune_commands(engine.database, MONTH) == 1 + len(rest)
    before = plant.picture()

    (again,) = engine.apply([start])

    assert (again.status, again.code) == (CommandStatus.REJECTED, Code.RUN_ALREADY_EXISTS)
    assert plant.picture() == before


def test_the_worker_may_forget_and_nothing_of_the_last_day(plant: Plant, worker_database_url: str) -> None:
    refused_ones(plant, 2, days_ago=1)
    worker = plant.engine(database_url=worker_database_url)

    with pytest.raises(IntegrityError, match="24 hours"):
        prune_commands(worker.database, timedelta(hours=23))
    assert prune_commands(worker.database, timedelta(days=1)) == 2


def test_a_look_for_what_is_old_is_a_look_into_an_index(plant: Plant) -> None:
    refused_ones(plant, 2000, days_ago=1)
    plant.sql("ANALYZE commands")
    plan = plant.sql(
        "EXPLAIN SELECT FROM commands WHERE decided_at <= now() - interval '30 days' ORDER BY decided_at LIMIT 1000"
    )
    assert "idx_commands_decided_at" in str(plan)
