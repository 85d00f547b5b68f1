"""Commands sent, repeated, reordered and bundled at will, on PostgreSQL and on a small model, which have to agree.

What is thought of to be sent, `test_runs` and `test_plants` say. HYPOTHESIS_PROFILE=thorough runs a thousand examples.
"""

import os
from collections.abc import Mapping, Sequence
from decimal import Decimal
from itertools import count
from random import Random
from typing import Any
from uuid import UUID, uuid4

import structlog
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import Bundle, RuleBasedStateMachine, precondition, rule, run_state_machine_as_test
from tests.lifecycles.model import Answer
from tests.lifecycles.model import Plant as Model
from tests.lifecycles.reading import Reading
from tests.lifecycles.world import World
from tests.plant import REASON, Plant

from runworker.commands import Command
from runworker.engine import Engine
from runworker.states import UserRole
from runworker.upkeep import sweep
from runworker.verdicts import Verdict

PEOPLE = st.sampled_from([*["ADMIN"] * 11, "MANAGER", "OPERATOR", "AUDITOR", "VIEWER", "nobody"])
RETENTIONS = (0, 30)
"""Days. Runs are archived as soon as they are over, or not within the test."""

SEEDS = st.integers(0, 2**32)
"""Of orders. Drawing the orders themselves would use up what Hypothesis has for an example."""

SIZES = st.sampled_from([1, 3, 7, 20, 100])

TOLD = ("run_status", "current_step_index", "lot_status", "left_kg", "sku_type", "flow_version_status")


class Ids:
    """Ids that no other example has, and that stand in the same order whenever an example is tried again."""

    def __init__(self) -> None:
        self._example = uuid4().int >> 64 << 64
        self._numbers = count(1)

    def __next__(self) -> UUID:
        # Scattered, so that their order is not the order in which they were made.
        return UUID(int=self._example | (next(self._numbers) * 0x9E3779B97F4A7C15) % 2**64)


class Place:
    """Where all examples of a test happen: one plant, and an engine for each retention."""

    def __init__(self, plant: Plant) -> None:
        self.plant = plant
        self.told_late: dict[str, Verdict] = {}
        # Nothing expires: a thorough run takes longer than commands wait.
        settings = {"wait_seconds": 86_400, "tell_late": self.told_late.update}
        self.engines: Mapping[int, Engine] = {
            days: plant.engine(archive_after_days=days, **settings) for days in RETENTIONS
        }
        self.users = {str(role): plant.user(role) for role in UserRole} | {"nobody": uuid4()}


class Lifecycles(RuleBasedStateMachine):
    """A few runs of one plant, and everything that senders may do with the commands that somebody thinks of."""

    commands = Bundle("commands")

    def __init__(self, place: Place) -> None:
        super().__init__()
        self.plant, self.told_late, self.users = place.plant, place.told_late, place.users
        self.engines = place.engines
        self.ids = Ids()
        self.runs = [next(self.ids) for _ in range(3)]
        self.thought_of: list[Command] = []

    def open(self, kept_days: int, **world: Any) -> None:
        """Begin, with what is there before the first command."""
        users = {user: name for name, user in self.users.items() if name != "nobody"}
        self.engine = self.engines[kept_days]
        self.model = Model(World(users, kept_days, **world))
        self.reading = Reading(self.plant, self.model)

    def think(self, name: str, user: str = "ADMIN", **fields: Any) -> Command:
        """Make up a command; to be sent later, or never."""
        fields = {"idempotency_key": next(self.ids), "issued_by": self.users[user]} | fields
        self.thought_of.append(self.plant.command(name, **fields))
        return self.thought_of[-1]

    @rule(target=commands, command=commands, run=st.integers(0, 2))
    def same_key_again(self, command: Command, run: int) -> Command:
        """Think of another command, and give it a key that is taken."""
        fields = {"run_id": self.runs[run], "reason": REASON + ", differently"}
        return self.think("abort_run", idempotency_key=command.idempotency_key, **fields)

    @rule(commands=st.lists(commands, min_size=1, max_size=5))
    def queue(self, commands: Sequence[Command]) -> None:
        """Put commands into the ledger, but for those whose key is there."""
        for command in commands:
            if command.idempotency_key not in self.model.ledger:
                fields = command.payload | {"idempotency_key": command.idempotency_key}
                self.plant.queue(command.name, **fields)
                self.model.put_into_ledger(command)

    @precondition(lambda self: self.model.queued())
    @rule()
    def sweep(self) -> None:
        self.model.sweep()
        sweep(self.engine)
        self.compare()

    @rule(seed=SEEDS, size=SIZES)
    def deliver_all(self, seed: int, size: int) -> None:
        """Send everything thought of so far, shuffled, in batches of one size."""
        shuffled = Random(seed).sample(self.thought_of, len(self.thought_of))  # noqa: S311 - orders, no secrets
        self.deliver_in_batches(shuffled, size)

    @rule(batch=st.lists(commands, min_size=1, max_size=12))
    def deliver(self, batch: Sequence[Command]) -> None:
        self.deliver_in_batches(batch, len(batch))

    def deliver_in_batches(self, commands: Sequence[Command], size: int) -> None:
        for start in range(0, len(commands), size):
            batch = commands[start : start + size]
            expected = self.model.apply(batch)
            tasks = {command.idempotency_key: str(command.idempotency_key) for command in batch}
            assert [answer_of(verdict) for verdict in self.engine.apply(batch, tasks)] == expected
        self.compare()

    def compare(self) -> None:
        """Hold everything the database says of this example against the model."""
        assert set(self.told_late) == {str(key) for key in self.model.told_late}
        self.reading.compare([command.target_lot for command in self.thought_of if command.name == "register_lot"])

    def teardown(self) -> None:
        while sweep(self.engine):
            pass
        self.told_late.clear()


def answer_of(verdict: Verdict) -> Answer:
    if verdict.status != "APPLIED":
        return Answer(verdict.status, verdict.code, verdict.replayed, dict(verdict.waiting_for or {}))
    told = {name: verdict.state[name] for name in TOLD if name in verdict.state}
    if "left_kg" in told:
        told["left_kg"] = Decimal(told["left_kg"])
    return Answer(verdict.status, verdict.code, verdict.replayed, told)


def try_out(machine: type[Lifecycles], place: Place, *, examples: int, steps: int, **given: Any) -> None:
    """Run `examples` examples; a thousand where HYPOTHESIS_PROFILE asks for a thorough run."""
    # A line for every verdict would be most of the work.
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger("error"))
    try:
        run_state_machine_as_test(
            lambda: machine(place, **given),
            settings=settings(
                max_examples={"thorough": 1000}.get(os.environ.get("HYPOTHESIS_PROFILE", ""), examples),
                stateful_step_count=steps,
                deadline=None,
                derandomize=False,
                print_blob=True,
                suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
            ),
        )
    finally:
        structlog.reset_defaults()
