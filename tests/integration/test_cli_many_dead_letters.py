"""`runworker dead-letters` on many letters at once: what is promised is done, by whom and why stays known."""

import json
import os
import pty
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from redis import Redis
from sqlalchemy import create_engine, text
from sqlalchemy.orm import Session
from tests.command_line import CommandLine
from tests.plant import Plant, race

from runworker import dead_letters
from runworker.codes import Code
from runworker.dead_letters import Marked, MarkResult, Selection
from runworker.engine.sql.dead_letters import NewDeadLetter
from runworker.errors import Unavailable

QUEUE = "celery"
Promised = Callable[[], Callable[[], Iterator[Marked]]]
WHO = ("--as", "manager@plant")
WHY = "the fault was mended in this release"
MARKS = "SELECT count(*) FROM dead_letters WHERE replayed_at IS NOT NULL OR discarded_at IS NOT NULL"


@pytest.fixture
def queue(broker_url: str) -> Iterator[Redis]:
    with Redis.from_url(broker_url) as client:
        yield client


@pytest.fixture
def plant(plant: Plant) -> Plant:
    plant.sql("INSERT INTO users (email, role) VALUES ('manager@plant', 'MANAGER')")
    return plant


def keep(plant: Plant, count: int = 1, task: str = "start_run", **facts: Any) -> list[int]:
    """So many letters, each of a command of its own. fields: more of the command's."""
    fields = facts.pop("fields", {})
    facts = {"code": Code.INTERNAL_ERROR, "error": "RuntimeError: out of luck", **facts}
    engine = plant.engine()
    return [
        engine.keep(
            NewDeadLetter(
                raw_body=json.dumps([[], plant.fields(task) | fields, {}]).encode(),
                task_name=f"runworker.{task}",
                **facts,
            )
        )
        for _ in range(count)
    ]


def sent(queue: Redis) -> list[str]:
    """Ids of the messages in the queue, in the order in which they came."""
    items: Any = queue.lrange(QUEUE, 0, -1)
    return [json.loads(item)["headers"]["id"] for item in reversed(items)]


def test_letters_are_selected(command_line: CommandLine, plant: Plant) -> None:
    user = plant.another_user("OPERATOR")
    plant.sql("UPDATE users SET email = 'anna@plant' WHERE id = :id", id=user)
    [failed] = keep(plant, fields={"source": "erp"})
    [unreadable] = keep(plant, code=Code.MISSING_FIELD, headers={"origin": "gen7@press"})
    [of_user] = keep(plant, task="complete_run", fields={"issued_by": str(user)})
    [replayed, discarded, again] = keep(plant, 3, code=Code.MALFORMED_MESSAGE)
    # As the tables' owner and with the guard: only what may change does.
    old = "UPDATE dead_letters SET last_seen_at = '2026-01-25 06:00+00' WHERE id = :id"
    plant.sql(old, id=unreadable)
    plant.sql("UPDATE dead_letters SET replayed_at = clock_timestamp() WHERE id = ANY(:ids)", ids=[replayed, again])
    plant.sql(
        "UPDATE dead_letters SET discarded_at = clock_timestamp(), discarded_by = :user, discard_reason = :why"
        " WHERE id = :id",
        user=user, why=WHY, id=discarded,
    )  # fmt: skip
    plant.sql("UPDATE dead_letters SET last_seen_at = clock_timestamp() WHERE id = :id", id=again)

    def listed(*options: str) -> set[int]:
        return {letter["id"] for letter in command_line.json("dead-letters", "list", *options)}

    everything = {failed, unreadable, of_user, replayed, again}
    assert listed() == everything
    assert listed("--state", "discarded") == {discarded}
    assert listed("--state", "OPEN") == everything - {replayed}
    assert listed("--code", "missing_field", "--code", "INTERNAL_ERROR") == {failed, unreadable, of_user}
    assert listed("--task", "complete_run") == listed("--task", "runworker.complete_run") == {of_user}
    assert listed("--sender", "ERP") == {failed}
    assert listed("--sender", "press") == listed("--sender", "gen7@press") == {unreadable}
    assert listed("--sender", "Anna@plant") == listed("--sender", str(user).upper()) == {of_user}
    assert listed("--sender", "nobody@plant") == set()
    assert listed("--older-than", "1h") == listed("--until", "2026-01-25T06:00:01") == {unreadable}
    assert listed("--since", "2026-01-25T07:00+01:00") == everything
    assert listed("--since", "2026-01-25T06:01") == everything - {unreadable}
    assert command_line.run("dead-letters", "list", "--since", "yesterday").exit_code == 2
    few = command_line.run("dead-letters", "list", "--limit", "3")
    assert (len(few.stdout.splitlines()), "more than 3" in few.stderr) == (3, True)
    [one] = command_line.json("dead-letters", "list", "--task", "complete_run")
    assert (one["issued_by"], one["state"], json.loads(one["raw_body"])[0]) == (str(user), "OPEN", [])


def test_what_is_promised_is_done_and_written_down(command_line: CommandLine, plant: Plant, queue: Redis) -> None:
    good = keep(plant, 4)
    [bad] = keep(plant, fields={"colour": "red"})
    keep(plant, code=Code.MALFORMED_MESSAGE)
    asked = ("dead-letters", "replay", "--code", "INTERNAL_ERROR", *WHO)

    dry = command_line.run(*asked, "--dry-run")
    assert "Replay 4 dead letters (1 more would be refused)" in dry.stderr
    assert f"Dead letter {bad} would be refused again (UNKNOWN_FIELD" in dry.stderr
    rehearsed = command_line.run(*asked, "--dry-run", "--json")
    assert (dry.exit_code, rehearsed.exit_code) == (1, 1)  # as of the real run, below
    nobody_there = command_line.run(*asked)
    assert nobody_there.exit_code == 2
    assert "say --yes" in " ".join(nobody_there.stderr.replace("│", "").split())
    assert (plant.sql(MARKS), sent(queue)) == ([(0,)], [])

    done = command_line.run(*asked, "--yes", "--reason", WHY)
    assert done.exit_code == 1  # one stays
    assert done.stdout == dry.stdout
    assert [int(line.split("\t")[0]) for line in done.stdout.splitlines()] == good
    assert f"Dead letter {bad} would be refused again (UNKNOWN_FIELD" in done.stderr
    assert "4 of 5 replayed, 1 refused" in done.stderr
    assert [line.split("\t")[2] for line in done.stdout.splitlines()] == sent(queue)
    events = plant.sql(
        "SELECT after->>'id' AS id, email, after->>'replay_reason' AS why FROM audit_events"
        " JOIN users ON users.id = actor WHERE entity = 'dead_letters' ORDER BY audit_events.id"
    )
    assert events == [(str(id_), "manager@plant", WHY) for id_ in good]

    again = command_line.run(*asked, "--yes", "--json")
    counts = json.loads(again.stdout)
    assert (counts["selected"], counts["done"], counts["refused"]) == (1, 0, 1)
    assert counts["refusals"][0]["id"] == bad
    told = json.loads(rehearsed.stdout)
    assert told.keys() == counts.keys()
    assert (told["selected"], told["done"], told["refused"], told["left"]) == (5, 4, 1, 0)
    assert told["refusals"] == counts["refusals"]
    assert len(sent(queue)) == 4


def test_a_person_is_asked_with_the_number(command_line: CommandLine, plant: Plant, queue: Redis) -> None:
    keep(plant, 2)

    def answered(answer: bytes) -> tuple[int, str, str]:
        terminal, end = pty.openpty()
        with os.fdopen(end, "rb") as stdin:
            asked = command_line.process(
                "dead-letters", "discard", "--state", "open", *WHO, "--reason", WHY, stdin=stdin, stderr=stdin
            )
        os.write(terminal, answer)
        result, _ = asked.communicate(timeout=60)
        said = os.read(terminal, 10_000).decode()
        os.close(terminal)
        return asked.returncode, result, said

    code, result, said = answered(b"n\n")
    assert (code, result, plant.sql(MARKS)) == (1, "", [(0,)])
    assert "Discard 2 dead letters, as manager@plant?" in said
    code, result, said = answered(b"y\n")
    assert (code, len(result.splitlines()), plant.sql(MARKS)) == (0, 2, [(2,)])
    assert "2 of 2 discarded" in said
    assert sent(queue) == []
    assert plant.count("audit_events", f"entity = 'dead_letters' AND after->>'discard_reason' = '{WHY}'") == 2


def test_a_discard_needs_a_reason(command_line: CommandLine, plant: Plant) -> None:
    [letter] = keep(plant)
    for reason in ([], ["--reason", "short    "], ["--reason", "x" * 501]):
        assert command_line.run("dead-letters", "discard", str(letter), *WHO, *reason).exit_code == 2
    assert plant.sql(MARKS) == [(0,)]
    command_line.ok("dead-letters", "discard", str(letter), *WHO, "--reason", WHY)
    assert command_line.json("dead-letters", "list") == []
    assert command_line.json("dead-letters", "show", str(letter))["discard_reason"] == WHY
    assert command_line.run("dead-letters", "replay", str(letter), "--code", "X", *WHO).exit_code == 2


@pytest.mark.parametrize("command", ["list", "replay", "discard"])
def test_what_selects_nothing_or_everything_by_mistake_is_wrong_usage(
    command_line: CommandLine, plant: Plant, command: str
) -> None:
    keep(plant)
    acting = {"list": [], "replay": [*WHO, "--yes"], "discard": [*WHO, "--yes", "--reason", WHY]}[command]
    for options, expected in {
        ("--code", "INTERNAL_EROR"): "INTERNAL_ERROR",
        ("--code", "QC_PENDING"): "MALFORMED_MESSAGE",  # a code, and none of a dead letter
        ("--older-than", "0d"): "more than nothing",
        ("--older-than", "-1d"): "90min",
        ("--state", "CLOSED"): "'open', 'replayed'",
    }.items():
        refused = command_line.run("dead-letters", command, *options, *acting)
        assert (refused.exit_code, refused.stdout) == (2, "")
        assert expected in refused.stderr
    assert plant.sql(MARKS) == [(0,)]


@pytest.mark.parametrize("command", ["replay", "discard"])
def test_a_dry_run_keeps_nothing(command_line: CommandLine, plant: Plant, queue: Redis, command: str) -> None:
    letters = keep(plant, 2)
    dry = command_line.ok("dead-letters", command, "--state", "open", *WHO, "--reason", WHY, "--dry-run")
    assert [int(line.split("\t")[0]) for line in dry.splitlines()] == letters
    assert (plant.sql(MARKS), sent(queue)) == ([(0,)], [])
    assert plant.count("audit_events", "entity = 'dead_letters'") == 0


@pytest.fixture
def promise(plant: Plant, broker_url: str) -> Iterator[Promised]:
    """Promises all letters that are there. What it gives replays them, one at each step, as often as it is called."""
    database = create_engine(plant.url)
    settings = plant.settings(broker_url=broker_url)

    def promised() -> Callable[[], Iterator[Marked]]:
        with Session(database) as session:
            user = dead_letters.operator(session, "manager@plant")
            promises = dead_letters.promised(session, Selection(), replay=True)
        return lambda: dead_letters.replay(database, settings, promises, by=user, reason=WHY)

    yield promised
    database.dispose()


def test_two_operators_at_once_replay_each_letter_once(plant: Plant, queue: Redis, promise: Promised) -> None:
    """And what comes in after the promise is left for the next one."""
    letters = keep(plant, 20)
    replay = promise()
    [late] = keep(plant)

    both = race(*[lambda: [each.result for each in replay()]] * 2)

    assert [sorted(pair) for pair in zip(*both, strict=True)] == [[MarkResult.DONE, MarkResult.ELSEWHERE]] * 20
    assert len(sent(queue)) == len(set(sent(queue))) == 20
    assert plant.sql("SELECT id FROM dead_letters WHERE replayed_at IS NULL") == [(late,)]
    assert plant.count("audit_events", "entity = 'dead_letters'") == len(letters)


def test_what_is_locked_or_not_taken_in_between_stays_as_it_was(
    command_line: CommandLine, plant: Plant, queue: Redis, promise: Promised
) -> None:
    first, *_ = keep(plant, 4)
    plant.set_default("lock_timeout", "'100ms'")
    marked = promise()()
    with plant.transaction() as somebody:
        somebody.execute(text("SELECT FROM dead_letters WHERE id = :id FOR UPDATE"), {"id": first})
        blocked, *done = [next(marked) for _ in range(3)]
    assert (blocked.result, "locked by another session" in (blocked.why or "")) == (MarkResult.REFUSED, True)
    assert [each.result for each in done] == [MarkResult.DONE] * 2
    queue.config_set("min-replicas-to-write", 1)  # as a server that lost its replicas
    try:
        with pytest.raises(Unavailable):
            next(marked)
        away = command_line.run("dead-letters", "replay", "--state", "open", *WHO, "--yes")
    finally:
        queue.config_set("min-replicas-to-write", 0)
    assert (len(sent(queue)), plant.sql(MARKS)) == (2, [(2,)])
    assert (away.exit_code, away.stdout) == (1, "")
    assert "The broker did not take the message" in away.stderr
    assert "0 of 2 replayed, 2 left as they were" in away.stderr


def test_a_login_that_may_not_mark_sends_nothing(
    command_line: CommandLine, plant: Plant, queue: Redis, worker_database_url: str
) -> None:
    [letter] = keep(plant)
    command_line.settings["database_url"] = worker_database_url
    for more in ([], ["--dry-run"]):
        said = command_line.run("dead-letters", "replay", str(letter), *WHO, *more)
        assert (said.exit_code, said.stdout) == (1, "")
        assert "set RUNWORKER_MIGRATION_URL to the tables' owner" in said.stderr
    assert (sent(queue), plant.sql(MARKS)) == ([], [(0,)])


def test_a_message_keeps_the_id_under_which_its_sender_reads_the_result(
    command_line: CommandLine, plant: Plant, queue: Redis
) -> None:
    keep(plant, task_id="the-sender's-own", headers={"delivered_in": "runworker.start_run"})
    keep(plant, task_id="a-bulk", headers={"delivered_in": "runworker.apply"})
    commands = [{"command": "start_run", **plant.fields("start_run")} for _ in range(2)]
    body = json.dumps([[], {"commands": commands}, {}]).encode()
    bulk = NewDeadLetter(body, Code.INTERNAL_ERROR, "RuntimeError", "runworker.apply", "the-bulk's-own")
    plant.engine().keep(bulk)
    command_line.ok("dead-letters", "replay", "--state", "open", *WHO, "--yes")
    own, key, of_bulk = sent(queue)
    assert (own, of_bulk) == ("the-sender's-own", "the-bulk's-own")
    assert plant.count("dead_letters", f"position('{key}'::bytea in raw_body) > 0 AND task_id = 'a-bulk'") == 1
