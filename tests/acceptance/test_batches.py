"""Messages that wait in a worker are applied together, and each of them is still a task like any other.

The worker of the shared crew has one pool process. While that stands before a lock, messages gather.
"""

import json
import os
import signal
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from typing import Any
from uuid import UUID, uuid4

import pytest
from celery.result import AsyncResult
from tests.acceptance.work import locked, started, wait_until_in_work
from tests.crew import ALONE, Crew, crew_on, eventually
from tests.events import events_of, types_of
from tests.plant import STEPS
from tests.proxy import Proxy
from tests.servers import Servers

from runworker.codes import Code
from runworker.workers.processes import STOP_SECONDS

pytestmark = pytest.mark.timeout(120)

ONE_PROCESS = ("--pool", "prefork", "--concurrency", "1", *ALONE)


@pytest.fixture(scope="module")
def one(
    servers: Servers,
    template_database: str,
    worker_login: tuple[str, str],
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[Crew]:
    """A crew of one worker with one pool process, which all tests share that do not end it."""
    with crew_on(servers, template_database, worker_login, tmp_path_factory.mktemp("crew")) as crew:
        crew.hire(ONE_PROCESS)
        yield crew


@contextmanager
def gathering(crew: Crew) -> Iterator[AsyncResult]:
    """What is sent in the block waits in the worker's hand until its end, and then goes together."""
    run = started(crew)
    crew.wait_until_idle()
    with locked(crew, run):
        in_work = crew.send("advance_step", run_id=run, to_step_index=STEPS[1])
        wait_until_in_work(crew)
        yield in_work


def wait_until_unacked(crew: Crew, waiting: int) -> None:
    """Wait until the worker has so many messages besides the one in work."""
    eventually(lambda: crew.held() == 1 + waiting, f"{waiting} unacked messages waiting")


def transactions(crew: Crew, sent: Sequence[AsyncResult]) -> int:
    """How many transactions wrote the ledger's rows of these commands."""
    rows = crew.plant.sql(
        "SELECT DISTINCT xmin::text FROM commands WHERE idempotency_key = ANY(CAST(:keys AS uuid[]))",
        keys=[result.id for result in sent],
    )
    return len(rows)


def meta(crew: Crew, task_id: str) -> dict[str, Any] | None:
    """What is stored of a task, whatever its state."""
    stored = crew.redis.get(f"celery-task-meta-{task_id}")
    return json.loads(stored) if stored else None


def test_many_messages_one_transaction_and_each_is_told_of(one: Crew) -> None:
    with events_of(one) as events:
        with gathering(one):
            sent = [one.send("start_run") for _ in range(60)]
            again = one.plant.fields("start_run")
            for _ in range(2):
                one.upstream.send_task("runworker.start_run", kwargs=again, task_id=again["idempotency_key"])
            wait_until_unacked(one, 62)
        verdicts = [one.verdict(result) for result in sent]
        assert {verdict["status"] for verdict in verdicts} == {"APPLIED"}
        assert [verdict["run_id"] for verdict in verdicts] == [result.id for result in sent]
        assert transactions(one, sent) == 1
        first = one.verdict(AsyncResult(again["idempotency_key"], app=one.upstream))
        assert (first["status"], first["replayed"]) == ("APPLIED", False)
        for result, verdict in zip(sent, verdicts, strict=True):
            eventually(lambda result=result: "task-succeeded" in types_of(events, result.id), "the task's end")
            assert types_of(events, result.id) == ["task-received", "task-started", "task-succeeded"]
            last = next(event for event in reversed(events) if event.get("uuid") == result.id)
            assert verdict["run_code"] in last["result"]
    one.wait_until_idle()
    stored = meta(one, sent[0].id)
    assert stored is not None
    assert stored.keys() == {"status", "result", "traceback", "children", "date_done", "task_id"}
    assert 0 < one.redis.ttl(f"celery-task-meta-{sent[0].id}") <= one.settings.result_expires_seconds


def test_a_run_and_its_steps_share_a_transaction(one: Crew) -> None:
    run = uuid4()
    with gathering(one):
        life = one.plant.life(run)
        sent = [one.send(each.name, **{"idempotency_key": each.idempotency_key, **each.payload}) for each in life]
        wait_until_unacked(one, len(sent))
    assert [one.verdict(result)["status"] for result in sent] == ["APPLIED"] * len(sent)
    assert transactions(one, sent) == 1
    assert one.plant.run(run)[0] == "COMPLETED"


def test_a_batch_has_so_many_commands_and_a_message_of_many_counts_each(one: Crew) -> None:
    def bulk(count: int) -> list[AsyncResult]:
        fields = [one.plant.fields("start_run") for _ in range(count)]
        commands = [{"command": "start_run", **each} for each in fields]
        one.upstream.send_task("runworker.apply", kwargs={"commands": commands})
        return [AsyncResult(each["idempotency_key"], app=one.upstream) for each in fields]

    with gathering(one):
        small, large, alone = bulk(40), bulk(70), one.send("start_run")
        wait_until_unacked(one, 3)
    assert one.verdict(alone)["status"] == "APPLIED"
    for result in (*small, *large):
        one.applied(result.id)
    assert transactions(one, [*large, alone]) == 1
    assert transactions(one, [*small, *large, alone]) == 2


def test_revoked_while_it_waits(one: Crew) -> None:
    (worker,) = one.workers
    with events_of(one) as events:
        with gathering(one) as in_work:
            before, revoked, after = (one.send("start_run") for _ in range(3))
            wait_until_unacked(one, 3)
            asked = one.upstream.control.inspect(destination=[worker.name])
            (active,) = asked.active()[worker.name]
            assert active["id"] == in_work.id
            waiting = {task["id"] for task in asked.reserved()[worker.name]}
            assert waiting == {result.id for result in (before, revoked, after)}
            one.upstream.control.revoke(revoked.id, reply=True, destination=[worker.name])
        assert {one.verdict(result)["status"] for result in (before, after)} == {"APPLIED"}
        eventually(lambda: "task-revoked" in types_of(events, revoked.id), "the revocation told")
        assert "task-succeeded" not in types_of(events, revoked.id)
    told = one.verdict(revoked)
    assert (told["status"], told["code"], told["idempotency_key"]) == ("REJECTED", Code.MESSAGE_REVOKED, revoked.id)
    assert not one.plant.count("commands", f"idempotency_key = '{revoked.id}'")
    one.wait_until_idle()


def test_expired_while_it_waits(one: Crew) -> None:
    fields = one.plant.fields("start_run")
    key = fields["idempotency_key"]
    with gathering(one):
        sent_at = time.time()
        one.upstream.send_task("runworker.start_run", kwargs=fields, task_id=key, expires=1)
        wait_until_unacked(one, 1)
        eventually(lambda: time.time() > sent_at + 1.1, "the end of its time")
    one.wait_until_idle()
    told = one.verdict(AsyncResult(key, app=one.upstream))
    assert (told["status"], told["code"], told["idempotency_key"]) == ("EXPIRED", Code.MESSAGE_EXPIRED, key)
    assert not one.plant.count("commands", f"idempotency_key = '{key}'")


def test_not_before_its_time(one: Crew) -> None:
    fields = one.plant.fields("start_run")
    key = fields["idempotency_key"]
    sent_at = time.time()
    sent = one.upstream.send_task("runworker.start_run", kwargs=fields, task_id=key, countdown=1)
    assert one.verdict(sent)["status"] == "APPLIED"
    assert one.plant.ledger(UUID(key)).received_at.timestamp() >= sent_at + 1


def test_a_limited_rate(one: Crew) -> None:
    (worker,) = one.workers
    name = "runworker.start_run"
    try:
        one.upstream.control.rate_limit(name, "5/s", reply=True, destination=[worker.name])
        sent = [one.send("start_run") for _ in range(3)]
        for result in sent:
            assert one.verdict(result)["status"] == "APPLIED"
        at = sorted(one.plant.ledger(UUID(result.id)).received_at for result in sent)
        assert (at[-1] - at[0]).total_seconds() > 0.3
    finally:
        one.upstream.control.rate_limit(name, 0, reply=True, destination=[worker.name])


def test_callbacks_and_results_that_nobody_wants(one: Crew) -> None:
    callback, unwanted = str(uuid4()), one.plant.fields("start_run")
    linked = one.plant.fields("start_run")
    with gathering(one):
        asks = one.upstream.signature(
            "runworker.verdicts", kwargs={"keys": [linked["idempotency_key"]]}, immutable=True
        )
        one.upstream.send_task(
            "runworker.start_run", kwargs=linked, task_id=linked["idempotency_key"], link=asks.set(task_id=callback)
        )
        one.upstream.send_task(
            "runworker.start_run", kwargs=unwanted, task_id=unwanted["idempotency_key"], ignore_result=True
        )
        wait_until_unacked(one, 2)
    eventually(lambda: one.stored_result(callback), "the callback's result")
    assert one.stored_result(callback)[linked["idempotency_key"]]["status"] == "APPLIED"
    assert one.stored_result(linked["idempotency_key"])["status"] == "APPLIED"
    one.applied(unwanted["idempotency_key"])
    one.wait_until_idle()
    assert meta(one, unwanted["idempotency_key"]) is None


def test_one_that_fails_and_one_that_cannot_be_read_among_ninety_nine(one: Crew) -> None:
    bad = one.plant.fields("start_run")
    one.plant.sql(
        f"""
        CREATE FUNCTION faulty() RETURNS trigger LANGUAGE plpgsql AS
        $$ BEGIN PERFORM 1 / (NEW.id <> '{bad["idempotency_key"]}')::int; RETURN NEW; END $$;
        CREATE TRIGGER faulty BEFORE INSERT ON production_runs FOR EACH ROW EXECUTE FUNCTION faulty()
        """
    )
    try:
        with gathering(one):
            sent = [one.send("start_run") for _ in range(50)]
            failing = one.upstream.send_task("runworker.start_run", kwargs=bad, task_id=bad["idempotency_key"])
            sent += [one.send("start_run") for _ in range(49)]
            unreadable = one.send("start_run", colour="red")
            wait_until_unacked(one, 101)
        assert {one.verdict(result)["status"] for result in sent} == {"APPLIED"}
        assert one.verdict(failing)["code"] == Code.INTERNAL_ERROR
        assert one.verdict(unreadable)["code"] == Code.UNKNOWN_FIELD
    finally:
        one.plant.sql("DROP TRIGGER faulty ON production_runs")
    one.wait_until_idle()


def at_work(crew: Crew, sent: Sequence[AsyncResult]) -> list[dict[str, Any]]:
    """Those of the tasks that the worker has begun."""
    (worker,) = crew.workers
    answers = crew.upstream.control.inspect(destination=[worker.name]).active() or {}
    return [task for task in answers.get(worker.name, ()) if task["id"] in {result.id for result in sent}]


def test_a_pool_process_that_dies_with_a_batch(one: Crew) -> None:
    run = started(one)
    with ExitStack() as lock:
        with gathering(one):
            lock.enter_context(locked(one, run))
            sent = [
                one.send("advance_step", run_id=run, to_step_index=STEPS[1]),
                *(one.send("start_run") for _ in range(5)),
            ]
            wait_until_unacked(one, 6)
        active = eventually(lambda: at_work(one, sent), "the batch at work")
        assert len(active) == len(sent)
        (process,) = {task["worker_pid"] for task in active}
        os.kill(process, signal.SIGKILL)
        eventually(lambda: "batch.lost" in one.written(), "the batch lost")
    assert [one.verdict(result)["status"] for result in sent] == ["APPLIED"] * 6
    assert not any(one.verdict(result)["replayed"] for result in sent)
    one.wait_until_idle()


def test_a_connection_that_breaks_while_messages_wait(one: Crew) -> None:
    runs = one.plant.count("production_runs")
    with gathering(one) as in_work:
        sent = [one.send("start_run") for _ in range(5)]
        wait_until_unacked(one, 5)
        one.redis.client_kill_filter(_type="normal", skipme=True)
    assert {one.verdict(result)["status"] for result in (in_work, *sent)} == {"APPLIED"}
    one.wait_until_idle()
    assert one.plant.count("production_runs") == runs + 1 + len(sent)


def test_postgresql_goes_away_in_the_middle_of_a_batch(crew: Crew) -> None:
    assert crew.settings.database_url is not None
    with Proxy(crew.settings.database_url.get_secret_value()) as proxy:
        worker = crew.hire(ONE_PROCESS, database_url=proxy.url, retry_seconds=0)
        run = started(crew)
        with ExitStack() as lock:
            with gathering(crew):
                lock.enter_context(locked(crew, run))
                sent = [
                    crew.send("advance_step", run_id=run, to_step_index=STEPS[1]),
                    *(crew.send("start_run") for _ in range(5)),
                ]
                wait_until_unacked(crew, 6)
            eventually(lambda: crew.held() == 6, "the batch at work")
            wait_until_in_work(crew)
            proxy.go_away()
            eventually(lambda: "message.requeued" in crew.written(), "the batch given back")
            assert not any(crew.stored_result(result.id) for result in sent)
        proxy.come_back()
        assert [crew.verdict(result)["status"] for result in sent] == ["APPLIED"] * 6
        crew.wait_until_idle()
        assert worker.exit_code is None


@pytest.mark.parametrize("told", ["control", "SIGQUIT twice"])
def test_a_worker_that_is_ended_gives_back_what_waits(crew: Crew, told: str) -> None:
    worker = crew.hire(ONE_PROCESS)
    with gathering(crew) as in_work:
        sent = [crew.send("start_run") for _ in range(20)]
        wait_until_unacked(crew, 20)
        if told == "control":
            crew.upstream.control.shutdown(destination=[worker.name])
            eventually(lambda: crew.queued() == 0 and "Got shutdown from remote" in crew.written(), "the shutdown told")
        else:
            worker.send(signal.SIGQUIT)
            eventually(lambda: "Initiating Soft Shutdown" in crew.written(), "the shutdown under way")
            worker.send(signal.SIGQUIT)
            worker.wait(STOP_SECONDS)  # what is at work is cut off
    worker.wait(STOP_SECONDS)
    assert worker.exit_code is not None
    assert worker.exit_code >= 0, "killed, because it did not stop"
    if told == "control":
        assert crew.plant.ledger(UUID(in_work.id)).status == "APPLIED"
        assert (crew.held(), crew.queued()) == (0, 20)
    assert not crew.plant.count("commands", "command = 'start_run' AND status <> 'APPLIED'")
    crew.hire()
    assert {crew.verdict(result)["status"] for result in (in_work, *sent)} == {"APPLIED"}
    assert crew.plant.count("production_runs") == 21
    crew.wait_until_idle()


def test_the_standard_strategy_is_right_too(crew: Crew) -> None:
    crew.hire(ONE_PROCESS, batch_size=1)
    with gathering(crew):
        sent = [crew.send("start_run") for _ in range(3)]
        wait_until_unacked(crew, 3)
    assert {crew.verdict(result)["status"] for result in sent} == {"APPLIED"}
    assert transactions(crew, sent) == 3
    crew.wait_until_idle()


def test_a_blocked_message_pauses_and_holds_nobody_up(crew: Crew) -> None:
    """Somebody holds one run over lunch: commands of others are answered, with the blocked one delivered meanwhile."""
    crew.hire(ONE_PROCESS, lock_timeout_seconds=1)
    held, *free = (started(crew) for _ in range(6))
    with locked(crew, held):
        began = time.monotonic()
        blocked = crew.send("advance_step", run_id=held, to_step_index=STEPS[1])
        eventually(lambda: "command.blocked" in crew.written(), "the command being blocked")
        for run in free:
            assert crew.verdict(crew.send("advance_step", run_id=run, to_step_index=STEPS[1]))["status"] == "APPLIED"
        assert crew.stored_result(blocked.id) is None
        assert crew.written().count("message.requeued") <= 1 + (time.monotonic() - began) / 2
        assert "database.retry" not in crew.written()
    assert crew.verdict(blocked)["status"] == "APPLIED"


@pytest.mark.parametrize("alone", [{"batch_size": 1}, {}])
def test_a_blocked_message_that_is_traced_pauses_too(crew: Crew, alone: dict[str, int]) -> None:
    crew.hire(ONE_PROCESS, lock_timeout_seconds=1, **alone)
    held, free = started(crew), started(crew)
    link = None if alone else crew.upstream.signature("runworker.verdicts", kwargs={"keys": []}, immutable=True)
    with locked(crew, held):
        began = time.monotonic()
        fields = crew.plant.fields("advance_step", run_id=held, to_step_index=STEPS[1])
        blocked = crew.upstream.send_task(
            "runworker.advance_step", kwargs=fields, task_id=fields["idempotency_key"], link=link
        )
        eventually(lambda: "command.blocked" in crew.written(), "the command being blocked")
        assert crew.verdict(crew.send("hold_run", run_id=free))["status"] == "APPLIED"
        assert crew.written().count("message.requeued") <= 1 + (time.monotonic() - began) / 2
    assert crew.verdict(blocked)["status"] == "APPLIED"
