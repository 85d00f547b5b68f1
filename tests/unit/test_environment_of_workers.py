"""A worker that is started by us works where its settings say, whatever its owner's environment holds."""

import pytest
from pydantic import SecretStr

from runworker.config import CELERY_SERVERS, Settings
from runworker.workers import environment_of


def test_variables_of_celery_lead_no_worker_elsewhere(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in (*CELERY_SERVERS, "RUNWORKER_QUEUE", "HOUSE"):
        monkeypatch.setenv(name, "elsewhere")
    given = environment_of(
        Settings.model_construct({"broker_url", "migration_url"}, broker_url=SecretStr("redis://here"))
    )
    assert given["RUNWORKER_BROKER_URL"] == "redis://here"
    assert given["HOUSE"] == "elsewhere"
    assert not {*CELERY_SERVERS, "RUNWORKER_QUEUE", "RUNWORKER_MIGRATION_URL"} & given.keys()
