"""What stands as a task's result is what the ledger says, however many messages came under the id, and in which way."""

from collections.abc import Mapping
from typing import Any

import pytest
from tests.crew import Crew, eventually
from tests.plant import STEPS

from runworker.codes import Code

pytestmark = pytest.mark.timeout(120)

WAYS: list[Mapping[str, Any]] = [{}, {"time_limit": 60}]
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
