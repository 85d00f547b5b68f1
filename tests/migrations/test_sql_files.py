"""Guards and functions stand in `alembic/sql`: what a reader finds there is what the database runs."""

import re
from pathlib import Path

import psycopg
from sqlalchemy import make_url

from runworker import revisions

ALEMBIC = Path(__file__).parents[2] / "alembic"
OF_THE_PLAN = "20260124_add_flow_version_immutability_trigger"
"""The one revision that holds a function itself: it was there before `alembic/sql`, and stays as it is."""

LOCKED = re.compile(r"\block_tables\(([^)]*)\)")
MADE = re.compile(r"\bCREATE TABLE (\w+)")
NAMED = re.compile(r"""\b(create|drop)_objects\("([^"]+)"\)""")
FILES = {path.stem: path.read_text() for path in (ALEMBIC / "sql").iterdir()}
REVISIONS = {path.stem: path.read_text() for path in (ALEMBIC / "versions").glob("*.py")}

BODIES = """
    SELECT proname, prosrc FROM pg_proc
    WHERE pronamespace = 'public'::regnamespace AND proname <> 'prevent_published_flow_version_modification'
"""


def _statements(text: str) -> list[str]:
    """Without comments and bodies, in which semicolons end nothing."""
    plain = re.sub(r"--.*", "", re.sub(r"\$\$.*?\$\$", "$$", text, flags=re.DOTALL))
    return [statement.strip() for statement in plain.split(";") if statement.strip()]


def test_every_file_says_its_version() -> None:
    assert [path.name for path in (ALEMBIC / "sql").iterdir() if not re.fullmatch(r"[a-z_]+@\d+\.sql", path.name)] == []


def test_every_file_is_used() -> None:
    named = {name for text in REVISIONS.values() for _, name in NAMED.findall(text)}

    assert named == FILES.keys()


def test_what_a_revision_creates_it_drops_again() -> None:
    """In the opposite order, as the last may stand on the first."""
    opposite = {"create": "drop", "drop": "create"}
    for name, text in REVISIONS.items():
        up, down = text.split("def downgrade()")

        there, back = NAMED.findall(up), NAMED.findall(down)
        assert back == [(opposite[verb], file) for verb, file in reversed(there)], name


def test_a_revision_locks_what_it_puts_triggers_on() -> None:
    """All at once and first: who waits for one table with another one locked holds up those who want that one."""
    for name, text in REVISIONS.items():
        up = text.partition("def downgrade()")[0]
        needed = {
            found["table"] for _, file in NAMED.findall(up) for found in revisions.CREATED.finditer(FILES[file])
        } - {None, *MADE.findall(text)}
        locked = {table for tables in LOCKED.findall(up) for table in re.findall(r"\w+", tables)}

        assert needed <= locked, name


def test_no_revision_holds_a_function_itself() -> None:
    holding = {name for name, text in REVISIONS.items() if re.search(r"CREATE\b.*\b(FUNCTION|TRIGGER)\b", text)}

    assert holding == {OF_THE_PLAN}


def test_files_hold_nothing_that_would_not_be_dropped() -> None:
    for name, text in FILES.items():
        created = []
        for statement in _statements(text):
            kind = re.match(r"CREATE FUNCTION|CREATE (CONSTRAINT )?TRIGGER|REVOKE EXECUTE ON FUNCTION", statement)
            assert kind, f"{name}: {statement}"
            created += [statement] if kind[0].startswith("CREATE") else []
        assert len(created) == len(revisions.CREATED.findall(text)), name


def test_the_database_runs_what_the_newest_files_say(database_url: str) -> None:
    newest: dict[str, str] = {}
    for name, text in sorted(FILES.items(), key=lambda item: int(item[0].rpartition("@")[2])):
        newest[name.rpartition("@")[0]] = text
    written = {
        function: body
        for text in newest.values()
        for function, body in re.findall(r"^CREATE FUNCTION (\w+)\(.*?(?:AS \$\$(.*?)\$\$)?;$", text, re.M | re.S)
    }

    with psycopg.connect(make_url(database_url).set(drivername="postgresql").render_as_string(False)) as connection:
        running = dict(connection.execute(BODIES).fetchall())

    assert running == written
    assert len(running) > 40
