"""Keeps a worker in the middle of a command for as long as a test needs it there."""

from collections.abc import Iterator
from contextlib import contextmanager

from sqlalchemy import text
from tests.crew import Crew, eventually

WAITS_FOR_A_LOCK = "SELECT pid FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND application_name = 'runworker'"


@contextmanager
def locked(crew: Crew, run: str) -> Iterator[None]:
    """A run that nobody else can change for as long as the block lasts."""
    with crew.plant.transaction() as connection:
        connection.execute(text("SELECT FROM production_runs WHERE id = :id FOR UPDATE"), {"id": run})
        yield


def started(crew: Crew) -> str:
    """A run that is started, and its message acknowledged."""
    run = crew.verdict(crew.send("start_run"))["run_id"]
    crew.wait_until_idle()
    return str(run)


def wait_until_in_work(crew: Crew, how_often: int = 1) -> None:
    """Wait until a worker's transaction stands before the lock."""
    eventually(lambda: len(crew.plant.sql(WAITS_FOR_A_LOCK)) >= how_often, "a command in work")
