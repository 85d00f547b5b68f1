"""`runworker restore-check`: what it says and its exit code. After real restores: tests/acceptance."""

import json
from typing import Any

import pytest
from tests.command_line import CommandLine
from tests.plant import Plant
from tests.servers import Servers

from runworker.upkeep.seal import seal


@pytest.fixture
def restored(command_line: CommandLine, plant: Plant, worker_database_url: str) -> CommandLine:
    """A database with a run, its events sealed, as workers and the owner reach it. No broker is named."""
    engine = plant.engine()
    engine.apply([plant.command("start_run")])
    seal(engine.database)
    command_line.settings = {
        "migration_url": plant.url,
        "database_url": worker_database_url,
        "data_dir": str(command_line.folder),
    }
    return command_line


def looked(command_line: CommandLine, *arguments: str) -> tuple[int, dict[str, Any]]:
    result = command_line.run("restore-check", "--json", *arguments)
    told = json.loads(result.stdout)
    told["doctor"] = [found for found in told["doctor"] if found["name"] != "postgresql-durability"]
    return result.exit_code, told


def test_a_page_that_says_what_to_do_next(restored: CommandLine, servers: Servers) -> None:
    code, told = looked(restored)
    assert code == (0 if servers.durable else 2), "servers for tests do not wait for their disk"
    assert (told["verify"]["outcome"], told["doctor"]) == ("intact", [])
    assert told["newest_decision"]
    page = restored.run("restore-check")
    assert len(page.stdout.splitlines()) < 40
    assert "newest_decision" in page.stdout
    if servers.durable:
        assert "1. Ask with --head or --anchor" in page.stdout
        assert "2. Start the workers" in page.stdout
    else:
        assert "1. postgresql-durability: ALTER SYSTEM RESET fsync" in page.stdout


def test_what_was_changed_is_told(restored: CommandLine, plant: Plant) -> None:
    plant.sql("ALTER TABLE production_runs DISABLE TRIGGER USER")
    plant.sql("UPDATE production_runs SET run_code = 'RUN-X'")
    plant.sql("ALTER TABLE production_runs ENABLE TRIGGER USER")
    code, told = looked(restored)
    assert code >= 1
    assert [each["table"] for each in told["verify"]["discrepancies"]] == ["production_runs"]
    assert any(step.startswith("Restore another backup") for step in told["next"])
    assert told["next"][-1] == "Run `runworker restore-check` again."
    assert "runworker: production_runs " in restored.run("restore-check").stderr


def test_rights_that_are_missing_are_given_back_by_migrate(restored: CommandLine, plant: Plant) -> None:
    plant.sql("REVOKE UPDATE ON lots FROM runworker_worker")
    plant.sql("REVOKE UPDATE (status) ON flow_versions FROM runworker_worker")
    plant.sql("REVOKE USAGE ON SCHEMA public FROM runworker_sender")
    plant.sql("GRANT EXECUTE ON FUNCTION prune_commands TO PUBLIC")
    plant.sql("GRANT DELETE ON commands TO runworker_worker")
    code, told = looked(restored)
    assert code == 2
    assert told["next"][0].startswith("Run `runworker migrate`")
    mended = restored.run("migrate").stderr
    for statement in (
        "GRANT UPDATE ON TABLE public.lots TO runworker_worker",
        "GRANT UPDATE (status) ON TABLE public.flow_versions TO runworker_worker",
        "GRANT USAGE ON SCHEMA public TO runworker_sender",
        "REVOKE EXECUTE ON FUNCTION public.prune_commands(interval,integer) FROM PUBLIC",
    ):
        assert f"    {statement};\n" in mended.partition("more than this release gives")[0]
    too_many = "    REVOKE DELETE ON TABLE public.commands FROM runworker_worker;\n"
    assert too_many in mended.partition("more than this release gives")[2]
    assert mended.partition("more than")[2] == restored.run("migrate").stderr.partition("more than")[2]
    plant.sql("REVOKE DELETE ON commands FROM runworker_worker")
    assert "gave back" not in restored.run("migrate").stderr
    assert looked(restored)[1]["doctor"] == []


def test_a_database_that_is_not_there_is_told_and_not_raised(restored: CommandLine, empty_database_url: str) -> None:
    restored.settings |= {"migration_url": empty_database_url, "database_url": empty_database_url}
    code, told = looked(restored)
    assert code == 2
    assert "run `runworker migrate`" in told["verify"]["failed"]
    assert restored.run("restore-check", "--head", "abc").exit_code == 2
