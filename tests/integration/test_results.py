"""The result store: which result stands when several are written under one task id, whoever writes last."""

import json
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from types import SimpleNamespace
from typing import Any, Final
from uuid import UUID, uuid4

import pytest
from celery import Celery, states
from structlog.testing import capture_logs

from runworker.codes import Code
from runworker.errors import Unavailable
from runworker.states import CommandStatus
from runworker.tasks.requests import PooledRequest
from runworker.tasks.results import RedisResults, store, store_late, success, write
from runworker.verdicts import Verdict

Store = Callable[[RedisResults, Any], None]

APPLIED: Final = {"status": "APPLIED", "run_status": "RUNNING", "replayed": False}
REPLAYED: Final = {**APPLIED, "replayed": True}
REJECTED: Final = {"status": "REJECTED", "code": "RUN_ON_HOLD"}
LAPSED: Final = {"status": "EXPIRED", "code": "WAIT_EXPIRED"}
WAITING: Final = {"status": "WAITING", "code": None}
UNREADABLE: Final = {"status": "REJECTED", "code": "INVALID_FIELD", "dead_letter": 7}
MALFORMED: Final = {"status": "REJECTED", "code": "MALFORMED_MESSAGE", "dead_letter": 8}
REUSED: Final = {"status": "REJECTED", "code": "IDEMPOTENCY_KEY_REUSED"}
TOO_LATE: Final = {"status": "EXPIRED", "code": "MESSAGE_EXPIRED"}
AGAIN: Final = {"status": "APPLIED", "code": None, "replayed": False, "run_status": "RUNNING"}
"""Of a ledger whose first decision a failover has cost it."""
KEYS: Final = {"5f0c1f3e-8f6e-4c57-9c1b-0d3f2b6a7e10": None}

REPLACED: Final = [
    (UNREADABLE, APPLIED),
    (MALFORMED, WAITING),
    (UNREADABLE, MALFORMED),
    (REUSED, REJECTED),
    (REUSED, UNREADABLE),
    (TOO_LATE, APPLIED),
    (TOO_LATE, UNREADABLE),
    (WAITING, APPLIED),
    (WAITING, LAPSED),
    ([WAITING, APPLIED], [REPLAYED, REPLAYED]),
    ([UNREADABLE, APPLIED], [UNREADABLE, REPLAYED]),
    (REJECTED, AGAIN),
    ([APPLIED, REJECTED], [REPLAYED, AGAIN]),
    ({}, KEYS),
]
STANDS: Final = [
    (APPLIED, UNREADABLE),
    (APPLIED, REUSED),
    (APPLIED, TOO_LATE),
    (APPLIED, WAITING),
    (APPLIED, REPLAYED),
    (LAPSED, WAITING),
    (REJECTED, MALFORMED),
    (WAITING, UNREADABLE),
    (WAITING, REUSED),
    ([APPLIED, WAITING], [WAITING, WAITING]),
    ([APPLIED, APPLIED], [REPLAYED, REPLAYED]),
]
CELERYS: Final = (states.FAILURE, states.REVOKED, states.RETRY)


@pytest.fixture
def backend(broker_url: str) -> Iterator[RedisResults]:
    with Celery(set_as_current=False) as app:
        app.conf.update(result_serializer="json", result_accept_content=["json"])
        backend = RedisResults(app=app, url=broker_url)
        yield backend
        backend.client.close()


def as_batches_do(backend: RedisResults, result: Any) -> None:
    write(backend, [success("task", result, "2026-01-25T06:05:00")])


def as_celery_does(backend: RedisResults, result: Any) -> None:
    backend.store_result("task", result, states.SUCCESS)


def stored(backend: RedisResults) -> Any:
    return backend.get_task_meta("task", cache=False)


@pytest.mark.parametrize("store", [as_batches_do, as_celery_does])
@pytest.mark.parametrize(
    ("first", "second", "stands"),
    [*((first, second, second) for first, second in REPLACED), *((first, second, first) for first, second in STANDS)],
)
def test_what_counts_more_stands(backend: RedisResults, store: Store, first: Any, second: Any, stands: Any) -> None:
    store(backend, first)
    store(backend, second)
    assert (stored(backend)["status"], stored(backend)["result"]) == (states.SUCCESS, stands)
    assert 0 < backend.client.ttl("celery-task-meta-task") <= backend.expires


@pytest.mark.parametrize("verdict", [APPLIED, WAITING, UNREADABLE, []])
@pytest.mark.parametrize("state", CELERYS)
def test_a_verdict_replaces_celerys_word_and_is_not_replaced_by_it(
    backend: RedisResults, state: str, verdict: Any
) -> None:
    backend.store_result("task", ValueError("no verdict"), state)
    assert stored(backend)["status"] == state
    as_batches_do(backend, verdict)
    backend.store_result("task", ValueError("no verdict"), state)
    assert (stored(backend)["status"], stored(backend)["result"]) == (states.SUCCESS, verdict)


@pytest.mark.parametrize("junk", [b"\xff", b"[]", b"null", b"7", json.dumps({"status": "SUCCESS"}).encode()])
def test_what_nobody_can_read_is_replaced(backend: RedisResults, junk: bytes) -> None:
    backend.client.set("celery-task-meta-task", junk)
    as_batches_do(backend, WAITING)
    assert stored(backend)["result"] == WAITING


def test_of_several_under_one_id_in_one_batch_the_strongest_stands(backend: RedisResults) -> None:
    told = [success("task", each, "2026-01-25T06:05:00") for each in (UNREADABLE, APPLIED, REUSED, WAITING)]
    write(backend, told)
    assert stored(backend)["result"] == APPLIED


def test_a_server_that_refuses_is_told_to_the_batch_and_logged_for_celery(backend: RedisResults) -> None:
    backend.client.lpush("celery-task-meta-task", "no result")
    with pytest.raises(Unavailable, match="WRONGTYPE"):
        as_batches_do(backend, APPLIED)
    with capture_logs() as log:
        as_celery_does(backend, APPLIED)
    assert [(entry["event"], entry["task_ids"]) for entry in log] == [("verdict.untold", ["task"])]


def as_late_verdicts(app: Any, task_id: str, verdict: Verdict) -> None:
    store_late(app, {task_id: verdict})


def as_answers_to_many(app: Any, task_id: str, verdict: Verdict) -> None:
    store(app, [(PooledRequest("runworker.apply", task_id, [], {}, {}, None, False), [verdict.as_dict()])])


def as_the_tracer(app: Any, task_id: str, verdict: Verdict) -> None:
    app.backend.store_result(task_id, verdict.as_dict(), states.SUCCESS)


@pytest.mark.parametrize("told", [as_late_verdicts, as_answers_to_many, as_the_tracer])
def test_a_decision_replaces_what_stands_under_its_key(
    backend: RedisResults, told: Callable[[Any, str, Verdict], None]
) -> None:
    app = SimpleNamespace(backend=backend, now=lambda: datetime.now(UTC))
    key = uuid4()
    applied = Verdict(CommandStatus.APPLIED, "hold_run", key)
    reused = Verdict(CommandStatus.REJECTED, "hold_run", key, code=Code.IDEMPOTENCY_KEY_REUSED)

    told(app, str(uuid4()), applied)
    assert result_of(backend, key) is None, "of a key under which nobody was told anything nothing is kept"
    write(backend, [success(str(key), TOO_LATE, "2026-01-25T06:05:00")])
    told(app, str(uuid4()), reused)
    assert result_of(backend, key) == TOO_LATE, "what is said of another message is none of its business"
    told(app, str(uuid4()), applied)
    assert result_of(backend, key) == applied.as_dict()


def result_of(backend: RedisResults, key: UUID) -> Any:
    return backend.get_task_meta(str(key), cache=False)["result"]
