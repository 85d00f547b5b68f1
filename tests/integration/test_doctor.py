"""The doctor as a whole: all checks of both servers, as the command line tells of them."""

import json
import time
from pathlib import Path

import pytest
from tests.command_line import CommandLine
from tests.patient import CHECKS, Patient
from tests.servers import Servers

from runworker.doctor import Severity, measures

NOTE, WARNING, ERROR = Severity.NOTE, Severity.WARNING, Severity.ERROR


def test_clocks_and_disks(patient: Patient, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for name in ("clock-postgresql", "clock-broker"):
        assert patient.worst(name).severity is Severity.OK
    now = time.time
    monkeypatch.setattr(time, "time", lambda: now() - 300)
    for name in ("clock-postgresql", "clock-broker"):
        found = patient.worst(name)
        assert (found.severity, "clock is 5 min ahead of this machine's" in found.seen) == (WARNING, True)
    assert measures.room("disk", "it", str(tmp_path)).severity is Severity.OK
    monkeypatch.setattr(measures, "TIGHT", 1.1)
    assert measures.room("disk", "it", str(tmp_path)).severity is WARNING
    monkeypatch.setattr(measures, "LEAST_FREE", 2**60)
    assert measures.room("disk", "it", str(tmp_path)).severity is ERROR


def test_the_whole_of_it(
    command_line: CommandLine, monkeypatch: pytest.MonkeyPatch, worker_database_url: str, servers: Servers
) -> None:
    command_line.settings |= {"migration_url": command_line.settings["database_url"]}
    command_line.settings["database_url"] = worker_database_url
    told = command_line.run("doctor", "--json")
    result = json.loads(told.stdout)
    names = [found["name"] for found in result["findings"]]
    assert set(CHECKS) <= set(names)
    worst = "warning" if servers.durable else "error"
    assert (result["severity"], told.exit_code) == (worst, Severity[worst.upper()])
    bad = {each["name"] for each in result["findings"] if each["severity"] in ("warning", "error")}
    assert bad <= {"postgresql-durability", "broker-persistence", "broker-workers"}

    lines = command_line.run("doctor").stdout.splitlines()
    assert all(line.count("\t") == 4 for line in lines)
    monkeypatch.setenv("TTY_COMPATIBLE", "1")
    monkeypatch.setenv("TERM", "dumb")
    drawn = command_line.run("doctor", terminal_width=80).stdout
    assert max(map(len, drawn.splitlines())) <= 80
    monkeypatch.delenv("TTY_COMPATIBLE")

    monkeypatch.setenv("CELERY_BROKER_URL", "redis://elsewhere")
    command_line.settings |= {
        "database_url": "postgresql://a:s3cret@127.0.0.1:1/x",
        "broker_url": "redis://:s3cret@127.0.0.1:1",
    }
    command_line.settings["migration_url"] = command_line.settings["database_url"]
    away = command_line.run("doctor")
    assert away.exit_code == 2
    assert "s3cret" not in away.output
    assert [line.split("\t")[:2] for line in away.stdout.splitlines() if line.startswith("error")] == [
        ["error", "celery-environment"],
        ["error", "celery-settings"],
        ["error", "postgresql-away"],
        ["error", "broker-away"],
    ]
    command_line.settings["pool_size"] = "none"
    wrong = command_line.run("doctor")
    assert (wrong.exit_code, wrong.stdout.split("\t")[:2]) == (2, ["error", "settings"])
