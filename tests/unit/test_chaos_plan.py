"""What chaos is going to do: faults by turns, damaged messages, clocks that are wrong."""

import json
import os
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path
from random import Random
from uuid import UUID, uuid4

import pytest

from runworker.commands import parse
from runworker.simulation.chaos.damage import damaged
from runworker.simulation.chaos.faults import FAULTS
from runworker.simulation.chaos.inside import DEATHS, ORDERS
from runworker.simulation.chaos.schedule import schedule

COMMAND = parse(
    "abort_run",
    {"idempotency_key": uuid4(), "issued_by": uuid4(), "run_id": uuid4(), "reason": "no reason at all", "source": "x"},
)

CLOCKS = """
import time, kombu.transport.redis, celery.utils.time, runworker.tasks.results
from datetime import datetime, UTC
from kombu.transport import redis
import runworker.simulation.chaos.worker
import celery.app.base
read = [time.time(), redis.time(), celery.utils.time.datetime.now(UTC).timestamp()]
assert isinstance(datetime.now(UTC), celery.utils.time.datetime)
print(*read)
"""


def seeded(seed: int) -> Random:
    return Random(seed)  # noqa: S311 - nothing secret


def test_ten_minutes_have_every_fault_five_times() -> None:
    turns = schedule(seeded(1), list(FAULTS), 600)
    assert Counter(turn.name for turn in turns) == dict.fromkeys(FAULTS, 5)
    assert [turn.at for turn in turns] == sorted(turn.at for turn in turns)
    assert turns[-1].at < 600


def test_a_minute_has_different_faults() -> None:
    names = [turn.name for turn in schedule(seeded(1), list(FAULTS), 60)]
    assert len(names) == len(set(names)) == round(len(FAULTS) / 2)


def test_a_seed_repeats_the_faults() -> None:
    def faults(seed: int) -> object:
        return schedule(seeded(seed), list(FAULTS), 60)

    assert faults(1) == faults(1)
    assert faults(1) != faults(2)


@pytest.mark.parametrize("seed", range(12))
def test_a_damaged_message_can_be_found_again(seed: int) -> None:
    identity = str(uuid4())
    item = damaged(seeded(seed), COMMAND, identity)
    if item.is_answered:
        assert json.loads(item.content)["headers"]["id"] == identity
    else:
        assert item.content == identity.encode()
    assert str(COMMAND.idempotency_key).encode() not in item.content


def test_damage_comes_in_every_kind() -> None:
    identity = str(UUID(int=1))
    assert len({damaged(seeded(seed), COMMAND, identity).content for seed in range(40)}) == 5


def test_a_clock_that_is_off_is_off_wherever_it_is_read(tmp_path: Path) -> None:
    deaths = tmp_path / "deaths.log"
    deaths.touch()
    orders = json.dumps({"seed": 1, "rates": {}, "clock_off": 86_400})
    asked = subprocess.run(
        [sys.executable, "-c", CLOCKS],
        env=os.environ | {ORDERS: orders, DEATHS: str(deaths)},
        capture_output=True,
        text=True,
        check=True,
    )
    assert [float(read) - time.time() for read in asked.stdout.split()] == pytest.approx([86_400] * 3, abs=30)
