"""Two batches at the same moment, over and over: nothing twice, nothing missed, nobody stuck."""

import random
from functools import partial
from uuid import UUID, uuid4

import pytest
from tests.plant import Plant, race

from runworker.codes import Code
from runworker.commands import Command
from runworker.engine import Engine
from runworker.states import CommandStatus
from runworker.upkeep import sweep

APPLIED, REJECTED = CommandStatus.APPLIED, CommandStatus.REJECTED
ROUNDS = 100

pytestmark = pytest.mark.usefixtures("first_try")


@pytest.fixture
def engines(plant: Plant) -> list[Engine]:
    """Two workers, their connections open."""
    engines = [plant.engine(), plant.engine()]
    for engine in engines:
        engine.apply([plant.command("start_run")])
    return engines


def deliver(engines: list[Engine], *batches: list[Command]) -> list[CommandStatus]:
    """Each batch by a worker of its own, at once. Returns the status of the first verdict of each."""
    works = [partial(engine.apply, batch) for engine, batch in zip(engines, batches, strict=True)]
    return [verdicts[0].status for verdicts in race(*works)]


def undecided(plant: Plant) -> int:
    return plant.count("commands", "status IN ('QUEUED', 'WAITING')")


def test_one_key_takes_effect_once(plant: Plant, engines: list[Engine]) -> None:
    for _ in range(ROUNDS):
        command = plant.command("start_run")
        verdicts = [told for (told,) in race(*(partial(engine.apply, [command]) for engine in engines))]
        assert sorted(verdict.replayed for verdict in verdicts) == [False, True]
        assert verdicts[0].as_replay() == verdicts[1].as_replay()
        assert plant.ledger(command.idempotency_key).deliveries == 2
    assert plant.count("production_runs") == ROUNDS + 2


def test_one_key_with_two_payloads_takes_effect_once(plant: Plant, engines: list[Engine]) -> None:
    for _ in range(ROUNDS):
        key = uuid4()
        one, other = (plant.command("start_run", idempotency_key=key, run_id=uuid4()) for _ in engines)
        verdicts = [told for (told,) in race(partial(engines[0].apply, [one]), partial(engines[1].apply, [other]))]
        assert {verdict.code for verdict in verdicts} == {None, Code.IDEMPOTENCY_KEY_REUSED}
    assert plant.count("production_runs") == ROUNDS + 2


def test_a_run_that_comes_while_its_advance_comes(plant: Plant, engines: list[Engine]) -> None:
    for _ in range(ROUNDS):
        run = uuid4()
        start, advance = plant.life(run)[:2]
        deliver(engines, [start], [advance])
        assert plant.run(run)[:2] == ("RUNNING", 1)
    assert undecided(plant) == 0


def test_a_key_that_comes_while_its_follower_comes(plant: Plant, engines: list[Engine]) -> None:
    for _ in range(ROUNDS):
        first = plant.command("start_run")
        deliver(engines, [first], [plant.command("start_run", after=[first.idempotency_key])])
    assert undecided(plant) == 0


def test_a_waiting_start_that_is_released_while_its_advance_comes(plant: Plant, engines: list[Engine]) -> None:
    for _ in range(ROUNDS):
        run, key = uuid4(), plant.command("start_run")
        start, advance = plant.life(run, after=[key.idempotency_key])[:2]
        engines[0].apply([start])
        deliver(engines, [key], [advance])
        assert plant.run(run)[:2] == ("RUNNING", 1)


def test_a_step_that_is_reached_while_the_next_advance_comes(plant: Plant, engines: list[Engine]) -> None:
    for _ in range(ROUNDS):
        run = uuid4()
        start, to_1, to_3, *_ = plant.life(run)
        engines[0].apply([start])
        deliver(engines, [to_1], [to_3])
        assert plant.run(run)[:2] == ("RUNNING", 3)


@pytest.mark.parametrize("queued", [0, 1], ids=["queued start", "queued advance"])
def test_a_sweep_while_a_message_comes(plant: Plant, engines: list[Engine], queued: int) -> None:
    for _ in range(ROUNDS):
        run = uuid4()
        life = plant.life(run)[:2]
        command = life.pop(queued)
        fields = command.payload | {"idempotency_key": command.idempotency_key}
        plant.queue(command.name, **fields)
        race(partial(sweep, engines[0]), partial(engines[1].apply, life))
        assert plant.run(run)[:2] == ("RUNNING", 1)


def test_two_sweeps(plant: Plant, engines: list[Engine]) -> None:
    for _ in range(20):
        for _ in range(5):
            plant.queue("start_run")
        race(*(partial(sweep, engine) for engine in engines))
    assert undecided(plant) == 0
    assert plant.count("production_runs") == 102


def test_opposite_orders_do_not_block_each_other(plant: Plant, engines: list[Engine]) -> None:
    for _ in range(10):
        runs = [uuid4() for _ in range(20)]
        engines[0].apply([plant.command("start_run", run_id=run) for run in runs])
        one, other = (
            [plant.command("advance_step", run_id=run, to_step_index=1) for run in order]
            for order in (runs, runs[::-1])
        )
        verdicts = race(partial(engines[0].apply, one), partial(engines[1].apply, other))
        for mine, theirs in zip(verdicts[0], verdicts[1][::-1], strict=True):
            assert {mine.status, theirs.status} == {APPLIED, REJECTED}
            assert {mine.code, theirs.code} == {None, Code.STEP_ALREADY_PASSED}


def test_lives_in_pieces_by_three_workers(plant: Plant, engines: list[Engine]) -> None:
    """Whole lives with holds, every command twice, dealt to three workers in batches of one to twenty."""
    engines = [*engines, plant.engine()]
    seed = random.SystemRandom().randrange(2**32)
    dice = random.Random(seed)  # noqa: S311 - a shuffle to be repeated, no secret
    commands: list[Command] = []
    runs: list[UUID] = []
    for _ in range(30):
        runs.append(uuid4())
        start, *advances, complete = plant.life(runs[-1])
        hold = plant.command("hold_run", run_id=runs[-1], after=[advances[0].idempotency_key])
        resume = plant.command("resume_run", run_id=runs[-1], after=[hold.idempotency_key])
        late = plant.command("advance_step", run_id=runs[-1], to_step_index=3, after=[resume.idempotency_key])
        commands += [start, advances[0], hold, resume, late, *advances[2:], complete]
    piles: list[list[list[Command]]] = [[], [], []]
    deck = dice.sample(commands * 2, len(commands) * 2)
    while deck:
        size = dice.randint(1, 20)
        dice.choice(piles).append(deck[:size])
        del deck[:size]

    def work(engine: Engine, pile: list[list[Command]]) -> None:
        for batch in pile:
            engine.apply(batch)

    race(*(partial(work, engine, pile) for engine, pile in zip(engines, piles, strict=True)))
    assert {plant.run(run)[0] for run in runs} == {"COMPLETED"}, f"seed {seed}"
    assert plant.count("commands", "status <> 'APPLIED'") == 0, f"seed {seed}"
    assert plant.count("commands", "deliveries <> 2") == 2, f"seed {seed}"
