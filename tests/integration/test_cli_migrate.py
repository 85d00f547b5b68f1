"""`runworker migrate`: up, down, and up again; what is told before, and what would be run."""

import json
import subprocess

import pytest
from tests.acceptance.test_compose_commands import PSQL
from tests.command_line import CommandLine
from tests.migrations.parents import ROWS, SCHEMA, picture, run
from tests.migrations.test_models_match import GUARDS_AND_RIGHTS, catalogue
from tests.servers import Servers, conninfo, fresh_database

from runworker.migrations import check, current, newest

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


@pytest.fixture
def parent(empty: CommandLine, empty_database_url: str) -> CommandLine:
    """Commands on what an older system left."""
    run(empty_database_url, SCHEMA + ROWS)
    return empty


def test_what_is_in_the_way_is_told_and_refused(parent: CommandLine, empty_database_url: str) -> None:
    run(empty_database_url, "CREATE RULE kept AS ON DELETE TO lots DO INSTEAD NOTHING")
    before = picture(empty_database_url)

    told = parent.run("migrate", "--check")
    as_json = parent.run("migrate", "--check", "--json")
    refused = parent.refused("migrate")

    assert (told.exit_code, as_json.exit_code) == (1, 1)
    *bent, stopped = (line.split("\t") for line in told.stdout.splitlines())
    assert {line[0] for line in bent} == {"bends"}
    assert stopped[:3] == ["stops", "table lots", "The rule kept rewrites its statements."]
    last = json.loads(as_json.stdout)["findings"][-1]
    assert [last[part] for part in ("severity", "object", "what", "why", "remedy")] == stopped
    assert "1. table lots: The rule kept rewrites its statements." in refused
    assert picture(empty_database_url) == before


def test_what_only_bends_is_told_and_goes_on(parent: CommandLine) -> None:
    told = parent.ok("migrate", "--check")
    assert "They become RUNNING, without a flow version and without steps" in told
    parent.ok("migrate")
    assert parent.ok("migrate", "--check") == "findings  none\n"
    assert parent.json("migrate", "--check") == {"findings": []}


@pytest.mark.parametrize("start", ["empty", "an older system's", "at the baseline", "half-way"])
def test_sql_that_is_printed_does_what_migrate_does(
    start: str, empty: CommandLine, empty_database_url: str, servers: Servers
) -> None:
    if start != "empty":
        run(empty_database_url, SCHEMA + ROWS)
    if start == "at the baseline":
        empty.ok("migrate", BASELINE)
    if start == "half-way":
        empty.ok("migrate", "20261129_4_runs_and_steps")
    before = picture(empty_database_url)

    printed = empty.ok("migrate", "--sql")

    assert picture(empty_database_url) == before
    with fresh_database(servers, template=empty_database_url.rpartition("/")[2]) as other:
        by_hand = other.render_as_string(hide_password=False)
        subprocess.run([PSQL, "-qX", "-v", "ON_ERROR_STOP=1", conninfo(by_hand)], input=printed, text=True, check=True)
        empty.ok("migrate")
        assert current(by_hand) == newest()
        for query in (None, GUARDS_AND_RIGHTS):
            given = (query,) if query else ()
            assert catalogue(by_hand, *given) == catalogue(empty_database_url, *given)
        rows = "SELECT lot_code, lot_type::text, status, metadata::text FROM lots ORDER BY 1"
        assert run(by_hand, rows) == run(empty_database_url, rows)


def test_sql_of_a_part_and_of_nothing(empty: CommandLine) -> None:
    assert "flow_version_id" not in empty.ok("migrate", "--sql", BASELINE)
    empty.ok("migrate")
    assert "CREATE" not in empty.ok("migrate", "--sql")


@pytest.mark.parametrize(
    "arguments", [("--check", "--sql"), ("--check", "--down", "base"), ("--sql", "--down", "base"), ("--json",)]
)
def test_what_does_not_go_together_is_wrong_usage(arguments: tuple[str, ...], empty: CommandLine) -> None:
    assert empty.run("migrate", *arguments).exit_code == 2
