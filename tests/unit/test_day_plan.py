"""A day as it is planned: the same for the same seed, whole, in the plant's weights, its outcomes tied down."""

from collections import Counter
from decimal import Decimal
from random import Random
from uuid import UUID

import pytest
from tests.days import SMALL, day

from runworker.canonical import CANONICAL_STEPS
from runworker.codes import Code
from runworker.imports import canonical_flow
from runworker.plan import read_plan
from runworker.simulation.day import DAY_DATA, WHOLE_DAY, DaySize
from runworker.simulation.day.incidents import Incident
from runworker.simulation.day.materials import racks
from runworker.simulation.day.plan import FIFTEEN, THIRTY
from runworker.simulation.delivery import in_disorder
from runworker.simulation.master_data import without
from runworker.simulation.scenario import BuiltScenario, PlannedCommand
from runworker.states import CommandStatus, Decision, FlowVersionStatus, LotStatus, LotType, RunStatus

LEGACY = {LotType.SKW, LotType.FRZ, LotType.FG}
SEEDS = range(4)


def planned(day: BuiltScenario) -> list[PlannedCommand]:
    return list(day.planned.values())


def named(day: BuiltScenario, name: str) -> list[PlannedCommand]:
    return [each for each in planned(day) if each.command.name == name]


def test_a_seed_gives_the_same_day_again() -> None:
    first, second = day(7), day.__wrapped__(7)
    assert first is not second
    assert first == second
    chance = Random(1), Random(1)  # noqa: S311 - a plan to repeat, not a secret
    assert in_disorder(chance[0], first.commands) == in_disorder(chance[1], second.commands)
    assert day(8) != first


def test_another_use_of_a_day_has_ids_of_its_own() -> None:
    one, two = day(), day(series=UUID(int=2))
    keys = [command.idempotency_key for command in (*one.commands, *two.commands)]
    assert len(set(keys)) == len(keys)
    assert not one.lots.keys() & two.lots.keys()
    assert [each.command.name for each in planned(one)] == [each.command.name for each in planned(two)]


def test_some_hundreds_of_lots_go_through_all_steps() -> None:
    whole = day()
    assert len(whole.runs) == 15
    assert 300 < len(whole.lots) < 800
    assert {lot.step_index for lot in whole.lots.values()} == {step.index for step in CANONICAL_STEPS if step.lot_types}
    assert {lot.lot_type for lot in whole.lots.values()} == set(LotType) - LEGACY
    assert {len(run.flow.plan.steps) for run in whole.runs} == {8 + 1, 10, 11}


@pytest.mark.parametrize("seed", SEEDS)
def test_weights_are_those_of_the_trade_and_add_up(seed: int) -> None:
    whole = day(seed, SMALL)
    lots = whole.lots.values()
    for lot in lots:
        assert isinstance(lot.weight_kg, Decimal)
        assert lot.left_kg >= 0
        assert lot.weight_kg == lot.weight_kg.quantize(Decimal("0.01")) > 0
    assert all(600 < lot.weight_kg < 1400 for lot in lots if lot.lot_type is LotType.MIX)
    assert all(lot.weight_kg % 15 == 0 for lot in lots if lot.lot_type is LotType.SKW15)
    assert all(lot.weight_kg % 30 == 0 for lot in lots if lot.lot_type is LotType.SKW30)
    received = sum(lot.weight_kg for lot in lots if lot.lot_type is LotType.RAW)
    assert received + sum(lot.change_kg for lot in lots) == sum(lot.left_kg for lot in lots)
    taken = Counter({lot.id: Decimal(0) for lot in lots})
    for (parent, _, kg), times in whole.links.items():
        taken[parent] += kg * times
    assert taken == {lot.id: lot.taken_kg for lot in lots}


@pytest.mark.parametrize("size", [SMALL, WHOLE_DAY])
@pytest.mark.parametrize("seed", SEEDS)
def test_everything_happens_on_every_day(seed: int, size: DaySize) -> None:
    whole = day(seed, size)
    refused = Counter(each.expected.code for each in planned(whole) if not each.applies)
    assert refused == {
        Code.ROLE_NOT_ALLOWED: 3,
        Code.QC_PENDING: 2,
        Code.SKU_MIXED: 2,
        **dict.fromkeys(
            [
                Code.CHILDREN_NOT_FINISHED,
                Code.FLOW_VERSION_NOT_PUBLISHED,
                Code.LIVE_LOTS_AHEAD,
                Code.LOT_CODE_OTHER_SITE,
                Code.LOT_TYPE_NOT_ALLOWED,
                Code.PARENT_NOT_RELEASED,
                Code.QUANTITY_EXCEEDS_LEFT,
                Code.RUN_NOT_RUNNING,
                Code.RUN_ON_HOLD,
            ],
            1,
        ),
    }
    assert len(named(whole, "rollback_step")) == 2
    assert len(named(whole, "consume_lot")) == 1
    assert Counter(run.end.run_status for run in whole.runs)[RunStatus.ABORTED] == 1
    assert sum(decision.too_warm for decision in whole.decisions.values()) == 3
    assert {decision.decision for decision in whole.decisions.values()} == set(Decision)
    ends = Counter(lot.status for lot in whole.lots.values())
    assert ends[LotStatus.REJECTED] == 4
    assert ends[LotStatus.RELEASED] == 2  # in the buffer, and in the cold store
    assert ends.keys() == {LotStatus.FINISHED, LotStatus.CONSUMED, LotStatus.REJECTED, LotStatus.RELEASED}
    assert sum(status is LotStatus.HOLD for lot in whole.lots.values() for status, _ in lot.trail) == 8


def test_every_incident_is_dealt_once() -> None:
    for runs in (1, 6):
        dealt = list(Incident)
        assert Counter(each for number in range(runs) for each in dealt[number::runs]) == Counter(Incident)


def test_a_version_is_superseded_between_two_runs() -> None:
    whole = day(size=SMALL)
    [old, new] = sorted(whole.version_trails, key=lambda version_id: len(whole.version_trails[version_id]))
    assert whole.versions[old] is FlowVersionStatus.DEPRECATED
    assert [status for status, _ in whole.version_trails[new]] == ["REVIEW", "DRAFT", "REVIEW", "PUBLISHED"]
    [approve] = named(whole, "approve_flow_version")
    before, after = (next(run for run in whole.runs if run.flow.version_id == each) for each in (old, new))
    assert before.commands[0].key in approve.command.after
    assert after.commands[0].command.after == (approve.key,)


def test_the_recalled_lot_is_in_lots_of_two_runs() -> None:
    for seed in SEEDS:
        whole = day(seed, SMALL)
        inside = [whole.lots[lot_id] for lot_id in whole.containing]
        assert len({lot.run_id for lot in inside}) == 2
        assert {lot.lot_type for lot in inside} == set(LotType) - LEGACY
        assert len(inside) < len(whole.lots)
        assert whole.lots[whole.recalled].lot_type is LotType.RAW


def test_a_first_decision_is_tied_to_nothing_and_a_registration_to_what_the_plan_does_not_say() -> None:
    for each in planned(day(size=SMALL)):
        assert len(each.command.after) <= 20
    whole = day(size=SMALL)
    first = {lot.trail[1][1] for lot in whole.lots.values() if len(lot.trail) > 1}
    decided = [each for each in named(whole, "record_qc_decision") if frozenset([each.key]) in first]
    assert len(decided) == len(whole.lots)
    assert sum(bool(each.command.after) for each in decided) == 1  # after the viewer's
    assert sum(not each.command.after for each in named(whole, "register_lot") if each.applies) > len(whole.lots) / 2


@pytest.mark.parametrize("seed", SEEDS)
def test_a_run_leaves_a_step_after_all_that_is_done_at_it(seed: int) -> None:
    for life in day(seed, SMALL).runs:
        registered = {
            each.command.target_lot: each.key for each in life.commands if each.command.name == "register_lot"
        }
        ahead = {each.key: set(each.command.after) for each in life.commands}
        for each in life.commands:
            if each.command.name == "record_qc_decision" and each.applies:  # it waits for its lot
                ahead[each.key].add(registered[each.command.target_lot])
        here: set[UUID] = set()
        for each in life.commands:
            if each.command.name in ("advance_step", "complete_run") and each.applies:
                reached: set[UUID] = set()
                front = set(each.command.after)
                while front:
                    reached |= front
                    front = set().union(*(ahead.get(key, set()) for key in front)) - reached
                assert here <= reached, each
                here = set()
            elif each.command.name != "start_run":
                here.add(each.key)
            if life.end.run_status is RunStatus.ABORTED and each.key == life.moves[-1].key:
                break


@pytest.mark.parametrize(
    ("name", "steps"), [(FIFTEEN, [0, 1, 3, 4, 5, 7, 8, 9, 10]), (THIRTY, [0, 1, 2, 3, 4, 5, 7, 8, 9, 10])]
)
def test_a_flow_does_without_steps(name: str, steps: list[int]) -> None:
    plan = read_plan(without(canonical_flow(), DAY_DATA.flows[name]).graph)
    assert [step.index for step in plan.steps] == steps
    assert all(plan.step(step.index).has_gate for step in CANONICAL_STEPS if step.has_gate and step.index in steps)  # type: ignore[union-attr]


def test_a_mix_gives_whole_rods() -> None:
    assert racks(Decimal("1015.40"), ("15", "30")) == [("30", 10), ("15", 16), ("15", 16), ("15", 15)]
    assert racks(Decimal("500.00"), ("30",)) == [("30", 10), ("30", 6)]
    assert racks(Decimal("255.00"), ("15",)) == [("15", 16), ("15", 1)]


def test_statuses_are_final_or_known() -> None:
    assert {each.expected.status for each in planned(day())} == {CommandStatus.APPLIED, CommandStatus.REJECTED}
