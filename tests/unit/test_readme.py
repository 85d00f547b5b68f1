"""README.md is short, begins with what works, and shows the repository as it is."""

import re
import subprocess
import tomllib

from packaging.specifiers import SpecifierSet
from tests.days import state_of
from tests.unit.documents import ROOT, blocks, rows, section

from runworker.simulation.proof import Expectation
from runworker.simulation.report import run_figures
from runworker.simulation.scenario import BuiltScenario

README = (ROOT / "README.md").read_text()
CI = (ROOT / ".ci/run").read_text()
FIRST = "./uv run runworker demo"
SECOND = "./uv run pytest"


def test_first_two_commands_come_early() -> None:
    lines = README.splitlines()
    commands = [line.removeprefix("$ ") for line in lines if line.startswith("$ ")]

    assert commands[:2] == [FIRST, SECOND]
    assert lines.index(f"$ {SECOND}") < 25
    assert len(lines) <= 130


def test_pythons_are_those_that_are_admitted() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    classified = re.findall(r"Python :: (3\.\d+)", "\n".join(project["classifiers"]))
    admitted = SpecifierSet(project["requires-python"])

    assert classified == [f"3.{minor}" for minor in range(30) if f"3.{minor}" in admitted]
    assert f"Python {classified[0]} to {classified[-1]}" in README


def test_guarantees_stand_first() -> None:
    assert re.findall(r"^- \*\*(\w+)\.\*\*", README, re.MULTILINE) == ["Once", "Legal", "Kept", "Told"]


def test_ci_runs_the_same_commands() -> None:
    for command in (FIRST, SECOND):
        assert re.search(rf"^ +(?:[A-Z_]+=\S+ )*{re.escape(command)}$", CI, re.MULTILINE), command


def test_output_that_is_shown_is_what_the_demo_prints() -> None:
    [console, *_] = blocks(README, "console")
    shown = re.findall(r"^ {2}(\S.*?) {2,}\d+$", console, re.MULTILINE)
    nothing = BuiltScenario(runs=(), versions={})
    figures = run_figures(Expectation(nothing, copies={}), state_of(nothing), checks=[], began=0)
    printed = {name.replace("_", " ").capitalize() for name in figures}

    assert len(shown) >= 5
    assert set(shown) <= printed


def test_folders_are_those_of_the_repository() -> None:
    listed = {row[0].strip("`").split("/")[0] for row in rows(section(README, "## Folders"))}
    tracked = subprocess.run(["git", "ls-files"], cwd=ROOT, capture_output=True, text=True, check=False)
    if tracked.returncode:  # an unpacked archive has no git
        assert all((ROOT / name).is_dir() for name in listed)
    else:
        assert listed == {name.split("/")[0] for name in tracked.stdout.splitlines() if "/" in name}


def test_kinds_of_tests_are_those_there_are() -> None:
    [told] = [row[1] for row in rows(section(README, "## Folders")) if row[0] == "`tests/`"]
    there = {path.name for path in (ROOT / "tests").iterdir() if any(path.glob("test_*.py"))}
    assert there <= set(told.split(", "))


def test_no_line_is_too_long() -> None:
    assert max(len(line) for line in README.splitlines() if not line.startswith("|")) <= 130
