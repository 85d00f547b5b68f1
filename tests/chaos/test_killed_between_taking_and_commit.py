"""Workers die at random moments with messages in hand, and the broker with them: nothing lost, nothing applied twice.

Eight deaths in the suite. For more: `KILLS=200 uv run pytest -s tests/chaos/test_killed_between_taking_and_commit.py`.
"""

import os
import random
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager

import pytest
from tests.chaos.conftest import Site, crash
from tests.crew import eventually
from tests.envelopes import message

from runworker.workers import environment_of

KILLS = int(os.environ.get("KILLS", "8"))
SERVER_DIES_EVERY = 4
AT_ONCE = 6
"""Messages sent for each death."""

pytestmark = [pytest.mark.chaos, pytest.mark.timeout(180 + 15 * KILLS)]


class Nursery:
    """Workers, quick to come."""

    def __init__(self, site: Site) -> None:
        self._site = site
        self._born = 0

    @contextmanager
    def open(self) -> Iterator["Nursery"]:
        crew = self._site.crew
        command = [sys.executable, "-m", "tests.chaos.nursery"]
        with (
            crew.log.open("ab") as log,
            subprocess.Popen(
                command, env=environment_of(crew.settings), stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=log
            ) as self._process,
        ):
            try:
                yield self
            finally:
                self._process.kill()

    def bear(self) -> int:
        """Begin a worker; its pid."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._born += 1
        self._process.stdin.write(f"worker{self._born}\n".encode())
        self._process.stdin.flush()
        return int(self._process.stdout.readline())


def decided(site: Site, keys: list[str]) -> bool:
    """Whether at least one of these commands is."""
    return bool(site.plant.sql("SELECT FROM commands WHERE idempotency_key = ANY(CAST(:keys AS uuid[]))", keys=keys))


def test_no_message_is_lost_and_none_applied_twice(site: Site) -> None:
    seed = time.time_ns()
    chance, crew, sent = random.Random(seed), site.crew, {}  # noqa: S311 - nothing secret
    print(f"seed {seed}")  # noqa: T201 - pytest shows it with a failure only
    in_hand = Counter[str]()
    with Nursery(site).open() as nursery:
        workers = [nursery.bear(), nursery.bear()]
        for number in range(1, KILLS + 1):
            keys = []
            for _ in range(AT_ONCE):
                fields = site.plant.fields("start_run")
                keys.append(fields["idempotency_key"])
                sent[keys[-1]] = time.time()
                crew.push(message(fields).content)
            eventually(lambda: not crew.queued(), "every message in a worker's hand")
            if chance.random() < 0.5:
                eventually(lambda keys=keys: decided(site, keys), "one of them decided")
            time.sleep(chance.uniform(0, 0.05))  # the random moment that this is about
            if number % SERVER_DIES_EVERY == 0:
                crash(site.valkey) if chance.random() < 0.5 else site.valkey.stop()
            dead = chance.sample(workers, chance.choice((1, 1, 2)))
            for worker in dead:
                os.kill(worker, signal.SIGKILL)
            workers = [worker for worker in workers if worker not in dead] + [nursery.bear() for _ in dead]
            if number % SERVER_DIES_EVERY == 0:
                site.start_valkey()
            in_hand["with messages in hand" if crew.held() else "with none"] += 1
        for key in sent:
            crew.applied(key)
        crew.wait_until_idle()
    rows = site.plant.sql("SELECT idempotency_key, deliveries, decided_at FROM commands")
    waited = sorted(row.decided_at.timestamp() - sent[str(row.idempotency_key)] for row in rows)
    twice = site.plant.sql(
        "SELECT command_key FROM audit_events WHERE entity = 'production_runs' GROUP BY 1 HAVING count(*) <> 1"
    )
    again = sum(row.deliveries > 1 for row in rows)
    print(  # noqa: T201 - the figures of a long run
        f"{KILLS} deaths ({dict(in_hand)}), {len(sent)} commands, {len(sent) - len(rows)} lost, {len(twice)} applied "
        f"twice, {again} delivered again; from sending to commit: median {waited[len(waited) // 2]:.2f} s, "
        f"90 % {waited[len(waited) * 9 // 10]:.2f} s, longest {waited[-1]:.2f} s"
    )
    assert {str(row.idempotency_key) for row in rows} == set(sent)
    assert not twice
    assert site.plant.count("production_runs") == len(sent)
    assert in_hand["with messages in hand"]
    assert not site.plant.count("dead_letters")
