"""PostgreSQL goes away: messages stay in the broker, workers stay alive, and all is done once it is back."""

from collections.abc import Sequence

import pytest
from tests.chaos.conftest import Site, crash
from tests.crew import PREFORK, eventually
from tests.envelopes import message

from runworker.workers.processes import SOLO

pytestmark = [pytest.mark.chaos, pytest.mark.timeout(180)]

MORE_THAN_A_WORKER_TAKES = 12
"""Messages. A worker with batches of two takes four for each process."""


@pytest.mark.parametrize("pool", [SOLO, PREFORK], ids=["solo", "prefork"])
def test_messages_outlast_an_absence_of_postgresql(site: Site, pool: Sequence[str]) -> None:
    crew, plant = site.crew, site.plant
    workers = [crew.hire(pool, retry_seconds=0, batch_size=2)]
    crew.verdict(crew.send("start_run"))
    commands = [plant.fields("start_run") for _ in range(MORE_THAN_A_WORKER_TAKES)]
    unreadable = [message(plant.fields("start_run"), body=b"nonsense %d" % number) for number in range(len(commands))]
    site.postgres.stop()

    for fields, bad in zip(commands, unreadable, strict=True):
        crew.push(bad.content)
        crew.push(message(fields).content)
    crew.push(b"no message at all")
    workers.append(crew.hire(pool, retry_seconds=0, batch_size=2))  # which has never seen PostgreSQL
    eventually(lambda: crew.written().count("postgresql-away") == len(workers), "each tells once that it takes nothing")
    everything = 2 * len(commands) + 1
    eventually(lambda: crew.queued() == everything, "every message in its queue, and in no worker's hand")
    assert crew.in_broker() == everything
    assert [worker.exit_code for worker in workers] == [None, None]

    site.start_postgres()
    for fields in commands:
        crew.applied(fields["idempotency_key"])
    for bad in unreadable:
        crew.letter(bad.body)
    crew.letter(b"no message at all")
    crew.wait_until_idle()
    assert crew.verdict(crew.send("start_run"))["status"] == "APPLIED"
    assert plant.count("production_runs") == len(commands) + 2
    assert [worker.exit_code for worker in workers] == [None, None]


def test_crashes_of_postgresql_one_after_another_cost_no_command(site: Site) -> None:
    crew, plant = site.crew, site.plant
    worker = crew.hire(PREFORK, connect_timeout_seconds=1)
    crew.verdict(crew.send("start_run"))
    keys = []
    for _ in range(3):
        batch = [plant.fields("start_run") for _ in range(10)]
        keys += [fields["idempotency_key"] for fields in batch]
        for fields in batch:
            crew.push(message(fields).content)
        crash(site.postgres)
        site.start_postgres()
    for key in keys:
        crew.applied(key)
    crew.wait_until_idle()
    assert plant.count("production_runs") == len(keys) + 1
    assert not plant.count("dead_letters")
    assert worker.exit_code is None
