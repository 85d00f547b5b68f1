"""What the demo says: figures, tables, and bars where a person watches."""

import pytest

from runworker.cli.demo_tables import print_tables
from runworker.cli.progress import Progress
from runworker.simulation import Report
from runworker.simulation.proof import Check

FIGURES = {"runs": 6, "messages_sent": 160, "worker_kills": 1, "violations": 2, "seconds": 9.5}
CHECKS = (Check("All is well", ()), Check("Steps are in order", ("step 3 of run 1 is missing",)))


def test_having_given_up_is_a_violation() -> None:
    assert Report(FIGURES, CHECKS).violations == ["step 3 of run 1 is missing"]
    assert Report(FIGURES, CHECKS, "nothing new came").violations == ["nothing new came", "step 3 of run 1 is missing"]


def test_the_tables_show_every_claim_and_figure(capsys: pytest.CaptureFixture[str]) -> None:
    print_tables(Report(FIGURES, CHECKS))
    said, errors = capsys.readouterr()
    lines = [" ".join(line.split()) for line in said.splitlines()]
    for line in ("All is well 0", "Steps are in order 1", "Messages sent 160", "Worker kills 1", "Seconds 9.5"):
        assert line in lines
    assert errors == ""


@pytest.mark.parametrize("bars", [True, False])
def test_bars_are_drawn_for_people_only(
    bars: bool, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TTY_COMPATIBLE", "1")
    with Progress(bars=bars) as progress:
        progress.say("killed [one] worker")
        progress.show("messages sent", 3, 12)
        progress.show("messages sent", 12, 12)
    said, errors = capsys.readouterr()
    assert said == ""
    assert "runworker: killed [one] worker" in errors
    assert ("12/12" in errors) is bars


def test_no_bars_on_what_is_no_terminal(capsys: pytest.CaptureFixture[str]) -> None:
    with Progress(bars=True) as progress:
        progress.show("messages sent", 12, 12)
    assert capsys.readouterr() == ("", "")
