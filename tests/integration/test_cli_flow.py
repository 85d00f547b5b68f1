"""`runworker flow import`: from a file to a version, in force or not."""

import json
import threading
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import create_engine, text
from sqlalchemy.orm import Session
from tests.command_line import CommandLine
from tests.plant import Plant, linear_graph

from runworker.errors import Rejected
from runworker.imports import FlowFile, flows, import_flow
from runworker.states import FlowVersionStatus

NAME = {"hu": "Nyárs", "en": "Skewer"}


@pytest.fixture
def plant(plant: Plant) -> Plant:
    for role in ("ADMIN", "MANAGER", "OPERATOR", "AUDITOR", "VIEWER"):
        plant.sql("INSERT INTO users (email, role) VALUES (:email, :role)", email=f"{role.lower()}@plant", role=role)
    return plant


def written(content: Any, name: str = "skewer flow.json") -> str:
    Path(name).write_text(content if isinstance(content, str) else json.dumps(content), "utf-8")
    return name


def versions(plant: Plant) -> list[tuple[Any, ...]]:
    found = plant.sql("SELECT version_num, status FROM flow_versions ORDER BY flow_definition_id, version_num")
    return [tuple(row) for row in found]


def test_a_wrapped_file_becomes_a_draft(command_line: CommandLine, plant: Plant) -> None:
    graph = linear_graph((0, 1, 10))
    file = written({"name": NAME, "description": "short", "graph": graph})
    told = command_line.json("flow", "import", file, "--as", "operator@plant")
    assert told.keys() == {"flow_definition_id", "flow_version_id", "version_num"}
    ((version,), (flow,)) = (
        plant.sql("SELECT * FROM flow_versions WHERE id = :id", id=told["flow_version_id"]),
        plant.sql("SELECT * FROM flow_definitions WHERE id = :id", id=told["flow_definition_id"]),
    )
    assert (version.version_num, version.status, version.graph_schema) == (1, "DRAFT", graph)
    assert (version.published_at, version.published_by, version.reviewed_by) == (None, None, None)
    assert (flow.name, flow.description) == (NAME, "short")
    assert flow.created_by == version.created_by
    assert version.flow_definition_id == flow.id


def test_publishing_passes_through_review_and_names_who_did_it(command_line: CommandLine, plant: Plant) -> None:
    told = command_line.json("flow", "import", "--canonical", "--publish", "--as", "Manager@Plant")
    ((version,), (manager,)) = (
        plant.sql("SELECT * FROM flow_versions WHERE id = :id", id=told["flow_version_id"]),
        plant.sql("SELECT id FROM users WHERE role = 'MANAGER'"),
    )
    assert version.status == "PUBLISHED"
    assert version.published_at is not None
    assert {version.created_by, version.reviewed_by, version.published_by} == {manager.id}
    moves = plant.sql("SELECT after ->> 'status' FROM audit_events WHERE entity = 'flow_versions' ORDER BY id")
    assert [status for (status,) in moves] == ["DRAFT", "REVIEW", "PUBLISHED"]


def test_a_published_flow_can_be_run(command_line: CommandLine, plant: Plant) -> None:
    told = command_line.json("flow", "import", "--canonical", "--publish", "--as", "admin@plant")
    (verdict,) = plant.engine().apply([plant.command("start_run", flow_version_id=told["flow_version_id"])])
    assert verdict.status == "APPLIED"


def test_the_same_name_adds_a_version_and_publishing_supersedes(command_line: CommandLine, plant: Plant) -> None:
    file = written({"name": NAME, "graph": linear_graph((0, 1, 10))})
    first = command_line.json("flow", "import", file, "--publish", "--as", "admin@plant")
    draft = command_line.json("flow", "import", file, "--as", "admin@plant")
    third = command_line.run("flow", "import", file, "--publish", "--as", "admin@plant")
    assert third.exit_code == 0
    assert "version 1 of this flow is DEPRECATED now" in third.stderr
    assert first["flow_definition_id"] == draft["flow_definition_id"]
    assert draft["version_num"] == 2
    assert versions(plant) == [(1, "DEPRECATED"), (2, "DRAFT"), (3, "PUBLISHED")]
    assert plant.count("flow_definitions") == 1


def test_another_name_is_another_flow(command_line: CommandLine, plant: Plant) -> None:
    file = written({"name": NAME, "graph": linear_graph((0, 10))})
    command_line.ok("flow", "import", file, "--publish", "--as", "admin@plant")
    command_line.ok("flow", "import", file, "--publish", "--as", "admin@plant", "--name", "Trial")
    assert versions(plant) == [(1, "PUBLISHED"), (1, "PUBLISHED")]
    assert plant.count("flow_definitions", 'name = \'{"hu": "Trial", "en": "Trial"}\'') == 1


def test_a_bare_graph_is_named_after_its_file(command_line: CommandLine, plant: Plant) -> None:
    command_line.ok("flow", "import", written(linear_graph((0, 10))), "--as", "admin@plant")
    assert plant.count("flow_definitions", "name ->> 'en' = 'skewer flow'") == 1


def test_standard_input_needs_a_name(command_line: CommandLine, plant: Plant) -> None:
    graph = json.dumps(linear_graph((0, 10))).encode()
    said = command_line.refused("flow", "import", "-", "--as", "admin@plant", stdin=graph)
    assert "give one with --name" in said
    assert (
        command_line.json("flow", "import", "-", "--as", "admin@plant", "--name", "Piped", stdin=graph)["version_num"]
        == 1
    )


def test_a_description_is_renewed_and_never_removed(command_line: CommandLine, plant: Plant) -> None:
    for description in ("first", None, "second", None):
        content = {"name": NAME, "graph": linear_graph((0, 10)), "description": description}
        command_line.ok("flow", "import", written(content), "--as", "admin@plant")
    assert [row.description for row in plant.sql("SELECT description FROM flow_definitions")] == ["second"]


def test_everything_wrong_with_the_plan_is_listed_and_nothing_written(command_line: CommandLine, plant: Plant) -> None:
    graph = linear_graph((0, 1, 10))
    graph["nodes"][1]["data"]["stepIndex"] = 11
    graph["edges"][0]["target"] = "gone"
    said = command_line.refused("flow", "import", written(graph), "--publish", "--as", "admin@plant").splitlines()
    assert said[0] == "runworker: The graph gives no valid plan:"
    assert any('node "node-1"' in line and line.endswith("[PLAN_STEP_INDEX]") for line in said)
    assert any('edge "edge-0-1"' in line and line.endswith("[PLAN_DANGLING_EDGE]") for line in said)
    assert plant.count("flow_definitions") == plant.count("flow_versions") == 0


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        ('{"nodes": [{"data": {"label": "a\\u0000"}}]}', "nodes[0].data.label: contains a NUL character"),
        ('{"nodes": [{"data": {"label": "\\ud800"}}]}', "nodes[0].data.label: contains a lone surrogate"),
        ('{"nodes": [], "zoom": NaN}', "holds NaN"),
        ("{", "not JSON"),
        ("[]", "Expected an object"),
        ('{"graph": 5, "name": "x"}', "[PLAN_MALFORMED]"),
        ("{}", "[PLAN_EMPTY]"),
    ],
)
def test_a_file_that_cannot_be_kept_is_refused(
    command_line: CommandLine, plant: Plant, content: str, expected: str
) -> None:
    assert expected in command_line.refused("flow", "import", written(content), "--as", "admin@plant")
    assert plant.count("flow_definitions") == 0


def test_a_file_that_cannot_be_read_is_refused(command_line: CommandLine) -> None:
    assert "No such file" in command_line.refused("flow", "import", "gone.json", "--as", "admin@plant")
    assert "Is a directory" in command_line.refused("flow", "import", ".", "--as", "admin@plant")


def test_a_file_or_the_canonical_flow(command_line: CommandLine) -> None:
    assert command_line.run("flow", "import", "--as", "admin@plant").exit_code == 2
    assert command_line.run("flow", "import", "x.json", "--canonical", "--as", "admin@plant").exit_code == 2


@pytest.mark.parametrize(
    ("who", "publish", "code"),
    [
        ("nobody@plant", False, "UNKNOWN_USER"),
        ("nob\x07dy@plant", False, "UNKNOWN_USER"),
        ("viewer@plant", False, "ROLE_NOT_ALLOWED"),
        ("operator@plant", True, "ROLE_NOT_ALLOWED"),
        ("auditor@plant", True, "ROLE_NOT_ALLOWED"),
    ],
)
def test_who_may_not_is_told_so(command_line: CommandLine, plant: Plant, who: str, publish: bool, code: str) -> None:
    options = ["--publish"] if publish else []
    said = command_line.refused("flow", "import", "--canonical", *options, "--as", who)
    assert said.startswith(f"runworker: {code}: ")
    assert plant.count("flow_versions") == 0


def test_a_name_that_two_flows_share_is_not_guessed_at(command_line: CommandLine, plant: Plant) -> None:
    for _ in range(2):
        plant.sql("INSERT INTO flow_definitions (name) VALUES (CAST(:name AS jsonb))", name=json.dumps(NAME))
    file = written({"name": NAME, "graph": linear_graph((0, 10))})
    assert "2 flows have this name" in command_line.refused("flow", "import", file, "--as", "admin@plant")


def test_imports_at_once_number_their_versions_one_after_the_other(plant: Plant) -> None:
    database = create_engine(plant.url)
    together = threading.Barrier(4)
    numbers: list[int] = []

    def work() -> None:
        together.wait()
        with Session(database) as session, session.begin():
            file = FlowFile(NAME, None, linear_graph((0, 10)))
            numbers.append(import_flow(session, file, email="admin@plant", publish=True).version_num)

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    database.dispose()
    assert sorted(numbers) == [1, 2, 3, 4]
    assert versions(plant) == [(1, "DEPRECATED"), (2, "DEPRECATED"), (3, "DEPRECATED"), (4, "PUBLISHED")]


def test_a_version_that_somebody_else_moved_is_not_moved_again(plant: Plant) -> None:
    version = plant.version()
    database = create_engine(plant.url)
    with Session(database) as session, pytest.raises(Rejected, match="no longer REVIEW"):
        flows._move(session, version, FlowVersionStatus.REVIEW, FlowVersionStatus.PUBLISHED)
    with database.begin() as connection:
        assert connection.execute(text("SELECT status FROM flow_versions")).scalar_one() == "PUBLISHED"
    database.dispose()


def test_as_a_process(command_line: CommandLine, plant: Plant) -> None:
    done = command_line.finished("flow", "import", "--canonical", "--publish", "--as", "admin@plant", "--json")
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["version_num"] == 1
