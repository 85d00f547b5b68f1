"""A worker takes in what an upstream queues as soon as it is committed, without a look of its own."""

from uuid import UUID

import pytest
from sqlalchemy import create_engine
from tests.crew import PREFORK, Crew, eventually

from runworker.client import enqueue

pytestmark = pytest.mark.timeout(120)

NEVER = 3600
LISTENERS = "SELECT pid FROM pg_stat_activity WHERE datname = current_database() AND query LIKE 'LISTEN %'"


def listener(crew: Crew) -> int:
    return eventually(lambda: crew.plant.sql(LISTENERS), "somebody who listens")[0].pid


def test_a_worker_hears_of_it(crew: Crew) -> None:
    """Also after its connection was ended, and of what was committed meanwhile."""
    worker = crew.hire(PREFORK, sweep_seconds=NEVER)
    first = listener(crew)
    upstream = create_engine(crew.plant.url)

    def queue() -> UUID:
        with upstream.begin() as connection:
            return enqueue(connection, crew.plant.command("start_run"))

    crew.applied(str(queue()))
    crew.plant.sql("SELECT pg_terminate_backend(:pid)", pid=first)
    while_nobody_listens = queue()
    eventually(lambda: listener(crew) != first, "another connection")
    crew.applied(str(while_nobody_listens))
    crew.applied(str(queue()))
    upstream.dispose()
    assert worker.exit_code is None
