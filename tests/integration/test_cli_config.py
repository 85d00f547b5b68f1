"""`runworker config`: what is in force, and from where."""

from pathlib import Path

from tests.command_line import CommandLine

from runworker.config import Settings
from runworker.embedded import EmbeddedServers, temporary_directory


def test_every_setting_is_shown_with_its_source_and_no_password(command_line: CommandLine) -> None:
    command_line.settings["database_url"] = "postgresql://plant:s3cret@db.example/runworker"
    shown = command_line.json("config")
    assert shown.keys() == Settings.model_fields.keys()
    assert shown["database_url"] == {"value": "postgresql+psycopg://plant:***@db.example/runworker", "from": "given"}
    assert shown["migration_url"] == {"value": shown["database_url"]["value"], "from": "database_url"}
    assert shown["result_backend_url"]["from"] == "broker_url"
    assert shown["queue"] == {"value": "celery", "from": "default"}
    table = command_line.ok("config")
    assert "s3cret" not in table
    for name in Settings.model_fields:
        assert name in table


def test_a_dotenv_file_is_a_source(command_line: CommandLine) -> None:
    Path(".env").write_text("RUNWORKER_QUEUE=plant\n", "utf-8")
    assert command_line.json("config")["queue"] == {"value": "plant", "from": "given"}


def test_without_servers_the_gap_is_told(command_line: CommandLine) -> None:
    command_line.settings = {"data_dir": str(command_line.folder)}
    shown = command_line.json("config")
    for name in ("database_url", "broker_url"):
        assert shown[name] == {"value": None, "from": "not given, and no embedded servers run"}
    assert shown["data_dir"] == {"value": str(command_line.folder), "from": "given"}


def test_running_embedded_servers_are_found_by_every_command(command_line: CommandLine) -> None:
    with temporary_directory() as directory, EmbeddedServers(directory, durable=False) as servers:
        command_line.settings = {"data_dir": str(directory)}
        shown = command_line.json("config")
        for name in ("database_url", "migration_url", "broker_url"):
            assert shown[name]["from"] == f"embedded servers in {directory}"
            assert ":***@127.0.0.1:" in shown[name]["value"]
        assert servers.urls.database_url.rpartition("@")[2] in shown["database_url"]["value"]
        assert "runworker_app" in shown["database_url"]["value"]
        assert "postgres:" in shown["migration_url"]["value"]
        command_line.ok("migrate")
        assert command_line.json("user", "add", "a@b", "--role", "ADMIN")["user_id"]
