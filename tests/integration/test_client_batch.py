"""Commands packed by the client: few messages, each command with a handle to its own verdict."""

import base64
import json
from collections.abc import Iterator
from typing import Any
from uuid import UUID, uuid4

import pytest
from redis import Redis
from tests.crew import Crew
from tests.plant import REASON, STEPS

from runworker.client import Client, NotSent
from runworker.codes import Code
from runworker.commands import BULK_LIMIT
from runworker.errors import InvalidMessage
from runworker.states import CommandStatus

pytestmark = pytest.mark.timeout(120)


@pytest.fixture
def client(shared_crew: Crew) -> Iterator[Client]:
    with Client(shared_crew.broker_url, issued_by=shared_crew.plant.user("ADMIN"), source="test") as client:
        yield client


@pytest.fixture(scope="module")
def version(shared_crew: Crew) -> UUID:
    return shared_crew.plant.version()


@pytest.fixture
def nobody(broker_url: str) -> Iterator[Client]:
    """A client of a queue that no worker takes from."""
    with Client(broker_url, issued_by=uuid4(), source="test") as client:
        yield client


def queued(broker_url: str) -> list[tuple[str, list[dict[str, Any]]]]:
    """Task and commands of every message, in the order in which they were sent."""
    with Redis.from_url(broker_url) as broker:
        messages = [json.loads(item) for item in reversed(broker.lrange("celery", 0, -1))]
    bodies = [json.loads(base64.b64decode(message["body"])) for message in messages]
    return [(message["headers"]["task"], body[1]["commands"]) for message, body in zip(messages, bodies, strict=True)]


def test_a_whole_life_in_one_message(shared_crew: Crew, client: Client, version: UUID) -> None:
    with client.batch() as batch:
        run = batch.start_run(flow_version_id=version).run_id
        assert run is not None
        sent = [
            *(batch.advance_step(run_id=run, to_step_index=index) for index in STEPS[1:3]),
            batch.hold_run(run_id=run, reason=REASON),
            batch.resume_run(run_id=run, resolution=REASON),
            batch.send("advance_step", run_id=run, to_step_index=STEPS[3]),
            batch.complete_run(run_id=run),
        ]
    verdicts = [each.wait(raise_on_rejection=True) for each in sent]

    assert [verdict.idempotency_key for verdict in verdicts] == [each.idempotency_key for each in sent]
    assert verdicts[-1].state["run_status"] == "COMPLETED"
    assert shared_crew.plant.ledger(run).payload["source"] == "test"


def test_one_that_waits_is_followed_beyond_its_message(client: Client, version: UUID) -> None:
    run = uuid4()
    with client.batch() as batch:
        early = batch.advance_step(run_id=run, to_step_index=STEPS[1])
        refused = batch.abort_run(run_id=client.start_run(flow_version_id=version).run_id, reason=REASON, issued_by=run)

    assert early.wait(decided=False).status is CommandStatus.WAITING
    assert refused.wait().code is Code.UNKNOWN_USER
    client.start_run(flow_version_id=version, run_id=run)
    assert early.wait().state["current_step_index"] == STEPS[1]


def test_a_repeat_in_a_batch_brings_the_same_verdict(client: Client, version: UUID) -> None:
    first = client.start_run(flow_version_id=version)
    verdict = first.wait()
    with client.batch() as batch:
        again = batch.post(first.command)
    assert (again.wait().status, again.wait().state) == (verdict.status, verdict.state)


def test_a_message_leaves_when_it_is_full_and_the_rest_at_the_end(nobody: Client, broker_url: str) -> None:
    with nobody.batch(at_most=2) as batch:
        keys = [str(batch.complete_run(run_id=uuid4()).idempotency_key) for _ in range(5)]
        assert len(queued(broker_url)) == 2
    messages = queued(broker_url)

    assert [task for task, _ in messages] == ["runworker.apply"] * 3
    assert [[item["idempotency_key"] for item in items] for _, items in messages] == [keys[:2], keys[2:4], keys[4:]]
    assert {item["command"] for _, items in messages for item in items} == {"complete_run"}


def test_a_message_carries_no_more_than_workers_take(nobody: Client, broker_url: str) -> None:
    with nobody.batch() as batch:
        for _ in range(BULK_LIMIT + 1):
            batch.complete_run(run_id=uuid4())
    assert [len(items) for _, items in queued(broker_url)] == [BULK_LIMIT, 1]
    for wrong in (0, BULK_LIMIT + 1):
        with pytest.raises(InvalidMessage, match=f"1 to {BULK_LIMIT}, got {wrong}"):
            nobody.batch(at_most=wrong)


def test_a_block_that_raises_sends_nothing_of_what_is_packed(nobody: Client, broker_url: str) -> None:
    batch = nobody.batch()
    with pytest.raises(ZeroDivisionError), batch:
        raise ZeroDivisionError(packed := batch.complete_run(run_id=uuid4()))
    assert queued(broker_url) == []
    with pytest.raises(NotSent, match=str(packed.idempotency_key)):
        packed.wait(timeout=0)


def test_an_empty_block_sends_nothing(nobody: Client, broker_url: str) -> None:
    with nobody.batch():
        pass
    assert queued(broker_url) == []


def test_waiting_for_what_is_still_packed_is_a_mistake(nobody: Client) -> None:
    with nobody.batch() as batch:
        sent = batch.complete_run(run_id=uuid4())
        with pytest.raises(NotSent, match="end its batch first"):
            sent.wait(timeout=0)


@pytest.mark.usefixtures("shared_crew")
def test_the_answer_to_a_message_is_read_once(client: Client, version: UUID, monkeypatch: pytest.MonkeyPatch) -> None:
    with client.batch() as batch:
        sent = [batch.start_run(flow_version_id=version) for _ in range(20)]
    sent[0].wait()
    asked: list[str] = []
    monkeypatch.setattr(client, "_result", asked.append)
    assert {each.wait(timeout=1).run_id for each in sent} == {each.run_id for each in sent}
    assert asked == []
