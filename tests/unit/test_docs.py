"""Documents that repeat what the code says, held against the code."""

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from tests.guards.sections import SECTIONS
from tests.guards.test_legal_moves import COMMAND_MOVES
from tests.unit.documents import DOCS, PAGES, ROOT, blocks, links, rows, section
from typer.main import get_command

from runworker import states
from runworker.cli import app
from runworker.codes import OF_MESSAGES, Code
from runworker.engine.constraints import CODES_OF_CONSTRAINTS
from runworker.models import Base
from runworker.readiness.rights import ON_COLUMNS, ON_TABLES

MOVES: dict[str, Mapping[Any, frozenset[Any]]] = {
    "Flow version": states.FLOW_VERSION_MOVES,
    "Production run": states.RUN_MOVES,
    "Step of a run": states.STEP_MOVES,
    "Lot": states.LOT_MOVES,
    "Command in the ledger": COMMAND_MOVES,
}
BEGINNINGS: dict[str, set[str]] = {
    "Flow version": {"DRAFT"},
    "Production run": {"IDLE", "RUNNING"},
    "Step of a run": {"PENDING", "SKIPPED", "IN_PROGRESS", "COMPLETED"},
    "Lot": {"CREATED", "QUARANTINE"},
    "Command in the ledger": {"QUEUED", "WAITING", "APPLIED", "REJECTED"},
}


def test_every_code_is_explained() -> None:
    table = rows((DOCS / "errors.md").read_text())

    assert [row[0].strip("`") for row in table] == [code.value for code in Code]
    assert [row[1] for row in table] == [code.meaning for code in Code]
    assert all(len(row) == 4 and all(row) for row in table)


def test_codes_of_messages_have_a_section_of_their_own() -> None:
    _, _, section = (DOCS / "errors.md").read_text("utf-8").partition("## The message itself\n")
    assert [row[0].strip("`") for row in rows(section.partition("\n## ")[0])] == list(OF_MESSAGES)


@pytest.mark.parametrize("entity", MOVES)
def test_diagram_shows_the_legal_moves(entity: str) -> None:
    [diagram] = blocks(section((DOCS / "states.md").read_text(), f"## {entity}"), "mermaid")
    arrows = re.findall(r"^ {4}(\S+) --> (\w+|\[\*])", diagram, re.MULTILINE)
    moves = MOVES[entity]

    shown = {(source, target) for source, target in arrows if "[*]" not in (source, target)}
    assert shown == {(str(source), str(target)) for source, targets in moves.items() for target in targets}
    assert {target for source, target in arrows if source == "[*]"} == BEGINNINGS[entity]
    # A step that is COMPLETED can be rolled back, and what an end is, is said for the others.
    assert {source for source, target in arrows if target == "[*]"} == {
        str(state) for state, targets in moves.items() if not targets
    }


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_links_lead_somewhere(page: Path) -> None:
    for link in links(page):
        if link.startswith(("http://", "https://")):
            continue
        target, _, anchor = link.partition("#")
        found = (page.parent / target).resolve() if target else page
        assert found.exists(), link
        if anchor:
            headings = re.findall(r"^#+ (.*)$", found.read_text(), re.MULTILINE)
            assert anchor in {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_files_that_are_named_exist(page: Path) -> None:
    for name in re.findall(r"`((?:src|docs|tests|alembic|docker|\.ci)/[\w./-]+)`", page.read_text()):
        assert (ROOT / name).exists(), name


def test_index_leads_to_every_page() -> None:
    reached = {(DOCS / link).resolve() for link in links(DOCS / "index.md")}
    assert reached >= {page for page in PAGES if page.is_relative_to(DOCS) and page.name != "index.md"}


def test_decisions_are_short() -> None:
    for page in (DOCS / "decisions").glob("*.md"):
        text = page.read_text()
        assert len(text.splitlines()) <= 60, page.name
        assert "\n## " in text, f"{page.name}: say what was decided, why, and what follows"


def test_commands_that_are_named_exist() -> None:
    for page in PAGES:
        for words in re.findall(r"(?:`|\$ )(?:(?:\./)?uv run )?runworker ([^`\n]+)", page.read_text()):
            command: Any = get_command(app)
            for word in words.split():
                if word.startswith("--"):
                    known = {"--help", *(name for option in command.params for name in option.opts)}
                    assert word in known, f"runworker {words}"
                elif commands := getattr(command, "commands", {}):
                    assert word in commands, f"{page.name}: runworker {words}"
                    command = commands[word]


def test_every_rule_of_the_database_is_listed() -> None:
    listed = rows(section((DOCS / "database.md").read_text(), "## Rules"))

    assert sorted(row[0].strip("`") for row in listed) == sorted({refused.name for refused in SECTIONS})
    for name, keeps, code in listed:
        assert keeps
        assert code.strip("`") == CODES_OF_CONSTRAINTS.get(name.strip("`"), "none"), name


def test_every_table_is_listed_with_the_rights_of_the_worker() -> None:
    """A test of the database proves that these are what the migrations grant."""
    listed = rows(section((DOCS / "database.md").read_text(), "## Tables"))
    rights = {"reads": "SELECT", "adds": "SELECT INSERT", "writes": "SELECT INSERT UPDATE"}
    more = {"changes": "UPDATE", "deletes": "DELETE"}

    assert {row[0].strip("`") for row in listed} == set(Base.metadata.tables)
    for cell, _, said in listed:
        name = cell.strip("`")
        first, *others = re.findall(r"\w+", said)
        told = {*rights[first].split(), *(more[word] for word in others if word in more)}
        assert told == {*ON_TABLES.get(name, ("SELECT",)), *(["UPDATE"] if name in ON_COLUMNS else [])}, name


def test_every_log_event_is_explained() -> None:
    logged = {
        event
        for source in (ROOT / "src").rglob("*.py")
        for event in re.findall(r"\b_log\.\w+\(\s*\"([a-z_.]+)\"", source.read_text())
    }
    listed = rows(section((DOCS / "operations.md").read_text(), "## Log events"))

    assert {row[0].strip("`") for row in listed} == {event for event in logged if "." in event}


def test_every_module_has_its_line() -> None:
    modules = {path.name for path in (ROOT / "src/runworker").iterdir()} - {
        "__init__.py",
        "__pycache__",
        "data",
        "py.typed",
    }
    listed = rows(section((DOCS / "architecture.md").read_text(), "## Modules"))

    assert {name.strip("`/") for row in listed for name in row[0].split(", ")} == modules
