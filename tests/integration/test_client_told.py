"""Which verdicts the client takes for its own: not another command's under its key, nor an earlier message's."""

from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Final
from uuid import uuid4

import pytest
from tests.acceptance.work import locked, started, wait_until_in_work
from tests.crew import PREFORK, Crew, eventually
from tests.plant import REASON, STEPS

from runworker.client import Client, NoVerdict, Revoked
from runworker.codes import Code
from runworker.commands import parse
from runworker.states import CommandStatus

LONG_AGO: Final = datetime(2026, 1, 1, tzinfo=UTC)

pytestmark = pytest.mark.timeout(120)


@pytest.fixture
def client(shared_crew: Crew) -> Iterator[Client]:
    with Client(shared_crew.broker_url, issued_by=shared_crew.plant.user("ADMIN")) as client:
        yield client


@pytest.mark.parametrize("packed", [False, True], ids=["alone", "packed"])
@pytest.mark.parametrize("result", ["stands", "is gone"])
def test_a_second_sender_with_a_used_key_is_told_so_and_the_first_one_keeps_its_verdict(
    shared_crew: Crew, client: Client, packed: bool, result: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("runworker.client._ASK_THE_LEDGER_EVERY", 0.3)
    first = client.start_run(flow_version_id=shared_crew.plant.version())
    applied = first.wait()
    key = first.idempotency_key
    if result == "is gone":
        shared_crew.redis.delete(f"celery-task-meta-{key}")
    used = {"idempotency_key": key, "run_id": key, "reason": REASON}
    if packed:
        with client.batch() as batch:
            second = batch.hold_run(**used)
    else:
        second = client.hold_run(**used)
    refused = second.wait()
    assert (refused.status, refused.code) == (CommandStatus.REJECTED, Code.IDEMPOTENCY_KEY_REUSED)
    again = first.wait()
    assert (again.status, again.run_id, again.state) == (applied.status, applied.run_id, applied.state)


@pytest.mark.parametrize("how", ["unreadable", "too late"])
def test_a_command_sent_again_is_not_answered_with_what_became_of_an_earlier_message(
    shared_crew: Crew, client: Client, how: str
) -> None:
    fields = shared_crew.plant.fields("start_run")
    key = fields["idempotency_key"]
    spoilt = {"kwargs": {**fields, "colour": "red"}} if how == "unreadable" else {"kwargs": fields, "expires": LONG_AGO}
    shared_crew.upstream.send_task("runworker.start_run", task_id=key, **spoilt)
    refused = eventually(lambda: shared_crew.stored_result(key), "a refusal")
    assert refused["status"] in ("REJECTED", "EXPIRED")
    shared_crew.wait_until_idle()
    verdict = client.post(parse("start_run", fields)).wait()
    assert (verdict.status, verdict.replayed) == (CommandStatus.APPLIED, False)


def test_what_an_operator_takes_back_is_told_at_once(shared_crew: Crew, client: Client) -> None:
    command = parse("start_run", shared_crew.plant.fields("start_run"))
    shared_crew.upstream.control.revoke(str(command.idempotency_key), reply=True)
    verdict = client.post(command).wait(timeout=60)
    assert (verdict.status, verdict.code) == (CommandStatus.REJECTED, Code.MESSAGE_REVOKED)


def test_what_an_operator_ends_at_work_is_told_at_once(crew: Crew) -> None:
    crew.hire(PREFORK)
    run = started(crew)
    with Client(crew.broker_url, issued_by=crew.plant.user("ADMIN")) as client, locked(crew, run):
        sent = client.advance_step(run_id=run, to_step_index=STEPS[1])
        wait_until_in_work(crew)
        crew.upstream.control.revoke(str(sent.idempotency_key), terminate=True, reply=True)
        with pytest.raises(Revoked):
            sent.wait(timeout=60)


def test_a_question_that_comes_too_late_has_no_answer(
    shared_crew: Crew, client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    # As to a worker whose clock is ahead.
    monkeypatch.setattr("runworker.client._QUESTIONS_LAPSE_AFTER", -60.0)
    with pytest.raises(NoVerdict, match="came to its turn after its expires"):
        client.verdicts(uuid4())
