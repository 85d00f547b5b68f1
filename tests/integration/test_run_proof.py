"""The proof of runs against a real database: silent on what the engine did, loud on whatever is tampered with.

Each tampering happens in a transaction that is rolled back, with the guards disabled that would refuse it.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from random import Random
from typing import Any
from uuid import uuid4

import pytest
from sqlalchemy import Connection, text
from tests.plant import Plant

from runworker.engine import Engine
from runworker.simulation.builder import ScenarioBuilder
from runworker.simulation.database_state import DatabaseState, read_state
from runworker.simulation.delivery import in_disorder
from runworker.simulation.master_data import PLANT_FLOW, bring_in
from runworker.simulation.proof import RUN_CHECKS, Expectation, prove
from runworker.simulation.report import run_figures
from runworker.simulation.run_builder import RunBuilder
from runworker.simulation.run_lives import build_lives
from runworker.simulation.scenario import BuiltScenario, PlannedRun
from runworker.states import RunStatus

QUEUE = "demo-test"
GUARDED = ("production_runs", "run_step_executions", "commands", "dead_letters", "audit_events", "flow_versions")

ENDS, STEPS, PINS, EFFECTS, TRAIL, LEDGER, CODES, DELIVERIES, LETTERS = RUN_CHECKS


def applied(engine: Engine, random: Random, scenario: BuiltScenario) -> Expectation:
    """A scenario, delivered in disorder to the engine without a broker in between."""
    plan = in_disorder(random, scenario.commands)
    for batch in plan.batches(random):
        engine.apply(batch)
    return Expectation(scenario, plan.copies)


def applied_lives(engine: Engine, seed: int, runs: int = 12) -> Expectation:
    random = Random(seed)  # noqa: S311 - a plan to repeat, not a secret
    return applied(engine, random, build_lives(random, runs, bring_in(engine.database, uuid4())))


def state_on(connection: Connection, wanted: Expectation) -> DatabaseState:
    return read_state(connection, wanted.scenario, queue=QUEUE)


def violations(connection: Connection, wanted: Expectation) -> dict[str, tuple[str, ...]]:
    """Violations by the claim that they speak against."""
    checks = prove(RUN_CHECKS, wanted, state_on(connection, wanted))
    return {check.claim: check.violations for check in checks if check.violations}


@pytest.fixture
def owner(plant: Plant) -> Engine:
    """An engine that may import as well: it keeps its login's rights."""
    return plant.engine(database_role=None)


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_nothing_speaks_against_what_the_engine_did(owner: Engine, seed: int) -> None:
    wanted = applied_lives(owner, seed)
    with owner.database.connect() as connection:
        state = state_on(connection, wanted)
    checks = prove(RUN_CHECKS, wanted, state)
    assert [check.violations for check in checks] == [()] * len(RUN_CHECKS)
    figures = run_figures(wanted, state, checks, began=0)
    commands = len(wanted.scenario.commands)
    moves = sum(len(run.moves) for run in wanted.scenario.runs)
    assert (figures["runs"], figures["completed"], figures["aborted"]) == (12, 10, 2)
    assert figures["messages_sent"] == sum(wanted.copies.values())
    assert (figures["commands_applied"], figures["rejected"]) == (moves, commands - moves)
    assert figures["replays"] == figures["messages_sent"] - commands
    assert figures["violations"] == 0


def test_runs_need_not_be_over(owner: Engine) -> None:
    data = bring_in(owner.database, uuid4())
    scenario = ScenarioBuilder(data)
    for steps in range(3):
        run = RunBuilder(scenario, data.flows[PLANT_FLOW])
        for _ in range(steps):
            run.advance()
    run.hold("the test leaves this one on hold")
    wanted = applied(owner, Random(1), scenario.build())  # noqa: S311 - a plan to repeat, not a secret
    assert [run.end.run_status for run in wanted.scenario.runs] == ["RUNNING", "RUNNING", "HOLD"]
    with owner.database.connect() as connection:
        assert violations(connection, wanted) == {}
        connection.execute(text("ALTER TABLE production_runs DISABLE TRIGGER USER"))
        stop = "UPDATE production_runs SET status = 'ABORTED', ended_at = now() WHERE id = :id"
        connection.execute(text(stop), {"id": wanted.scenario.runs[1].run_id})
        assert violations(connection, wanted).keys() == {ENDS}


@dataclass(frozen=True)
class Tampering:
    """What is done to the database, and which claims have to fall: each with words that one of its violations has."""

    statement: str
    falls: dict[str, str]
    guards: Sequence[str] = GUARDED


AUDIT_COLUMNS = "entity, entity_id, operation, before, after, command_key, command, actor, db_user, xact_id"

TAMPERINGS = {
    "a run is back at work": Tampering(
        "UPDATE production_runs SET status = 'RUNNING', completed_at = NULL, ended_at = NULL WHERE id = :whole",
        {ENDS: "status is RUNNING and not COMPLETED"},
    ),
    "a run is at another step": Tampering(
        "UPDATE production_runs SET current_step_index = 4 WHERE id = :whole",
        {ENDS: "current_step_index is 4 and not 10"},
    ),
    "a run ended before it began": Tampering(
        "UPDATE production_runs SET ended_at = started_at - interval '1 s' WHERE id = :aborted",
        {ENDS: "and ended at"},
    ),
    "a run was aborted after all": Tampering(
        "UPDATE production_runs SET status = 'ABORTED', completed_at = NULL WHERE id = :whole",
        {ENDS: "status is ABORTED and not COMPLETED"},
    ),
    "a run was completed at no time": Tampering(
        "UPDATE production_runs SET completed_at = NULL WHERE id = :whole",
        {ENDS: "is COMPLETED and was completed at None"},
        guards=(*GUARDED, "production_runs DROP CONSTRAINT ck_production_runs_times"),
    ),
    "a run is gone": Tampering(
        "DELETE FROM production_runs WHERE id = :whole",
        {
            ENDS: "is there 0 times; it had to be once (COMPLETED, 10)",
            STEPS: "step 10 is there 0 times",
            LEDGER: "run_code is RUN-",
        },
    ),
    "a run that nobody asked for": Tampering(
        "INSERT INTO production_runs (run_code, flow_version_id) VALUES ('RUN-20260101-DEMO-0001', :version)",
        {ENDS: "nobody asked for it"},
    ),
    "a step is missing": Tampering(
        "DELETE FROM run_step_executions WHERE run_id = :whole AND step_index = 6",
        {STEPS: "step 6 is there 0 times; it had to be once ("},
    ),
    "a step is there twice": Tampering(
        "INSERT INTO run_step_executions (run_id, step_index, node_id, status, started_at, completed_at)"
        " SELECT run_id, step_index, node_id, status, started_at, completed_at FROM run_step_executions"
        " WHERE run_id = :whole AND step_index = 6",
        {STEPS: "step 6 is there 2 times"},
        guards=(*GUARDED, "run_step_executions DROP CONSTRAINT uq_run_step_executions_run_step"),
    ),
    "a step was passed over": Tampering(
        "UPDATE run_step_executions SET status = 'SKIPPED', completed_at = NULL"
        " WHERE run_id = :whole AND step_index = 6",
        {STEPS: "step 6: status is SKIPPED and not COMPLETED"},
    ),
    "a step of an aborted run was done": Tampering(
        "UPDATE run_step_executions SET status = 'COMPLETED', started_at = now(), completed_at = now()"
        " WHERE run_id = :aborted AND step_index = 10",
        {STEPS: "step 10: status is COMPLETED and not SKIPPED"},
    ),
    "a step was done without beginning": Tampering(
        "UPDATE run_step_executions SET started_at = NULL WHERE run_id = :whole AND step_index = 6",
        {STEPS: "step 6 of run"},
        guards=(*GUARDED, "run_step_executions DROP CONSTRAINT ck_run_step_executions_times"),
    ),
    "a step stands for another node": Tampering(
        "UPDATE run_step_executions SET node_id = 'elsewhere' WHERE run_id = :whole AND step_index = 6",
        {STEPS: "step 6: node_id is elsewhere and not"},
    ),
    "a step was ended before the one before it": Tampering(
        "UPDATE run_step_executions SET started_at = started_at - interval '1 h', completed_at = started_at"
        " WHERE run_id = :whole AND step_index = 6",
        {STEPS: "the beginning of step 6 lies before the end of step 5"},
    ),
    "a run follows another version": Tampering(
        "UPDATE production_runs SET flow_version_id = :other_version WHERE id = :whole",
        {PINS: "flow_version_id is"},
    ),
    "a run has another key": Tampering(
        "UPDATE production_runs SET idempotency_key = gen_random_uuid() WHERE id = :whole",
        {PINS: "idempotency_key is"},
    ),
    "the version was withdrawn": Tampering(
        "UPDATE flow_versions SET status = 'DEPRECATED' WHERE id = :version",
        {PINS: "status is DEPRECATED and not PUBLISHED"},
    ),
    "an effect was lost": Tampering(
        "DELETE FROM audit_events WHERE entity = 'production_runs' AND command_key = :advance",
        {EFFECTS: "changed production_runs of run"},
    ),
    "a command took effect twice": Tampering(
        f"INSERT INTO audit_events ({AUDIT_COLUMNS}) SELECT {AUDIT_COLUMNS} FROM audit_events"  # noqa: S608 - own words
        " WHERE command_key = :advance",
        {EFFECTS: "2 times; it had to once"},
    ),
    "a rejected command took effect": Tampering(
        f"INSERT INTO audit_events ({AUDIT_COLUMNS})"  # noqa: S608 - own words
        " SELECT entity, :aborted, operation, before, after, :rejected, command, actor, db_user, xact_id"
        " FROM audit_events WHERE command_key = :advance",
        {EFFECTS: "uncalled for", TRAIL: "it had to be None"},
    ),
    "two commands took effect in the wrong order": Tampering(
        "UPDATE audit_events SET command_key = CASE command_key WHEN :advance THEN :advance_too ELSE :advance END"
        " WHERE command_key IN (:advance, :advance_too)",
        {EFFECTS: "changed in another order", TRAIL: "made its run RUNNING at step"},
    ),
    "somebody changed a run by hand": Tampering(
        'UPDATE production_runs SET summary = \'{"by": "hand"}\' WHERE id = :aborted',
        {EFFECTS: "somebody by hand changed production_runs"},
        guards=("production_runs DISABLE TRIGGER trg_production_runs_guard",),
    ),
    "a command had another effect": Tampering(
        'UPDATE audit_events SET after = after || \'{"status": "HOLD"}\' WHERE command_key = :advance',
        {TRAIL: "made its run HOLD at step"},
    ),
    "a command still waits": Tampering(
        "UPDATE commands SET status = 'WAITING', decided_at = NULL, expires_at = now()"
        " WHERE idempotency_key = :advance",
        {LEDGER: "status is WAITING and not APPLIED"},
    ),
    "a command was rejected for another reason": Tampering(
        "UPDATE commands SET code = 'UNKNOWN_USER' WHERE idempotency_key = :rejected",
        {LEDGER: "code is UNKNOWN_USER and not RUN_NOT_RUNNING"},
    ),
    "a verdict speaks of another step": Tampering(
        "UPDATE commands SET verdict = verdict || '{\"current_step_index\": 9}' WHERE idempotency_key = :advance",
        {LEDGER: "current_step_index is 9 and not 1"},
    ),
    "a verdict has another code": Tampering(
        'UPDATE commands SET verdict = verdict || \'{"code": "UNKNOWN_USER"}\' WHERE idempotency_key = :rejected',
        {LEDGER: "code is UNKNOWN_USER and not RUN_NOT_RUNNING"},
    ),
    "a command is not in the ledger": Tampering(
        "DELETE FROM commands WHERE idempotency_key = :advance",
        {LEDGER: "is there 0 times; it had to be once (APPLIED, None)", DELIVERIES: "never reached the ledger"},
    ),
    "a command that nobody sent": Tampering(
        "INSERT INTO commands (idempotency_key, command, payload, run_id)"
        " VALUES (gen_random_uuid(), 'hold_run', '{}', :whole)",
        {LEDGER: "is there and nobody asked for it"},
    ),
    "a message was lost": Tampering(
        "UPDATE commands SET deliveries = deliveries - 1 WHERE idempotency_key = :advance",
        {DELIVERIES: "1 messages never reached the ledger"},
    ),
    "a message went to the dead letters": Tampering(
        "INSERT INTO dead_letters (body_sha256, raw_body, task_name, task_id, code, error)"
        " VALUES (sha256('x'), 'x', 'runworker.advance_step', :advance_text, 'MISSING_FIELD', 'run_id is required')",
        {LETTERS: "(runworker.advance_step, MISSING_FIELD): run_id is required"},
    ),
    "something unreadable stood in the queue": Tampering(
        "INSERT INTO dead_letters (body_sha256, raw_body, headers, code, error)"
        " VALUES (sha256('x'), 'x', '{\"queue\": \"demo-test\"}', 'MALFORMED_MESSAGE', 'no Celery message')",
        {LETTERS: "(None, MALFORMED_MESSAGE): no Celery message"},
    ),
    "a run code is no run code": Tampering(
        "UPDATE production_runs SET run_code = 'RUN-1' WHERE id = :whole",
        {CODES: "has the code 'RUN-1'; expected RUN-", LEDGER: "and not RUN-1"},
    ),
    "a run code is of another day": Tampering(
        "UPDATE production_runs SET run_code = 'RUN-20200101-DEMO-0001' WHERE id = :whole",
        {CODES: "has the code 'RUN-20200101-DEMO-0001'", LEDGER: "and not RUN-20200101-DEMO-0001"},
    ),
    "two runs share a code": Tampering(
        "UPDATE production_runs SET run_code = (SELECT run_code FROM production_runs WHERE id = :aborted)"
        " WHERE id = :whole",
        {CODES: "2 runs share the code", LEDGER: "run_code is RUN-"},
        guards=(*GUARDED, "production_runs DROP CONSTRAINT uq_production_runs_run_code"),
    ),
}


def ids_of(wanted: Expectation, plant: Plant) -> dict[str, Any]:
    """What the tamperings speak of."""
    whole = next(run for run in wanted.scenario.runs if len(run.commands) == 12)
    aborted = next(run for run in wanted.scenario.runs if _is_aborted_early(run))
    return {
        "whole": whole.run_id,
        "aborted": aborted.run_id,
        "advance": whole.commands[1].key,
        "advance_text": str(whole.commands[1].key),
        "advance_too": whole.commands[2].key,
        "rejected": aborted.commands[-1].key,
        "version": whole.flow.version_id,
        "other_version": plant.version(),
    }


def _is_aborted_early(run: PlannedRun) -> bool:
    return run.end.run_status is RunStatus.ABORTED and (run.end.step_index or 0) < 10


def test_every_tampering_is_found(owner: Engine, plant: Plant, subtests: pytest.Subtests) -> None:
    wanted = applied_lives(owner, 1)
    ids = ids_of(wanted, plant)
    for name, tampering in TAMPERINGS.items():
        with subtests.test(name), owner.database.connect() as connection:
            for table in tampering.guards:
                disable = f"ALTER TABLE {table}" if " " in table else f"ALTER TABLE {table} DISABLE TRIGGER USER"
                connection.execute(text(disable))
            statement = text(tampering.statement)
            named = statement.compile().params
            assert connection.execute(statement, {each: ids[each] for each in named}).rowcount > 0
            fallen = violations(connection, wanted)
            assert fallen.keys() == tampering.falls.keys()
            for sentence, words in tampering.falls.items():
                assert any(words in violation for violation in fallen[sentence]), fallen[sentence]
    with owner.database.connect() as connection:
        assert violations(connection, wanted) == {}


def test_every_claim_can_fall() -> None:
    assert {sentence for tampering in TAMPERINGS.values() for sentence in tampering.falls} == set(RUN_CHECKS)


def test_a_kill_may_cost_the_one_message_that_was_being_taken(owner: Engine, plant: Plant) -> None:
    wanted = applied_lives(owner, 1, runs=2)
    one, other = list(wanted.copies)[:2]
    with owner.database.connect() as connection:
        connection.execute(text("ALTER TABLE commands DISABLE TRIGGER USER"))
        lose = text("UPDATE commands SET deliveries = deliveries - 1 WHERE idempotency_key = :key")
        connection.execute(lose, {"key": one})
        assert violations(connection, replace(wanted, kills=1)) == {}
        connection.execute(lose, {"key": other})
        assert violations(connection, replace(wanted, kills=1)).keys() == {DELIVERIES}
        assert violations(connection, replace(wanted, kills=2)) == {}
