"""What Flower and its like are told: each task as it is sent, received, begun and ended."""

from typing import Any

import pytest
from tests.crew import PREFORK, Crew, eventually
from tests.events import events_of

from runworker.workers.processes import SOLO

pytestmark = pytest.mark.timeout(120)


@pytest.mark.parametrize("pool", [SOLO, PREFORK], ids=["solo", "prefork"])
def test_every_step_of_a_task_is_told_and_that_the_worker_lives(crew: Crew, pool: tuple[str, ...]) -> None:
    worker = crew.hire(pool)
    with events_of(crew) as events:
        sent = crew.send("start_run")
        verdict = crew.verdict(sent)

        def of_the_task() -> dict[str, dict[str, Any]]:
            return {event["type"]: event for event in events if event.get("uuid") == sent.id}

        eventually(lambda: "task-succeeded" in of_the_task(), "the task's end")
        told = of_the_task()
        assert list(told) == ["task-received", "task-started", "task-succeeded"]
        assert told["task-received"]["name"] == "runworker.start_run"
        assert told["task-succeeded"]["runtime"] > 0
        assert verdict["run_code"] in told["task-succeeded"]["result"]
        beat = eventually(
            lambda: next((event for event in events if event["type"] == "worker-heartbeat"), None), "a heartbeat"
        )
        assert beat["hostname"] == worker.name
