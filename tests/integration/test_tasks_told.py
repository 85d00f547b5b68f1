"""What stands as a task's result is what the ledger says, however many messages came under the id, and in which way."""

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any, Final

import pytest
from celery.result import AsyncResult
from tests.acceptance.work import locked, started, wait_until_in_work
from tests.crew import PREFORK, Crew, eventually
from tests.envelopes import message
from tests.plant import STEPS

from runworker.codes import Code

pytestmark = pytest.mark.timeout(120)

CALLBACK: Final = {"task": "runworker.verdicts", "args": [], "kwargs": {"keys": []}, "options": {}, "immutable": True}

WAYS: list[Mapping[str, Any]] = [{}, {"link": CALLBACK}]
"""How a message goes: in a batch, and by itself through Celery's own tracer."""


def told(crew: Crew, task_id: str, status: str) -> Any:
    """The result under this id, as soon as it has this status."""

    def found() -> Any:
        result = crew.stored_result(task_id)
        return result if result and result["status"] == status else None

    return eventually(found, f"{status} for {task_id}", 20)


@pytest.mark.parametrize("way", WAYS, ids=["batched", "traced"])
def test_a_mended_command_is_told_what_became_of_it(shared_crew: Crew, way: Mapping[str, Any]) -> None:
    run = shared_crew.verdict(shared_crew.send("start_run"))["run_id"]
    fields = shared_crew.plant.fields("advance_step", run_id=run, to_step_index=str(STEPS[1]))
    key = fields["idempotency_key"]

    def send(**mended: Any) -> None:
        shared_crew.upstream.send_task("runworker.advance_step", kwargs={**fields, **mended}, task_id=key, **way)

    send()
    assert told(shared_crew, key, "REJECTED")["code"] == Code.INVALID_FIELD
    send(to_step_index=STEPS[2])
    assert told(shared_crew, key, "WAITING")["waiting_for"]
    shared_crew.send("advance_step", run_id=run, to_step_index=STEPS[1])
    assert told(shared_crew, key, "APPLIED")["current_step_index"] == STEPS[2]
    send(to_step_index="nonsense again")
    send(to_step_index=STEPS[3])  # IDEMPOTENCY_KEY_REUSED, and the last one
    eventually(lambda: shared_crew.plant.count("dead_letters", f"task_id = '{key}'") == 2, "the second letter")
    shared_crew.wait_until_idle()
    assert shared_crew.stored_result(key)["status"] == "APPLIED"


@pytest.mark.parametrize("way", WAYS, ids=["batched", "traced"])
def test_a_sender_who_wants_no_result_gets_no_late_one_either(shared_crew: Crew, way: Mapping[str, Any]) -> None:
    run = shared_crew.verdict(shared_crew.send("start_run"))["run_id"]
    fields = shared_crew.plant.fields("advance_step", run_id=run, to_step_index=STEPS[2])
    key = fields["idempotency_key"]
    shared_crew.upstream.send_task("runworker.advance_step", kwargs=fields, task_id=key, ignore_result=True, **way)
    eventually(lambda: shared_crew.plant.count("commands", f"idempotency_key = '{key}'"), "the command, waiting")
    shared_crew.send("advance_step", run_id=run, to_step_index=STEPS[1])
    shared_crew.applied(key)
    shared_crew.wait_until_idle()
    assert shared_crew.stored_result(key) is None


@pytest.mark.parametrize("way", WAYS, ids=["batched", "traced"])
def test_what_is_decided_and_cannot_be_told_does_not_come_back(shared_crew: Crew, way: Mapping[str, Any]) -> None:
    fields = shared_crew.plant.fields("start_run")
    key = fields["idempotency_key"]
    shared_crew.redis.lpush(f"celery-task-meta-{key}", "a server that refuses to store it")
    try:
        shared_crew.upstream.send_task("runworker.start_run", kwargs=fields, task_id=key, **way)
        shared_crew.applied(key)
        shared_crew.wait_until_idle()
    finally:
        shared_crew.redis.delete(f"celery-task-meta-{key}")
    assert shared_crew.plant.ledger(key).deliveries == 1
    assert [line for line in shared_crew.written().splitlines() if "verdict.untold" in line and key in line]
    asked = shared_crew.upstream.send_task("runworker.verdicts", kwargs={"keys": [key]})
    assert shared_crew.verdict(asked)[key]["status"] == "APPLIED"


def expired() -> dict[str, str]:
    return {"expires": (datetime.now(UTC) - timedelta(seconds=5)).isoformat()}


@pytest.mark.parametrize("headers", [{}, {"timelimit": [1e-9, 1e-9]}, {"eta": "2999-01-01T00:00:00"}], ids=str)
def test_one_that_comes_too_late_is_told_so_and_may_be_sent_again(
    shared_crew: Crew, headers: Mapping[str, Any]
) -> None:
    fields = shared_crew.plant.fields("start_run")
    key = fields["idempotency_key"]
    shared_crew.push(message(fields, headers={**headers, **expired()}).content)
    told_first = told(shared_crew, key, "EXPIRED")
    assert (told_first["code"], told_first["command"]) == (Code.MESSAGE_EXPIRED, "start_run")
    shared_crew.wait_until_idle()
    assert not shared_crew.plant.count("commands", f"idempotency_key = '{key}'")
    shared_crew.push(message(fields).content)
    assert told(shared_crew, key, "APPLIED")["replayed"] is False


def test_one_that_comes_too_late_for_what_was_done_is_told_what_was_done(shared_crew: Crew) -> None:
    fields = shared_crew.plant.fields("start_run")
    key = fields["idempotency_key"]
    unknown = shared_crew.plant.fields("start_run")
    shared_crew.push(message(fields).content)
    told(shared_crew, key, "APPLIED")
    shared_crew.redis.delete(f"celery-task-meta-{key}")
    shared_crew.push(message(fields, headers=expired()).content)
    assert told(shared_crew, key, "APPLIED")["replayed"] is True
    many = [{"command": "start_run", **each} for each in (fields, unknown)]
    late = {"id": "many", "task": "runworker.apply", **expired()}
    shared_crew.push(message(fields, body=[[], {"commands": many}, {}], headers=late).content)
    answer = shared_crew.verdict(AsyncResult("many", app=shared_crew.upstream))
    assert [part.get("code", part["status"]) for part in answer] == ["APPLIED", Code.MESSAGE_EXPIRED]
    shared_crew.wait_until_idle()
    assert not shared_crew.plant.count("commands", f"idempotency_key = '{unknown['idempotency_key']}'")


def test_what_an_operator_took_back_is_not_applied_under_its_task_id(shared_crew: Crew) -> None:
    fields = shared_crew.plant.fields("start_run")
    key = fields["idempotency_key"]
    shared_crew.upstream.control.revoke(key, reply=True)
    for _ in range(2):
        shared_crew.push(message(fields).content)
        assert told(shared_crew, key, "REJECTED")["code"] == Code.MESSAGE_REVOKED
        shared_crew.wait_until_idle()
        shared_crew.redis.delete(f"celery-task-meta-{key}")
    assert not shared_crew.plant.count("commands", f"idempotency_key = '{key}'")
    shared_crew.push(message(fields, headers={"id": "another"}).content)
    assert told(shared_crew, "another", "APPLIED")["idempotency_key"] == key


@pytest.mark.parametrize("batch_size", [100, 1], ids=["batched", "alone"])
def test_what_a_time_limit_ends_is_done_again_and_is_no_failure(crew: Crew, batch_size: int) -> None:
    crew.hire((*PREFORK, "--time-limit", "1"), batch_size=batch_size)
    run = started(crew)
    with locked(crew, run):
        sent = crew.send("advance_step", run_id=run, to_step_index=STEPS[1])
        wait_until_in_work(crew)
        eventually(lambda: "over the time limit of" in crew.written(), "the message given back")
        assert crew.stored_result(sent.id) is None  # no FAILURE, either
    assert crew.verdict(sent)["status"] == "APPLIED"
    crew.wait_until_idle()


def test_an_unreadable_part_is_kept_once_however_often_its_message_comes_back(crew: Crew) -> None:
    crew.hire(lock_timeout_seconds=1)
    run = started(crew)
    blocked = {"command": "hold_run", **crew.plant.fields("hold_run", run_id=run)}
    with locked(crew, run):
        sent = crew.upstream.send_task("runworker.apply", kwargs={"commands": [{"command": "nonsense"}, blocked]})
        eventually(lambda: crew.written().count("message.requeued") > 1, "the message given back, twice")
    assert [part["status"] for part in crew.verdict(sent)] == ["REJECTED", "APPLIED"]
    assert [letter.times for letter in crew.plant.sql("SELECT times FROM dead_letters")] == [1]
