"""A plant is taken over in the middle of its work: it is migrated, its runs and lots are adopted and taken to an end.

The older system left runs at eleven places, some of which nobody can read from its rows; the manager tells.
"""

from collections.abc import Iterator
from uuid import UUID

import psycopg
import pytest
from tests.command_line import CommandLine
from tests.plant import REASON, Plant
from tests.servers import conninfo

from runworker.canonical import CANONICAL_STEPS
from runworker.commands import Command
from runworker.engine import Engine
from runworker.imports import canonical_flow

BASELINE = "20260124_add_flow_definitions"
RUNS = 20
OLDER_SYSTEM = """
INSERT INTO users (id, email, role) VALUES (md5('shift leader')::uuid, 'shift.leader@plant.example', 'MANAGER');
INSERT INTO production_runs (id, run_code, operator_id, status, started_at, ended_at)
SELECT md5('run ' || n)::uuid, 'RUN-20260131-DUNA-' || to_char(n, 'FM0000'), md5('shift leader')::uuid, status,
       now() - interval '1 hour' * (25 - n), CASE status WHEN 'COMPLETED' THEN now() - interval '1 hour' END
FROM generate_series(0, 21) AS n,
     LATERAL (SELECT CASE n WHEN 20 THEN 'COMPLETED' WHEN 21 THEN 'CANCELLED' ELSE 'ACTIVE' END) AS given (status);

-- Of every run but the last ten: raw material, used up by deboned meat, of which half went into a mix that was never
-- looked at. What the mix is, and for which run it was made, nobody noted.
INSERT INTO lots (id, lot_code, lot_type, production_run_id, weight_kg, created_at)
SELECT md5(prefix || n)::uuid, prefix || '-20260131-DUNA-' || to_char(n, 'FM0000'), type::lot_type,
       CASE WHEN type IS NOT NULL THEN md5('run ' || n)::uuid END, 100, now() - interval '3 hours'
FROM generate_series(0, 9) AS n, (VALUES ('RAW', 'RAW'), ('DEB', 'DEB'), ('X', NULL)) AS lot (prefix, type);
INSERT INTO lot_genealogy (parent_lot_id, child_lot_id, quantity_used_kg, linked_at)
SELECT md5(parent || n)::uuid, md5(child || n)::uuid, kg, now() - interval '2 hours'
FROM generate_series(0, 9) AS n, (VALUES ('RAW', 'DEB', 100), ('DEB', 'X', 50)) AS link (parent, child, kg);
INSERT INTO qc_decisions (lot_id, decision, decided_at)
SELECT md5(prefix || n)::uuid, 'PASS', now() - interval '2 hours'
FROM generate_series(0, 9) AS n, unnest(ARRAY['RAW', 'DEB']) AS prefix;
"""
HELD = {3, 8, 14}
"""Runs that somebody holds between the migration and the adoption."""


def stands_at(number: int) -> int:
    """Where the manager finds a run in the plant: those with a mix at mixing or later, others anywhere."""
    return 4 + number % 3 if number < RUNS // 2 else number % 11


@pytest.fixture
def plant(empty_database_url: str, command_line: CommandLine) -> Iterator[Plant]:
    """The older system's database, migrated by the command."""
    command_line.settings["database_url"] = empty_database_url
    command_line.ok("migrate", BASELINE)
    with psycopg.connect(conninfo(empty_database_url)) as older_system:
        older_system.execute(OLDER_SYSTEM)
    command_line.ok("migrate")
    plant = Plant(empty_database_url)
    yield plant
    plant.close()


class Cutover:
    """The manager's commands. runs, leader: as the older system knows them."""

    def __init__(self, plant: Plant, engine: Engine) -> None:
        self.plant, self.engine = plant, engine
        ((self.leader,),) = plant.sql("SELECT id FROM users")
        self.flow = plant.version(canonical_flow().graph)
        found = "SELECT id FROM production_runs WHERE flow_version_id IS NULL AND status = 'RUNNING' ORDER BY run_code"
        self.runs: list[UUID] = [run for (run,) in plant.sql(found)]

    def of_run(self, name: str, number: int, **fields: object) -> Command:
        return self.plant.command(name, run_id=self.runs[number], issued_by=self.leader, **fields)

    def of_lot(self, name: str, number: int, prefix: str, **fields: object) -> Command:
        ((lot,),) = self.plant.sql("SELECT md5(:lot)::uuid", lot=f"{prefix}{number}")
        return self.plant.command(name, lot_id=lot, issued_by=self.leader, **fields)

    def apply(self, commands: list[Command]) -> None:
        verdicts = self.engine.apply(commands)
        assert [verdict.as_dict() for verdict in verdicts if verdict.code] == []
        assert self.plant.count("commands", "status <> 'APPLIED'") == 0

    def adopt(self, number: int) -> list[Command]:
        """The lot before its run, in order for it to wait; raw material and meat get their steps where it is left."""
        fields = {"flow_version_id": self.flow, "step_index": stands_at(number)}
        adoption = self.of_run("adopt_run", number, **fields)
        if number >= RUNS // 2:
            return [adoption]
        mix = self.of_lot(
            "adopt_lot", number, "X", lot_type="MIX", run_id=self.runs[number], step_index=4, reason=REASON
        )
        return [mix, adoption, self.of_lot("adopt_lot", number, "DEB", step_index=2)]

    def finish(self, number: int) -> list[Command]:
        """To the end: what was held is resumed, and the mix decided on before its step is left."""
        resumed = [self.of_run("resume_run", number)] if number in HELD else []
        decided = []
        if number < RUNS // 2:
            decided = [self.of_lot("record_qc_decision", number, "X", decision="PASS")]
        later = [step.index for step in CANONICAL_STEPS if step.index > stands_at(number)]
        advances = [self.of_run("advance_step", number, to_step_index=step) for step in later]
        return [*resumed, *decided, *advances, self.of_run("complete_run", number)]


@pytest.mark.parametrize("batch", [1, 100])
def test_a_plant_with_twenty_runs_in_progress_is_taken_over(plant: Plant, engine: Engine, batch: int) -> None:
    """Run by run, and in batches of a hundred commands."""
    cutover = Cutover(plant, engine)
    assert len(cutover.runs) == RUNS
    assert plant.discrepancies() == []
    cutover.apply([cutover.of_run("hold_run", number) for number in sorted(HELD)])

    in_order = [cutover.adopt(number) for number in range(RUNS)]
    for begin in range(0, RUNS, batch):
        cutover.apply([command for commands in in_order[begin : begin + batch] for command in commands])
    for number, run in enumerate(cutover.runs):
        status, step, steps = plant.run(run)
        assert (status, step) == ("HOLD" if number in HELD else "RUNNING", stands_at(number))
        assert [steps[index] for index in range(11)] == [
            "COMPLETED" if index < step else "IN_PROGRESS" if index == step else "PENDING" for index in range(11)
        ]
    assert plant.discrepancies() == []

    in_order = [cutover.finish(number) for number in range(RUNS)]
    for begin in range(0, RUNS, batch):
        cutover.apply([command for commands in in_order[begin : begin + batch] for command in commands])

    assert plant.count("production_runs", "status = 'COMPLETED' AND flow_version_id IS NOT NULL") == RUNS
    assert plant.count("run_step_executions", "status = 'COMPLETED'") == 11 * RUNS
    assert plant.count("lots", "lot_type = 'MIX' AND step_index = 4 AND status = 'RELEASED'") == RUNS // 2
    assert plant.count("lots", "production_run_id IS NULL OR lot_type IS NULL") == 0
    assert plant.discrepancies() == []


def test_what_is_not_adopted_is_not_lost(plant: Plant, engine: Engine) -> None:
    """A run that nobody finds in the plant is aborted; the finished ones are as they were."""
    cutover = Cutover(plant, engine)
    cutover.apply([cutover.of_run("abort_run", number) for number in range(RUNS)])

    states = dict(plant.sql("SELECT status, count(*) FROM production_runs GROUP BY 1"))
    assert states == {"ABORTED": RUNS + 1, "COMPLETED": 1}
    assert plant.discrepancies() == []
