"""The work of a batch, in this process: what receivers of signals are told, and what comes of a tracer that fails."""

from collections.abc import Iterator
from typing import Any

import pytest
from celery import current_app, signals, states
from pydantic import SecretStr
from structlog.testing import capture_logs
from tests.plant import Plant

from runworker.tasks import batch_work
from runworker.tasks.commands import register
from runworker.tasks.requests import PooledRequest, Requeue
from runworker.tasks.worker_app import WorkerApp
from runworker.workers import environment_of

CALLBACK = {"callbacks": [{"task": "runworker.verdicts", "kwargs": {"keys": []}}]}


@pytest.fixture
def app(plant: Plant, broker_url: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[WorkerApp]:
    for name, value in environment_of(plant.settings(broker_url=broker_url, retry_seconds=0)).items():
        monkeypatch.setenv(name, value)
    before = current_app._get_current_object()
    app = WorkerApp("test")
    register(app)
    yield app
    app.engine.close()
    app.backend.client.close()
    app.close()
    before.set_current()


@pytest.fixture
def told() -> Iterator[list[tuple[str, str, Any]]]:
    """What receivers are told: signal, the request's id as the task has it, state or status."""
    told: list[tuple[str, str, Any]] = []

    def prerun(task: Any, **_: Any) -> None:
        told.append(("prerun", task.request.id, None))

    def success(sender: Any, result: Any, **_: Any) -> None:
        told.append(("success", sender.request.id, result["status"]))

    def postrun(task: Any, state: str, **_: Any) -> None:
        told.append(("postrun", task.request.id, state))

    signals.task_prerun.connect(prerun)
    signals.task_success.connect(success)
    signals.task_postrun.connect(postrun)
    yield told
    signals.task_prerun.disconnect(prerun)
    signals.task_success.disconnect(success)
    signals.task_postrun.disconnect(postrun)


def message(plant: Plant, embed: dict[str, Any] | None = None) -> PooledRequest:
    fields = plant.fields("start_run")
    key = fields["idempotency_key"]
    context = {"id": key, "task": "runworker.start_run", "delivery_info": {}}
    return PooledRequest("runworker.start_run", key, [], fields, context, embed, ignored=False)


def test_receivers_are_told_of_each_message_and_there_is_one_transaction(
    app: WorkerApp, plant: Plant, told: list[tuple[str, str, Any]]
) -> None:
    messages = [message(plant) for _ in range(3)]
    outcomes = batch_work.apply_together(messages)
    assert all(isinstance(outcome, tuple) and not outcome[0] for outcome in outcomes)
    ids = [each.task_id for each in messages]
    assert told == [
        *(("prerun", id_, None) for id_ in ids),
        *(each for id_ in reversed(ids) for each in (("success", id_, "APPLIED"), ("postrun", id_, states.SUCCESS))),
    ]
    assert plant.sql("SELECT count(DISTINCT xmin::text), count(*) FROM commands") == [(1, 3)]


def test_receivers_are_told_of_a_message_that_goes_back(
    app: WorkerApp, plant: Plant, told: list[tuple[str, str, Any]], monkeypatch: pytest.MonkeyPatch
) -> None:
    away = SecretStr("postgresql+psycopg://nobody@127.0.0.1:1/nowhere")
    monkeypatch.setattr(app, "settings", app.settings.model_copy(update={"database_url": away}))
    sent = message(plant)
    (outcome,) = batch_work.apply_together([sent])
    assert isinstance(outcome, Requeue)
    assert told == [("prerun", sent.task_id, None), ("postrun", sent.task_id, states.REJECTED)]


def test_a_message_over_which_the_tracer_fails_is_decided_and_told_all_the_same(app: WorkerApp, plant: Plant) -> None:
    sent = message(plant, CALLBACK)
    # A part that Celery's worker writes itself today: in some later release it may be a sender's.
    broken = sent._replace(context={**sent.context, "delivery_info": 5})
    with capture_logs() as log, pytest.warns(RuntimeWarning, match="outside body"):
        ((failed, shown, _seconds),) = batch_work.apply_together([broken])
    assert "message.untraceable" in [entry["event"] for entry in log]
    assert not failed
    assert "APPLIED" in shown
    assert plant.ledger(sent.task_id).status == "APPLIED"
    assert app.backend.get_task_meta(sent.task_id)["result"]["status"] == "APPLIED"
