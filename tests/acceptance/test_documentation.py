"""The examples of README.md and docs/ do what they say, on a real worker."""

import subprocess
import sys
from pathlib import Path

import pytest
from sqlalchemy import create_engine, text
from tests.command_line import CommandLine
from tests.crew import Crew, eventually
from tests.plant import Plant
from tests.unit.documents import DOCS, ROOT, blocks

from runworker.states import UserRole

EXAMPLES = [
    pytest.param(example, id=f"{page.name}-{number}")
    for page in (ROOT / "README.md", DOCS / "messages.md")
    for number, example in enumerate(blocks(page.read_text(), "python"))
]


@pytest.mark.parametrize("example", EXAMPLES)
def test_python_example(example: str, crew: Crew) -> None:
    """In a process of its own, as a sender is, so that its Celery application stays out of ours."""
    names = {
        "broker_url": crew.broker_url,
        "manager": str(crew.plant.user(UserRole.MANAGER)),
        "flow_version_id": str(crew.plant.version(range(11))),
        "owner_url": crew.plant.url,
    }
    crew.hire()
    given = "".join(f"{name} = {value!r}\n" for name, value in names.items())

    ran = subprocess.run(
        [sys.executable, "-W", "error", "-c", given + example], capture_output=True, text=True, timeout=180, check=False
    )

    assert ran.returncode == 0, ran.stderr
    one_run = lambda: crew.plant.count("production_runs", "status IN ('RUNNING', 'HOLD')") == 1  # noqa: E731
    eventually(one_run, "the example's run")


@pytest.mark.parametrize("statement", blocks((DOCS / "messages.md").read_text(), "sql"), ids=["function", "insert"])
def test_command_by_sql(crew: Crew, statement: str) -> None:
    crew.hire()
    plant = crew.plant
    values = {"manager": str(plant.user(UserRole.MANAGER)), "flow_version_id": str(plant.version())}
    database = create_engine(plant.url)
    with database.begin() as connection:
        key = connection.execute(text(statement), values).scalar_one()
    database.dispose()

    eventually(lambda: plant.ledger(key).status == "APPLIED", "a worker takes the command in")

    assert plant.run(key)[0] == "RUNNING"


def test_shell_examples_of_the_readme(plant: Plant, broker_url: str, tmp_path: Path) -> None:
    """In their order, but for those that bring servers of their own."""
    command_line = CommandLine(tmp_path, database_url=plant.url, broker_url=broker_url)
    lines = [
        line.removeprefix("$ ./uv run runworker ")
        for block in blocks((ROOT / "README.md").read_text(), "console")
        for line in block.splitlines()
        if line.startswith("$ ./uv run runworker ")
    ]
    tried = [line.split() for line in lines if line.split()[0] not in ("demo", "up")]
    assert tried
    for arguments in tried:
        ran = command_line.finished(*arguments)
        assert ran.returncode == 0, ran.stderr
