"""What is sent: wave after wave of runs with their lots, shuffled and repeated, alone and packed, and damaged messages.

All waves are one scenario, which is proved in the end. Beside it, several systems move the same run at once: each move
is asked for under several keys, of which one may take effect. Which one is open, so the checker counts them.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from random import Random
from typing import Any, Final
from uuid import uuid4

from sqlalchemy import Engine

from runworker.commands import Command, parse
from runworker.simulation.builder import ScenarioBuilder
from runworker.simulation.chaos.damage import DamagedItem, damaged
from runworker.simulation.day.incidents import Incident
from runworker.simulation.day.materials import SUPPLIERS
from runworker.simulation.day.stations import Stations
from runworker.simulation.master_data import PLANT_FLOW, MasterDataPlan, bring_in
from runworker.simulation.run_builder import RunBuilder
from runworker.simulation.run_lives import LIVES, live
from runworker.simulation.scenario import SITE, SOURCE, BuiltScenario
from runworker.states import UserRole

DATA: Final = MasterDataPlan(flows={PLANT_FLOW: ()}, suppliers=SUPPLIERS)
SKUS: Final = ("15", "30")
INCIDENTS_OF_A_RUN: Final = 3

NEAR: Final = 5
"""Places by which a command of a run may come too late where its system sends in order."""

ANYWHERE: Final = 1_000_000

SENT_TWICE: Final = 0.3
"""Share of commands that are sent once more."""

PACKED: Final = 0.1
"""Share of messages that carry many commands."""

ENQUEUED: Final = 0.05
"""Share of messages that are none: their commands go into the ledger, in a transaction of the sender's."""

MOST_PACKED: Final = 40


@dataclass(frozen=True, slots=True)
class WaveSize:
    """What one wave has: runs with lots, runs without, runs that several systems move at once, damaged messages.

    rivals: keys under which each move of a contested run is asked for.
    """

    days: int = 1
    lives: int = 4
    contested: int = 1
    damaged: int = 2
    rivals: int = 3


@dataclass(frozen=True, slots=True)
class EnqueuedCommands:
    """Commands that an upstream puts into the ledger in one transaction of its own."""

    commands: Sequence[Command]


Message = Sequence[Command] | EnqueuedCommands | DamagedItem
"""One command, many packed together or enqueued together, or what is left of one."""


class Load:
    """Writes wave after wave. The same random state gives the same plant, but for its ids."""

    def __init__(self, database: Engine, random: Random, size: WaveSize) -> None:
        self._random = random
        self._size = size
        self._builder = ScenarioBuilder(bring_in(database, uuid4(), DATA))
        # On a flow of its own: nobody may find a run on the scenario's flow that the scenario does not know.
        self._rivals = bring_in(database, uuid4())
        self._built = 0

    @property
    def scenario(self) -> BuiltScenario:
        """All waves so far, but for what no plan tells the end of."""
        return self._builder.build()

    def wave(self) -> list[Message]:
        """The messages of the next wave, in the order in which they are sent."""
        random, size = self._random, self._size
        commands = self._runs()
        messages: list[Message] = [
            EnqueuedCommands(packed) if random.random() < ENQUEUED else packed for packed in self._packed(commands)
        ]
        for _ in range(size.contested):
            at = random.randrange(len(messages) + 1)
            messages[at:at] = ([command] for command in self._contested())
        whole = [message[0] for message in messages if isinstance(message, list)]
        for _ in range(size.damaged):
            damage = damaged(random, random.choice(whole), str(uuid4()))
            messages.insert(random.randrange(len(messages)), damage)
        return messages

    def _runs(self) -> list[Command]:
        flow = self._builder.data.flows[PLANT_FLOW]
        for _ in range(self._size.days):
            incidents = self._random.sample(list(Incident), INCIDENTS_OF_A_RUN)
            Stations(RunBuilder(self._builder, flow), self._random, SKUS, incidents).pass_all()
        for _ in range(self._size.lives):
            live(RunBuilder(self._builder, flow), self._random, self._random.choice(LIVES))
        if self._builder.recalled is None and self._builder.lots:
            self._builder.recalled = next(iter(self._builder.lots))
        runs = self._builder.build().runs
        new, self._built = runs[self._built :], len(runs)
        # As a plant sends them, or as a network brings them that has no order at all.
        apart = self._random.choice((NEAR, ANYWHERE))
        sent = [(place, planned.command) for run in new for place, planned in enumerate(run.commands)]
        sent += self._random.sample(sent, round(len(sent) * SENT_TWICE))
        return [command for _, command in sorted(sent, key=lambda each: each[0] + self._random.uniform(0, apart))]

    def _contested(self) -> Iterator[Command]:
        flow, run_id = self._rivals.flows[PLANT_FLOW], uuid4()
        about: dict[str, Any] = {"run_id": run_id, "issued_by": self._rivals.people[UserRole.OPERATOR]}
        moves = [("advance_step", {"to_step_index": step.index}) for step in flow.plan.steps[1:]]
        start: dict[str, Any] = {"flow_version_id": flow.version_id, "site_code": SITE}
        # In order, so that those that ask for the same move meet.
        for name, fields in (("start_run", start), *moves, ("complete_run", {})):
            for _ in range(self._size.rivals):
                command = parse(name, {"idempotency_key": uuid4(), "source": SOURCE, **about, **fields})
                yield command
                if self._random.random() < SENT_TWICE:
                    yield command

    def _packed(self, commands: Sequence[Command]) -> Iterator[list[Command]]:
        rest = iter(commands)
        while message := list(islice(rest, self._many())):
            yield message

    def _many(self) -> int:
        return self._random.randint(2, MOST_PACKED) if self._random.random() < PACKED else 1
