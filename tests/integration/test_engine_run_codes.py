"""Run codes: RUN-YYYYMMDD-SITE-####, never the same twice, whoever asks and whatever fails."""

import re
from functools import partial
from uuid import uuid4

import pytest
from sqlalchemy import text
from tests.outsider import Outsider
from tests.plant import Plant, race

from runworker.engine import Engine

FORM = re.compile(r"^RUN-\d{8}-[A-Z]{4}-\d{4,}$")


def codes(plant: Plant) -> list[str]:
    return [row[0] for row in plant.sql("SELECT run_code FROM production_runs ORDER BY run_code")]


def numbers(plant: Plant) -> list[int]:
    return sorted(int(code.rsplit("-", 1)[1]) for code in codes(plant))


def test_form(plant: Plant, engine: Engine) -> None:
    engine.apply([plant.command("start_run", site_code="BUDA"), plant.command("start_run")])
    day = plant.sql("SELECT to_char(started_at AT TIME ZONE 'UTC', 'YYYYMMDD') FROM production_runs")[0][0]
    assert codes(plant) == [f"RUN-{day}-BUDA-0001", f"RUN-{day}-MAIN-0001"]


def test_default_site(plant: Plant) -> None:
    plant.engine(default_site_code="DEBR").apply([plant.command("start_run")])
    assert "-DEBR-" in codes(plant)[0]


def test_a_batch_takes_a_block_in_order(plant: Plant, engine: Engine) -> None:
    verdicts = engine.apply([plant.command("start_run") for _ in range(50)])
    assert [int(verdict.state["run_code"][-4:]) for verdict in verdicts] == list(range(1, 51))


def test_a_busy_day_grows_a_digit(plant: Plant, engine: Engine) -> None:
    plant.sql(
        "INSERT INTO code_counters SELECT 'RUN', 'MAIN', (now() AT TIME ZONE 'UTC')::date + day, 9998"
        " FROM generate_series(0, 1) AS day"
    )
    engine.apply([plant.command("start_run") for _ in range(3)])
    assert numbers(plant) == [9999, 10000, 10001]
    assert all(FORM.match(code) for code in codes(plant))


@pytest.mark.usefixtures("first_try")
def test_four_workers_give_no_number_twice(plant: Plant) -> None:
    engines = [plant.engine() for _ in range(4)]
    works = []
    for engine in engines:
        batches = [[plant.command("start_run") for _ in range(size)] for size in (1, 2, 3, 4, 5, 10)]
        works.append(partial(lambda engine, batches: [engine.apply(batch) for batch in batches], engine, batches))
    race(*works)
    assert numbers(plant) == list(range(1, 101))


def test_a_batch_that_is_held_up_holds_nobody_up(plant: Plant, engine: Engine) -> None:
    """It has taken its numbers and waits for a lock: others take theirs meanwhile."""
    held = plant.command("start_run")
    with plant.transaction() as connection:
        connection.execute(
            text("INSERT INTO commands (idempotency_key, command, payload) VALUES (:key, 'start_run', '{}')"),
            {"key": held.idempotency_key},
        )
        answer = plant.in_background(lambda: engine.apply([held]))
        plant.wait_for("SELECT count(*) = 1 FROM code_counters")
        plant.wait_for("SELECT count(*) > 0 FROM pg_locks WHERE NOT granted")
        plant.engine(lock_timeout_seconds=1, retry_seconds=0).apply([plant.command("start_run")])
        assert numbers(plant) == [2]
        connection.rollback()
    answer.result()
    assert numbers(plant) == [1, 2]


@pytest.mark.parametrize("count", [1, 3])
def test_what_fails_leaves_a_gap_and_no_duplicate(plant: Plant, engine: Engine, count: int) -> None:
    bad = plant.command("start_run", scenario_id=uuid4())
    good = [plant.command("start_run") for _ in range(count)]
    engine.apply([bad, *good])
    assert len(numbers(plant)) == len(set(numbers(plant))) == count


def used_by_another(plant: Plant, *used: int) -> None:
    """Another system has given these numbers today, and those of tomorrow, which may begin at any moment."""
    plant.sql(
        "INSERT INTO production_runs (run_code, flow_version_id)"
        " SELECT format('RUN-%s-MAIN-%s', to_char(day, 'YYYYMMDD'), number), :version"
        " FROM generate_series(now() AT TIME ZONE 'UTC', now() + interval '1 day', interval '1 day') AS day,"
        " unnest(CAST(:numbers AS text[])) AS number",
        version=plant.version(),
        numbers=[f"{number:04}" for number in used],
    )


@pytest.mark.usefixtures("first_try")
def test_numbers_begin_above_those_of_another_system(plant: Plant, engine: Engine) -> None:
    """On the day on which another system hands over."""
    used_by_another(plant, *range(1, 41), 77)
    verdicts = engine.apply([plant.command("start_run") for _ in range(3)])
    assert [verdict.state["run_code"][-5:] for verdict in verdicts] == ["-0078", "-0079", "-0080"]


@pytest.mark.usefixtures("first_try")
def test_numbers_that_another_system_used_meanwhile_are_skipped_at_once(plant: Plant, engine: Engine) -> None:
    engine.apply([plant.command("start_run")])
    used_by_another(plant, *range(3, 43), 9998, 10001)
    verdicts = engine.apply([plant.command("start_run") for _ in range(3)])
    assert [verdict.state["run_code"].rsplit("-", 1)[1] for verdict in verdicts] == ["10002", "10003", "10004"]


def test_a_number_that_another_system_is_about_to_use(plant: Plant, engine: Engine, outsider: Outsider) -> None:
    """Nobody sees it yet: the batch waits for it, and takes the next one."""
    day = plant.sql("SELECT to_char(now() AT TIME ZONE 'UTC', 'YYYYMMDD')")[0][0]
    code = f"RUN-{day}-MAIN-0001"
    outsider.execute("INSERT INTO production_runs (run_code, flow_version_id) VALUES (%s, %s)", code, plant.version())
    command = plant.command("start_run")
    waiting = outsider.begin(lambda: engine.apply([command]))
    outsider.commit()
    assert waiting.result()[0].state["run_code"].endswith("-0002")
