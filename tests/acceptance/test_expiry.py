"""A command expires when its turn did not come, and not when nobody looked whether it had."""

from uuid import uuid4

import pytest
from tests.crew import Crew, eventually
from tests.plant import STEPS

pytestmark = pytest.mark.timeout(120)

BACKLOG = 250


def test_workers_that_were_away_look_at_the_queue_first(crew: Crew) -> None:
    """Also at what lies far back in it, and in the outbox."""
    plant, wait = crew.plant, {"wait_seconds": 1}
    run, other = uuid4(), uuid4()
    crew.hire(**wait)
    assert [crew.verdict(crew.send("start_run", run_id=each))["status"] for each in (run, other)] == ["APPLIED"] * 2
    early = [crew.send("advance_step", run_id=each, to_step_index=STEPS[2]) for each in (run, other)]
    assert [crew.verdict(each)["status"] for each in early] == ["WAITING"] * 2
    crew.dismiss()
    for _ in range(BACKLOG):
        crew.send("start_run")
    crew.send("advance_step", run_id=run, to_step_index=STEPS[1])
    plant.queue("advance_step", run_id=other, to_step_index=STEPS[1])
    plant.sql("SELECT pg_sleep_until(max(expires_at)) FROM commands")
    crew.hire(**wait, batch_size=1)
    for each in early:
        crew.applied(each.id)
    hopeless = crew.send("hold_run", run_id=uuid4())
    eventually(lambda: plant.count("commands", f"idempotency_key = '{hopeless.id}' AND status = 'EXPIRED'"), "its end")
