"""Celery's time limits give messages back, whoever sets them. They decide nothing and tell nobody of a failure."""

import re
from collections.abc import Callable

import pytest
from tests.acceptance.work import locked, started
from tests.crew import PREFORK, Crew, eventually
from tests.plant import STEPS

pytestmark = pytest.mark.timeout(240)


def not_at_all(_crew: Crew) -> None:
    """No limit but those of the worker's options."""


def by_control(crew: Crew) -> None:
    """A limit for one task, set while the worker runs."""
    crew.upstream.control.time_limit("runworker.advance_step", hard=1, reply=True)


LIMITS: dict[str, tuple[tuple[str, ...], Callable[[Crew], None]]] = {
    "hard, for all": (("--time-limit", "1"), not_at_all),
    "soft, for all": (("--soft-time-limit", "1"), not_at_all),
    "hard, by control": ((), by_control),
}
"""The worker's options, and what is done after its start."""


@pytest.mark.parametrize("limit", LIMITS)
def test_a_limit_that_passes_gives_the_message_back(crew: Crew, limit: str) -> None:
    options, limit_more = LIMITS[limit]
    worker = crew.hire((*PREFORK, *options), lock_timeout_seconds=60)
    runs = [started(crew) for _ in range(3)]
    limit_more(crew)
    with locked(crew, runs[0]):
        sent = [crew.send("advance_step", run_id=run, to_step_index=STEPS[1]) for run in runs]
        told = r"over the (soft )?time limit|TimeLimitExceeded"
        eventually(
            lambda: len(re.findall(told, crew.written())) > len(sent), "its time up, again and again", seconds=90
        )
        assert crew.stored_result(sent[0].id) is None, "nobody is told anything"

    assert {crew.verdict(result)["status"] for result in sent} == {"APPLIED"}
    crew.wait_until_idle()
    assert not crew.plant.count("dead_letters")
    assert worker.exit_code is None
