"""No path acknowledges what is neither decided nor kept: where keeping fails, a message comes back until it works."""

import ast
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from tests.crew import PREFORK, THREADS, Crew, eventually
from tests.envelopes import message
from tests.untraceable import UNTRACEABLE

from runworker.workers.processes import SOLO

pytestmark = pytest.mark.timeout(120)

SOURCE = Path(__file__).parents[2] / "src/runworker"
ENDS = {"keep", "ack", "acknowledge", "ack_log_error", "reject", "reject_log_error"}
"""Methods that keep a message, or end its way in the broker."""

KNOWN = {
    "engine/engine.py": {"keep"},
    "engine/found.py": {"_quarantine"},  # tests/integration/test_engine_claims.py
    "engine/splitting.py": {"_keep_failed", "keep"},  # tests/integration/test_engine_internal_errors.py
    "tasks/commands.py": {"refuse"},
    "tasks/consumer.py": {"_keep"},
    "tasks/letters.py": {"keep", "take"},
    "tasks/quarantine.py": {"_answer"},  # tests/acceptance/test_poison.py
    "tasks/requests.py": {"_conclude_dropped", "_return"},  # after a verdict; to the queue
    "transport/acknowledging.py": {"reject"},
    "upkeep/dead_letters.py": {"_collect"},
}
"""Functions that call them. What is not named otherwise is walked through below; a new one belongs there."""


def callers(path: Path) -> set[str]:
    """Functions of a file that end a message's way."""
    found: set[str] = set()
    for function in ast.walk(ast.parse(path.read_text())):
        if isinstance(function, ast.FunctionDef):
            inner = {
                id(part)
                for each in ast.walk(function)
                if each is not function and isinstance(each, ast.FunctionDef)
                for part in ast.walk(each)
            }
            found |= {
                function.name
                for call in ast.walk(function)
                if isinstance(call, ast.Call) and isinstance(call.func, ast.Attribute) and call.func.attr in ENDS
                if id(call) not in inner
            }
    return found


def test_each_caller_is_known() -> None:
    files = {str(path.relative_to(SOURCE)): callers(path) for path in SOURCE.rglob("*.py")}
    assert {name: found for name, found in files.items() if found and not name.startswith("simulation")} == KNOWN


@contextmanager
def refusing_letters(crew: Crew) -> Iterator[None]:
    """A database that takes everything but dead letters, for a reason that no look at it can find."""
    crew.plant.sql("""
        CREATE FUNCTION refuse_letters() RETURNS trigger LANGUAGE plpgsql AS $$
        BEGIN RAISE EXCEPTION 'no letters today' USING ERRCODE = 'XX000'; END $$
    """)
    crew.plant.sql("CREATE TRIGGER a BEFORE INSERT ON dead_letters FOR EACH ROW EXECUTE FUNCTION refuse_letters()")
    yield
    crew.plant.sql("DROP FUNCTION refuse_letters CASCADE")


@pytest.mark.parametrize(("options", "batch_size"), [(PREFORK, 100), (THREADS, 1)], ids=["batched", "alone"])
def test_what_cannot_be_kept_comes_back_until_it_can(crew: Crew, options: tuple[str, ...], batch_size: int) -> None:
    worker = crew.hire(options, batch_size=batch_size, retry_seconds=0)
    fields = crew.plant.fields("start_run")
    with refusing_letters(crew):
        upstream = crew.upstream
        told = {
            upstream.send_task("runworker.nothing_of_ours", kwargs={}).id: "UNKNOWN_COMMAND",
            upstream.send_task("runworker.start_run", kwargs={"colour": "red"}).id: "MISSING_FIELD",
            upstream.send_task("runworker.verdicts", kwargs={"keys": 1}).id: "INVALID_FIELD",
            upstream.send_task("runworker.apply", kwargs={"commands": 1}).id: "INVALID_FIELD",
        }
        part = upstream.send_task(
            "runworker.apply", kwargs={"commands": [{"command": "start_run", **fields}, {"command": 1}]}
        )
        nonsense = message(crew.plant.fields("start_run"), body=b"nonsense")
        crew.push(nonsense.content)
        crew.push(b"no message at all")
        # Not even a result that cannot be stored keeps a message that is in dead_letters.
        untold = upstream.send_task("runworker.start_run", kwargs={"colour": "blue"}).id
        crew.redis.rpush(f"celery-task-meta-{untold}", "not a result")

        everything = len(told) + 4
        for event in ("message.requeued", "dead_letter.postponed", "upkeep"):
            eventually(lambda event=event: crew.written().count(event) > 2, f"{event}, again")
        eventually(lambda: crew.in_broker() == everything, "every message still there")
        assert not [key for key in told if crew.stored_result(key)]
        assert not crew.plant.count("dead_letters")

    for key, code in told.items():
        assert eventually(lambda key=key: crew.stored_result(key), f"an answer to {code}")["code"] == code
    applied, refused = crew.verdict(part)
    assert (applied["status"], refused["code"]) == ("APPLIED", "UNKNOWN_COMMAND")
    for body in (nonsense.body, b"no message at all"):
        crew.letter(body)
    crew.wait_until_idle()
    assert crew.plant.count("dead_letters") == everything
    assert "verdict.untold" in crew.written()
    assert worker.exit_code is None


def test_what_celery_fails_over_is_kept_unless_it_is_decided(crew: Crew) -> None:
    """Without batches Celery's own tracer is all there is: it would tell of a FAILURE, and acknowledge."""
    decided = crew.plant.fields("start_run")
    crew.hire()
    crew.upstream.send_task("runworker.start_run", kwargs=decided)
    crew.applied(decided["idempotency_key"])
    crew.dismiss()
    crew.hire((*SOLO, "--include", "tests.untraceable"), batch_size=1)
    told = {
        crew.upstream.send_task(f"runworker.{name}", kwargs=fields).id: expected
        for name, fields, expected in (
            ("start_run", {**crew.plant.fields("start_run"), "correlation_id": UNTRACEABLE}, "REJECTED"),
            ("start_run", {**decided, "correlation_id": UNTRACEABLE}, "APPLIED"),
            ("verdicts", {"keys": [UNTRACEABLE]}, "REJECTED"),
        )
    }
    crew.wait_until_idle()
    assert {id_: crew.stored_result(id_)["status"] for id_ in told} == told
    refused = [id_ for id_, status in told.items() if status == "REJECTED"]
    letters = crew.plant.sql("SELECT id, task_id, code FROM dead_letters")
    assert {letter.task_id: letter.id for letter in letters} == {
        id_: crew.stored_result(id_)["dead_letter"] for id_ in refused
    }
    assert {letter.code for letter in letters} == {"INTERNAL_ERROR"}
    assert crew.plant.count("production_runs") == 1
