"""`runworker chaos`: silent on the product as it is, and loud on each way in which it is broken on purpose."""

import os
import signal
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from multiprocessing import forkserver
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Engine, create_engine, text

from runworker.simulation.chaos import ChaosContext, ChaosPlan, ChaosReport, run_chaos
from runworker.simulation.chaos.crew import SOLO, CrewPlan, Place
from runworker.simulation.chaos.inside import Point
from runworker.simulation.chaos.load import WaveSize
from runworker.simulation.chaos.site import ChaosSite

pytestmark = [pytest.mark.chaos, pytest.mark.timeout(180)]

CONTESTED = WaveSize(days=0, lives=0, contested=1, damaged=0, rivals=6)


class Silence:
    """Shows nothing."""

    def say(self, line: str) -> None: ...

    def show(self, what: str, done: int, total: int) -> None: ...


class Outsider:
    """Kills one worker, once."""

    def __init__(self) -> None:
        self._has_killed = False

    def __call__(self) -> None:
        if self._has_killed:
            return
        server = forkserver._forkserver._forkserver_pid  # from which all workers are forked
        workers = Path(f"/proc/{server}/task/{server}/children").read_text("ascii").split()
        os.kill(int(workers[0]), signal.SIGKILL)
        self._has_killed = True


@pytest.fixture(scope="module")
def chaos_site() -> Iterator[ChaosSite]:
    with ChaosSite() as site:
        yield site


@pytest.fixture
def owner(chaos_site: ChaosSite) -> Iterator[Engine]:
    database = create_engine(chaos_site.owner_url, pool_pre_ping=True)
    yield database
    database.dispose()


def chaos(
    site: ChaosSite,
    owner: Engine,
    directory: Path,
    *,
    crew: CrewPlan,
    seconds: float = 3.0,
    patience: float = 8.0,
    faults: Sequence[str] = (),
    wave: WaveSize = CONTESTED,
    check: Callable[[], None] = lambda: None,
    **settings: Any,
) -> ChaosReport:
    plan = ChaosPlan(
        seconds,
        seed=1,
        faults=faults,
        fault_every=seconds / max(len(faults), 1),
        disturb_every=seconds,
        crew=crew,
        wave=wave,
        rate=100.0,
        patience=patience,
        settings={
            "sweep_seconds": 0.5,
            "lock_timeout_seconds": 1,
            "retry_seconds": 1,
            # A worker that dies before it has renewed a lease that a FLUSHALL took has no lease that could lapse.
            "visibility_timeout_seconds": 5,
            **settings,
        },
    )
    report = run_chaos(plan, ChaosContext(site, owner, directory, Silence(), check))
    print(report.as_dict)  # noqa: T201 - pytest shows it with a failure only
    return report


def broken(module: str, rates: dict[Point, float] | None = None) -> CrewPlan:
    return CrewPlan([Place(SOLO)] * 2, rates or {}, [f"tests.chaos.breaks.{module}"])


def test_nothing_is_found_where_nothing_is_broken(chaos_site: ChaosSite, owner: Engine, tmp_path: Path) -> None:
    rates = {Point.DEATH_BEFORE_COMMIT: 0.01, Point.LOSS_AFTER_COMMIT: 0.05}
    report = chaos(
        chaos_site,
        owner,
        tmp_path,
        crew=CrewPlan([Place(SOLO)] * 2, rates),
        seconds=8.0,
        patience=45.0,
        faults=["broker-flushed", "postgres-failed-over"],
        wave=WaveSize(),
    )
    assert report.is_clean
    assert report.figures["commands"] > 300
    assert report.figures["inside_workers"]
    assert all(fault["times"] for fault in report.figures["faults"].values())


def test_an_acknowledgement_before_the_commit_loses_commands(
    chaos_site: ChaosSite, owner: Engine, tmp_path: Path
) -> None:
    crew = broken("acknowledged_first", {Point.DEATH_BEFORE_COMMIT: 0.1})
    # No sweeps, or the workers would die over those. Small batches, or a slow worker has hardly any.
    report = chaos(chaos_site, owner, tmp_path, crew=crew, seconds=8.0, sweep_seconds=60, batch_size=5)
    assert any("was accepted and is not in the ledger" in violation.said for violation in report.lost)


def test_a_claim_without_the_unique_key_applies_commands_twice(
    chaos_site: ChaosSite, owner: Engine, tmp_path: Path
) -> None:
    with without_the_unique_key(owner):
        # Alone in its batch, or a command and its repetition, which a slow worker finds side by side, are one row.
        report = chaos(chaos_site, owner, tmp_path, crew=broken("claimed_anew"), check=Outsider(), batch_size=1)
    # Beside it: a worker that nobody of chaos has killed.
    assert any("ended by itself, with exit code -9" in violation.said for violation in report.others)
    assert any("the ledger has 2 rows of the key" in violation.said for violation in report.doubled)


def test_runs_that_nothing_locks_make_the_same_move_twice(chaos_site: ChaosSite, owner: Engine, tmp_path: Path) -> None:
    report = chaos(chaos_site, owner, tmp_path, crew=broken("unlocked_runs"), batch_size=2)
    assert any("advance_step to step" in violation.said for violation in report.doubled)


def test_a_keep_that_swallows_loses_damaged_messages(chaos_site: ChaosSite, owner: Engine, tmp_path: Path) -> None:
    crew = broken("swallowing_keep", {Point.LOSS_BEFORE_COMMIT: 0.1})
    wave = WaveSize(days=0, lives=0, contested=1, damaged=20)
    report = chaos(chaos_site, owner, tmp_path, crew=crew, wave=wave)
    assert any("was accepted and is no dead letter" in violation.said for violation in report.lost)


@contextmanager
def without_the_unique_key(owner: Engine) -> Iterator[None]:
    """The ledger takes a key twice for as long as the block lasts."""
    with owner.begin() as connection:
        connection.execute(text("ALTER TABLE commands DROP CONSTRAINT pk_commands"))
    yield
    with owner.begin() as connection:
        connection.execute(text("ALTER TABLE commands DISABLE TRIGGER USER"))
        connection.execute(
            text(
                "DELETE FROM commands one USING commands other"
                " WHERE one.idempotency_key = other.idempotency_key AND one.ctid > other.ctid"
            )
        )
        connection.execute(text("ALTER TABLE commands ENABLE TRIGGER USER"))
        connection.execute(text("ALTER TABLE commands ADD CONSTRAINT pk_commands PRIMARY KEY (idempotency_key)"))
