"""Any order of delivery: what the plan or `after` puts in order ends in the same state as if it had come so."""

import itertools
from collections.abc import Iterable, Sequence
from uuid import UUID, uuid4

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from structlog.testing import capture_logs
from tests.plant import REASON, Plant

from runworker.commands import Command, parse
from runworker.engine import Engine

Batches = Iterable[Sequence[Command]]


class Life:
    """One life's commands, to be lived again and again by runs of other ids."""

    def __init__(self, plant: Plant, commands: Sequence[Command]) -> None:
        self._plant = plant
        self._commands = commands
        self._in_order: list[list[object]] = []
        self._ids = {commands[0].target_run, *(command.idempotency_key for command in commands)}

    def again(self) -> tuple[list[Command], dict[UUID, UUID]]:
        """The same commands under fresh ids, and the old ids by fresh ones."""
        fresh = {str(old): str(uuid4()) for old in self._ids}

        def renamed(value: object) -> object:
            return [renamed(part) for part in value] if isinstance(value, list) else fresh.get(str(value), value)

        commands = [
            parse(
                command.name,
                {name: renamed(value) for name, value in command.payload.items()}
                | {"idempotency_key": fresh[str(command.idempotency_key)]},
            )
            for command in self._commands
        ]
        return commands, {UUID(new): UUID(old) for old, new in fresh.items()}

    def picture(self, run: UUID, names: dict[UUID, UUID]) -> list[list[object]]:
        """Run, steps and verdicts of one lived life, in the words of the first."""
        verdicts = self._plant.sql("SELECT idempotency_key, status, code FROM commands WHERE run_id = :run", run=run)
        rows = [*self._plant.picture(run), *verdicts]
        told = [[names.get(value, value) if isinstance(value, UUID) else value for value in row] for row in rows]
        return sorted(told, key=repr)

    def live(self, engine: Engine, order: Sequence[int], sizes: Sequence[int] = ()) -> list[list[object]]:
        """Deliver a fresh life in this order, in batches of these sizes (default: one), and picture the end."""
        commands, names = self.again()
        shuffled = iter([commands[position] for position in order])
        for size in sizes or [1] * len(commands):
            engine.apply(list(itertools.islice(shuffled, size)))
        return self.picture(commands[0].target_run or uuid4(), names)

    def in_order(self, engine: Engine) -> list[list[object]]:
        """The picture of a life delivered in order, which completes and has nothing refused."""
        if not self._in_order:
            self._in_order = self.live(engine, range(len(self._commands)))
            assert "COMPLETED" in str(self._in_order)
            assert "REJECTED" not in str(self._in_order)
        return self._in_order


@pytest.fixture
def short_life(plant: Plant) -> Life:
    """Five commands that the plan puts in order."""
    return Life(plant, plant.life(uuid4()))


@pytest.fixture
def whole_life(plant: Plant) -> Life:
    """All eleven steps with a hold and its resume at step 4, tied in by `after`: they wait for the advance to
    4, and the advance to 5 for the resume."""
    run = uuid4()
    start, *advances, complete = plant.life(run, range(11))
    hold = plant.command("hold_run", run_id=run, after=[advances[3].idempotency_key])
    resume = plant.command("resume_run", run_id=run, after=[hold.idempotency_key])
    fields = advances[4].payload | {"after": [str(resume.idempotency_key)]}
    advances[4] = parse("advance_step", fields | {"idempotency_key": str(advances[4].idempotency_key)})
    return Life(plant, [start, *advances[:4], hold, resume, *advances[4:], complete])


@pytest.mark.parametrize("sizes", [(1, 1, 1, 1, 1), (5,), (2, 3)], ids=str)
def test_every_order_of_a_short_life(engine: Engine, short_life: Life, sizes: tuple[int, ...]) -> None:
    in_order = short_life.in_order(engine)
    for order in itertools.permutations(range(5)):
        assert short_life.live(engine, order, sizes) == in_order, f"delivered in the order {order}"


# Every example lives a life of its own in the same database.
examples = settings(
    deadline=None, print_blob=True, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow]
)
COUNT = 14


@settings(examples, max_examples=40)
@given(order=st.permutations(range(COUNT)), cuts=st.sets(st.integers(1, COUNT - 1)))
def test_random_orders_of_a_whole_life(engine: Engine, whole_life: Life, order: list[int], cuts: set[int]) -> None:
    sizes = [end - begin for begin, end in itertools.pairwise(sorted({0, COUNT, *cuts}))]
    assert whole_life.live(engine, order, sizes) == whole_life.in_order(engine)


@settings(examples, max_examples=5)
@given(order=st.permutations(range(20 * COUNT)))
def test_runs_in_one_batch_do_not_disturb_each_other(engine: Engine, whole_life: Life, order: list[int]) -> None:
    lives = [whole_life.again() for _ in range(20)]
    commands = [command for life, _ in lives for command in life]
    engine.apply([commands[position] for position in order])
    pictures = [whole_life.picture(life[0].target_run or uuid4(), names) for life, names in lives]
    assert all(picture == whole_life.in_order(engine) for picture in pictures)


def test_a_version_and_runs_that_are_pinned_to_it_go_in_one_transaction(plant: Plant, engine: Engine) -> None:
    version = plant.version(status="DRAFT")
    moved = [plant.command(name, flow_version_id=version) for name in ("submit_flow_version", "approve_flow_version")]
    start = plant.command("start_run", flow_version_id=version)
    abort = plant.command("abort_run", run_id=start.target_run, reason=REASON)
    withdraw = plant.command("deprecate_flow_version", flow_version_id=version)
    with capture_logs() as logs:
        verdicts = engine.apply([*moved, start, abort, withdraw])
    assert {verdict.status for verdict in verdicts} == {"APPLIED"}
    # The run is written while its version is PUBLISHED: the database refuses none of it.
    assert "batch.split" not in {log["event"] for log in logs}
