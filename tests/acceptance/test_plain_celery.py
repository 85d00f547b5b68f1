"""Any Celery client can send commands: by name, in JSON, to the default queue, and read the verdicts."""

import json
import subprocess
import sys
from pathlib import Path
from uuid import UUID

import pytest
from tests.crew import Crew
from tests.environment import without_settings

UPSTREAM = Path(__file__).with_name("plain_upstream.py")

pytestmark = pytest.mark.timeout(120)


def test_a_plain_celery_application_sends_by_name_and_gets_verdicts(crew: Crew, tmp_path: Path) -> None:
    crew.hire()
    user, version = crew.plant.user("OPERATOR"), crew.plant.version()
    ran = subprocess.run(
        [sys.executable, str(UPSTREAM), crew.broker_url, str(user), str(version)],
        cwd=tmp_path,
        env=without_settings(),
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert ran.returncode == 0, ran.stderr
    told = json.loads(ran.stdout)
    assert "celery" in told["modules"]
    assert not [name for name in told["modules"] if name.partition(".")[0] == "runworker"]
    started, advanced = told["answers"]
    assert (started["status"], started["run_status"]) == ("APPLIED", "RUNNING")
    assert (advanced["status"], advanced["run_id"]) == ("APPLIED", started["run_id"])
    assert crew.plant.run(UUID(started["run_id"]))[:2] == ("RUNNING", 1)
    crew.wait_until_idle()
