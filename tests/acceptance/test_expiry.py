"""A command expires when its turn did not come, and not when nobody looked whether it had."""

from uuid import uuid4

import pytest
from sqlalchemy import text
from tests.crew import PREFORK, Crew, eventually
from tests.plant import STEPS

pytestmark = pytest.mark.timeout(240)

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


@pytest.mark.parametrize("reliable", [True, False], ids=["ours", "kombu's"])
def test_what_a_lock_holds_up_does_not_expire(crew: Crew, reliable: bool) -> None:
    """A message and a queued command are held up beyond the deadlines of what waits for them, of other runs."""
    plant, runs = crew.plant, (uuid4(), uuid4())
    crew.hire(PREFORK, wait_seconds=5, lock_timeout_seconds=1, reliable_transport=reliable)
    started = [crew.send("start_run", run_id=run) for run in runs]
    assert [crew.verdict(each)["status"] for each in started] == ["APPLIED"] * 2
    moves = [plant.fields("advance_step", run_id=run, to_step_index=STEPS[1]) for run in runs]
    early = [crew.send("start_run", after=[move["idempotency_key"]]) for move in moves]
    assert [crew.verdict(each)["status"] for each in early] == ["WAITING"] * 2
    with plant.transaction() as other:
        for run in runs:
            other.execute(text("SELECT FROM production_runs WHERE id = :id FOR UPDATE"), {"id": run})
        crew.send("advance_step", **moves[0])
        plant.queue("advance_step", **moves[1])
        eventually(lambda: crew.written().count("command.blocked") >= 2, "both blocked")
        plant.sql("SELECT pg_sleep_until(max(expires_at) + interval '10 seconds') FROM commands")
        assert plant.count("commands", "status = 'WAITING'") == 2
    for each in early:
        crew.applied(each.id)
