"""`runworker migrate`: up, down, and up again."""

import pytest
from tests.command_line import CommandLine

from runworker.migrations import check, current

BASELINE = "20260124_add_flow_definitions"


@pytest.fixture
def empty(command_line: CommandLine, empty_database_url: str) -> CommandLine:
    command_line.settings["database_url"] = empty_database_url
    return command_line


def test_an_empty_database_reaches_head(empty: CommandLine, empty_database_url: str) -> None:
    done = empty.finished("migrate")
    assert done.returncode == 0, done.stderr
    assert done.stdout == f"revision  {current(empty_database_url)}\n"
    assert "runworker: upgrade" in done.stderr
    assert check(empty_database_url) == []
    assert empty.ok("migrate") == done.stdout


def test_up_to_a_revision_and_down_again(empty: CommandLine, empty_database_url: str) -> None:
    assert empty.ok("migrate", BASELINE) == f"revision  {BASELINE}\n"
    assert empty.ok("migrate") != f"revision  {BASELINE}\n"
    assert empty.ok("migrate", "--down", BASELINE) == f"revision  {BASELINE}\n"
    assert empty.ok("migrate", "--down", "base") == "revision  base\n"
    assert current(empty_database_url) is None


def test_an_unknown_revision_is_refused(empty: CommandLine) -> None:
    assert "no_such_revision" in empty.refused("migrate", "no_such_revision")


def test_up_and_down_at_once_is_wrong_usage(empty: CommandLine) -> None:
    assert empty.run("migrate", "head", "--down", "base").exit_code == 2


def test_the_owners_url_comes_first(empty: CommandLine, empty_database_url: str, database_url: str) -> None:
    empty.settings |= {"database_url": database_url, "migration_url": empty_database_url}
    empty.ok("migrate", BASELINE)
    assert current(empty_database_url) == BASELINE
