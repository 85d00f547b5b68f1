"""Lives of runs without lots: every command of a run, by everybody, in any order."""

from collections.abc import Mapping
from typing import Any
from uuid import UUID, uuid4

import pytest
from hypothesis import strategies as st
from hypothesis.stateful import initialize, multiple, rule
from tests.lifecycles.machine import PEOPLE, RETENTIONS, Lifecycles, Place, try_out
from tests.lifecycles.rules_runs import ACTS_ON_RUNS
from tests.lifecycles.world import Version
from tests.plant import REASON, STEPS, Plant

from runworker.commands import Command

SHORT = (0, 5, 10)
RUNS = st.integers(0, 2)
VERSIONS = st.sampled_from(["long", "long", "short", "draft", "unknown"])


class RunLives(Lifecycles):
    """Three runs of versions that stay as they are."""

    commands = Lifecycles.commands

    def __init__(self, place: Place, versions: Mapping[str, UUID]) -> None:
        super().__init__(place)
        self.versions = versions

    @initialize(target=commands, held=st.booleans(), kept_days=st.sampled_from(RETENTIONS))
    def two_lives(self, held: bool, kept_days: int) -> Any:
        """Think of two lives, so that every example has something to send."""
        known = {"long": ("PUBLISHED", STEPS), "short": ("PUBLISHED", SHORT), "draft": ("DRAFT", STEPS)}
        versions = {self.versions[name]: Version(uuid4(), status, plan) for name, (status, plan) in known.items()}
        self.open(kept_days, versions=versions)
        return multiple(*self.life(0, "long", held), *self.life(1, "short", not held))

    @rule(target=commands, run=RUNS, version=VERSIONS, held=st.booleans())
    def whole_life(self, run: int, version: str, held: bool) -> Any:
        """Think of a run's whole life, with a hold and its resume tied in or without."""
        return multiple(*self.life(run, version, held))

    def life(self, run: int, version: str, held: bool) -> list[Command]:
        of_run = {"run_id": self.runs[run]}
        steps = SHORT if version == "short" else STEPS
        life = [self.think("start_run", flow_version_id=self.versions[version], **of_run)]
        for step in steps[1:]:
            follows: dict[str, Any] = {}
            if held and step == steps[2]:
                life.append(self.think("hold_run", after=[life[-1].idempotency_key], **of_run))
                life.append(self.think("resume_run", after=[life[-1].idempotency_key], **of_run))
                follows["after"] = [life[-1].idempotency_key]
            life.append(self.think("advance_step", to_step_index=step, **of_run, **follows))
        return [*life, self.think("complete_run", **of_run)]

    @rule(
        target=commands,
        name=st.sampled_from(sorted(ACTS_ON_RUNS)),
        run=RUNS,
        user=PEOPLE,
        step=st.integers(0, 10),
        version=VERSIONS,
        after=st.lists(commands, max_size=3),
    )
    def any_command(self, *, name: str, run: int, user: str, step: int, version: str, after: list[Command]) -> Command:
        """Think of a single command, sensible or not."""
        fields: dict[str, Any] = {"after": [command.idempotency_key for command in after]}
        if name in ("advance_step", "rollback_step"):
            fields["to_step_index"] = step
        if name == "rollback_step":
            fields["reason"] = REASON
        if name == "start_run":
            fields["flow_version_id"] = self.versions[version]
        return self.think(name, user, run_id=self.runs[run], **fields)


@pytest.mark.timeout(7200)  # a thousand examples, or the time to shrink a failing one
def test_lives_of_runs(plant: Plant) -> None:
    versions = {"long": plant.version(STEPS), "short": plant.version(SHORT), "draft": plant.version(status="DRAFT")}
    try_out(RunLives, Place(plant), examples=60, steps=25, versions=versions | {"unknown": uuid4()})
    assert plant.discrepancies() == []
