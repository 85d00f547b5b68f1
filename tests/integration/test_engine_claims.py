"""Stored commands are claimed before they are read, so that one that ends its processes is told from its neighbours.

A process that dies is one that never came back to its claims: here its claims are written as it would have left them.
"""

import json
from datetime import timedelta
from uuid import UUID, uuid4

import pytest
from sqlalchemy import event
from tests.outsider import Outsider
from tests.plant import Plant

from runworker.engine import Engine
from runworker.engine.sql import claims
from runworker.engine.sql.claims import QUEUED
from runworker.engine.sql.ledger_rows import LedgerRow
from runworker.errors import Unavailable
from runworker.upkeep import sweep
from runworker.upkeep.queued import take_queued

STALE = "UPDATE command_claims SET claimed_at = claimed_at - interval '1 minute'"
DEATHS = 3
"""That a command of these tests may bring about."""


def die_with(plant: Plant, *keys: UUID, alone: bool = False, deaths: int = 0) -> None:
    """Leave claims as a process does that dies with these commands."""
    for key in keys:
        plant.sql(
            "INSERT INTO command_claims VALUES (:key, clock_timestamp() - interval '1 minute', :alone, :deaths)",
            key=key,
            alone=alone,
            deaths=deaths,
        )


def claimed(plant: Plant) -> dict[UUID, tuple[bool, int]]:
    """Claims by key: whether it is alone, and deaths."""
    return {row.idempotency_key: (row.is_alone, row.deaths) for row in plant.sql("SELECT * FROM command_claims")}


def batches(engine: Engine) -> list[int]:
    """How many stored commands each transaction judges, from now on."""
    sizes: list[int] = []
    attempt = engine.found._splitter._transactions._attempt

    def counting(request, **options):  # type: ignore[no-untyped-def]
        sizes.append(len(request.stored))
        return attempt(request, **options)

    engine.found._splitter._transactions._attempt = counting  # type: ignore[method-assign]
    return sizes


@pytest.mark.usefixtures("first_try")
def test_claims_end_with_the_look(plant: Plant, engine: Engine) -> None:
    keys = [plant.queue("start_run") for _ in range(15)]
    seen = []

    @event.listens_for(engine.database, "commit")
    def look(_connection: object) -> None:
        seen.append(set(claimed(plant)))

    assert sweep(engine) == 15
    assert {frozenset(keys[:10]), frozenset(keys[10:])} <= set(map(frozenset, seen))
    assert claimed(plant) == {}


def test_two_that_look_at_the_same_moment_get_different_ones(plant: Plant, engine: Engine) -> None:
    """The second has looked before the first commits, and so does not see its claims."""
    keys = [plant.queue("start_run") for _ in range(20)]
    with plant.transaction() as connection:
        first = claims.claim(connection, QUEUED, 10, seen_until=None)
        with plant.engine().database.begin() as other:
            second = claims.claim(other, QUEUED, 10, seen_until=None)
    assert sorted(first + second) == sorted(keys)


def test_the_neighbours_of_one_that_died_are_judged_one_by_one(plant: Plant, engine: Engine) -> None:
    keys = [plant.queue("start_run") for _ in range(5)]
    die_with(plant, *keys[:3])
    sizes = batches(engine)
    assert sweep(engine) == 5
    assert sizes == [1, 1, 1, 2]
    assert {plant.ledger(key).status for key in keys} == {"APPLIED"}
    assert claimed(plant) == {}


def test_what_another_worker_has_is_not_touched(plant: Plant, engine: Engine) -> None:
    key = plant.queue("start_run")
    for alone in (False, True):
        plant.sql("DELETE FROM command_claims")
        plant.sql("INSERT INTO command_claims (idempotency_key, is_alone) VALUES (:key, :alone)", key=key, alone=alone)
        assert sweep(engine) == 0
    # One that has it alone may take longer.
    plant.sql("UPDATE command_claims SET claimed_at = claimed_at - interval '10 seconds'")
    assert sweep(engine) == 0
    plant.sql("UPDATE command_claims SET is_alone = false")
    assert sweep(engine) == 1


def test_only_a_death_with_nothing_else_in_hand_counts(plant: Plant, engine: Engine) -> None:
    poison = plant.queue("start_run")
    die_with(plant, poison)
    counted = []
    for _ in range(3):
        with engine.database.begin() as connection:
            suspect = claims.claim_suspect(connection, QUEUED, timedelta(seconds=30), seen_until=None)
        assert suspect is not None
        counted.append(suspect.deaths)
        plant.sql(STALE)
    assert counted == [0, 1, 2]


def test_one_that_ended_too_many_is_kept_and_refused(plant: Plant, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nobody reads its payload any more. Its sender, who had been told that it waits, and those behind it are told."""
    told: dict[str, object] = {}
    engine = plant.engine(quarantine_after=DEATHS, wait_seconds=1, tell_late=told.update)
    poison = plant.command("hold_run", run_id=uuid4())
    engine.apply([poison], {poison.idempotency_key: "its-task"})
    behind = plant.command("start_run", after=[poison.idempotency_key])
    engine.apply([behind], {behind.idempotency_key: "another"})
    plant.wait_for("SELECT expires_at < now() FROM commands WHERE idempotency_key = :key", key=poison.idempotency_key)
    die_with(plant, poison.idempotency_key, alone=True, deaths=DEATHS - 1)

    read = LedgerRow.read

    def dying(row: LedgerRow) -> object:
        assert row.idempotency_key != poison.idempotency_key, "it would end this process"
        return read(row)

    monkeypatch.setattr(LedgerRow, "read", dying)
    sweep(engine)

    row = plant.ledger(poison.idempotency_key)
    (letter,) = plant.sql("SELECT * FROM dead_letters")
    assert (row.status, row.code, row.verdict["dead_letter"]) == ("REJECTED", "QUARANTINED", letter.id)
    assert row.issued_by == poison.issued_by
    assert f"ended {DEATHS} processes" in letter.error
    assert json.loads(letter.raw_body) == {"stored": str(poison.idempotency_key)}
    assert set(told) == {"its-task", "another"}
    assert plant.ledger(behind.idempotency_key).status == "APPLIED"
    assert claimed(plant) == {}


def test_one_that_was_decided_in_the_meantime_is_not_refused(plant: Plant) -> None:
    engine = plant.engine(quarantine_after=DEATHS)
    key = plant.queue("start_run")
    take_queued(engine)
    die_with(plant, key, alone=True, deaths=DEATHS)
    assert sweep(engine) == 0
    assert plant.ledger(key).status == "APPLIED"
    assert (claimed(plant), plant.count("dead_letters")) == ({}, 0)


def test_one_that_cannot_be_kept_is_neither_refused_nor_forgotten(plant: Plant) -> None:
    engine = plant.engine(quarantine_after=DEATHS, retry_seconds=1)
    key = plant.queue("start_run")
    die_with(plant, key, alone=True, deaths=DEATHS)
    plant.sql("ALTER TABLE dead_letters RENAME TO elsewhere")
    with pytest.raises(Exception, match="did not do the work"):
        sweep(engine)
    assert plant.ledger(key).status == "QUEUED"
    assert list(claimed(plant)) == [key]
    plant.sql("ALTER TABLE elsewhere RENAME TO dead_letters")
    plant.sql(STALE)
    assert sweep(engine) == 1
    assert plant.ledger(key).code == "QUARANTINED"


def test_deaths_are_remembered_while_something_stands_in_its_way(plant: Plant, outsider: Outsider) -> None:
    engine = plant.engine(lock_timeout_seconds=1)
    run = uuid4()
    engine.apply(plant.life(run)[:1])
    innocent, suspected = plant.queue("hold_run", run_id=run), plant.queue("hold_run", run_id=run)
    die_with(plant, innocent)
    die_with(plant, suspected, alone=True, deaths=0)
    outsider.hold("production_runs", run)
    sweep(engine)
    assert claimed(plant) == {suspected: (False, 1)}
    outsider.rollback()
    plant.sql(STALE)
    sweep(plant.engine())
    assert claimed(plant) == {}
    assert plant.count("commands", "status = 'QUEUED'") == 0


def test_one_whose_letter_somebody_holds_stops_nobody(plant: Plant, outsider: Outsider) -> None:
    engine = plant.engine(quarantine_after=DEATHS)
    poison, other = plant.queue("start_run"), plant.queue("start_run")
    for _ in range(2):
        plant.sql("DELETE FROM command_claims")
        die_with(plant, poison, alone=True, deaths=DEATHS)
        outsider.execute("LOCK TABLE dead_letters IN ACCESS EXCLUSIVE MODE")
        sweep(engine)
        assert claimed(plant) == {poison: (False, DEATHS + 1)}
    assert plant.ledger(other).status == "APPLIED"
    outsider.rollback()
    plant.sql(STALE)
    sweep(plant.engine(quarantine_after=DEATHS))
    assert plant.ledger(poison).code == "QUARANTINED"


def test_who_outlives_what_the_server_refuses_is_not_dead(plant: Plant) -> None:
    """The disk of one table is full, so that claims can be written all the same, for longer than they last."""
    engine = plant.engine(quarantine_after=2, retry_seconds=0.1)
    keys = [plant.queue("start_run") for _ in range(2)]
    die_with(plant, keys[0])
    plant.sql(
        "CREATE FUNCTION no_space() RETURNS trigger LANGUAGE plpgsql AS"
        " $$ BEGIN RAISE EXCEPTION 'no space left' USING ERRCODE = '53100'; END $$"
    )
    plant.sql("CREATE TRIGGER no_space BEFORE INSERT ON production_runs FOR EACH ROW EXECUTE FUNCTION no_space()")
    for _ in range(5):
        with pytest.raises(Unavailable):
            sweep(engine)
        plant.sql(STALE)
    assert plant.count("commands", "status = 'QUEUED'") == 2
    assert {deaths for _, deaths in claimed(plant).values()} <= {0}
    plant.sql("DROP TRIGGER no_space ON production_runs")
    assert sweep(engine) == 2
    assert {plant.ledger(key).status for key in keys} == {"APPLIED"}


def test_a_thousand_about_one_held_run_hide_nobody(plant: Plant, outsider: Outsider) -> None:
    engine = plant.engine(lock_timeout_seconds=1)
    run = uuid4()
    engine.apply(plant.life(run)[:1])
    fields = plant.fields("hold_run", run_id=run)
    plant.sql(
        "INSERT INTO commands (idempotency_key, command, payload)"
        " SELECT gen_random_uuid(), 'hold_run', CAST(:payload AS jsonb) - 'idempotency_key'"
        " FROM generate_series(1, 1100)",
        payload=json.dumps(fields),
    )
    behind = plant.queue("start_run")
    outsider.hold("production_runs", run)
    assert sweep(engine) == 1
    assert plant.ledger(behind).status == "APPLIED"
    assert claimed(plant) == {}
