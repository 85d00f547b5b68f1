"""A command that waits is answered twice: WAITING at once, and in the same place what became of it."""

from typing import Any
from uuid import UUID, uuid4

import pytest
from celery.result import AsyncResult
from tests.crew import Crew, eventually
from tests.plant import REASON, STEPS

from runworker.codes import Code

pytestmark = pytest.mark.timeout(120)


@pytest.fixture
def run(shared_crew: Crew) -> str:
    return str(shared_crew.verdict(shared_crew.send("start_run"))["run_id"])


def late_verdict(crew: Crew, result: AsyncResult) -> Any:
    """What stands as the task's result once it is no longer WAITING."""

    def decided() -> Any:
        stored = crew.stored_result(result.id)
        return stored if stored and stored["status"] != "WAITING" else None

    return eventually(decided, f"a decision on {result.id}")


def test_it_becomes_applied_when_its_turn_comes(shared_crew: Crew, run: str) -> None:
    early = shared_crew.send("advance_step", run_id=run, to_step_index=STEPS[2])
    waiting = shared_crew.verdict(early)
    assert (waiting["status"], waiting["waiting_for"]["run_id"]) == ("WAITING", run)
    shared_crew.send("advance_step", run_id=run, to_step_index=STEPS[1])
    verdict = late_verdict(shared_crew, early)
    assert (verdict["status"], verdict["current_step_index"], verdict["replayed"]) == ("APPLIED", STEPS[2], False)
    assert verdict == shared_crew.plant.ledger(UUID(early.id)).verdict
    ttl = shared_crew.redis.ttl(f"celery-task-meta-{early.id}")
    assert 0 < ttl <= shared_crew.settings.result_expires_seconds


def test_it_becomes_rejected_when_a_rule_says_no_by_then(shared_crew: Crew, run: str) -> None:
    early = shared_crew.send("advance_step", run_id=run, to_step_index=STEPS[2])
    assert shared_crew.verdict(early)["status"] == "WAITING"
    shared_crew.send("abort_run", run_id=run, reason=REASON)
    verdict = late_verdict(shared_crew, early)
    assert (verdict["status"], verdict["code"]) == ("REJECTED", Code.RUN_NOT_RUNNING)


def test_a_chain_of_those_that_wait_is_told_from_end_to_end(shared_crew: Crew) -> None:
    run = uuid4()
    life = shared_crew.plant.life(run)
    sent = [
        shared_crew.upstream.send_task(
            f"runworker.{command.name}",
            kwargs={"idempotency_key": str(command.idempotency_key), **command.payload},
            task_id=str(command.idempotency_key),
        )
        for command in reversed(life)
    ]
    for result in sent[:-1]:
        shared_crew.verdict(result)
    assert [late_verdict(shared_crew, result)["status"] for result in sent] == ["APPLIED"] * len(life)
    assert shared_crew.plant.run(run)[0] == "COMPLETED"


def test_those_of_one_message_are_told_under_their_keys(shared_crew: Crew, run: str) -> None:
    fields = shared_crew.plant.fields("advance_step", run_id=run, to_step_index=STEPS[2])
    sent = shared_crew.upstream.send_task(
        "runworker.apply", kwargs={"commands": [{"command": "advance_step", **fields}]}
    )
    assert [verdict["status"] for verdict in shared_crew.verdict(sent)] == ["WAITING"]
    shared_crew.send("advance_step", run_id=run, to_step_index=STEPS[1])
    verdict = late_verdict(shared_crew, shared_crew.upstream.AsyncResult(fields["idempotency_key"]))
    assert verdict["status"] == "APPLIED"


def test_it_is_told_too_when_the_command_it_waits_for_is_put_into_the_ledger(shared_crew: Crew, run: str) -> None:
    early = shared_crew.send("advance_step", run_id=run, to_step_index=STEPS[2])
    assert shared_crew.verdict(early)["status"] == "WAITING"
    shared_crew.plant.queue("advance_step", run_id=run, to_step_index=STEPS[1])
    assert late_verdict(shared_crew, early)["status"] == "APPLIED"


def test_the_stored_verdict_is_given_to_who_asks(shared_crew: Crew, run: str) -> None:
    early = shared_crew.send("advance_step", run_id=run, to_step_index=STEPS[2])
    assert shared_crew.verdict(early)["status"] == "WAITING"

    def asked() -> Any:
        keys = {"keys": [early.id, unknown]}
        return shared_crew.verdict(shared_crew.upstream.send_task("runworker.verdicts", kwargs=keys))

    unknown = str(uuid4())
    assert asked()[early.id]["status"] == "WAITING"
    shared_crew.verdict(shared_crew.send("advance_step", run_id=run, to_step_index=STEPS[1]))
    answer = asked()
    assert (answer[early.id]["status"], answer[unknown]) == ("APPLIED", None)


def test_who_waits_in_vain_is_told_what_for(crew: Crew) -> None:
    crew.hire(wait_seconds=1)
    unknown = str(uuid4())
    sent = crew.send("advance_step", run_id=unknown, to_step_index=STEPS[1])
    verdict = late_verdict(crew, sent)
    assert (verdict["status"], verdict["code"]) == ("EXPIRED", Code.WAIT_EXPIRED)
    assert verdict["waiting_for"]["run_id"] == unknown
    assert unknown in verdict["message"]
