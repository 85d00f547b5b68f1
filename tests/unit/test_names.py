"""One word, one thing: class names, the tree of errors, and the glossary."""

import importlib
import pkgutil
import re
from collections import Counter, defaultdict
from functools import cache
from types import ModuleType

import pytest
from tests.unit.documents import ROOT, rows, section

import runworker
from runworker import errors

GLOSSARY = (ROOT / "docs/glossary.md").read_text()
SOURCES = [*(ROOT / "src").rglob("*.py"), *(ROOT / "alembic").rglob("*.py"), *(ROOT / "alembic").rglob("*.sql")]


@cache
def modules() -> list[ModuleType]:
    """Every module of the package."""
    found = pkgutil.walk_packages(runworker.__path__, "runworker.")
    return [
        importlib.import_module(module.name) for module in found if not module.name.endswith(("__main__", ".child"))
    ]


def test_no_two_public_classes_share_a_name() -> None:
    places = defaultdict(list)
    for path in (ROOT / "src").rglob("*.py"):
        for name in re.findall(r"^ *class ([A-Z]\w*)", path.read_text(), re.MULTILINE):
            places[name].append(path.name)
    assert {name: paths for name, paths in places.items() if len(paths) > 1} == {}


def test_sets_of_states_stand_in_one_file() -> None:
    # The plant's rules name them once; elsewhere a set is a copy under another name.
    made = re.compile(r"^\w+(?:: \w+)? = frozenset\(\{(?:\w*Status|LotType)\.", re.MULTILINE)
    found = {path.name for path in (ROOT / "src").rglob("*.py") if made.search(path.read_text())}
    assert found == {"states.py"}


def test_the_tree_of_errors_is_that_of_the_classes() -> None:
    assert modules()
    assert errors.__doc__
    drawn, above = {}, [""]
    for line in errors.__doc__.splitlines():
        found = re.match(r"    ((?:[│ ]   )*)(?:[├└]── )?([A-Z]\w+)", line)
        if found and line.startswith("    "):
            depth = len(found[1]) // 4 + ("── " in line)
            above[depth:] = [found[2]]
            drawn[found[2]] = above[depth - 1] if depth else ""

    def below(root: type) -> dict[str, str]:
        tree = {}
        for child in root.__subclasses__():
            parent = root.__name__
            if child.__name__.startswith("_"):
                tree |= dict.fromkeys((grandchild.__name__ for grandchild in child.__subclasses__()), parent)
            elif child.__module__.startswith("runworker"):
                tree[child.__name__] = parent
            tree |= {name: over for name, over in below(child).items() if not over.startswith("_")}
        return tree

    assert drawn == {"RunworkerError": ""} | below(errors.RunworkerError)


def words() -> list[str]:
    """The words that the glossary explains."""
    return [row[0] for row in rows(section(GLOSSARY, "# Glossary"))]


def test_the_glossary_has_each_word_once() -> None:
    assert 20 <= len(words()) <= 40
    assert [word for word, times in Counter(words()).items() if times > 1] == []
    assert words() == sorted(words(), key=str.lower)


@pytest.mark.parametrize("word", words())
def test_every_word_of_the_glossary_is_used(word: str) -> None:
    pattern = re.compile(re.escape(word).replace(r"\ ", r"[ _\n]+"), re.IGNORECASE)
    assert any(pattern.search(path.read_text()) for path in SOURCES)
