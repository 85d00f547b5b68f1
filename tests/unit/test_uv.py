"""`./uv` runs a uv wherever Python and git are: yours, its own, or one that it fetches with whatever pip there is.

Python, pip and apt are stand-ins here that tell what they were asked for; `.ci/clean-root` tries the real ones.
"""

import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path

import pytest
from tests.unit.documents import ROOT

TOOLS = ("cat", "chmod", "dirname", "ls", "mkdir", "mktemp", "mv", "rm", "sh")
SAYS = 'echo {name} $* >>"$TOLD"\n'
UV = 'echo "uv of {whose} runs $*"\n'
INSTALLS = """
while [ "$1" != --target ]; do shift; done
mkdir -p "$2/bin"
echo 'echo "uv of pip runs $*"' >"$2/bin/uv"
chmod +x "$2/bin/uv"
"""
PYTHON_WITH_PIP = f'case "$3" in --version) exit 0 ;; esac\n{INSTALLS}'
PYTHON_WITH_ENSUREPIP = f'case "$1" in -m) exit 1 ;; -c) echo "$TOLD-wheels"; exit ;; esac\n{INSTALLS}'
PYTHON_ALONE = f'case "$1" in -m | -c) exit 1 ;; esac\n{INSTALLS}'
APT = """
case "$*" in
*update) mkdir -p "$TOLD-lists" ;;
*download*) [ -d "$TOLD-lists" ] && : >python3-pip-whl_25_all.deb ;;
esac
"""
DPKG_DEB = 'mkdir -p "$3/usr/share/python-wheels" && : >"$3/usr/share/python-wheels/pip-25-py3-none-any.whl"\n'


@dataclass(frozen=True)
class Machine:
    """A checkout, and programs that are all there is on PATH."""

    folder: Path

    @property
    def checkout(self) -> Path:
        """Where `uv` lies."""
        return self.folder / "a checkout"

    @property
    def told(self) -> list[str]:
        """What the stand-ins were called with, in order."""
        log = self.folder / "told"
        return log.read_text().splitlines() if log.exists() else []

    def has(self, name: str, does: str) -> None:
        """Put a stand-in on PATH."""
        program = self.folder / "bin" / name
        program.write_text(f"#!/bin/sh\n{SAYS.format(name=name)}{does}")
        program.chmod(0o755)

    def runs(self, *arguments: str, path: str = "") -> subprocess.CompletedProcess[str]:
        """The end of `./uv ARGUMENTS`."""
        environment = {"PATH": f"{path}{self.folder / 'bin'}", "TOLD": str(self.folder / "told")}
        return subprocess.run(
            ["./uv", *arguments], cwd=self.checkout, env=environment, capture_output=True, text=True, check=False
        )


@pytest.fixture
def machine(tmp_path: Path) -> Machine:
    made = Machine(tmp_path)
    made.checkout.mkdir()
    shutil.copy(ROOT / "uv", made.checkout)
    (tmp_path / "bin").mkdir()
    for tool in TOOLS:
        found = shutil.which(tool)
        assert found, tool
        (tmp_path / "bin" / tool).symlink_to(found)
    return made


def left(machine: Machine) -> list[str]:
    return sorted(path.name for path in machine.checkout.iterdir())


def test_yours_is_run(machine: Machine) -> None:
    machine.has("uv", UV.format(whose="yours"))
    machine.has("python3", PYTHON_WITH_PIP)

    ran = machine.runs("run", "runworker", "a word")

    assert ran.stdout == "uv of yours runs run runworker a word\n"
    assert left(machine) == ["uv"]


@pytest.mark.parametrize("yours", ["exit 1\n", None], ids=["broken", "missing"])
def test_pip_fetches_one_that_stays(machine: Machine, yours: str | None) -> None:
    if yours:  # as a version manager's stand-in for a program that another version has
        machine.has("uv", yours)
    machine.has("python3", PYTHON_WITH_PIP)

    first = machine.runs("run", "a word")
    asked = [line for line in machine.told if " install " in line]
    again = machine.runs("--version")

    assert first.stdout == "uv of pip runs run a word\n"
    assert str(machine.checkout / ".uv") in first.stderr
    assert len(asked) == 1
    assert asked[0].startswith("python3 -m pip install ")
    assert asked[0].endswith(" uv")
    assert (again.stdout, again.stderr) == ("uv of pip runs --version\n", "")
    assert len([line for line in machine.told if " install " in line]) == 1
    assert left(machine) == [".uv", "uv"]


def test_pip_that_python_carries_is_used(machine: Machine, tmp_path: Path) -> None:
    machine.has("python3", PYTHON_WITH_ENSUREPIP)
    wheel = tmp_path / "told-wheels/pip-25-py3-none-any.whl"
    wheel.parent.mkdir(parents=True)
    wheel.touch()

    assert machine.runs("--version").stdout == "uv of pip runs --version\n"
    assert machine.told[-1].startswith(f"python3 {wheel}/pip install ")


@pytest.mark.parametrize("lists", ["there", "missing"])
def test_pip_of_debian_is_used_without_installing_it(machine: Machine, tmp_path: Path, lists: str) -> None:
    machine.has("python3", PYTHON_ALONE)
    machine.has("apt-get", APT)
    machine.has("dpkg-deb", DPKG_DEB)
    if lists == "there":
        (tmp_path / "told-lists").mkdir()

    ran = machine.runs("--version")

    assert ran.stdout == "uv of pip runs --version\n", ran.stderr
    called = [line.split()[0] for line in machine.told]
    updates = {"there": [], "missing": ["apt-get", "apt-get"]}[lists]
    assert called == ["python3", "python3", "apt-get", *updates, "dpkg-deb", "python3"]
    assert "/usr/share/python-wheels/pip-25-py3-none-any.whl/pip install " in machine.told[-1]
    assert not [line for line in machine.told if line.startswith("apt-get install")]
    assert left(machine) == [".uv", "uv"]


@pytest.mark.parametrize(
    ("python", "names"), [(None, "Python 3.11"), (PYTHON_ALONE, "python3-pip")], ids=["no Python", "no pip"]
)
def test_what_is_missing_is_named(machine: Machine, python: str | None, names: str) -> None:
    if python:
        machine.has("python3", python)

    ran = machine.runs("--version")

    assert ran.returncode == 1
    assert names in ran.stderr
    assert left(machine) == ["uv"]


def test_failed_installation_leaves_nothing(machine: Machine) -> None:
    machine.has("python3", 'case "$3" in --version) exit 0 ;; esac\necho "no network" >&2\nexit 3\n')

    ran = machine.runs("--version")

    assert ran.returncode == 3
    assert "no network" in ran.stderr
    assert left(machine) == ["uv"]


def test_checkout_on_path_does_not_run_itself(machine: Machine) -> None:
    machine.has("python3", PYTHON_WITH_PIP)

    assert machine.runs("--version", path=f"{machine.checkout}:").stdout == "uv of pip runs --version\n"


def test_clean_root_says_that_it_is_not_possible(machine: Machine) -> None:
    """The README's commands are tried in a clean root where the machine allows it; elsewhere nothing is claimed."""
    bash = shutil.which("bash")
    assert bash
    ran = subprocess.run(
        [bash, ROOT / ".ci/clean-root"],
        env={"PATH": str(machine.folder / "bin")},
        capture_output=True,
        text=True,
        check=False,
    )

    assert ran.returncode == 77
    assert "not possible here" in ran.stderr
    assert ran.stdout == ""
