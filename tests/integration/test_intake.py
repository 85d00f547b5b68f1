"""The intake of a worker: closed while its database is not as it should be, and open again without a restart."""

import re
import signal
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta, tzinfo
from functools import partial
from pathlib import Path
from types import SimpleNamespace

import pytest
from sqlalchemy import text
from tests.command_line import CommandLine
from tests.crew import PREFORK, Crew, eventually
from tests.envelopes import message

from runworker import migrations, revisions
from runworker.errors import ServerError
from runworker.readiness import clock
from runworker.tasks import requests
from runworker.tasks.worker_app import WorkerApp
from runworker.workers import WorkerProcess, environment_of

pytestmark = pytest.mark.timeout(120)

REVOKED = "REVOKE INSERT ON lots FROM runworker_worker"
GRANTED = "GRANT INSERT ON lots TO runworker_worker"


@pytest.fixture
def command_line(crew: Crew, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[CommandLine]:
    """Commands with the crew's own settings, as an operator on a worker's machine has them."""
    monkeypatch.chdir(tmp_path)
    variables = environment_of(crew.settings)
    prefix = "RUNWORKER_"
    return CommandLine(
        tmp_path,
        **{name.removeprefix(prefix).lower(): variables[name] for name in variables if name.startswith(prefix)},
    )


def says(command_line: CommandLine, worker: WorkerProcess, what: str) -> bool:
    """Whether the health check of a worker says so."""
    result = command_line.finished("health", "--worker", worker.name)
    return what in result.stderr + result.stdout


def test_health_tells_of_a_closed_intake_and_of_a_queue_that_is_not_consumed(
    crew: Crew, command_line: CommandLine
) -> None:
    worker = crew.hire(PREFORK)
    control, queue = crew.upstream.control, crew.settings.queue
    assert says(command_line, worker, f"{worker.name} answered after")

    crew.plant.sql(REVOKED)
    eventually(partial(says, command_line, worker, "lacks rights: INSERT ON lots"), "unhealthy over a right")
    waiting = crew.send("start_run")
    control.cancel_consumer(queue, destination=[worker.name])
    crew.plant.sql(GRANTED)
    eventually(partial(says, command_line, worker, f"does not consume the queue {queue}"), "unhealthy over a queue")
    assert crew.queued() == 1, "what an operator cancelled is not consumed when the intake opens"

    control.add_consumer(queue, destination=[worker.name])
    assert crew.verdict(waiting)["status"] == "APPLIED"
    assert says(command_line, worker, f"{worker.name} answered after")


def test_a_worker_with_a_closed_intake_ends_at_once(crew: Crew) -> None:
    worker = crew.hire(PREFORK)
    crew.plant.sql(REVOKED)
    eventually(lambda: "intake.closed" in crew.written(), "the intake closed")
    crew.send("start_run")

    worker.send(signal.SIGTERM)

    eventually(lambda: worker.exit_code is not None, "the end of the worker", seconds=8)
    assert worker.exit_code == 0
    assert (crew.queued(), crew.held()) == (1, 0)


def test_a_worker_waits_for_the_migration_and_goes_on_beside_a_newer_release(crew: Crew) -> None:
    before = revisions.known()[-2]
    migrations.downgrade(crew.plant.url, before)
    worker = crew.hire()
    waiting = [crew.send("start_run") for _ in range(20)]
    # At some revisions the login may not even read at which the database stands.
    eventually(lambda: re.search("Run `runworker migrate`.*intake.closed", crew.written()), "the intake closed")
    assert not crew.held()
    assert not crew.plant.count("commands")

    migrations.upgrade(crew.plant.url)

    assert {crew.verdict(result)["status"] for result in waiting} == {"APPLIED"}
    crew.plant.sql("UPDATE alembic_version SET version_num = '29991231_newer'")
    beside = crew.hire(PREFORK)
    assert crew.verdict(crew.send("start_run"))["status"] == "APPLIED"
    assert (worker.exit_code, beside.exit_code) == (None, None)
    assert not crew.plant.count("dead_letters")


def test_one_that_cannot_get_past_what_others_do_closes_nothing(crew: Crew) -> None:
    """A row of dead_letters that somebody holds, a rule of somebody else's: each keeps back its own message."""
    worker = crew.hire(retry_seconds=0, lock_timeout_seconds=1)
    nonsense = message(crew.plant.fields("start_run"), body=b"nonsense")
    crew.push(nonsense.content)
    letter = crew.letter(nonsense.body)
    crew.plant.sql("ALTER TABLE commands ADD CONSTRAINT ck_house CHECK (command <> 'hold_run') NOT VALID")
    run = crew.verdict(crew.send("start_run"))["run_id"]
    with crew.plant.transaction() as connection:
        connection.execute(text("SELECT FROM dead_letters WHERE id = :id FOR UPDATE"), {"id": letter.id})
        crew.push(nonsense.content)
        held = crew.send("hold_run", run_id=run)
        for event in ("dead_letter.postponed", "command.blocked"):
            eventually(lambda event=event: crew.written().count(event) > 1, f"{event}, again")
        assert crew.verdict(crew.send("start_run"))["status"] == "APPLIED"
        eventually(lambda: crew.in_broker() == 2, "no message of others in the broker")
    crew.letter(nonsense.body, times=2)
    crew.plant.sql("ALTER TABLE commands DROP CONSTRAINT ck_house")
    assert crew.verdict(held)["status"] == "APPLIED"
    assert "intake.closed" not in crew.written().partition("dead_letter.kept")[2]
    assert worker.exit_code is None


def test_a_pool_that_leaves_commands_undecided_is_refused(crew: Crew) -> None:
    with pytest.raises(ServerError):
        crew.hire(("--pool", "gevent"))
    assert "does not work with --pool gevent" in crew.written()


def test_a_message_expires_by_the_clock_of_postgresql(crew: Crew, monkeypatch: pytest.MonkeyPatch) -> None:
    class Ahead(datetime):
        """The clock of a machine that is a day ahead."""

        @classmethod
        def now(cls, tz: tzinfo | None = None) -> datetime:
            return datetime.now(tz) + timedelta(days=1)

    app = WorkerApp("a day ahead", set_as_current=False)
    app.__dict__["settings"] = crew.settings
    for module in (clock, requests):
        monkeypatch.setattr(module, "datetime", Ahead)

    def is_expired(expires: datetime) -> bool:
        return requests.Request.maybe_expire(SimpleNamespace(expires=expires, _app=app))

    assert app.servers.look() == ([], [])
    now = datetime.now(UTC)
    assert not is_expired(now + timedelta(minutes=1))
    assert is_expired(now - timedelta(minutes=1))
    assert not is_expired((now + timedelta(minutes=1)).astimezone().replace(tzinfo=None)), "without a zone: local"
