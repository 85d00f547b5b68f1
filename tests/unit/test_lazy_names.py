"""Names that are imported at first use: what type checkers read beside the table is what one gets."""

import ast
from importlib import import_module
from pathlib import Path
from types import ModuleType

import pytest

from runworker import embedded
from runworker.cli import on_demand


def typed_imports(module: ModuleType) -> dict[str, tuple[str, str]]:
    """Names imported under `if TYPE_CHECKING`, with the module each is imported from and its name there."""
    assert module.__file__ is not None
    [block] = [
        node
        for node in ast.parse(Path(module.__file__).read_text()).body
        if isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING"
    ]
    return {
        alias.asname or alias.name: (str(node.module), alias.name)
        for node in block.body
        if isinstance(node, ast.ImportFrom)
        for alias in node.names
    }


@pytest.mark.parametrize("module", [embedded, on_demand], ids=lambda module: module.__name__)
def test_the_table_says_what_type_checkers_read(module: ModuleType) -> None:
    typed = typed_imports(module)
    assert sorted(module.HOMES) == sorted(typed) == sorted(module.__all__)
    for name, (home, inside) in typed.items():
        parent = import_module(home)
        if not hasattr(parent, inside):  # a module that nobody has imported yet
            import_module(f"{home}.{inside}")
        assert getattr(module, name) is getattr(parent, inside)


def test_a_name_that_is_not_there_is_an_ordinary_mistake() -> None:
    with pytest.raises(AttributeError, match=r"module 'runworker\.embedded' has no attribute 'start_mysql'"):
        _ = embedded.start_mysql  # type: ignore[attr-defined]
