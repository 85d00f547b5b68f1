"""Bad input, in a bulk with good neighbours: each has its code, and the neighbours take effect."""

from collections.abc import Callable
from typing import Any
from uuid import uuid4

import pytest
from tests.plant import Plant, linear_graph
from tests.unit.command_fields import ENOUGH

from runworker.codes import Code
from runworker.commands import COMMANDS, Command, parse
from runworker.engine import Engine
from runworker.errors import InvalidMessage
from runworker.states import CommandStatus, UserRole
from runworker.upkeep import sweep
from runworker.verdicts import Verdict

APPLIED, REJECTED, WAITING = CommandStatus.APPLIED, CommandStatus.REJECTED, CommandStatus.WAITING
NEIGHBOURS = 5

Told = Verdict | InvalidMessage
Fields = dict[str, Any]


def told_in_a_bulk(plant: Plant, engine: Engine, name: str, fields: Any) -> Told:
    """What the sender of one command is told, sent between good ones, which have to take effect."""
    commands: list[Command] = [plant.command("start_run") for _ in range(2 * NEIGHBOURS)]
    refusal: InvalidMessage | None = None
    try:
        commands.insert(NEIGHBOURS, parse(name, fields))
    except InvalidMessage as error:
        refusal = error
    verdicts = engine.apply(commands)
    told: Told = refusal if refusal else verdicts.pop(NEIGHBOURS)
    assert [verdict.status for verdict in verdicts] == [APPLIED] * 2 * NEIGHBOURS
    assert plant.count("dead_letters") == 0
    return told


def without(fields: Fields, name: str) -> Fields:
    return {key: value for key, value in fields.items() if key != name}


UNREADABLE: dict[str, tuple[Code, str, Callable[[Fields], Any]]] = {
    "unknown field": (Code.UNKNOWN_FIELD, "hold_run", lambda good: good | {"run": "x"}),
    "missing key": (Code.MISSING_FIELD, "hold_run", lambda good: without(good, "idempotency_key")),
    "missing user": (Code.MISSING_FIELD, "hold_run", lambda good: without(good, "issued_by")),
    "missing run": (Code.MISSING_FIELD, "hold_run", lambda good: without(good, "run_id")),
    "a string for a number": (Code.INVALID_FIELD, "advance_step", lambda good: good | {"to_step_index": "1"}),
    "no uuid": (Code.INVALID_FIELD, "hold_run", lambda good: good | {"run_id": "RUN-20260201-MAIN-0001"}),
    "unknown command": (Code.UNKNOWN_COMMAND, "stop_run", lambda good: good),
    "1 MB of reason": (Code.INVALID_FIELD, "hold_run", lambda good: good | {"reason": "x" * 1_000_000}),
    "a NUL byte": (Code.INVALID_FIELD, "hold_run", lambda good: good | {"reason": "the oven\x00 is cold"}),
    "a lone surrogate": (Code.INVALID_FIELD, "hold_run", lambda good: good | {"reason": "the oven \ud83d is cold"}),
    "a number past bigint": (Code.INVALID_FIELD, "advance_step", lambda good: good | {"to_step_index": 2**63}),
    "weight past bigint": (Code.INVALID_FIELD, "start_run", lambda good: good | {"daily_target_kg": 2**63}),
    "no object": (Code.MALFORMED_MESSAGE, "hold_run", list),
}


@pytest.mark.parametrize("what", UNREADABLE)
def test_unreadable(plant: Plant, engine: Engine, what: str) -> None:
    code, name, spoil = UNREADABLE[what]
    known = name if name in COMMANDS else "hold_run"
    good = plant.fields(known, **({} if known == "start_run" else {"run_id": uuid4()}))
    told = told_in_a_bulk(plant, engine, name, spoil(good | ({"to_step_index": 1} if name == "advance_step" else {})))
    assert isinstance(told, InvalidMessage)
    assert told.code is code
    assert plant.count("commands") == 2 * NEIGHBOURS


def test_unknown_run(plant: Plant) -> None:
    engine = plant.engine(wait_seconds=1)
    fields = plant.fields("hold_run", run_id=uuid4())
    told = told_in_a_bulk(plant, engine, "hold_run", fields)
    assert isinstance(told, Verdict)
    assert told.status is WAITING
    plant.sql("SELECT pg_sleep_until(expires_at) FROM commands WHERE status = 'WAITING'")
    sweep(engine)
    assert plant.ledger(fields["idempotency_key"]).code == Code.WAIT_EXPIRED


@pytest.mark.parametrize("field", ["issued_by", "operator_id"])
def test_unknown_user(plant: Plant, engine: Engine, field: str) -> None:
    told = told_in_a_bulk(plant, engine, "start_run", plant.fields("start_run") | {field: str(uuid4())})
    assert told.code is Code.UNKNOWN_USER


@pytest.mark.parametrize(
    ("role", "name"),
    [(role, name) for name, command in COMMANDS.items() for role in UserRole if role not in command.roles],
)
def test_wrong_role(plant: Plant, engine: Engine, role: UserRole, name: str) -> None:
    (verdict,) = engine.apply([plant.command("start_run")])
    asked = ENOUGH[name] | {"idempotency_key": str(uuid4()), "issued_by": str(plant.user(role))}
    if "run_id" in asked:
        asked["run_id"] = str(verdict.run_id)
    assert told_in_a_bulk(plant, engine, name, asked).code is Code.ROLE_NOT_ALLOWED
    assert plant.run(verdict.run_id or uuid4())[:2] == ("RUNNING", 0)


def test_unknown_version(plant: Plant, engine: Engine) -> None:
    told = told_in_a_bulk(plant, engine, "start_run", plant.fields("start_run", flow_version_id=uuid4()))
    assert told.code is Code.UNKNOWN_FLOW_VERSION


@pytest.mark.parametrize("status", ["DRAFT", "REVIEW", "DEPRECATED"])
def test_version_not_in_force(plant: Plant, engine: Engine, status: str) -> None:
    version = plant.version(status=status)
    told = told_in_a_bulk(plant, engine, "start_run", plant.fields("start_run", flow_version_id=version))
    assert told.code is Code.FLOW_VERSION_NOT_PUBLISHED


def circular() -> dict[str, Any]:
    graph = linear_graph((0, 1, 2, 10))
    graph["edges"].append({"id": "back", "source": "node-2", "target": "node-1"})
    return graph


def two_starts() -> dict[str, Any]:
    graph = linear_graph((0, 1, 2, 10))
    graph["nodes"][1]["type"] = graph["nodes"][1]["data"]["nodeType"] = "start"
    return graph


@pytest.mark.parametrize(
    ("graph", "problem"),
    [
        ({"nodes": [], "edges": []}, Code.PLAN_EMPTY),
        ({}, Code.PLAN_EMPTY),
        (circular(), Code.PLAN_CYCLE),
        (two_starts(), Code.PLAN_MANY_STARTS),
    ],
    ids=["empty", "nothing", "cycle", "two starts"],
)
def test_graph_without_a_plan(plant: Plant, engine: Engine, graph: dict[str, Any], problem: Code) -> None:
    fields = plant.fields("start_run", flow_version_id=plant.version(graph))
    for _ in range(2):
        told = told_in_a_bulk(plant, engine, "start_run", fields | {"idempotency_key": str(uuid4())})
        assert isinstance(told, Verdict)
        assert told.code is Code.PLAN_INVALID
        assert problem in [each["code"] for each in told.state["problems"]]


def test_graph_that_is_no_object(plant: Plant, engine: Engine) -> None:
    version = plant.version(status="DRAFT")
    plant.sql("UPDATE flow_versions SET graph_schema = '[7]', status = 'REVIEW' WHERE id = :id", id=version)
    plant.sql("UPDATE flow_versions SET status = 'PUBLISHED' WHERE id = :id", id=version)
    told = told_in_a_bulk(plant, engine, "start_run", plant.fields("start_run", flow_version_id=version))
    assert told.code is Code.PLAN_INVALID


def test_a_draft_that_is_redrawn_is_read_again(plant: Plant, engine: Engine) -> None:
    version, sound = plant.version({"nodes": [], "edges": []}, status="DRAFT"), plant.version()
    submitted = [plant.command("submit_flow_version", flow_version_id=version) for _ in range(2)]
    assert engine.apply(submitted[:1])[0].code is Code.PLAN_INVALID
    plant.sql(
        "UPDATE flow_versions SET graph_schema = other.graph_schema"
        " FROM flow_versions AS other WHERE flow_versions.id = :id AND other.id = :sound",
        id=version,
        sound=sound,
    )
    assert engine.apply(submitted[1:])[0].status is APPLIED


def test_largest_bulk_of_everything_bad(plant: Plant, engine: Engine) -> None:
    """Five hundred at once, half of them refused for one reason or another."""
    versions = [plant.version(status=status) for status in ("DRAFT", "REVIEW", "DEPRECATED")]
    viewer = plant.user(UserRole.VIEWER)
    spoils: list[Fields] = [
        {"flow_version_id": version} for version in [*versions, uuid4(), plant.version({"nodes": [], "edges": []})]
    ]
    spoils += [{"issued_by": viewer}, {"issued_by": uuid4()}, {"operator_id": uuid4()}, {"after": [uuid4()]}, {}]
    commands = [plant.command("start_run", **(spoils[number // 2 % 10] if number % 2 else {})) for number in range(500)]
    verdicts = engine.apply(commands)
    assert {verdict.status for verdict in verdicts[::2]} == {APPLIED}
    assert [verdict.status for verdict in verdicts[1:20:2]] == [REJECTED] * 8 + [WAITING, APPLIED]
    assert plant.count("production_runs") == 275
