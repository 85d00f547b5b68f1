"""What the demo sends: the same plan for the same seed, every outcome tied down, every message more than once."""

from collections import Counter
from dataclasses import replace
from random import Random
from uuid import UUID

import pytest
from tests.days import master_data

from runworker.codes import Code
from runworker.simulation.delivery import in_disorder
from runworker.simulation.master_data import ONE_FLOW, PLANT_FLOW, MasterData
from runworker.simulation.run_lives import LIVES, build_lives
from runworker.simulation.scenario import BuiltScenario, PlannedRun
from runworker.states import CommandStatus, RunStatus

DATA = master_data(ONE_FLOW)
LAST = DATA.flows[PLANT_FLOW].plan.last


def chance(seed: int) -> Random:
    return Random(seed)  # noqa: S311 - a plan to repeat, not a secret


def scenario(seed: int = 1, runs: int = 10, data: MasterData = DATA) -> BuiltScenario:
    return build_lives(chance(seed), runs, data)


def lives(seed: int = 1, runs: int = 10) -> tuple[PlannedRun, ...]:
    return scenario(seed, runs).runs


def names(life: PlannedRun) -> list[str]:
    return [planned.command.name for planned in life.commands]


def having(name: str, *others: str, runs: int = 40) -> list[PlannedRun]:
    found = [life for life in lives(runs=runs) if name in names(life) and all(other in names(life) for other in others)]
    assert found
    return found


def test_a_seed_gives_the_same_plan_again() -> None:
    first, second = chance(7), chance(7)
    plans = [build_lives(random, 20, DATA) for random in (first, second)]
    assert plans[0] == plans[1]
    assert in_disorder(first, plans[0].commands) == in_disorder(second, plans[1].commands)
    assert plans[0] != scenario(8, 20)


def test_another_use_of_a_scenario_has_ids_of_its_own() -> None:
    one, two = scenario(), scenario(data=replace(DATA, series=UUID(int=4)))
    assert [names(life) for life in one.runs] == [names(life) for life in two.runs]
    keys = [command.idempotency_key for command in (*one.commands, *two.commands)]
    assert len(set(keys)) == len(keys)
    assert not {life.run_id for life in one.runs} & {life.run_id for life in two.runs}


def test_ten_runs_have_every_kind_of_life() -> None:
    ends = Counter(life.end.run_status for life in lives())
    assert ends == {RunStatus.COMPLETED: 8, RunStatus.ABORTED: 2}
    assert len(LIVES) == 10
    assert sum("resume_run" in names(life) for life in lives()) == 2
    assert sum("hold_run" in names(life) for life in lives()) == 3


def test_every_life_is_sent_whole() -> None:
    for life in lives():
        moves = [name for name in names(life) if name not in ("hold_run", "resume_run", "abort_run")]
        assert moves == ["start_run", *["advance_step"] * 10, "complete_run"]
        assert len({planned.key for planned in life.commands}) == len(life.commands)


def test_a_hold_and_its_resume_are_tied_in() -> None:
    for life in having("hold_run", "resume_run"):
        place = names(life).index("hold_run")
        before, hold, resume, then = (planned.command for planned in life.commands[place - 1 : place + 3])
        assert hold.after == (before.idempotency_key,)
        assert resume.after == (hold.idempotency_key,)
        assert then.after == (resume.idempotency_key,)
        assert (life.end.run_status, life.end.step_index) == (RunStatus.COMPLETED, LAST)
        assert all(planned.applies for planned in life.commands)


def test_what_comes_after_an_abort_has_to_be_rejected() -> None:
    for life in having("abort_run"):
        place = names(life).index("abort_run")
        before, abort, then = (planned.command for planned in life.commands[place - 1 : place + 2])
        assert abort.after == (before.idempotency_key,)
        assert then.after == (abort.idempotency_key,)
        assert life.end.run_status is RunStatus.ABORTED
        assert life.end.step_index == place - names(life).count("hold_run") - 1
        rest = life.commands[place + 1 :]
        assert {planned.expected.status for planned in rest} == {CommandStatus.REJECTED}
        assert {planned.expected.code for planned in rest} == {Code.RUN_NOT_RUNNING}


def test_steps_are_moved_by_all_that_apply_but_holds_and_resumes() -> None:
    for life in having("hold_run"):
        moving = [planned.command.name for planned in life.commands if planned.moves_steps]
        assert "hold_run" not in moving
        assert "resume_run" not in moving
        assert len(moving) == len(life.moves) - names(life).count("hold_run") - names(life).count("resume_run")


@pytest.mark.parametrize("runs", [1, 7, 50])
def test_every_message_goes_twice_and_one_in_ten_three_times(runs: int) -> None:
    commands = scenario(runs=runs).commands
    plan = in_disorder(chance(1), commands)
    copies = Counter(plan.copies.values())
    assert copies.keys() == {2, 3}
    assert copies[3] == -(-len(commands) // 10)
    assert copies.total() == len(commands)
    assert list(plan.messages[: len(commands)]) != commands
    assert plan.copies.total() == len(plan.messages)
    batches = list(plan.batches(chance(2), most=7))
    assert len({len(batch) for batch in batches}) > 1
    assert max(len(batch) for batch in batches) <= 7
    assert tuple(message for batch in batches for message in batch) == plan.messages
