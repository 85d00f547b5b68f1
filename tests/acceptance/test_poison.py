"""A command that ends every process that handles it: it is kept and refused, and nobody else is harmed."""

from functools import partial
from typing import Any

import pytest
from celery.result import AsyncResult
from sqlalchemy import text
from tests.acceptance.work import started
from tests.crew import PREFORK, Crew, eventually
from tests.plant import STEPS
from tests.poison import POISON

from runworker.client import enqueue
from runworker.workers.processes import SOLO

pytestmark = pytest.mark.timeout(120)

POISONED = ("--include", "tests.poison")


def sent_around_poison(crew: Crew, runs: list[str]) -> tuple[AsyncResult, list[AsyncResult]]:
    """A poisoned command, and others before and behind it."""
    *before, target, last = runs
    sent = [crew.send("advance_step", run_id=run, to_step_index=STEPS[1]) for run in before]
    poison = crew.send("hold_run", run_id=target, reason=POISON)
    return poison, [*sent, crew.send("advance_step", run_id=last, to_step_index=STEPS[1])]


def assert_quarantined(crew: Crew, verdict: Any, poison: AsyncResult) -> None:
    """The sender is told, one letter has the command, and the ledger does not know it."""
    assert (verdict["status"], verdict["code"]) == ("REJECTED", "QUARANTINED")
    (letter,) = crew.plant.sql("SELECT * FROM dead_letters")
    assert (letter.id, letter.code, letter.task_id) == (verdict["dead_letter"], "QUARANTINED", poison.id)
    assert POISON.encode() in letter.raw_body
    assert not crew.plant.count("commands", f"idempotency_key = '{poison.id}'")
    crew.wait_until_idle()


def test_workers_that_die_whole_quarantine_the_one_they_died_of(crew: Crew) -> None:
    quarantine_after = 2
    crew.hire()
    runs = [started(crew) for _ in range(4)]
    crew.dismiss()
    poison, others = sent_around_poison(crew, runs)
    deaths = 0
    while crew.stored_result(poison.id) is None:
        # As by default: after the crew's five seconds a message comes back by itself, and nobody is blamed.
        worker = crew.hire((*SOLO, *POISONED), quarantine_after=quarantine_after, visibility_timeout_seconds=60)
        gone_or_told = lambda w=worker: w.exit_code is not None or crew.stored_result(poison.id)  # noqa: E731
        eventually(gone_or_told, "a worker that dies, or a verdict")
        if worker.exit_code is not None:
            deaths += 1
            crew.redis.zadd("unacked_leases", dict.fromkeys(crew.redis.zrange("unacked_leases", 0, -1), 0))
    # With all others in the first, with some of them in the second, alone in those that count.
    assert deaths == 2 + quarantine_after
    assert [crew.verdict(each)["status"] for each in others] == ["APPLIED"] * 3
    assert_quarantined(crew, crew.stored_result(poison.id), poison)
    assert all(crew.redis.ttl(note) > 0 for note in crew.redis.keys("unacked_begun.*"))


@pytest.mark.parametrize("reliable", [True, False], ids=["ours", "kombu's"])
def test_a_pool_quarantines_what_its_processes_die_of_once_it_can_be_kept(crew: Crew, reliable: bool) -> None:
    worker = crew.hire((*PREFORK, *POISONED), quarantine_after=3, reliable_transport=reliable)
    runs = [started(crew) for _ in range(4)]
    with crew.plant.transaction() as connection:
        connection.execute(text("LOCK TABLE dead_letters IN ACCESS EXCLUSIVE MODE"))
        poison, others = sent_around_poison(crew, runs)
        assert [crew.verdict(each)["status"] for each in others] == ["APPLIED"] * 3
        eventually(partial(lost, crew, 5), "five processes dead")
        assert crew.stored_result(poison.id) is None
        eventually(lambda: crew.in_broker() == 1, "the others acknowledged, the poisoned one left")
    assert_quarantined(crew, crew.verdict(poison), poison)
    assert worker.exit_code is None


@pytest.mark.parametrize("pool", [SOLO, PREFORK], ids=["solo", "prefork"])
def test_a_queued_command_that_ends_workers_is_refused(crew: Crew, pool: tuple[str, ...]) -> None:
    """What upstreams queue is judged in a worker's main process, pool or not."""
    quarantine_after = 2
    hire = partial(crew.hire, (*pool, *POISONED), quarantine_after=quarantine_after, sweep_seconds=1)
    worker = hire()
    run = started(crew)
    with crew.plant.transaction() as upstream:
        others = [enqueue(upstream, crew.plant.command("start_run")) for _ in range(3)]
        poison = enqueue(upstream, crew.plant.command("hold_run", run_id=run, reason=POISON))
        others += [enqueue(upstream, crew.plant.command("start_run")) for _ in range(3)]
    deaths = 0
    decided = "SELECT verdict FROM commands WHERE idempotency_key = :key AND status = 'REJECTED'"
    while not (found := crew.plant.sql(decided, key=poison)):
        gone_or_told = lambda w=worker: w.exit_code is not None or crew.plant.sql(decided, key=poison)  # noqa: E731
        eventually(gone_or_told, "a worker that dies, or a verdict")
        if worker.exit_code is not None:
            deaths += 1
            crew.plant.sql("UPDATE command_claims SET claimed_at = 'infinity'")
            worker = hire()
            crew.plant.sql("UPDATE command_claims SET claimed_at = '-infinity'")
    # With all others in the first, alone in those that count.
    assert deaths == 1 + quarantine_after
    for key in others:
        crew.applied(str(key))
    (letter,) = crew.plant.sql("SELECT * FROM dead_letters")
    assert (letter.id, letter.code) == (found[0].verdict["dead_letter"], "QUARANTINED")
    assert str(poison).encode() in letter.raw_body
    assert worker.exit_code is None


def lost(crew: Crew, processes: int) -> bool:
    return crew.written().count("batch.lost") >= processes
