"""Output in a pipe: whole lines, whatever COLUMNS says."""

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from rich.table import Table
from rich.text import Text
from rich.tree import Tree

from runworker import cli
from runworker.cli.chaos_tables import print_tables as print_chaos
from runworker.cli.demo_tables import print_tables as print_demo
from runworker.cli.output import print_wide, show_findings, show_lines, show_table
from runworker.simulation import Report
from runworker.simulation.proof import Check

LONG = "no word of this is to be on another line " * 30
FINDING = dict.fromkeys(("severity", "name", "seen", "why", "remedy"), LONG)
CHAOS: Any = SimpleNamespace(
    figures=dict.fromkeys(("seed", "seconds", "commands", "messages", "damaged_messages", "applied", "rejected"), 1)
    | {"faults": {LONG: {"times": 1, "slowest_first_decision_seconds": 1}}, "workers": {}, "inside_workers": {}},
    kinds={LONG: []},
)
TREE, TABLE = Tree("root"), Table(LONG)
TREE.add(LONG)
SHOWN = {
    "a table": lambda: show_table([{"setting": LONG}], ("setting",)),
    "lines": lambda: show_lines([{"reason": LONG}], ("reason",)),
    "findings": lambda: show_findings([FINDING]),
    "the tables of a demo": lambda: print_demo(Report({"runs": 6}, (Check(LONG, ()),))),
    "the tables of chaos": lambda: print_chaos(CHAOS),
    "a text": lambda: print_wide(Text(LONG)),
    "a tree": lambda: print_wide(TREE),
    "a wide table": lambda: print_wide(TABLE),
}


@pytest.mark.parametrize("kind", SHOWN)
def test_nothing_is_folded_in_a_pipe(
    kind: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    SHOWN[kind]()
    assert LONG.strip() in capsys.readouterr().out


def test_stdout_is_opened_in_one_place() -> None:
    folder = Path(cli.__file__).parent
    homes = {file.name for file in folder.glob("*.py") if "Console(" in file.read_text("utf-8")}
    assert homes == {"output.py", "progress.py"}  # the latter's is stderr
