"""Celery's time limits give messages back, whoever sets them. They decide nothing and tell nobody of a failure."""

import re
from collections.abc import Callable

import pytest
from celery.result import AsyncResult
from tests.acceptance.work import locked, started
from tests.crew import PREFORK, Crew, eventually
from tests.plant import STEPS

pytestmark = pytest.mark.timeout(120)


def by_control(crew: Crew) -> None:
    """Limits for a task, set while the worker runs."""
    crew.upstream.control.time_limit("runworker.advance_step", hard=1, reply=True)


LIMITS: dict[str, tuple[tuple[str, ...], Callable[[Crew], None] | None, dict[str, float]]] = {
    "hard, for all": (("--time-limit", "1"), None, {}),
    "soft, for all": (("--soft-time-limit", "1"), None, {}),
    "hard, by control": ((), by_control, {}),
    "hard, of the message": ((), None, {"time_limit": 1}),
}
"""The worker's options, what is done after its start, and the message's own options."""


@pytest.mark.parametrize("limit", LIMITS)
def test_a_limit_that_passes_gives_the_message_back(crew: Crew, limit: str) -> None:
    options, after_start, of_message = LIMITS[limit]
    worker = crew.hire((*PREFORK, *options), lock_timeout_seconds=60)
    runs = [started(crew) for _ in range(3)]
    if after_start:
        after_start(crew)

    def advance(run: str) -> AsyncResult:
        fields = crew.plant.fields("advance_step", run_id=run, to_step_index=STEPS[1])
        name, key = "runworker.advance_step", fields["idempotency_key"]
        return crew.upstream.send_task(name, kwargs=fields, task_id=key, **of_message)

    with locked(crew, runs[0]):
        sent = [advance(run) for run in runs]
        eventually(
            lambda: len(re.findall("time limit has passed|TimeLimitExceeded", crew.written())) > len(sent),
            "its time up",
        )
        assert crew.stored_result(sent[0].id) is None, "nobody is told anything"
        assert crew.in_broker() >= 1

    assert {crew.verdict(result)["status"] for result in sent} == {"APPLIED"}
    crew.wait_until_idle()
    assert not crew.plant.count("dead_letters")
    assert worker.exit_code is None
