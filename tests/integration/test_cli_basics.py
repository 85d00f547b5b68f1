"""What holds for every command: help, exit codes, and which stream says what."""

import subprocess
from importlib.metadata import version

import pytest
from tests.command_line import SCRIPT, SECONDS, CommandLine
from tests.plant import Plant

COMMANDS = (
    ["up"],
    ["bench"],
    ["migrate"],
    ["config"],
    ["verify"],
    ["restore-check"],
    ["user", "add"],
    ["flow", "import"],
    ["dead-letters", "list"],
    ["dead-letters", "show"],
    ["dead-letters", "replay"],
)


@pytest.mark.parametrize("command", COMMANDS, ids=" ".join)
def test_every_command_explains_itself(command_line: CommandLine, command: list[str]) -> None:
    said = command_line.ok(*command, "--help")
    assert f"Usage: root {' '.join(command)}" in said
    assert len(said.splitlines()) > 5


def test_the_console_script_tells_its_version() -> None:
    told = subprocess.run([SCRIPT, "--version"], capture_output=True, text=True, check=True)
    assert (told.stdout, told.stderr) == (f"runworker {version('runworker')}\n", "")


def test_the_module_does_as_the_script(command_line: CommandLine) -> None:
    with command_line.process("--version") as process:
        told, _ = process.communicate(timeout=SECONDS)
    assert (process.returncode, told) == (0, f"runworker {version('runworker')}\n")


@pytest.mark.parametrize(
    "arguments", [["no-such-command"], ["migrate", "--no-such-option"], ["user", "add"], ["up", "--workers", "0"]]
)
def test_wrong_usage_is_exit_code_2(command_line: CommandLine, arguments: list[str]) -> None:
    result = command_line.run(*arguments)
    assert (result.exit_code, result.stdout) == (2, "")
    assert "Usage:" in result.stderr


def test_wrong_settings_are_told_all_at_once_and_without_secrets(command_line: CommandLine) -> None:
    command_line.settings |= {"database_url": "mysql://plant:s3cret@h/x", "pool_size": "many", "brokerurl": "x"}
    for arguments in (["config"], ["verify"], ["up"], ["migrate"]):
        said = command_line.refused(*arguments)
        for name in ("RUNWORKER_DATABASE_URL", "RUNWORKER_POOL_SIZE", "RUNWORKER_BROKERURL: no such setting"):
            assert name in said
        assert "s3cret" not in said


def test_a_database_that_is_away_is_one_sentence(command_line: CommandLine) -> None:
    command_line.settings["database_url"] = "postgresql://plant:s3cret@127.0.0.1:1/runworker"
    for arguments in (["verify"], ["migrate"], ["user", "add", "a@b", "--role", "ADMIN"]):
        said = command_line.refused(*arguments)
        assert "127.0.0.1:1" in said
        assert "s3cret" not in said


def test_a_database_without_tables_says_what_to_do(command_line: CommandLine, empty_database_url: str) -> None:
    command_line.settings["database_url"] = empty_database_url
    for arguments in (["verify"], ["dead-letters", "list"], ["user", "add", "a@b", "--role", "ADMIN"]):
        assert "run `runworker migrate`" in command_line.refused(*arguments)


def test_the_workers_login_may_not_import(command_line: CommandLine, worker_database_url: str) -> None:
    command_line.settings["database_url"] = worker_database_url
    said = command_line.refused("user", "add", "a@b", "--role", "ADMIN")
    assert "set RUNWORKER_MIGRATION_URL to the tables' owner" in said


def test_the_owners_url_is_used_where_it_is_given(
    command_line: CommandLine, database_url: str, worker_database_url: str
) -> None:
    command_line.settings |= {"database_url": worker_database_url, "migration_url": database_url}
    assert command_line.json("user", "add", "a@b", "--role", "ADMIN")["user_id"]


def test_no_database_at_all_says_what_to_set(command_line: CommandLine) -> None:
    command_line.settings = {"data_dir": str(command_line.folder)}
    for arguments in (["verify"], ["migrate"]):
        assert "set RUNWORKER_MIGRATION_URL" in command_line.refused(*arguments)


def test_a_failed_command_of_a_real_process_prints_no_traceback(command_line: CommandLine) -> None:
    done = command_line.finished("user", "add", "nobody", "--role", "viewer")
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr == (
        "runworker: 'nobody' is no e-mail address: expected name@host, no spaces, 254 characters at most.\n"
    )


def test_what_a_constraint_refuses_is_one_sentence(command_line: CommandLine, plant: Plant) -> None:
    plant.sql("ALTER TABLE users ADD CONSTRAINT ck_users_house CHECK (email LIKE '%@plant')")
    said = command_line.refused("user", "add", "a@b", "--role", "ADMIN")
    assert "did not do it: new row" in said
    assert "ck_users_house" in said


@pytest.mark.parametrize(
    "arguments",
    [
        ["config"],
        ["migrate"],
        ["verify"],
        ["user", "add", "a@b", "--role", "ADMIN"],
        ["lots", "recall", "X"],
        ["health"],
    ],
    ids=lambda it: it[0],
)
def test_a_password_that_cuts_its_url_in_two_is_printed_by_no_command(
    command_line: CommandLine, arguments: list[str]
) -> None:
    command_line.settings |= {"database_url": "postgresql://worker:hid@den@db/plant"}
    said = command_line.refused(*arguments)
    assert "RUNWORKER_DATABASE_URL: where a password has" in said
    assert "@ is %40" in said
    assert "hid" not in said
    assert "den@" not in said


@pytest.mark.parametrize("command", ["config", "--version"])
def test_a_full_disk_is_told_in_a_sentence(command: str) -> None:
    with open("/dev/full", "wb") as full:  # noqa: PTH123 - a device
        told = subprocess.run([SCRIPT, command], stdout=full, stderr=subprocess.PIPE, text=True, check=False)
    assert (told.returncode, told.stderr) == (1, "runworker: stdout takes no more: No space left on device\n")


@pytest.mark.parametrize("command", ["config", "--version"])
def test_a_closed_stdout_takes_no_results_and_is_no_error(command: str) -> None:
    closed = ["sh", "-c", 'exec "$0" "$1" >&-', SCRIPT, command]
    told = subprocess.run(closed, stderr=subprocess.PIPE, text=True, check=False)
    assert (told.returncode, told.stderr) == (0, "")
