"""What the demo sends: the same plan for the same seed, every outcome tied down, every message more than once."""

from collections import Counter
from random import Random
from uuid import UUID

import pytest

from runworker.codes import Code
from runworker.demo.delivery import deliveries
from runworker.demo.scenario import KINDS, Cast, write_lives
from runworker.demo.script import Flow, Life, commands_of
from runworker.imports import canonical_flow
from runworker.plan import read_plan
from runworker.states import CommandStatus, RunStatus

CAST = Cast(UUID(int=1), Flow(UUID(int=2), read_plan(canonical_flow().graph)), UUID(int=3))
LAST = CAST.flow.plan.last


def chance(seed: int) -> Random:
    return Random(seed)  # noqa: S311 - a plan to repeat, not a secret


def lives(seed: int = 1, runs: int = 10, cast: Cast = CAST) -> tuple[Life, ...]:
    return write_lives(chance(seed), runs, cast)


def names(life: Life) -> list[str]:
    return [scripted.command.name for scripted in life.script]


def having(name: str, *others: str, runs: int = 40) -> list[Life]:
    found = [life for life in lives(runs=runs) if name in names(life) and all(other in names(life) for other in others)]
    assert found
    return found


def test_a_seed_gives_the_same_plan_again() -> None:
    first, second = chance(7), chance(7)
    plans = [write_lives(random, 20, CAST) for random in (first, second)]
    assert plans[0] == plans[1]
    assert deliveries(first, commands_of(plans[0])) == deliveries(second, commands_of(plans[1]))
    assert plans[0] != lives(8, 20)


def test_another_performance_of_a_plan_has_ids_of_its_own() -> None:
    other = Cast(CAST.issued_by, CAST.flow, UUID(int=4))
    one, two = lives(), lives(cast=other)
    assert [names(life) for life in one] == [names(life) for life in two]
    keys = [command.idempotency_key for command in commands_of([*one, *two])]
    assert len(set(keys)) == len(keys)
    assert not {life.run_id for life in one} & {life.run_id for life in two}


def test_ten_runs_have_every_kind_of_life() -> None:
    ends = Counter(life.end.run_status for life in lives())
    assert ends == {RunStatus.COMPLETED: 8, RunStatus.ABORTED: 2}
    assert len(KINDS) == 10
    assert sum("resume_run" in names(life) for life in lives()) == 2
    assert sum("hold_run" in names(life) for life in lives()) == 3


def test_every_life_is_sent_whole() -> None:
    for life in lives():
        moves = [name for name in names(life) if name not in ("hold_run", "resume_run", "abort_run")]
        assert moves == ["start_run", *["advance_step"] * 10, "complete_run"]
        assert len({scripted.key for scripted in life.script}) == len(life.script)


def test_a_hold_and_its_resume_are_tied_in() -> None:
    for life in having("hold_run", "resume_run"):
        place = names(life).index("hold_run")
        before, hold, resume, then = (scripted.command for scripted in life.script[place - 1 : place + 3])
        assert hold.after == (before.idempotency_key,)
        assert resume.after == (hold.idempotency_key,)
        assert then.after == (resume.idempotency_key,)
        assert (life.end.run_status, life.end.step_index) == (RunStatus.COMPLETED, LAST)
        assert all(scripted.applies for scripted in life.script)


def test_what_comes_after_an_abort_has_to_be_rejected() -> None:
    for life in having("abort_run"):
        place = names(life).index("abort_run")
        before, abort, then = (scripted.command for scripted in life.script[place - 1 : place + 2])
        assert abort.after == (before.idempotency_key,)
        assert then.after == (abort.idempotency_key,)
        assert life.end.run_status is RunStatus.ABORTED
        assert life.end.step_index == place - names(life).count("hold_run") - 1
        rest = life.script[place + 1 :]
        assert {scripted.expected.status for scripted in rest} == {CommandStatus.REJECTED}
        assert {scripted.expected.code for scripted in rest} == {Code.RUN_NOT_RUNNING}


def test_steps_are_moved_by_all_that_apply_but_holds_and_resumes() -> None:
    for life in having("hold_run"):
        moving = [scripted.command.name for scripted in life.script if scripted.moves_steps]
        assert "hold_run" not in moving
        assert "resume_run" not in moving
        assert len(moving) == len(life.moves) - names(life).count("hold_run") - names(life).count("resume_run")


@pytest.mark.parametrize("runs", [1, 7, 50])
def test_every_message_goes_twice_and_one_in_ten_three_times(runs: int) -> None:
    commands = commands_of(lives(runs=runs))
    messages = deliveries(chance(1), commands)
    copies = Counter(Counter(message.idempotency_key for message in messages).values())
    assert copies.keys() == {2, 3}
    assert copies[3] == -(-len(commands) // 10)
    assert copies.total() == len(commands)
    assert messages[: len(commands)] != commands
