"""`runworker dead-letters`: looking at what could not be handled, and sending it again."""

import json
from collections.abc import Iterator
from typing import Any
from uuid import uuid4

import pytest
from redis import Redis
from tests.command_line import CommandLine
from tests.crew import eventually
from tests.plant import Plant

from runworker.codes import Code
from runworker.engine.sql.dead_letters import NewDeadLetter
from runworker.workers import WorkerProcesses

QUEUE = "celery"


@pytest.fixture
def queue(broker_url: str) -> Iterator[Redis]:
    with Redis.from_url(broker_url) as client:
        yield client


@pytest.fixture
def plant(plant: Plant) -> Plant:
    for role in ("MANAGER", "OPERATOR"):
        plant.sql("INSERT INTO users (email, role) VALUES (:email, :role)", email=f"{role.lower()}@plant", role=role)
    return plant


def keep(plant: Plant, body: Any, name: str | None = "runworker.start_run", **facts: Any) -> str:
    raw = body if isinstance(body, bytes) else json.dumps(body).encode()
    facts = {"code": Code.INTERNAL_ERROR, "error": "RuntimeError: out of luck", **facts}
    return str(plant.engine().keep(NewDeadLetter(raw_body=raw, task_name=name, **facts)))


def sent(queue: Redis) -> dict[str, Any]:
    """The one message in the queue: its task, id and body."""
    item: Any = queue.lpop(QUEUE)
    message = json.loads(item)
    assert queue.llen(QUEUE) == 0
    with_body: dict[str, Any] = {**message["headers"], "body": message["body"]}
    return with_body


def test_letters_are_listed_newest_first(command_line: CommandLine, plant: Plant) -> None:
    first, second = keep(plant, b"{", error="not JSON"), keep(plant, [[], {}, {}], None, code=Code.MISSING_FIELD)
    keep(plant, b"{", error="not JSON, again")
    listed = command_line.json("dead-letters", "list")
    assert [str(letter["id"]) for letter in listed] == [first, second]
    assert listed[0]["times"] == 2
    assert listed[0]["error"] == "not JSON, again"
    assert listed[0]["last_seen_at"] > listed[0]["first_seen_at"]
    assert listed[0]["replayed_at"] is None
    assert [letter["id"] for letter in command_line.json("dead-letters", "list", "--limit", "1")] == [int(first)]
    lines = command_line.ok("dead-letters", "list").splitlines()
    assert [line.split("\t")[0] for line in lines] == [first, second]
    assert lines[1].split("\t")[2:] == ["MISSING_FIELD", "", "1", "OPEN", "RuntimeError: out of luck"]


def test_an_empty_list_is_no_error(command_line: CommandLine) -> None:
    assert command_line.json("dead-letters", "list") == []
    assert command_line.ok("dead-letters", "list") == ""


def test_a_terminal_of_eighty_columns_gets_a_line_a_letter(
    command_line: CommandLine, plant: Plant, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TTY_COMPATIBLE", "1")
    monkeypatch.setenv("TERM", "dumb")
    long = "psycopg.errors.UndefinedColumn: column is not there\nSELECT everything\tFROM nowhere " * 20
    for task in ("runworker.start_run", "runworker.deprecate_flow_version"):
        keep(plant, b"{", task, code=Code.POSITIONAL_ARGUMENTS, error=long)
    heads, *lines = command_line.run("dead-letters", "list", terminal_width=80).stdout.splitlines()
    assert heads.split() == ["id", "seen", "code", "task", "times", "state", "reason"]
    assert len(lines) == 2
    assert all(len(line) <= 80 for line in lines)
    assert all("OPEN" in line and "POSITIONAL" in line and "psy" in line for line in lines)


def test_a_letter_is_shown_whole(command_line: CommandLine, plant: Plant) -> None:
    letter = keep(plant, b'\xff\x1b[2J["a"]', headers={"origin": "gen1@h"})
    told = command_line.json("dead-letters", "show", letter)
    assert told["raw_body"] == '\\xff\x1b[2J["a"]'
    assert told["headers"] == {"origin": "gen1@h"}
    shown = command_line.ok("dead-letters", "show", letter)
    assert "\x1b" not in shown
    assert '\\xff\\x1b[2J["a"]' in shown


def test_what_a_sender_wrote_is_no_markup(
    command_line: CommandLine, plant: Plant, monkeypatch: pytest.MonkeyPatch
) -> None:
    keep(plant, b"{", error="[bold]loud[/bold] \x1b[31m [/]")
    monkeypatch.setenv("TTY_COMPATIBLE", "1")
    assert "[bold]loud[/bold] \\x1b[31m [/]" in command_line.ok("dead-letters", "list")


@pytest.mark.parametrize("command", [["show", "7"], ["replay", "7", "--as", "manager@plant"]])
def test_an_unknown_letter_is_refused(command_line: CommandLine, plant: Plant, command: list[str]) -> None:
    assert "There is no dead letter 7" in command_line.refused("dead-letters", *command)


def test_an_id_that_cannot_be_one_is_wrong_usage(command_line: CommandLine) -> None:
    for letter in ("x", "0", str(2**63)):
        assert command_line.run("dead-letters", "show", letter).exit_code == 2


@pytest.mark.parametrize("shape", ["protocol 2", "protocol 1", "kwargs alone"])
def test_a_letter_is_sent_again(command_line: CommandLine, plant: Plant, queue: Redis, shape: str) -> None:
    fields = plant.fields("start_run", site_code="BUDA")
    body = {
        "protocol 2": [[], fields, {"callbacks": None}],
        "protocol 1": {"task": "runworker.start_run", "id": "x", "args": [], "kwargs": fields},
        "kwargs alone": fields,
    }[shape]
    letter = keep(plant, body)
    told = command_line.ok("dead-letters", "replay", letter, "--as", "manager@plant")
    assert fields["idempotency_key"] in told
    message = sent(queue)
    assert (message["task"], message["id"]) == ("runworker.start_run", fields["idempotency_key"])
    (row,) = plant.sql(
        "SELECT replayed_at, email FROM dead_letters JOIN users ON users.id = replayed_by WHERE dead_letters.id = :id",
        id=letter,
    )
    assert row.email == "manager@plant"
    assert command_line.json("dead-letters", "list")[0]["replayed_at"] == row.replayed_at.isoformat()


def test_a_worker_applies_what_was_sent_again(command_line: CommandLine, plant: Plant, broker_url: str) -> None:
    fields = plant.fields("start_run", run_id=str(uuid4()))
    letter = keep(plant, [[], fields, {}])
    for _ in range(2):
        command_line.ok("dead-letters", "replay", letter, "--as", "manager@plant")
    with WorkerProcesses(plant.settings(broker_url=broker_url), log=command_line.folder / "worker.log") as workers:
        workers.start()
        eventually(lambda: plant.count("commands", "deliveries > 1") == 1, "the message came twice")
    assert plant.count("production_runs", f"id = '{fields['run_id']}' AND status = 'RUNNING'") == 1
    assert plant.count("production_runs") == 1


REFUSED: dict[str, tuple[Any, str | None, str]] = {
    "not JSON": (b"\xff", "runworker.start_run", "no Celery message that can be read"),
    "too deep": (b"[" * 100_000, "runworker.start_run", "no Celery message that can be read"),
    "no object": (b"5", "runworker.start_run", "no Celery message that can be read"),
    "positional": ([["x"], {}, {}], "runworker.start_run", "POSITIONAL_ARGUMENTS: 1 fields"),
    "field missing": ([[], {"run_id": str(uuid4())}, {}], "runworker.complete_run", "MISSING_FIELD"),
    "unknown command": ([[], {}, {}], "runworker.no_such_command", "UNKNOWN_COMMAND"),
    "another's task": ([[], {}, {}], "other.task", "UNKNOWN_COMMAND"),
    "no task": ([[], {}, {}], None, "UNKNOWN_COMMAND"),
    "in the ledger": ({"stored": "k-1"}, None, "tells of command k-1, whose verdict stands in the ledger"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_what_would_be_refused_again_is_not_sent(
    command_line: CommandLine, plant: Plant, queue: Redis, case: str
) -> None:
    body, name, reason = REFUSED[case]
    letter = keep(plant, body, name)
    assert reason in command_line.refused("dead-letters", "replay", letter, "--as", "manager@plant")
    assert queue.llen(QUEUE) == 0
    assert plant.count("dead_letters", "replayed_at IS NOT NULL") == 0


@pytest.mark.parametrize(("who", "code"), [("operator@plant", "ROLE_NOT_ALLOWED"), ("nobody@plant", "UNKNOWN_USER")])
def test_who_may_not_replay_is_told_so(
    command_line: CommandLine, plant: Plant, queue: Redis, who: str, code: str
) -> None:
    letter = keep(plant, [[], plant.fields("start_run"), {}])
    assert code in command_line.refused("dead-letters", "replay", letter, "--as", who)
    assert queue.llen(QUEUE) == 0


def test_a_letter_is_not_noted_as_replayed_while_the_broker_is_away(command_line: CommandLine, plant: Plant) -> None:
    letter = keep(plant, [[], plant.fields("start_run"), {}])
    command_line.settings["broker_url"] = "redis://:s3cret@127.0.0.1:1/0"
    said = command_line.refused("dead-letters", "replay", letter, "--as", "manager@plant")
    assert "The broker did not take the message" in said
    assert "s3cret" not in said
    assert plant.count("dead_letters", "replayed_at IS NOT NULL") == 0


def test_without_a_broker_nothing_can_be_replayed(command_line: CommandLine, plant: Plant) -> None:
    letter = keep(plant, [[], plant.fields("start_run"), {}])
    del command_line.settings["broker_url"]
    command_line.settings["data_dir"] = str(command_line.folder)
    for more in ([], ["--dry-run"]):
        refused = command_line.run("dead-letters", "replay", letter, "--as", "manager@plant", *more)
        assert (refused.exit_code, refused.stdout) == (1, "")
        assert "set RUNWORKER_BROKER_URL" in refused.stderr
