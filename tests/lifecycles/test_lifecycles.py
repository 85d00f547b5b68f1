"""Commands sent, repeated, reordered and bundled at will, on PostgreSQL and on a small model, which have to agree.

HYPOTHESIS_PROFILE=thorough runs a thousand examples.
"""

import os
from collections.abc import Iterator, Mapping, Sequence
from itertools import count
from typing import Any
from uuid import UUID, uuid4

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import Bundle, RuleBasedStateMachine, initialize, multiple, rule, run_state_machine_as_test
from tests.lifecycles.model import Answer
from tests.lifecycles.model import Plant as Model
from tests.lifecycles.rules import MAY
from tests.plant import REASON, STEPS, Plant

from runworker.commands import Command
from runworker.engine import Engine
from runworker.states import UserRole
from runworker.verdicts import Verdict

EXAMPLES = {"thorough": 1000}.get(os.environ.get("HYPOTHESIS_PROFILE", ""), 80)
SHORT = (0, 5, 10)
RUNS = st.integers(0, 2)
PEOPLE = st.sampled_from(["ADMIN", "ADMIN", "MANAGER", "OPERATOR", "AUDITOR", "VIEWER", "nobody"])
VERSIONS = st.sampled_from(["long", "long", "short", "draft", "unknown"])


class Ids:
    """Ids that no other example has, and that stand in the same order whenever an example is tried again."""

    def __init__(self) -> None:
        self._example = uuid4().int >> 64 << 64
        self._numbers = count(1)

    def __next__(self) -> UUID:
        # Scattered, so that their order is not the order in which they were made.
        return UUID(int=self._example | (next(self._numbers) * 0x9E3779B97F4A7C15) % 2**64)


class Lifecycles(RuleBasedStateMachine):
    """A few runs of one plant, and everything that senders may do to them."""

    commands = Bundle("commands")

    def __init__(
        self, plant: Plant, engine: Engine, told_late: dict[str, Verdict], versions: Mapping[str, UUID]
    ) -> None:
        super().__init__()
        self.plant, self.engine, self.told_late = plant, engine, told_late
        self.users = {str(role): plant.user(role) for role in UserRole} | {"nobody": uuid4()}
        self.versions = versions
        self.model = Model(
            {user: name for name, user in self.users.items() if name != "nobody"},
            {versions["long"]: STEPS, versions["short"]: SHORT, versions["draft"]: "FLOW_VERSION_NOT_PUBLISHED"},
        )
        self.ids = Ids()
        self.thought_of: list[Command] = []
        self.runs = [next(self.ids) for _ in range(3)]

    def command(self, name: str, run: int, user: str = "ADMIN", **fields: Any) -> Command:
        fields = {"idempotency_key": next(self.ids), "run_id": self.runs[run], "issued_by": self.users[user]} | fields
        self.thought_of.append(self.plant.command(name, **fields))
        return self.thought_of[-1]

    @initialize(target=commands, held=st.booleans())
    def two_lives(self, held: bool) -> Any:
        """Think of two lives, so that every example has something to send."""
        return multiple(*self.life(0, "long", held), *self.life(1, "short", not held))

    @rule(target=commands, run=RUNS, version=VERSIONS, held=st.booleans())
    def whole_life(self, run: int, version: str, held: bool) -> Any:
        """Think of a run's whole life, with a hold and its resume tied in or without."""
        return multiple(*self.life(run, version, held))

    def life(self, run: int, version: str, held: bool) -> list[Command]:
        steps = SHORT if version == "short" else STEPS
        life = [self.command("start_run", run, flow_version_id=self.versions[version])]
        for step in steps[1:]:
            follows: dict[str, Any] = {}
            if held and step == steps[2]:
                life.append(self.command("hold_run", run, after=[life[-1].idempotency_key]))
                life.append(self.command("resume_run", run, after=[life[-1].idempotency_key]))
                follows["after"] = [life[-1].idempotency_key]
            life.append(self.command("advance_step", run, to_step_index=step, **follows))
        return [*life, self.command("complete_run", run)]

    @rule(
        target=commands,
        name=st.sampled_from(sorted(MAY)),
        run=RUNS,
        user=PEOPLE,
        step=st.integers(0, 10),
        version=VERSIONS,
        after=st.lists(commands, max_size=3),
    )
    def any_command(self, *, name: str, run: int, user: str, step: int, version: str, after: list[Command]) -> Command:
        """Think of a single command, sensible or not."""
        fields: dict[str, Any] = {"after": [command.idempotency_key for command in after]}
        if name == "advance_step":
            fields["to_step_index"] = step
        if name == "start_run":
            fields["flow_version_id"] = self.versions[version]
        return self.command(name, run, user, **fields)

    @rule(target=commands, command=commands, run=RUNS)
    def same_key_again(self, command: Command, run: int) -> Command:
        """Think of another command, and give it a key that is taken."""
        return self.command("abort_run", run, idempotency_key=command.idempotency_key, reason=REASON + ", differently")

    @rule(command=commands)
    def queue(self, command: Command) -> None:
        """Put a command into the ledger, if its key is not there."""
        if command.idempotency_key not in self.model.ledger:
            fields = command.payload | {"idempotency_key": command.idempotency_key}
            self.plant.queue(command.name, **fields)
            self.model.put_into_ledger(command)

    @rule()
    def sweep(self) -> None:
        self.model.apply([], swept=self.model.queued())
        self.engine.sweep()
        self.compare()

    @rule(data=st.data(), size=st.integers(1, 20))
    def deliver_all(self, data: st.DataObject, size: int) -> None:
        """Send everything thought of so far, shuffled, in batches of one size."""
        shuffled = data.draw(st.permutations(self.thought_of))
        for start in range(0, len(shuffled), size):
            self.deliver(shuffled[start : start + size])

    @rule(batch=st.lists(commands, min_size=1, max_size=12))
    def deliver(self, batch: list[Command]) -> None:
        expected = self.model.apply(batch)
        tasks = {command.idempotency_key: str(command.idempotency_key) for command in batch}
        assert [answer_of(verdict) for verdict in self.engine.apply(batch, tasks)] == expected
        self.compare()

    def compare(self) -> None:
        """Hold everything the database says of this example against the model."""
        assert set(self.told_late) == {str(key) for key in self.model.told_late}
        assert dict(self.ledger()) == {
            key: (record.status, record.code, record.waits_for if record.status == "WAITING" else set())
            for key, record in self.model.ledger.items()
        }
        assert dict(self.pictures()) == {
            id_: (run.version, run.status, run.step, run.steps) for id_, run in self.model.runs.items()
        }
        assert self.trail() == {id_: run.changed_by for id_, run in self.model.runs.items()}

    def ledger(self) -> Iterator[tuple[UUID, Any]]:
        for row in self.plant.sql(
            "SELECT idempotency_key, status, code, wakes_on FROM commands WHERE idempotency_key = ANY(:keys)",
            keys=list(self.model.ledger),
        ):
            yield row.idempotency_key, (row.status, row.code, set(row.wakes_on or ()))

    def pictures(self) -> Iterator[tuple[UUID, Any]]:
        for row in self.plant.sql(
            "SELECT run.id, flow_version_id, run.status, current_step_index,"
            " array_agg(step.status ORDER BY step_index) AS steps, array_agg(step_index ORDER BY step_index) AS indices"
            " FROM production_runs AS run JOIN run_step_executions AS step ON run_id = run.id"
            " WHERE run.id = ANY(:runs) GROUP BY run.id",
            runs=self.runs,
        ):
            steps = dict(zip(row.indices, row.steps, strict=True))
            yield row.id, (row.flow_version_id, row.status, row.current_step_index, steps)
            gapless(row.status, [status for status in row.steps if status != "SKIPPED"])

    def trail(self) -> dict[UUID, list[UUID]]:
        """For each run, the commands that audit events name for its changes, in order."""
        events = self.plant.sql(
            "SELECT entity_id, command_key FROM audit_events"
            " WHERE entity = 'production_runs' AND entity_id = ANY(:runs) ORDER BY id",
            runs=self.runs,
        )
        return {run: keys for run in self.runs if (keys := [key for entity, key in events if entity == run])}

    def teardown(self) -> None:
        while self.engine.sweep():
            pass
        self.told_late.clear()


def answer_of(verdict: Verdict) -> Answer:
    told = {name: verdict.state[name] for name in ("run_status", "current_step_index") if name in verdict.state}
    if verdict.status != "APPLIED":
        told = dict(verdict.waiting_for or {})
    return Answer(verdict.status, verdict.code, verdict.replayed, told)


def gapless(status: str, planned: Sequence[str]) -> None:
    """All planned steps up to the current one are done, which is in progress unless the run has ended."""
    done = len([each for each in planned if each == "COMPLETED"])
    assert list(planned[:done]) == ["COMPLETED"] * done
    in_progress = [each for each in planned if each == "IN_PROGRESS"]
    assert len(in_progress) == (1 if status in ("RUNNING", "HOLD") else 0)
    assert set(planned[done + len(in_progress) :]) <= {"PENDING"}


@pytest.mark.timeout(3600)  # a thousand examples, or the time to shrink a failing one
def test_lifecycles(plant: Plant) -> None:
    told_late: dict[str, Verdict] = {}
    # Nothing expires: a thorough run takes longer than commands wait.
    engine = plant.engine(wait_seconds=86_400, tell_late=told_late.update)
    versions = {"long": plant.version(STEPS), "short": plant.version(SHORT), "draft": plant.version(status="DRAFT")}
    run_state_machine_as_test(
        lambda: Lifecycles(plant, engine, told_late, versions | {"unknown": uuid4()}),
        settings=settings(
            max_examples=EXAMPLES,
            stateful_step_count=25,
            deadline=None,
            derandomize=False,
            print_blob=True,
            suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
        ),
    )
