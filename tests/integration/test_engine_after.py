"""A command waits for the keys in its `after` until each of them is decided, however they are decided."""

import itertools
import time
from typing import Any
from uuid import UUID, uuid4

import pytest
from tests.plant import Plant

from runworker.commands import Command
from runworker.engine import Engine
from runworker.states import CommandStatus
from runworker.upkeep import sweep

APPLIED, REJECTED, WAITING = CommandStatus.APPLIED, CommandStatus.REJECTED, CommandStatus.WAITING


def status(plant: Plant, command: Command) -> str:
    return str(plant.ledger(command.idempotency_key).status)


def after(*commands: Command) -> dict[str, list[UUID]]:
    return {"after": [command.idempotency_key for command in commands]}


def test_waits_for_a_key_that_nobody_has_sent(plant: Plant, engine: Engine) -> None:
    key = uuid4()
    (verdict,) = engine.apply([plant.command("start_run", after=[key])])
    assert (verdict.status, verdict.waiting_for) == (WAITING, {"after": [str(key)]})
    assert plant.count("production_runs") == 0


def test_a_decided_key_is_not_waited_for(plant: Plant, engine: Engine) -> None:
    first = plant.command("start_run")
    engine.apply([first])
    assert engine.apply([plant.command("start_run", **after(first))])[0].status is APPLIED


@pytest.mark.parametrize("order", list(itertools.permutations(range(3))))
def test_a_chain_in_one_batch(plant: Plant, engine: Engine, order: tuple[int, ...]) -> None:
    first = plant.command("start_run")
    second = plant.command("hold_run", run_id=first.target_run, **after(first))
    third = plant.command("resume_run", run_id=first.target_run, **after(second))
    chain = [first, second, third]
    verdicts = engine.apply([chain[position] for position in order])
    assert {verdict.status for verdict in verdicts} == {APPLIED}
    assert plant.run(first.idempotency_key)[0] == "RUNNING"


def test_a_chain_delivered_backwards(plant: Plant, engine: Engine) -> None:
    chain = [plant.command("start_run")]
    for name in ("hold_run", "resume_run", "hold_run", "abort_run"):
        chain.append(plant.command(name, run_id=chain[0].target_run, **after(chain[-1])))
    for command in chain[:0:-1]:
        assert engine.apply([command])[0].status is WAITING
    engine.apply([chain[0]])
    assert {status(plant, command) for command in chain} == {"APPLIED"}
    assert plant.run(chain[0].idempotency_key)[0] == "ABORTED"


def test_several_keys_are_waited_for_one_after_the_other(plant: Plant, engine: Engine) -> None:
    keys = [plant.command("start_run") for _ in range(3)]
    last = plant.command("start_run", **after(*keys))
    engine.apply([last])
    for decided, key in enumerate(keys, 1):
        waiting = plant.ledger(last.idempotency_key)
        assert waiting.waiting_for == {"after": [str(each.idempotency_key) for each in keys[decided - 1 :]]}
        assert waiting.verdict["waiting_for"] == waiting.waiting_for
        engine.apply([key])
    assert status(plant, last) == "APPLIED"


def test_keys_of_other_runs(plant: Plant, engine: Engine) -> None:
    """Two runs each wait for a step of the other, crosswise."""
    one, two = uuid4(), uuid4()
    life_one, life_two = plant.life(one), plant.life(two)
    blocked_one = plant.command("advance_step", run_id=one, to_step_index=3, **after(life_two[1]))
    blocked_two = plant.command("advance_step", run_id=two, to_step_index=3, **after(blocked_one))
    engine.apply([blocked_two, blocked_one])
    engine.apply([life_one[0], life_one[1]])
    assert (plant.run(one)[1], status(plant, blocked_one)) == (1, "WAITING")
    engine.apply([life_two[0], life_two[1]])
    assert (plant.run(one)[1], plant.run(two)[1]) == (3, 3)


@pytest.mark.parametrize("together", [True, False])
def test_a_rejected_key_is_decided(plant: Plant, engine: Engine, together: bool) -> None:
    refused = plant.command("start_run", flow_version_id=uuid4())
    follower = plant.command("start_run", **after(refused))
    for commands in [[follower, refused]] if together else [[follower], [refused]]:
        engine.apply(commands)
    assert (status(plant, refused), status(plant, follower)) == ("REJECTED", "APPLIED")


def test_after_comes_before_everything_else(plant: Plant, engine: Engine) -> None:
    """What would be refused now may be right when its turn comes."""
    run = uuid4()
    hold = plant.command("hold_run", run_id=run)
    resume = plant.command("resume_run", run_id=run, **after(hold))
    engine.apply([plant.command("start_run", run_id=run)])
    assert engine.apply([resume])[0].status is WAITING
    engine.apply([hold])
    assert status(plant, resume) == "APPLIED"


def test_after_and_then_the_run(plant: Plant, engine: Engine) -> None:
    run = uuid4()
    key = plant.command("start_run")
    hold = plant.command("hold_run", run_id=run, **after(key))
    engine.apply([hold])
    engine.apply([key])
    assert plant.ledger(hold.idempotency_key).waiting_for == {"run_id": str(run)}
    engine.apply([plant.command("start_run", run_id=run)])
    assert status(plant, hold) == "APPLIED"


def test_a_start_that_waits_lets_its_whole_run_wait(plant: Plant, engine: Engine) -> None:
    run = uuid4()
    key = plant.command("start_run")
    start, *rest = plant.life(run, **after(key))
    engine.apply([start, *rest])
    assert plant.count("commands", "status = 'WAITING'") == 5
    engine.apply([key])
    assert plant.run(run)[0] == "COMPLETED"


@pytest.mark.parametrize("chained", [True, False], ids=["decided one by one", "decided together"])
def test_many_keys_of_many_commands_in_one_batch(plant: Plant, engine: Engine, chained: bool) -> None:
    """The work grows with keys times commands, not with the ways to order them."""
    keys: list[Command] = []
    for _ in range(20):
        fields: dict[str, Any] = after(keys[-1]) if chained and keys else {}
        keys.append(plant.command("start_run", **fields))
    followers = [plant.command("start_run", **after(*keys)) for _ in range(100)]
    plant.user()
    began = time.process_time()
    verdicts = engine.apply([*followers, *keys[::-1]])
    assert time.process_time() - began < 5
    assert {verdict.status for verdict in verdicts} == {APPLIED}


def test_a_key_that_is_queued_is_waited_for(plant: Plant, engine: Engine) -> None:
    queued = plant.queue("start_run")
    follower = plant.command("start_run", after=[queued])
    assert engine.apply([follower])[0].status is WAITING
    sweep(engine)
    assert status(plant, follower) == "APPLIED"
