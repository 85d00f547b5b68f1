"""Lots and flow versions in two sessions at once."""

from collections import Counter
from decimal import Decimal
from functools import partial
from uuid import UUID, uuid4

import pytest
from sqlalchemy import text
from tests.integration.test_engine_lots_life import Life
from tests.plant import REASON, STEPS, Plant, race

from runworker.codes import Code
from runworker.engine import Engine

ROUNDS = 25
STOP = "UPDATE lots SET status = 'HOLD', status_reason = 'smells of smoke' WHERE id = :lot"
WAITS = "SELECT count(*) > 0 FROM pg_locks WHERE NOT granted"

pytestmark = pytest.mark.usefixtures("first_try")


@pytest.fixture
def engines(plant: Plant) -> list[Engine]:
    """Two workers, their connections open."""
    engines = [plant.engine(), plant.engine()]
    for engine in engines:
        engine.apply([plant.command("start_run")])
    return engines


def test_a_run_waits_for_a_hold_that_is_not_committed_and_is_refused(plant: Plant, engine: Engine) -> None:
    life = Life(plant)
    engine.apply(life.until(1))
    with plant.transaction() as connection:
        connection.execute(
            text("UPDATE lots SET status = 'HOLD', status_reason = 'smells of smoke' WHERE id = :lot"),
            {"lot": life.lots["mell"]},
        )
        answer = plant.in_background(lambda: engine.apply([life.advance(2)]))
        plant.wait_for(WAITS)
        assert not answer.done()
    (verdict,) = answer.result()
    assert (verdict.code, plant.run(life.run)[:2]) == (Code.QC_PENDING, ("RUNNING", 1))
    assert len(verdict.state["lots"]) == 1


def test_a_run_waits_for_a_hold_that_is_taken_back_and_goes_on(plant: Plant, engine: Engine) -> None:
    life = Life(plant)
    engine.apply(life.until(1))
    with plant.transaction() as connection:
        connection.execute(
            text("UPDATE lots SET status = 'HOLD', status_reason = 'smells of smoke' WHERE id = :lot"),
            {"lot": life.lots["mell"]},
        )
        answer = plant.in_background(lambda: engine.apply([life.advance(2)]))
        plant.wait_for(WAITS)
        connection.rollback()
    assert [verdict.status for verdict in answer.result()] == ["APPLIED"]


def test_a_hold_and_an_advance_at_once(plant: Plant, engines: list[Engine]) -> None:
    """Whoever comes first: either the advance is refused, or it was there before the hold."""
    outcomes: Counter[Code | None] = Counter()
    for _ in range(ROUNDS):
        life = Life(plant)
        engines[0].apply(life.until(1))
        (held,), (advanced,) = race(
            partial(engines[0].apply, [life.decide("mell", "HOLD", notes=REASON)]),
            partial(engines[1].apply, [life.advance(2)]),
        )
        outcomes[advanced.code] += 1
        assert (held.status, life.status("mell")) == ("APPLIED", "HOLD")
        assert plant.run(life.run)[1] == (1 if advanced.code else 2)
    assert outcomes.keys() <= {None, Code.QC_PENDING}


def test_two_workers_never_take_more_than_a_lot_weighs(plant: Plant, engines: list[Engine]) -> None:
    for _ in range(ROUNDS):
        life = Life(plant)
        engines[0].apply([*life.until(1), life.advance(2)])
        third = {"lot_type": "DEB", "step_index": 2, "run_id": life.run, "weight_kg": "1"}
        commands = [
            plant.command("register_lot", parents=[{"lot_id": life.lots["bőr"], "quantity_used_kg": "40.01"}], **third)
            for _ in range(10)
        ]
        verdicts = [
            told for batch in race(*(partial(engines[n].apply, commands[n::2]) for n in (0, 1))) for told in batch
        ]
        assert Counter(verdict.code for verdict in verdicts) == {None: 7, Code.QUANTITY_EXCEEDS_LEFT: 3}
        taken = plant.sql(
            "SELECT sum(quantity_used_kg) FROM lot_genealogy WHERE parent_lot_id = :lot", lot=life.lots["bőr"]
        )[0][0]
        assert taken == 7 * Decimal("40.01")


def versions_of_one_flow(plant: Plant, *states: str) -> list[UUID]:
    """Versions of the same flow, numbered from 1."""
    first = plant.version(status=states[0])
    ids = [first]
    for number, state in enumerate(states[1:], start=2):
        ids.append(uuid4())
        plant.sql(
            "INSERT INTO flow_versions (id, flow_definition_id, version_num, status, graph_schema)"
            " SELECT :id, flow_definition_id, :number, :state, graph_schema FROM flow_versions WHERE id = :first",
            id=ids[-1],
            number=number,
            state=state,
            first=first,
        )
    return ids


def states_of(plant: Plant, ids: list[UUID]) -> list[str]:
    return [plant.sql("SELECT status FROM flow_versions WHERE id = :id", id=id_)[0][0] for id_ in ids]


@pytest.mark.parametrize("published", [False, True])
def test_two_approvals_at_once_leave_one_published(plant: Plant, engines: list[Engine], published: bool) -> None:
    for _ in range(ROUNDS):
        one, other, *old = versions_of_one_flow(plant, "REVIEW", "REVIEW", *(["PUBLISHED"] if published else []))
        works = [
            partial(engine.apply, [plant.command("approve_flow_version", flow_version_id=version)])
            for engine, version in zip(engines, (one, other), strict=True)
        ]
        verdicts = [told for (told,) in race(*works)]
        assert [verdict.code for verdict in verdicts] == [None, None]
        assert sorted(states_of(plant, [one, other])) == ["DEPRECATED", "PUBLISHED"]
        assert states_of(plant, old) == ["DEPRECATED"] * len(old)


def test_two_approvals_in_one_batch_leave_the_last_published(plant: Plant, engine: Engine) -> None:
    ids = versions_of_one_flow(plant, "REVIEW", "REVIEW", "PUBLISHED")
    verdicts = engine.apply([plant.command("approve_flow_version", flow_version_id=id_) for id_ in ids[:2]])
    assert [verdict.state["superseded"] for verdict in verdicts] == [[str(ids[2])], [str(ids[0])]]
    assert states_of(plant, ids) == ["DEPRECATED", "PUBLISHED", "DEPRECATED"]


def test_the_whole_life_of_a_version(plant: Plant, engine: Engine) -> None:
    draft = plant.version(STEPS, status="DRAFT")
    asked = [
        plant.command(name, flow_version_id=draft, **({"reason": REASON} if name.startswith("reject") else {}))
        for name in ("submit_flow_version", "reject_flow_version", "submit_flow_version", "approve_flow_version",
                     "deprecate_flow_version")
    ]  # fmt: skip
    verdicts = engine.apply(asked)
    assert [verdict.state["flow_version_status"] for verdict in verdicts] == [
        "REVIEW", "DRAFT", "REVIEW", "PUBLISHED", "DEPRECATED",
    ]  # fmt: skip
    commands = [
        row[0]
        for row in plant.sql(
            "SELECT command FROM audit_events WHERE entity = 'flow_versions' AND entity_id = :id"
            " AND operation = 'UPDATE' ORDER BY id",
            id=draft,
        )
    ]
    assert commands == [command.name for command in asked]


def test_a_version_is_withdrawn_or_started_from_and_never_both(plant: Plant, engines: list[Engine]) -> None:
    outcomes: Counter[tuple[Code | None, Code | None]] = Counter()
    for _ in range(ROUNDS):
        version = plant.version()
        (withdrawn,), (started,) = race(
            partial(engines[0].apply, [plant.command("deprecate_flow_version", flow_version_id=version)]),
            partial(engines[1].apply, [plant.command("start_run", flow_version_id=version)]),
        )
        outcomes[withdrawn.code, started.code] += 1
    assert outcomes.keys() <= {(Code.FLOW_VERSION_IN_USE, None), (None, Code.FLOW_VERSION_NOT_PUBLISHED)}


def test_a_version_in_one_batch_with_its_runs(plant: Plant, engine: Engine) -> None:
    """What the batch itself begins and ends counts, though the database does not show it yet."""
    version, run = plant.version(), uuid4()
    start = plant.command("start_run", flow_version_id=version, run_id=run)
    withdraw = partial(plant.command, "deprecate_flow_version", flow_version_id=version)
    _, refused = engine.apply([start, withdraw()])
    assert (refused.code, refused.state["unfinished_runs"]) == (Code.FLOW_VERSION_IN_USE, 1)
    _, done = engine.apply([plant.command("abort_run", run_id=run), withdraw()])
    assert (done.code, states_of(plant, [version])) == (None, ["DEPRECATED"])
