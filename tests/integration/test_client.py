"""The client on real workers: it checks before it sends, and follows a command to the verdict that counts."""

import json
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from typing import Any
from uuid import UUID, uuid4

import pytest
from celery import Celery, current_app
from tests.crew import Crew, eventually
from tests.plant import REASON, STEPS

from runworker.client import Client, CommandRejected, NoVerdict
from runworker.codes import Code
from runworker.commands import BULK_LIMIT
from runworker.errors import InvalidMessage
from runworker.states import CommandStatus

pytestmark = pytest.mark.timeout(120)


@pytest.fixture
def client(shared_crew: Crew) -> Iterator[Client]:
    with Client(shared_crew.broker_url, issued_by=shared_crew.plant.user("ADMIN"), source="test") as client:
        yield client


@pytest.fixture
def nobody(broker_url: str) -> Iterator[Client]:
    """A client of a queue that no worker takes from."""
    with Client(broker_url, issued_by=uuid4()) as client:
        yield client


@pytest.fixture(scope="module")
def version(shared_crew: Crew) -> UUID:
    return shared_crew.plant.version()


def test_a_run_is_taken_through_its_whole_life(client: Client, version: UUID) -> None:
    started = client.start_run(flow_version_id=version, site_code="NORD", daily_target_kg="12.5")
    run = started.run_id
    assert run == started.idempotency_key
    assert run is not None
    sent = [
        *(client.advance_step(run_id=run, to_step_index=index) for index in STEPS[1:3]),
        client.hold_run(run_id=run, reason=REASON),
        client.resume_run(run_id=run, resolution=REASON),
        client.advance_step(run_id=run, to_step_index=STEPS[3]),
        client.complete_run(run_id=run),
    ]
    assert [each.wait().status for each in (started, *sent)] == [CommandStatus.APPLIED] * 7
    verdict = sent[-1].wait()
    assert (verdict.run_id, verdict.command) == (run, "complete_run")
    assert verdict.state["run_status"] == "COMPLETED"
    assert {each.run_id for each in sent} == {run}


def test_defaults_are_the_clients_and_can_be_overruled(shared_crew: Crew, client: Client, version: UUID) -> None:
    operator = shared_crew.plant.user("OPERATOR")
    mine = client.start_run(flow_version_id=version)
    theirs = client.start_run(flow_version_id=version, issued_by=operator, source="other", run_id=uuid4())
    for sent, issuer, source in ((mine, shared_crew.plant.user("ADMIN"), "test"), (theirs, operator, "other")):
        sent.wait(raise_on_rejection=True)
        row = shared_crew.plant.ledger(sent.idempotency_key)
        assert (row.issued_by, row.payload["source"], row.task_id) == (issuer, source, str(sent.idempotency_key))
    assert theirs.run_id != theirs.idempotency_key


@pytest.mark.parametrize(
    ("name", "fields", "code"),
    [
        ("fly", {}, Code.UNKNOWN_COMMAND),
        ("start_run", {}, Code.MISSING_FIELD),
        ("start_run", {"flow_version_id": "newest"}, Code.INVALID_FIELD),
        ("start_run", {"flow_version_id": uuid4(), "colour": "red"}, Code.UNKNOWN_FIELD),
        ("start_run", {"flow_version_id": uuid4(), "issued_by": None}, Code.INVALID_FIELD),
        ("hold_run", {"run_id": uuid4(), "reason": "no"}, Code.INVALID_FIELD),
    ],
)
def test_what_workers_could_not_read_is_not_sent(
    nobody: Client, broker_url: str, name: str, fields: dict[str, object], code: Code
) -> None:
    with pytest.raises(InvalidMessage) as refused:
        nobody.send(name, **fields)
    assert refused.value.code is code
    with Celery(broker=broker_url, set_as_current=False).connection_for_read() as connection:
        assert not connection.default_channel.client.llen("celery")


def test_a_client_without_issuer_needs_one_with_each_command(broker_url: str) -> None:
    with Client(broker_url) as client, pytest.raises(InvalidMessage, match="issued_by is required"):
        client.start_run(flow_version_id=uuid4())


def test_a_rejection_is_raised_only_when_asked_for(client: Client, version: UUID) -> None:
    sent = client.start_run(flow_version_id=version, operator_id=uuid4())
    verdict = sent.wait()
    assert (verdict.status, verdict.code) == (CommandStatus.REJECTED, Code.UNKNOWN_USER)
    with pytest.raises(CommandRejected, match="UNKNOWN_USER") as rejected:
        sent.wait(raise_on_rejection=True)
    assert rejected.value.verdict == verdict


def test_a_repeat_brings_the_first_verdict(client: Client, version: UUID, shared_crew: Crew) -> None:
    sent = client.start_run(flow_version_id=version)
    first = sent.wait()
    again = client.post(sent.command)
    assert again.idempotency_key == sent.idempotency_key
    eventually(
        lambda: shared_crew.plant.ledger(sent.idempotency_key).deliveries == 2, "the second delivery in the ledger"
    )
    assert again.wait() == first


def test_waiting_is_followed_to_the_end(client: Client, version: UUID) -> None:
    run = client.start_run(flow_version_id=version).wait().run_id
    assert run is not None
    early = client.advance_step(run_id=run, to_step_index=STEPS[2])
    waiting = early.wait(decided=False)
    assert waiting.status is CommandStatus.WAITING
    assert waiting.waiting_for
    with pytest.raises(NoVerdict):
        early.wait(timeout=0.3)
    turn = threading.Timer(0.2, lambda: client.advance_step(run_id=run, to_step_index=STEPS[1]))
    turn.start()
    verdict = early.wait()
    turn.join()
    assert (verdict.status, verdict.state["current_step_index"]) == (CommandStatus.APPLIED, STEPS[2])


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Ask the ledger soon."""
    monkeypatch.setattr("runworker.client._ASK_THE_LEDGER_EVERY", 0.3)


@pytest.mark.usefixtures("impatient")
def test_a_result_that_is_gone_is_asked_of_the_ledger(shared_crew: Crew, client: Client, version: UUID) -> None:
    sent = client.start_run(flow_version_id=version)
    applied = sent.wait()
    assert shared_crew.redis.delete(f"celery-task-meta-{sent.idempotency_key}")
    assert sent.wait(timeout=120) == applied


@pytest.mark.usefixtures("impatient")
def test_what_celery_says_in_place_of_a_verdict_is_not_taken_for_one(
    shared_crew: Crew, client: Client, version: UUID
) -> None:
    sent = client.start_run(flow_version_id=version)
    applied = sent.wait()
    failure = {"exc_type": "OperationalError", "exc_message": ["away"], "exc_module": "kombu.exceptions"}
    meta = {"task_id": str(sent.idempotency_key), "status": "FAILURE", "result": failure, "traceback": None}
    shared_crew.redis.set(f"celery-task-meta-{sent.idempotency_key}", json.dumps(meta))
    assert sent.wait(timeout=120) == applied


def test_no_verdict_in_time_is_told(nobody: Client) -> None:
    sent = nobody.start_run(flow_version_id=uuid4())
    began = time.monotonic()
    with pytest.raises(NoVerdict, match=str(sent.idempotency_key)) as told:
        sent.wait(timeout=0.5)
    assert time.monotonic() - began < 20  # in place of half a minute
    assert isinstance(told.value, TimeoutError)


def test_verdicts_are_read_without_the_database(client: Client, version: UUID) -> None:
    first, second = (client.start_run(flow_version_id=version) for _ in range(2))
    expected = {sent.idempotency_key: sent.wait() for sent in (first, second)}
    unknown = uuid4()
    assert client.verdicts(*expected, unknown) == {**expected, unknown: None}
    assert client.verdicts() == {}
    with pytest.raises(InvalidMessage, match=f"at most {BULK_LIMIT}"):
        client.verdicts(*(uuid4() for _ in range(BULK_LIMIT + 1)))


@pytest.mark.parametrize("key", ["start_run", str(uuid4()), None], ids=["a name", "text", "nothing"])
def test_verdicts_of_what_is_no_key_are_not_asked_for(nobody: Client, key: Any) -> None:
    with pytest.raises(InvalidMessage, match="keys: expected UUIDs, got"):
        nobody.verdicts(uuid4(), key)


def test_threads_may_share_a_client(client: Client, version: UUID) -> None:
    statuses = []

    def one_run() -> None:
        statuses.append(client.start_run(flow_version_id=version).wait().status)

    threads = [threading.Thread(target=one_run) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert statuses == [CommandStatus.APPLIED] * 8


def test_sending_and_waiting_leave_nothing_behind_in_the_broker(
    shared_crew: Crew, client: Client, version: UUID
) -> None:
    sent = client.start_run(flow_version_id=version)
    client.start_run(flow_version_id=version).wait()
    assert shared_crew.redis.pubsub_channels("celery-task-meta-*") == []
    assert sent.wait().decided


def test_the_upstreams_own_celery_is_left_alone(nobody: Client) -> None:
    own = Celery("own", broker="memory://")
    try:
        before = current_app._get_current_object()
        assert before is own
        with Client("redis://localhost:1/0", issued_by=uuid4()):
            assert current_app._get_current_object() is own
    finally:
        own.close()


def test_celerys_variables_do_not_redirect_the_client(
    shared_crew: Crew, version: UUID, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("CELERY_BROKER_URL", "CELERY_RESULT_BACKEND"):
        monkeypatch.setenv(name, "redis://localhost:1/0")
    with Client(shared_crew.broker_url, issued_by=shared_crew.plant.user("ADMIN")) as client:
        assert client.start_run(flow_version_id=version).wait().status is CommandStatus.APPLIED


def test_a_celery_task_may_wait_for_a_verdict(client: Client, version: UUID) -> None:
    own = Celery("own", broker="memory://", set_as_current=False)

    @own.task
    def order() -> str:
        return str(client.start_run(flow_version_id=version).wait().status)

    assert order.apply(throw=True).get(disable_sync_subtasks=False) == "APPLIED"
    own.close()


def test_the_client_brings_no_database(shared_crew: Crew) -> None:
    script = """
import sys
from runworker.client import Client
Client("redis://localhost:1/0").close()
print(sorted({name.partition(".")[0] for name in sys.modules} & {"sqlalchemy", "psycopg", "psycopg_binary", "alembic"}))
"""
    ran = subprocess.run(
        [sys.executable, "-W", "error", "-c", script], capture_output=True, text=True, timeout=180, check=False
    )
    assert (ran.stdout, ran.stderr) == ("[]\n", "")
