"""requirements.lock pins everything that the project asks for, with hashes and without an address."""

import re
import tomllib

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from packaging.version import Version
from tests.unit.documents import ROOT

LOCK = (ROOT / "requirements.lock").read_text()
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
ENTRIES = re.findall(r"^([\w.-]+)==([^\s;\\]+)[^\n]*\\\n((?: {4}--hash=\S+(?: \\)?\n)+)", LOCK, re.MULTILINE)
PINNED = {canonicalize_name(name): Version(version) for name, version, _ in ENTRIES}


def test_every_line_is_understood() -> None:
    begun = [line for line in LOCK.splitlines() if line and not line.startswith(("#", " "))]
    assert len(begun) == len(ENTRIES) == len(PINNED)


def test_pins_what_the_project_asks_for() -> None:
    extras = PROJECT["optional-dependencies"].values()
    asked = [Requirement(text) for text in [*PROJECT["dependencies"], *(text for extra in extras for text in extra)]]

    for requirement in asked:
        assert requirement.specifier.contains(PINNED[canonicalize_name(requirement.name)]), requirement


def test_every_pin_has_hashes() -> None:
    for name, _, hashes in ENTRIES:
        assert re.fullmatch(r"(?: {4}--hash=sha256:[0-9a-f]{64}(?: \\)?\n)+", hashes), name


def test_names_no_index() -> None:
    assert not re.search(r"://|--(extra-)?index|--find-links|@ ", LOCK)


def test_leaves_out_the_tools() -> None:
    assert not PINNED.keys() & {"pytest", "ruff", "mypy", "hypothesis", "runworker"}
