"""The list of mutants made by hand speaks of lines and tests that are there. `make mutation` tries them."""

import re

import pytest
from tests.mutation.by_hand import Mutant, mutants
from tests.mutation.shared import ROOT


@pytest.mark.parametrize("mutant", [pytest.param(each, id=each.what) for each in mutants()])
def test_its_text_stands_in_one_place(mutant: Mutant) -> None:
    assert len(mutant.places()) == 1
    assert mutant.becomes != mutant.text


@pytest.mark.parametrize("test", sorted({test for mutant in mutants() for test in mutant.tests}))
def test_its_tests_are_there(test: str) -> None:
    module, _, name = test.partition("::")
    assert re.search(rf"^def {name}\(", (ROOT / module).read_text(), re.MULTILINE)


def test_the_tests_that_mutmut_runs_are_there() -> None:
    named = re.findall(r'"(tests/[\w/]+\.py)"', (ROOT / "tests/mutation/packages.py").read_text())
    assert named
    assert [name for name in named if not (ROOT / name).exists()] == []
