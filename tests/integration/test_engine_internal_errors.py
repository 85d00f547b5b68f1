"""A fault of ours: the command goes to dead_letters, and nobody else notices."""

import json
from collections.abc import Callable, Iterator
from typing import Any
from uuid import uuid4

import pytest
from structlog.testing import capture_logs
from tests.plant import Plant

from runworker import handlers
from runworker.codes import Code
from runworker.commands import Command, parse
from runworker.engine import Engine
from runworker.handlers.facts import Facts, Outcome
from runworker.states import CommandStatus
from runworker.upkeep import sweep

APPLIED, REJECTED, WAITING = CommandStatus.APPLIED, CommandStatus.REJECTED, CommandStatus.WAITING


@pytest.fixture(autouse=True)
def events() -> Iterator[list[Any]]:
    """What is logged, and not drawn on the screen with every local variable."""
    with capture_logs() as events:
        yield events


@pytest.fixture(autouse=True)
def faulty_handlers(monkeypatch: pytest.MonkeyPatch) -> None:
    """Handlers that fail on commands from the source "faulty", once it is their turn."""

    def faulty(handler: Callable[[Command, Facts], Outcome]) -> Callable[[Command, Facts], Outcome]:
        def handle(command: Command, facts: Facts) -> Outcome:
            outcome = handler(command, facts)
            if command.source == "faulty":
                raise ZeroDivisionError("a fault put in by the test")
            return outcome

        return handle

    real = handlers._HANDLERS
    monkeypatch.setattr(handlers, "_HANDLERS", {kind: faulty(handler) for kind, handler in real.items()})


def test_verdict_and_dead_letter(plant: Plant, engine: Engine, events: list[Any]) -> None:
    command = plant.command("start_run", source="faulty")
    (verdict,) = engine.apply([command])
    assert (verdict.status, verdict.code, verdict.run_id) == (REJECTED, Code.INTERNAL_ERROR, command.target_run)
    assert "ZeroDivisionError" not in str(verdict.as_dict())
    (letter,) = plant.sql("SELECT * FROM dead_letters")
    assert (letter.task_name, letter.code, letter.times) == ("runworker.start_run", "INTERNAL_ERROR", 1)
    assert letter.error == "ZeroDivisionError: a fault put in by the test"
    args, fields, _ = json.loads(letter.raw_body)
    assert (args, parse("start_run", fields)) == ([], command)
    assert [event["key"] for event in events if event["event"] == "command.failed"] == [str(command.idempotency_key)]


def test_the_key_is_free_for_another_try(plant: Plant, engine: Engine) -> None:
    """The ledger does not know it: once the fault is mended, the same message takes effect."""
    fields = plant.fields("start_run", source="faulty")
    engine.apply([parse("start_run", fields)])
    assert plant.count("commands") == 0
    engine.apply([parse("start_run", fields)])
    assert plant.sql("SELECT times FROM dead_letters") == [(2,)]
    (verdict,) = engine.apply([parse("start_run", fields | {"source": "mended"})])
    assert (verdict.status, verdict.replayed) == (APPLIED, False)


def test_two_of_a_kind_are_two_letters(plant: Plant, engine: Engine) -> None:
    engine.apply([plant.command("start_run", source="faulty") for _ in range(2)])
    assert plant.count("dead_letters", "times = 1") == 2


@pytest.mark.parametrize("position", [0, 7, 19])
def test_neighbours_in_the_batch(plant: Plant, engine: Engine, position: int) -> None:
    commands = [plant.command("start_run") for _ in range(19)]
    commands.insert(position, plant.command("start_run", source="faulty"))
    verdicts = engine.apply(commands)
    assert [verdict.status for verdict in verdicts].index(REJECTED) == position
    assert [verdict.status for verdict in verdicts].count(APPLIED) == 19
    assert (plant.count("production_runs"), plant.count("dead_letters")) == (19, 1)


def test_a_released_command_that_fails_does_not_harm_who_released_it(plant: Plant, engine: Engine) -> None:
    run = uuid4()
    faulty = plant.command("advance_step", run_id=run, to_step_index=1, source="faulty")
    follower = plant.command("hold_run", run_id=run, after=[faulty.idempotency_key])
    engine.apply([follower, faulty])
    (verdict,) = engine.apply([plant.command("start_run", run_id=run)])
    assert (verdict.status, verdict.replayed) == (APPLIED, False)
    told = engine.verdicts([faulty.idempotency_key, follower.idempotency_key])
    assert told[faulty.idempotency_key].code is Code.INTERNAL_ERROR
    assert told[follower.idempotency_key].status is APPLIED
    assert plant.run(run)[:2] == ("HOLD", 0)


def chain(plant: Plant, length: int, faulty: set[int]) -> list[Command]:
    links: list[Command] = []
    for number in range(length):
        fields = {"after": [links[-1].idempotency_key]} if links else {}
        source = "faulty" if number in faulty else "sound"
        links.append(plant.command("start_run", source=source, **fields))
    return links


@pytest.mark.parametrize("faulty", [{1}, {39}, {20, 21}, {5, 38}])
def test_a_long_chain_goes_on_past_a_fault(plant: Plant, engine: Engine, faulty: set[int]) -> None:
    first, *rest = links = chain(plant, 40, faulty)
    engine.apply(rest)
    (verdict,) = engine.apply([first])
    assert (verdict.status, verdict.replayed) == (APPLIED, False)
    told = engine.verdicts([link.idempotency_key for link in links])
    refused = {number for number, link in enumerate(links) if told[link.idempotency_key].code is Code.INTERNAL_ERROR}
    assert refused == faulty
    assert plant.count("commands", "status = 'APPLIED'") == 40 - len(faulty)
    assert plant.count("dead_letters") == len(faulty)


def test_a_queued_command_that_fails(plant: Plant, engine: Engine) -> None:
    good, bad = plant.queue("start_run"), plant.queue("start_run", source="faulty")
    assert (sweep(engine), sweep(engine)) == (2, 0)
    told = engine.verdicts([good, bad])
    assert (told[good].status, told[bad].code) == (APPLIED, Code.INTERNAL_ERROR)
    assert plant.count("dead_letters") == 1


def test_a_queued_command_that_releases_one_that_fails(plant: Plant, engine: Engine) -> None:
    run = uuid4()
    waiting = plant.command("advance_step", run_id=run, to_step_index=1, source="faulty")
    assert engine.apply([waiting])[0].status is WAITING
    start = plant.queue("start_run", run_id=run)
    sweep(engine)
    told = engine.verdicts([start, waiting.idempotency_key])
    assert (told[start].status, told[waiting.idempotency_key].code) == (APPLIED, Code.INTERNAL_ERROR)
    assert plant.run(run)[:2] == ("RUNNING", 0)
