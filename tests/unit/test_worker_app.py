"""The Celery application: what it is told, what it knows, and what it leaves alone until it is used."""

import os
import subprocess
import sys
from collections.abc import Iterator
from typing import Any

import pytest
from celery import current_app
from celery.app.defaults import DEFAULTS
from pydantic import SecretStr
from tests.environment import without_settings

from runworker.commands import COMMANDS
from runworker.config import Settings
from runworker.tasks.commands import register
from runworker.tasks.worker_app import WorkerApp, celery_settings

BROKER = "redis://:secret@broker:6379/3"
DATABASE = "postgresql+psycopg://worker:secret@nowhere.invalid/plant"


def settings(**given: Any) -> Settings:
    defaults = {name: field.default for name, field in Settings.model_fields.items()}
    return Settings(_env_file=None, **(defaults | {"broker_url": BROKER, "database_url": DATABASE} | given))


@pytest.fixture
def app(monkeypatch: pytest.MonkeyPatch) -> Iterator[WorkerApp]:
    monkeypatch.setenv("RUNWORKER_BROKER_URL", BROKER)
    monkeypatch.setenv("RUNWORKER_DATABASE_URL", DATABASE)
    monkeypatch.setenv("RUNWORKER_QUEUE", "plant")
    before = current_app._get_current_object()
    app = WorkerApp("test")
    register(app)
    yield app
    app.close()
    before.set_current()


def test_celery_knows_every_setting_that_it_is_given() -> None:
    assert celery_settings(settings()).keys() - DEFAULTS.keys() == set()


def test_broker_and_results_are_where_the_settings_say() -> None:
    given = celery_settings(settings())
    assert (given["broker_url"], given["result_backend"]) == (f"runworker-{BROKER}", BROKER)
    elsewhere = celery_settings(settings(result_backend_url="redis://results/1"))
    assert (elsewhere["broker_url"], elsewhere["result_backend"]) == (f"runworker-{BROKER}", "redis://results/1")


@pytest.mark.parametrize("scheme", ["redis", "rediss", "sentinel"])
def test_the_broker_is_spoken_to_through_our_transport(scheme: str) -> None:
    given = celery_settings(settings(broker_url=f"{scheme}://broker/0"))
    assert given["broker_url"].startswith(f"runworker-{scheme}://broker/0")


def test_so_is_each_broker_that_may_take_over() -> None:
    given = celery_settings(settings(broker_url="sentinel://one:26379/0;sentinel://two:26379/0"))
    assert given["broker_url"] == "runworker-sentinel://one:26379/0;runworker-sentinel://two:26379/0"


@pytest.mark.parametrize("scheme", ["redis", "rediss", "sentinel"])
def test_results_go_through_our_backend(app: WorkerApp, scheme: str) -> None:
    app.conf.result_backend = f"{scheme}://broker:6379/0{'?ssl_cert_reqs=required' if scheme == 'rediss' else ''}"
    assert app.backend._store_result.__module__ == "runworker.tasks.results"


def test_a_setting_turns_our_transport_off() -> None:
    assert celery_settings(settings(reliable_transport=False))["broker_url"] == BROKER


def test_sentinel_is_told_whom_to_name() -> None:
    given = celery_settings(settings(broker_url="sentinel://broker:26379/0", sentinel_master="plant"))
    for options in ("broker_transport_options", "result_backend_transport_options"):
        assert given[options]["master_name"] == "plant"


def test_one_visibility_timeout_holds_everywhere() -> None:
    given = celery_settings(settings(visibility_timeout_seconds=7))
    for options in ("broker_transport_options", "result_backend_transport_options"):
        assert given[options]["visibility_timeout"] == 7
    sweep = given["broker_transport_options"]
    assert (sweep["unacked_restore_interval"], sweep["unacked_restore_throttle"]) == (1, 1)
    assert sweep["unacked_mutex_expire"] <= 5, "a worker killed in a sweep ends all sweeps for so long"


def test_nothing_but_json_is_read_or_written() -> None:
    given = celery_settings(settings())
    assert given["accept_content"] == given["result_accept_content"] == ["json"]
    assert {given[f"{what}_serializer"] for what in ("task", "result", "event")} == {"json"}


def test_a_message_is_acknowledged_late_and_given_back_by_who_dies() -> None:
    given = celery_settings(settings())
    assert given["task_acks_late"]
    assert given["task_reject_on_worker_lost"]
    assert given["broker_connection_retry_on_startup"]
    assert given["broker_connection_max_retries"] is None


def test_the_application_takes_its_settings_from_the_environment(app: WorkerApp) -> None:
    assert app.conf.broker_url == f"runworker-{BROKER}"
    assert app.conf.task_default_queue == "plant"
    assert [queue.name for queue in app.amqp.queues.values()] == ["plant"]


def test_there_is_a_task_for_every_command_and_two_for_many(app: WorkerApp) -> None:
    ours = {name for name in app.tasks if name.startswith("runworker.")}
    assert ours == {f"runworker.{name}" for name in (*COMMANDS, "apply", "verdicts")}


def test_the_application_has_one_engine(app: WorkerApp) -> None:
    assert app.engine is app.engine
    app.engine.close()


def test_a_forked_process_has_an_engine_of_its_own(app: WorkerApp) -> None:
    parents = app.engine
    reading, writing = os.pipe()
    child = os.fork()
    if child == 0:
        os.write(writing, b"own" if app.engine is not parents else b"the parent's")
        os._exit(0)
    os.close(writing)
    with os.fdopen(reading, "rb") as told:
        assert told.read() == b"own"
    assert os.waitpid(child, 0) == (child, 0)
    assert app.engine is parents
    parents.close()


def ran_with_wrong_settings(script: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-W", "error", "-c", script]
    wrong = without_settings() | {"RUNWORKER_BROKER_URL": "nonsense", "RUNWORKER_COLOUR": "red"}
    return subprocess.run(command, env=wrong, capture_output=True, text=True, timeout=180, check=False)


def test_nothing_is_read_or_opened_at_import() -> None:
    ran = ran_with_wrong_settings("import runworker.app; print(runworker.app.app.main)")
    assert (ran.returncode, ran.stdout, ran.stderr) == (0, "runworker\n", "")


def test_wrong_settings_are_told_at_first_use() -> None:
    script = "import runworker.app; runworker.app.app.finalize()"
    assert "RUNWORKER_BROKER_URL: expected a URL" in ran_with_wrong_settings(script).stderr


def test_settings_keep_passwords_to_themselves() -> None:
    assert "secret" not in repr(settings())
    assert isinstance(settings().broker_url, SecretStr)
