"""The table "Who keeps which rule" of docs/database.md says what PostgreSQL refuses by hand, and what it does not."""

import re
from pathlib import Path

import psycopg
import pytest

_DOCS = Path(__file__).parents[2] / "docs" / "database.md"
_ROW = re.compile(r"^\| (?P<rule>[^|]+) \| engine \| (?P<postgres>[^|]+) \|$", re.MULTILINE)


def _table() -> dict[str, str]:
    """What stands in the column of PostgreSQL, by rule: names of guards, or why there is none."""
    _, section = _DOCS.read_text().split("## Who keeps which rule\n")
    rows = _ROW.finditer(section.partition("\n## ")[0])
    return {row["rule"]: row["postgres"] for row in rows if row["rule"] != "rule"}


def _sections() -> dict[str, list[str]]:
    parts = re.split(r"^-- rule: (.+)$", Path(__file__).with_name("rules.sql").read_text(), flags=re.MULTILINE)
    return {
        rule: [statement for statement in sql.split(";\n") if statement.strip()]
        for rule, sql in zip(parts[1::2], parts[2::2], strict=True)
    }


TABLE = _table()
RULES = _sections()


def test_table_and_trials_have_the_same_rules() -> None:
    assert list(TABLE) == list(RULES)
    assert len(RULES) > 40


@pytest.mark.parametrize("rule", RULES)
def test_postgresql_keeps_what_the_table_says(connection: psycopg.Connection, rule: str) -> None:
    refused_by = None
    try:
        for statement in [*RULES[rule], "SET CONSTRAINTS ALL IMMEDIATE"]:
            connection.execute(statement)
    except psycopg.errors.IntegrityError as error:
        refused_by = error.diag.constraint_name

    named = re.findall(r"`(\w+)`", TABLE[rule])
    assert refused_by in named if named else refused_by is None
