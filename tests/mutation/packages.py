"""`python -m tests.mutation.packages`: mutmut over the packages that judge, write and carry, each with some tests.

Each has a folder of its own under build/mutation, in which mutmut keeps what it has found: a run that was stopped goes
on where it was, and what has changed since is tried again.
"""

import json
import shutil
import subprocess
import sys
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final

from mutmut.stats import status_by_exit_code
from tests.mutation.shared import ROOT, shared_servers

TESTS: Final[Mapping[str, Sequence[str]]] = {
    "handlers": (
        "tests/unit/test_flow_handlers.py",
        "tests/unit/test_genealogy.py",
        "tests/unit/test_handler_outcomes.py",
        "tests/unit/test_handlers.py",
        "tests/unit/test_lot_handlers.py",
        "tests/unit/test_lot_quality.py",
        "tests/unit/test_lot_refusals.py",
        "tests/unit/test_rollback_and_archive.py",
        "tests/unit/test_run_refusals.py",
        "tests/unit/test_taking_material.py",
    ),
    "engine": (
        "tests/unit/test_arrays.py",
        "tests/unit/test_failures.py",
        "tests/integration/test_engine_after.py",
        "tests/integration/test_engine_bad_input.py",
        "tests/integration/test_engine_expiry.py",
        "tests/integration/test_engine_internal_errors.py",
        "tests/integration/test_engine_lots_added.py",
        "tests/integration/test_engine_lots_archiving.py",
        "tests/integration/test_engine_lots_batches.py",
        "tests/integration/test_engine_lots_codes.py",
        "tests/integration/test_engine_lots_life.py",
        "tests/integration/test_engine_lots_order.py",
        "tests/integration/test_engine_order.py",
        "tests/integration/test_engine_queued.py",
        "tests/integration/test_engine_refusals.py",
        "tests/integration/test_engine_replay.py",
        "tests/integration/test_engine_row_locks.py",
        "tests/integration/test_engine_run_codes.py",
        "tests/integration/test_engine_translation.py",
        "tests/integration/test_engine_waiting.py",
        "tests/integration/test_engine_written_meanwhile.py",
        "tests/integration/test_pruning.py",
        "tests/integration/test_sealing.py",
    ),
    "transport": (
        "tests/unit/test_transport_urls.py",
        "tests/unit/test_transport_versions.py",
        "tests/integration/test_transport.py",
        "tests/integration/test_transport_leases.py",
        "tests/integration/test_transport_scripts.py",
        "tests/integration/test_transport_fetching.py",
    ),
}
"""By package. Nothing here starts a worker process: that would import the code as it is."""

_CONFIGURATION: Final = """[mutmut]
source_paths =
    src
only_mutate =
    src/runworker/{package}/*
also_copy =
    alembic
pytest_add_cli_args =
    -n0
    -pno:cacheprovider
    -pno:hypothesispytest
pytest_add_cli_args_test_selection =
    {tests}
"""


def folder_of(package: str) -> Path:
    """Where mutmut works on a package: links to what it copies, and its configuration."""
    folder = ROOT / "build" / "mutation" / package
    folder.mkdir(parents=True, exist_ok=True)
    for name in ("src", "tests", "alembic", "pyproject.toml"):
        link = folder / name
        if not link.is_symlink():
            link.symlink_to(ROOT / name)
    configuration = _CONFIGURATION.format(package=package, tests="\n    ".join(TESTS[package]))
    (folder / "setup.cfg").write_text(configuration)
    return folder


def results(package: str) -> dict[str, str]:
    """What became of each mutant, by its name."""
    found: dict[str, str] = {}
    for kept in sorted((folder_of(package) / "mutants" / "src" / "runworker" / package).rglob("*.meta")):
        codes: dict[str, Any] = json.loads(kept.read_text())["exit_code_by_key"]
        found |= {name: status_by_exit_code[code] for name, code in codes.items()}
    return found


def report(package: str) -> str:
    """A line with what is known of a package."""
    counts = Counter(results(package).values())
    tried = counts.total() - counts["not checked"]
    killed = counts["killed"] + counts["timeout"] + counts["segfault"]
    share = f"{killed / tried:.1%}" if tried else "-"
    return f"{package}: {counts.total()} mutants, {tried} tried, {share} killed; " + ", ".join(
        f"{many} {status}" for status, many in counts.most_common()
    )


def mutmut(package: str, *arguments: str, environment: Mapping[str, str] | None = None) -> None:
    """Run mutmut in a package's folder; what it prints goes where ours goes."""
    program = Path(sys.executable).with_name("mutmut")
    subprocess.run([str(program), *arguments], cwd=folder_of(package), env=environment, check=False)


def sample(package: str, every: int) -> list[str]:
    """Those of each so many mutants that were not tried yet, alike for every run and spread over all modules."""
    return [
        name
        for number, (name, status) in enumerate(sorted(results(package).items()))
        if number % every == 0 and status == "not checked"
    ]


def main() -> None:
    """Go on with the packages that were given, or with all of them.

    `every=10`: with each tenth mutant only, once all of them have been made. `show`: print survivors instead.
    """
    asked = [name for name in sys.argv[1:] if name in TESTS] or list(TESTS)
    every = next((int(word.removeprefix("every=")) for word in sys.argv if word.startswith("every=")), 1)
    if "show" in sys.argv:
        for package in asked:
            for name, status in results(package).items():
                if status in ("survived", "no tests"):
                    mutmut(package, "show", name)
        return
    with shared_servers() as environment:
        for package in asked:
            shutil.rmtree(folder_of(package) / "mutants" / "tests", ignore_errors=True)  # what was a test once
            if every > 1 and not results(package):
                mutmut(package, "run", "nothing", environment=environment)  # makes all, and ends: none has this name
            names = sample(package, every) if every > 1 else []
            if names or every == 1:
                mutmut(package, "run", "--max-children", "1", *names, environment=environment)
    for package in asked:
        print(report(package))  # noqa: T201 - a program's output


if __name__ == "__main__":
    main()
