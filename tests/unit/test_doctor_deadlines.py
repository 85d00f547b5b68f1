"""An examination ends, and tells, whatever a check waits for or fails with."""

import threading
from collections.abc import Iterator
from typing import Any

import pytest

from runworker.config import Settings
from runworker.doctor import DoctorCheck, Finding, Group, Severity, examination, examine
from runworker.doctor.access import Access

OK = Finding("fine", Severity.OK, "fine")


@pytest.fixture
def access() -> Access:
    return Access(Settings.model_construct(**{name: field.default for name, field in Settings.model_fields.items()}))


def checked(name: str, work: Any) -> DoctorCheck:
    def asks(_access: Access) -> Iterator[Finding]:
        yield work() or OK

    return DoctorCheck((name,), asks)


def test_what_never_answers_or_fails_is_a_finding(access: Access, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(examination, "DEADLINE_SECONDS", 0.05)
    answer = threading.Event()
    looked_at: list[str] = []
    checks = [
        checked("silent", answer.wait),
        checked("broken", lambda: 1 / 0),
        checked("cut", lambda: open("/nowhere/at/all")),  # noqa: PTH123, SIM115 - an OSError
        checked("well", lambda: None),
    ]

    found = list(examine(access, [Group(None, checks)], looked_at.append))
    answer.set()

    assert [each.severity for each in found] == [*[Severity.WARNING] * 3, Severity.OK]
    assert [each.name for each in found[:3]] == looked_at[:3] == ["silent", "broken", "cut"]
    assert "no answer within 0.05 s" in found[0].seen
    assert "ZeroDivisionError" in found[1].seen
    assert "No such file" in found[2].seen


def test_behind_a_server_that_is_silent_nothing_more_is_asked(access: Access, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(examination, "DEADLINE_SECONDS", 0.05)
    answer = threading.Event()
    behind = Group(checked("silent", answer.wait), [checked("unasked", lambda: 1 / 0)])

    away, not_asked, well = examine(access, [behind, Group(None, [checked("well", lambda: None)])])
    answer.set()

    assert (away.name, away.severity) == ("silent", Severity.ERROR)
    assert (not_asked.severity, "unasked" in not_asked.seen) == (Severity.NOTE, True)
    assert well is OK
