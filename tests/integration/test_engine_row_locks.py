"""Every row that a batch is judged by is locked before it is looked at: what somebody else does to it is waited for."""

from collections.abc import Callable
from uuid import UUID, uuid4

import pytest
from tests.integration.test_engine_lots_life import Life
from tests.integration.test_engine_lots_races import versions_of_one_flow
from tests.outsider import Outsider
from tests.plant import REASON, Plant

from runworker.commands import Command
from runworker.engine import Engine
from runworker.errors import Code
from runworker.verdicts import Verdict

pytestmark = pytest.mark.usefixtures("first_try")


@pytest.fixture
def life(plant: Plant, engine: Engine) -> Life:
    """A run at Receipt with its raw lots, released."""
    life = Life(plant)
    engine.apply(life.until(1))
    return life


@pytest.fixture
def locks_of(plant: Plant, engine: Engine, outsider: Outsider) -> Callable[..., list[UUID]]:
    """Those of some rows that a batch has locked by the time at which it writes."""

    def look(commands: list[Command], table: str, rows: list[UUID], against: str = "KEY SHARE") -> list[UUID]:
        last = plant.command("start_run")
        outsider.stop_before_writing(last)
        waiting = outsider.begin(lambda: engine.apply([*commands, last]))
        locked = outsider.locked(table, rows, against)
        outsider.rollback()
        assert {verdict.status for verdict in waiting.result()} <= {"APPLIED", "WAITING"}
        return locked

    return look


def test_runs(plant: Plant, life: Life, locks_of: Callable[..., list[UUID]]) -> None:
    held = plant.command("hold_run", run_id=life.run)
    assert locks_of([held], "production_runs", [life.run]) == [life.run]


def test_a_lot_and_its_run(life: Life, locks_of: Callable[..., list[UUID]]) -> None:
    held = life.decide("mell", "HOLD", notes=REASON)
    mell, skin = life.lots["mell"], life.lots["bőr"]
    assert locks_of([held], "lots", [mell, skin]) == [mell]
    assert locks_of([life.of_lot("resolve_hold", "mell", resolution=REASON)], "production_runs", [life.run]) == [
        life.run
    ]


def test_the_open_lots_of_a_run_that_goes_on(life: Life, locks_of: Callable[..., list[UUID]]) -> None:
    lots = [life.lots["mell"], life.lots["bőr"]]
    assert locks_of([life.advance(2)], "lots", lots) == lots


def test_all_lots_of_a_run_that_ends(plant: Plant, engine: Engine, locks_of: Callable[..., list[UUID]]) -> None:
    life = Life(plant)
    *until_the_end, complete = life.whole()
    engine.apply(until_the_end)
    lots = list(life.lots.values())
    assert plant.count("lots", "status = 'CONSUMED'") > 0
    assert locks_of([complete], "lots", lots) == lots


def test_what_waits_for_a_run(plant: Plant, engine: Engine, locks_of: Callable[..., list[UUID]]) -> None:
    run = uuid4()
    start, advance = plant.life(run)[:2]
    other = plant.command("advance_step", run_id=uuid4(), to_step_index=1)
    engine.apply([advance, other])
    keys = [advance.idempotency_key, other.idempotency_key]
    assert locks_of([start], "commands", keys) == keys[:1]


def test_what_was_delivered_before(plant: Plant, engine: Engine, locks_of: Callable[..., list[UUID]]) -> None:
    known, first = plant.command("start_run"), plant.command("start_run")
    engine.apply([known, first])
    follower = plant.command("start_run", after=[first.idempotency_key])
    keys = [known.idempotency_key, first.idempotency_key]
    assert locks_of([known, follower], "commands", keys) == keys


def test_a_version_is_shared_by_those_who_start_runs_of_it(plant: Plant, locks_of: Callable[..., list[UUID]]) -> None:
    version = plant.version()
    start = [plant.command("start_run", flow_version_id=version)]
    assert locks_of(start, "flow_versions", [version], against="NO KEY UPDATE") == [version]
    again = [plant.command("start_run", flow_version_id=version)]
    assert locks_of(again, "flow_versions", [version], against="SHARE") == []


@pytest.mark.parametrize("name", ["submit_flow_version", "deprecate_flow_version"])
def test_a_version_that_changes_is_shared_with_nobody(
    plant: Plant, locks_of: Callable[..., list[UUID]], name: str
) -> None:
    version = plant.version(status="DRAFT" if name.startswith("submit") else "PUBLISHED")
    assert locks_of([plant.command(name, flow_version_id=version)], "flow_versions", [version]) == [version]


@pytest.fixture
def beside(plant: Plant, engine: Engine, outsider: Outsider) -> Callable[..., Verdict]:
    """The verdict of a command, applied with another one while somebody else's change is not committed yet."""

    def apply(command: Command, statement: str, *parameters: object) -> Verdict:
        outsider.execute(statement, *parameters)
        waiting = outsider.begin(lambda: engine.apply([command, plant.command("start_run")]))
        outsider.commit()
        verdict, other = waiting.result()
        assert other.status == "APPLIED"
        return verdict

    return apply


def test_a_run_that_somebody_holds(plant: Plant, engine: Engine, beside: Callable[..., Verdict]) -> None:
    run = uuid4()
    engine.apply(plant.life(run)[:1])
    hold = "UPDATE production_runs SET status = 'HOLD', status_reason = 'the outsider' WHERE id = %s"
    verdict = beside(plant.command("hold_run", run_id=run), hold, run)
    assert (verdict.code, verdict.state["run_status"]) == (Code.RUN_ILLEGAL_MOVE, "HOLD")


def test_a_lot_that_somebody_rejects(plant: Plant, engine: Engine, beside: Callable[..., Verdict]) -> None:
    life = Life(plant)
    engine.apply([life.start(), life.advance(1), life.register("mell")])
    reject = "UPDATE lots SET status = 'REJECTED', status_reason = 'the outsider' WHERE id = %s"
    verdict = beside(life.decide("mell"), reject, life.lots["mell"])
    assert (verdict.code, verdict.state["lot_status"]) == (Code.LOT_ILLEGAL_MOVE, "REJECTED")


def test_a_version_that_somebody_withdraws(plant: Plant, beside: Callable[..., Verdict]) -> None:
    version = plant.version()
    withdraw = "UPDATE flow_versions SET status = 'DEPRECATED' WHERE id = %s"
    verdict = beside(plant.command("start_run", flow_version_id=version), withdraw, version)
    assert verdict.code == Code.FLOW_VERSION_NOT_PUBLISHED
    assert "is DEPRECATED" in (verdict.message or "")


def test_a_command_that_waits_for_two_is_judged_by_one_batch_at_a_time(
    plant: Plant, engine: Engine, outsider: Outsider
) -> None:
    """The batches of the two have no id in common. Each by itself would see the other one still undecided."""
    one, two = plant.command("start_run"), plant.command("start_run")
    follower = plant.command("start_run", after=[one.idempotency_key, two.idempotency_key])
    engine.apply([follower])
    outsider.stop_before_writing(one)
    first = outsider.begin(lambda: engine.apply([one]))
    second = outsider.begin(lambda: plant.engine().apply([two]), behind=first)
    outsider.rollback()
    assert [waiting.result()[0].status for waiting in (first, second)] == ["APPLIED", "APPLIED"]
    assert plant.ledger(follower.idempotency_key).status == "APPLIED"


def test_of_two_approvals_the_second_waits_and_supersedes_the_first(
    plant: Plant, engine: Engine, outsider: Outsider
) -> None:
    """Nothing of the flow is PUBLISHED yet: there is no row that both of them would lock."""
    one, two = versions_of_one_flow(plant, "REVIEW", "REVIEW")
    approvals = [plant.command("approve_flow_version", flow_version_id=version) for version in (one, two)]
    outsider.stop_before_writing(approvals[0])
    first = outsider.begin(lambda: engine.apply(approvals[:1]))
    second = outsider.begin(lambda: plant.engine().apply(approvals[1:]), behind=first)
    outsider.rollback()
    (published,), (superseding,) = first.result(), second.result()
    assert (published.code, superseding.code) == (None, None)
    assert superseding.state["superseded"] == [str(one)]
