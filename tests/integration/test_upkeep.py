"""The upkeep thread's own part of pruning: how much in a round, and how often it looks."""

from types import SimpleNamespace

from tests.integration.test_pruning import refused_ones
from tests.plant import Plant

from runworker.engine import Engine
from runworker.tasks import upkeep_thread
from runworker.tasks.upkeep_thread import PRUNE_CHUNKS, UpkeepThread
from runworker.upkeep.prune import CHUNK


def a_thread(plant: Plant, engine: Engine, **settings: int) -> UpkeepThread:
    return UpkeepThread(SimpleNamespace(app=SimpleNamespace(settings=plant.settings(**settings), engine=engine)))


def test_a_round_forgets_some_chunks_and_the_next_goes_on(plant: Plant, engine: Engine) -> None:
    refused_ones(plant, PRUNE_CHUNKS * CHUNK + 1, days_ago=91)
    thread = a_thread(plant, engine)

    thread._prune()
    assert plant.count("commands") == 1
    thread._prune()
    assert plant.count("commands") == 0


def test_looks_again_only_some_time_after_none_was_left(plant: Plant, engine: Engine, monkeypatch) -> None:
    clock = SimpleNamespace(now=0.0, monotonic=lambda: clock.now)
    monkeypatch.setattr(upkeep_thread, "time", clock)
    thread = a_thread(plant, engine)
    thread._prune()
    refused_ones(plant, 1, days_ago=91)

    clock.now = upkeep_thread.PRUNE_PAUSE_SECONDS - 1
    thread._prune()
    assert plant.count("commands") == 1
    clock.now = upkeep_thread.PRUNE_PAUSE_SECONDS
    thread._prune()
    assert plant.count("commands") == 0


def test_keeps_as_long_as_the_longer_of_both_settings_says(plant: Plant, engine: Engine) -> None:
    refused_ones(plant, 1, days_ago=20)
    a_thread(plant, engine, ledger_keep_days=10, archive_after_days=30)._prune()
    assert plant.count("commands") == 1
    a_thread(plant, engine, ledger_keep_days=10, archive_after_days=15)._prune()
    assert plant.count("commands") == 0
