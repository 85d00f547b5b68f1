"""Workers die at random moments with unacked messages, and the broker with them: nothing lost, nothing applied twice.

Eight deaths in the suite. For more: `KILLS=200 uv run pytest -s tests/chaos/test_killed_between_taking_and_commit.py`.
"""

import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext

import pytest
from sqlalchemy import text
from tests.chaos.conftest import Site, crash
from tests.crew import eventually
from tests.envelopes import message
from tests.proofs import data_on, violations

from runworker.simulation.builder import ScenarioBuilder
from runworker.simulation.delivery import DeliveryPlan
from runworker.simulation.master_data import PLANT_FLOW
from runworker.simulation.proof import Expectation
from runworker.simulation.run_builder import RunBuilder
from runworker.simulation.scenario import BuiltScenario
from runworker.workers import environment_of

KILLS = int(os.environ.get("KILLS", "8"))
SERVER_DIES_EVERY = 4
WORKERS = 3
AT_ONCE = 6
"""Messages sent for each death."""

pytestmark = [pytest.mark.chaos, pytest.mark.timeout(180 + 15 * KILLS)]


class ForkServer:
    """Starts workers fast, as forks of a process that has imported all that they need."""

    def __init__(self, site: Site) -> None:
        self._site = site
        self._forked = 0

    @contextmanager
    def open(self) -> Iterator["ForkServer"]:
        crew = self._site.crew
        command = [sys.executable, "-m", "tests.chaos.fork_server"]
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

    def fork(self) -> int:
        """Start a worker; its pid."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._forked += 1
        self._process.stdin.write(f"worker{self._forked}\n".encode())
        self._process.stdin.flush()
        return int(self._process.stdout.readline())


def decided(site: Site, keys: list[str]) -> dict[str, float]:
    """Which of these commands are, and when."""
    found = "SELECT idempotency_key, decided_at FROM commands WHERE idempotency_key = ANY(CAST(:keys AS uuid[]))"
    return {str(row.idempotency_key): row.decided_at.timestamp() for row in site.plant.sql(found, keys=keys)}


@contextmanager
def in_the_way(site: Site) -> Iterator[None]:
    """Somebody else's transaction that no run can be started beside."""
    with site.plant.transaction() as connection:
        connection.execute(text("LOCK TABLE code_counters IN ACCESS EXCLUSIVE MODE"))
        yield


def started_runs(site: Site, runs: int) -> BuiltScenario:
    """So many runs that are started and stay at their first step."""
    data = data_on(site.plant)
    scenario = ScenarioBuilder(data)
    for _ in range(runs):
        RunBuilder(scenario, data.flows[PLANT_FLOW])
    return scenario.build()


def test_no_message_is_lost_and_none_applied_twice(site: Site) -> None:
    seed = time.time_ns()
    chance, crew = random.Random(seed), site.crew  # noqa: S311 - nothing secret
    print(f"seed {seed}")  # noqa: T201 - pytest shows it with a failure only
    scenario = started_runs(site, KILLS * AT_ONCE)
    unsent, sent = scenario.commands, list[str]()
    deaths: list[tuple[float, list[str]]] = []  # when, and what had been taken and not decided
    with ForkServer(site).open() as server:
        workers = [server.fork() for _ in range(WORKERS)]
        for number in range(1, KILLS + 1):
            commands, unsent = unsent[:AT_ONCE], unsent[AT_ONCE:]
            keys = [str(command.idempotency_key) for command in commands]
            sent += keys
            # Every other time nobody gets a run's number while the block lasts: all are in the middle of their work.
            with in_the_way(site) if number % 2 else nullcontext():
                for key, command in zip(keys, commands, strict=True):
                    crew.push(message({"idempotency_key": key, **command.payload}).content)
                eventually(lambda: not crew.queued(), "every message in a worker's hand")
                if number % 2 == 0 and chance.random() < 0.5:
                    eventually(lambda keys=keys: decided(site, keys), "one of them decided")
                time.sleep(chance.uniform(0, 0.05))  # the random moment that this is about
                if number % SERVER_DIES_EVERY == 0:
                    crash(site.valkey) if chance.random() < 0.5 else site.valkey.stop()
                dead = chance.sample(workers, chance.choice((1, 1, WORKERS)))
                for worker in dead:
                    os.kill(worker, signal.SIGKILL)
                deaths.append((time.time(), sorted(set(keys) - decided(site, keys).keys())))
            workers = [worker for worker in workers if worker not in dead] + [server.fork() for _ in dead]
            if number % SERVER_DIES_EVERY == 0:
                site.start_valkey()
        for key in sent:
            crew.applied(key)
        crew.wait_until_idle()
    when = decided(site, sent)
    wanted = Expectation(scenario, DeliveryPlan(tuple(scenario.commands)).copies)
    wrong = violations(site.plant, wanted, queue=crew.settings.queue)
    recovered = sorted(max(when[key] for key in keys) - died_at for died_at, keys in deaths if keys) or [0.0]
    print(  # noqa: T201 - the figures of a long run
        f"{KILLS} deaths, {sum(bool(keys) for _, keys in deaths)} with messages taken and not decided; {len(sent)} "
        f"commands, {len(sent) - len(when)} lost, {len(wrong)} violations; from death to the last of those decided: "
        f"median {recovered[len(recovered) // 2]:.1f} s, 90 % {recovered[len(recovered) * 9 // 10]:.1f} s, "
        f"longest {recovered[-1]:.1f} s"
    )
    assert when.keys() == set(sent) == {str(key) for key in scenario.planned}
    assert wrong == []
    assert any(keys for _, keys in deaths)
    assert not site.plant.count("dead_letters")
