"""`python -m tests.mutation.by_hand`: breaks each line of by_hand.toml in a copy and has its tests fail."""

import os
import re
import shutil
import subprocess
import sys
import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Final

from tests.mutation.shared import ROOT, shared_servers

SOURCE: Final = ROOT / "src" / "runworker"
_FAILED: Final = re.compile(r"^(?:FAILED|ERROR) (\S+?\.py::\w+)\S*(?: - (.*))?$", re.MULTILINE)


@dataclass(frozen=True, slots=True)
class Mutant:
    """One line broken. tests: each of them has to fail."""

    what: str
    text: str
    becomes: str
    tests: Sequence[str]

    def places(self) -> list[Path]:
        """Modules in which the text stands, once for each time."""
        return [path for path in sorted(SOURCE.rglob("*.py")) for _ in range(path.read_text().count(self.text))]


def mutants() -> list[Mutant]:
    """All of them, as written."""
    listed = tomllib.loads(Path(__file__).with_suffix(".toml").read_text())["mutant"]
    return [Mutant(**fields) for fields in listed]


def failures(tests: Sequence[str], environment: Mapping[str, str], mutant: Mutant | None = None) -> dict[str, str]:
    """What those tests say that fail on a copy of the source, by test. mutant: which is in the copy."""
    with TemporaryDirectory() as directory:
        for name in ("src", "alembic"):
            shutil.copytree(ROOT / name, Path(directory, name), ignore=shutil.ignore_patterns("__pycache__"))
        if mutant is not None:
            (module,) = mutant.places()
            copy = Path(directory, module.relative_to(ROOT))
            copy.write_text(copy.read_text().replace(mutant.text, mutant.becomes))
        ran = subprocess.run(
            [sys.executable, "-m", "pytest", "-n0", "-q", "--tb=line", "-rfE", "-pno:cacheprovider", *tests],
            cwd=ROOT,
            env=environment | {"PYTHONPATH": f"{directory}/src", "PYTHONDONTWRITEBYTECODE": "1", "COLUMNS": "300"},
            capture_output=True,
            text=True,
            check=False,
        )
    failed = dict(reversed(_FAILED.findall(ran.stdout)))
    assert (ran.returncode == 0) == (not failed), ran.stdout + ran.stderr
    return failed


def main() -> int:
    """Try those whose description holds a word that was given, or all. Returns how many survive."""
    words = sys.argv[1:] or [""]
    asked = [mutant for mutant in mutants() if any(word in mutant.what for word in words)]
    survivors = 0
    with shared_servers() as environment:
        assert not (failed := failures(sorted({test for each in asked for test in each.tests}), environment)), failed
        for mutant in asked:
            failed = failures(mutant.tests, environment, mutant)
            survives = not failed.keys() >= set(mutant.tests)
            survivors += survives
            print(f"{'SURVIVES' if survives else 'killed  '}  {mutant.what}", flush=True)  # noqa: T201 - a program's output
            for test in mutant.tests:
                print(f"          {test.rpartition('::')[2]}: {failed.get(test, 'passed')}", flush=True)  # noqa: T201
    return survivors


if __name__ == "__main__":
    os.chdir(ROOT)
    sys.exit(main())
