"""Commands that are refused, as messages of their own and among others in one: a code for each, and no harm done."""

import json
from collections.abc import Callable
from itertools import pairwise
from typing import Any, Final
from uuid import uuid4

import pytest
from tests.crew import Crew, eventually
from tests.envelopes import nested
from tests.plant import REASON, STEPS, Plant, linear_graph

from runworker.codes import Code
from runworker.commands import BULK_LIMIT

pytestmark = pytest.mark.timeout(120)

Refused = tuple[Code, str, Callable[[Plant], dict[str, Any]]]

TWO_STARTS: Final = linear_graph(STEPS)
TWO_STARTS["nodes"][1]["type"] = TWO_STARTS["nodes"][1]["data"]["nodeType"] = "start"
CYCLE: Final = linear_graph(STEPS)
CYCLE["edges"].append({"id": "back", "source": "node-10", "target": "node-1"})
EMPTY: Final = {"nodes": [], "edges": [], "viewport": {"x": 0, "y": 0, "zoom": 1}}

UNREADABLE: Final[dict[str, Refused]] = {
    "unknown field": (Code.UNKNOWN_FIELD, "start_run", lambda _: {"colour": "red"}),
    "a field called self": (Code.UNKNOWN_FIELD, "start_run", lambda _: {"self": 1}),
    "fields named as Celery's own": (Code.UNKNOWN_FIELD, "start_run", lambda _: {"args": 1, "kwargs": 2, "task": 3}),
    "key missing": (Code.MISSING_FIELD, "start_run", lambda _: {"idempotency_key": ...}),
    "issuer missing": (Code.MISSING_FIELD, "start_run", lambda _: {"issued_by": ...}),
    "run missing": (Code.MISSING_FIELD, "advance_step", lambda _: {"to_step_index": 1}),
    "key null": (Code.INVALID_FIELD, "start_run", lambda _: {"idempotency_key": None}),
    "key no UUID": (Code.INVALID_FIELD, "start_run", lambda _: {"idempotency_key": "42"}),
    "key a number": (Code.INVALID_FIELD, "start_run", lambda _: {"idempotency_key": 42}),
    "version no UUID": (Code.INVALID_FIELD, "start_run", lambda _: {"flow_version_id": "newest"}),
    "a string for a number": (Code.INVALID_FIELD, "advance_step", lambda _: {"run_id": uuid4(), "to_step_index": "1"}),
    "true for a number": (Code.INVALID_FIELD, "advance_step", lambda _: {"run_id": uuid4(), "to_step_index": True}),
    "step past bigint": (Code.INVALID_FIELD, "advance_step", lambda _: {"run_id": uuid4(), "to_step_index": 2**64}),
    "weight past numeric": (Code.INVALID_FIELD, "start_run", lambda _: {"daily_target_kg": 10**400}),
    "weight not a number": (Code.INVALID_FIELD, "start_run", lambda _: {"daily_target_kg": float("nan")}),
    "weight infinite": (Code.INVALID_FIELD, "start_run", lambda _: {"daily_target_kg": float("inf")}),
    "1 MB of reason": (Code.INVALID_FIELD, "hold_run", lambda _: {"run_id": uuid4(), "reason": "x" * 1_000_000}),
    "reason too short": (Code.INVALID_FIELD, "hold_run", lambda _: {"run_id": uuid4(), "reason": "no"}),
    "reason of blanks": (Code.INVALID_FIELD, "hold_run", lambda _: {"run_id": uuid4(), "reason": " " * 20}),
    "NUL in a reason": (Code.INVALID_FIELD, "hold_run", lambda _: {"run_id": uuid4(), "reason": REASON + "\0"}),
    "lone surrogate in a reason": (
        Code.INVALID_FIELD,
        "hold_run",
        lambda _: {"run_id": uuid4(), "reason": "\ud800" * 20},
    ),
    "NUL in the source": (Code.INVALID_FIELD, "start_run", lambda _: {"source": "a\0b"}),
    "lone surrogate in the source": (Code.INVALID_FIELD, "start_run", lambda _: {"source": "\ud800"}),
    "site in small letters": (Code.INVALID_FIELD, "start_run", lambda _: {"site_code": "main"}),
    "time without a zone": (Code.INVALID_FIELD, "start_run", lambda _: {"issued_at": "2026-01-01T00:00:00"}),
    "a list for a string": (Code.INVALID_FIELD, "start_run", lambda _: {"site_code": nested(40)}),
    "after too many": (Code.INVALID_FIELD, "start_run", lambda _: {"after": [uuid4() for _ in range(21)]}),
    "names no name can be": (Code.UNKNOWN_FIELD, "start_run", lambda _: {"": 1, "\0": 2}),
}
"""What cannot be read as a command: kept in dead_letters, and unknown to the ledger."""

AGAINST_A_RULE: Final[dict[str, Refused]] = {
    "unknown issuer": (Code.UNKNOWN_USER, "start_run", lambda _: {"issued_by": uuid4()}),
    "unknown operator": (Code.UNKNOWN_USER, "start_run", lambda _: {"operator_id": uuid4()}),
    "VIEWER": (Code.ROLE_NOT_ALLOWED, "start_run", lambda plant: {"issued_by": plant.user("VIEWER")}),
    "wrong role": (
        Code.ROLE_NOT_ALLOWED,
        "abort_run",
        lambda plant: {"run_id": uuid4(), "issued_by": plant.user("OPERATOR")},
    ),
    "unknown version": (Code.UNKNOWN_FLOW_VERSION, "start_run", lambda _: {"flow_version_id": uuid4()}),
    "unknown scenario": (Code.UNKNOWN_SCENARIO, "start_run", lambda _: {"scenario_id": uuid4()}),
    **{
        f"a {status} version": (
            Code.FLOW_VERSION_NOT_PUBLISHED,
            "start_run",
            lambda plant, status=status: {"flow_version_id": plant.version(status=status)},
        )
        for status in ("DRAFT", "REVIEW", "DEPRECATED")
    },
    **{
        f"a graph {how}": (
            Code.PLAN_INVALID,
            "start_run",
            lambda plant, graph=graph: {"flow_version_id": plant.version(graph)},
        )
        for how, graph in {"with nothing in it": EMPTY, "with two starts": TWO_STARTS, "with a cycle": CYCLE}.items()
    },
}
"""What a rule forbids: decided, and in the ledger."""

REFUSED: Final = UNREADABLE | AGAINST_A_RULE


def fields_of(plant: Plant, refused: Refused) -> dict[str, Any]:
    _, name, make = refused
    fields = plant.fields(name) | json.loads(json.dumps(make(plant), default=_plain))
    return {name: value for name, value in fields.items() if value != "absent"}


def _plain(value: object) -> str:
    return "absent" if value is ... else str(value)


@pytest.mark.parametrize("case", REFUSED)
def test_a_refused_command_is_told_its_code(shared_crew: Crew, case: str) -> None:
    code, name, _ = REFUSED[case]
    fields = fields_of(shared_crew.plant, REFUSED[case])
    before = shared_crew.send("start_run")
    result = shared_crew.upstream.send_task(f"runworker.{name}", kwargs=fields)
    after = shared_crew.send("start_run")
    verdict = shared_crew.verdict(result)
    assert (verdict["status"], verdict["code"], verdict["command"]) == ("REJECTED", code, name)
    assert 0 < len(verdict["message"]) < 1000
    assert [shared_crew.verdict(neighbour)["status"] for neighbour in (before, after)] == ["APPLIED", "APPLIED"]
    if case in UNREADABLE:
        (letter,) = shared_crew.plant.sql("SELECT * FROM dead_letters WHERE id = :id", id=verdict["dead_letter"])
        args, kept, _ = json.loads(letter.raw_body)
        assert json.dumps([args, kept]) == json.dumps([[], fields])
        assert (letter.code, letter.task_name, letter.task_id) == (code, f"runworker.{name}", result.id)
    else:
        assert shared_crew.plant.ledger(fields["idempotency_key"]).code == code
        assert "dead_letter" not in verdict
    shared_crew.wait_until_idle()
    assert [worker.exit_code for worker in shared_crew.workers] == [None]


def test_all_refused_commands_in_one_message_take_none_with_them(shared_crew: Crew) -> None:
    plant = shared_crew.plant
    items, expected = [], []
    for case in REFUSED.values():
        code, name, _ = case
        items.append({"command": "start_run", **plant.fields("start_run")})
        items.append({"command": name, **fields_of(plant, case)})
        expected += ["APPLIED", code]
    verdicts = shared_crew.verdict(shared_crew.upstream.send_task("runworker.apply", kwargs={"commands": items}))
    assert [verdict.get("code", verdict["status"]) for verdict in verdicts] == expected
    assert [verdict["command"] for verdict in verdicts] == [item["command"] for item in items]
    applied = {item["idempotency_key"] for item, what in zip(items, expected, strict=True) if what == "APPLIED"}
    found = "SELECT count(*) FROM commands WHERE status = 'APPLIED' AND idempotency_key = ANY(CAST(:keys AS uuid[]))"
    assert plant.sql(found, keys=list(applied))[0][0] == len(applied)


@pytest.mark.parametrize(
    ("item", "code"),
    [
        ({"command": "fly"}, Code.UNKNOWN_COMMAND),
        ({"command": None}, Code.UNKNOWN_COMMAND),
        ({"command": ["start_run"]}, Code.UNKNOWN_COMMAND),
        ({"command": "runworker.start_run"}, Code.UNKNOWN_COMMAND),
        ({"command": "\ud800\0"}, Code.UNKNOWN_COMMAND),
        ({}, Code.UNKNOWN_COMMAND),
        ("start_run", Code.MISSING_FIELD),
        (None, Code.UNKNOWN_COMMAND),
        (5, Code.UNKNOWN_COMMAND),
        ([], Code.UNKNOWN_COMMAND),
    ],
    ids=repr,
)
def test_an_item_that_is_no_command_is_refused_alone(shared_crew: Crew, item: object, code: Code) -> None:
    good = {"command": "start_run", **shared_crew.plant.fields("start_run")}
    sent = shared_crew.upstream.send_task("runworker.apply", kwargs={"commands": [item, good]})
    refused, applied = shared_crew.verdict(sent)
    assert (refused["code"], applied["status"]) == (code, "APPLIED")
    assert shared_crew.plant.sql("SELECT FROM dead_letters WHERE id = :id", id=refused["dead_letter"])


@pytest.mark.parametrize(
    ("task", "args", "kwargs", "code"),
    [
        ("apply", [], {}, Code.MISSING_FIELD),
        ("apply", [], {"commands": []} | {"more": 1}, Code.UNKNOWN_FIELD),
        ("apply", [], {"commands": {}}, Code.INVALID_FIELD),
        ("apply", [], {"commands": None}, Code.INVALID_FIELD),
        ("apply", [], {"commands": [{}] * (BULK_LIMIT + 1)}, Code.BATCH_TOO_LARGE),
        ("apply", [[]], {}, Code.POSITIONAL_ARGUMENTS),
        ("start_run", ["a", 1], {}, Code.POSITIONAL_ARGUMENTS),
        ("start_run", [], {}, Code.MISSING_FIELD),
        ("verdicts", [], {}, Code.MISSING_FIELD),
        ("verdicts", [], {"keys": "all"}, Code.INVALID_FIELD),
        ("verdicts", [], {"keys": ["no UUID"]}, Code.INVALID_FIELD),
        ("verdicts", [], {"keys": [None]}, Code.INVALID_FIELD),
        ("verdicts", [], {"keys": [str(uuid4())] * (BULK_LIMIT + 1)}, Code.BATCH_TOO_LARGE),
        ("verdicts", [[]], {}, Code.POSITIONAL_ARGUMENTS),
    ],
)
def test_a_message_of_many_that_is_none_is_refused_whole(
    shared_crew: Crew, task: str, args: list[Any], kwargs: dict[str, Any], code: Code
) -> None:
    verdict = shared_crew.verdict(shared_crew.upstream.send_task(f"runworker.{task}", args=args, kwargs=kwargs))
    assert (verdict["status"], verdict["code"], verdict["command"]) == ("REJECTED", code, task)
    (letter,) = shared_crew.plant.sql("SELECT * FROM dead_letters WHERE id = :id", id=verdict["dead_letter"])
    assert json.loads(letter.raw_body) == [args, kwargs, {}]


def test_an_empty_message_of_many_is_answered_with_nothing(shared_crew: Crew) -> None:
    assert shared_crew.verdict(shared_crew.upstream.send_task("runworker.apply", kwargs={"commands": []})) == []
    assert shared_crew.verdict(shared_crew.upstream.send_task("runworker.verdicts", kwargs={"keys": []})) == {}


def test_as_many_as_a_message_may_carry_are_applied(shared_crew: Crew) -> None:
    items = [{"command": "start_run", **shared_crew.plant.fields("start_run")} for _ in range(BULK_LIMIT)]
    verdicts = shared_crew.verdict(shared_crew.upstream.send_task("runworker.apply", kwargs={"commands": items}))
    assert [verdict["status"] for verdict in verdicts] == ["APPLIED"] * BULK_LIMIT
    codes = sorted(verdict["run_code"] for verdict in verdicts)
    assert all(one != other for one, other in pairwise(codes))


def test_the_same_command_again_brings_the_same_verdict(shared_crew: Crew) -> None:
    fields = shared_crew.plant.fields("start_run")
    first, again, other = (
        shared_crew.verdict(shared_crew.upstream.send_task("runworker.start_run", kwargs=given))
        for given in (fields, fields, fields | {"site_code": "ELSE"})
    )
    assert again == first | {"replayed": True}
    assert (other["status"], other["code"]) == ("REJECTED", Code.IDEMPOTENCY_KEY_REUSED)
    (run,) = shared_crew.plant.sql("SELECT * FROM production_runs WHERE id = :id", id=first["run_id"])
    assert run.run_code == first["run_code"]
    eventually(shared_crew.idle, "all acknowledged")
