"""Names of a module that are imported when somebody asks for them first, not with the module (PEP 562).

A process pays for what it uses: the processor time of importing SQLAlchemy or Celery is many times that of all of
`runworker --help`. Type checkers and import-linter read the same names in a block under `if TYPE_CHECKING`, which
stands beside the table; a test holds one against the other.
"""

import sys
from collections.abc import Callable, Mapping
from importlib import import_module
from typing import Any


def lazy_names(module: str, homes: Mapping[str, str]) -> Callable[[str], Any]:
    """The `__getattr__` of a module.

    homes: where each name is found: `package.module` for a module, `package.module:name` for what is in one.
    """

    def find(name: str) -> Any:
        if name not in homes:
            raise AttributeError(f"module {module!r} has no attribute {name!r}")
        home, _, inside = homes[name].partition(":")
        found = import_module(home)
        if inside:
            found = getattr(found, inside)
        setattr(sys.modules[module], name, found)  # Python does not ask again
        return found

    return find
