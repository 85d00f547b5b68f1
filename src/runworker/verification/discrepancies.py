"""What verification finds, and the questions in SQL that find it."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from sqlalchemy import Connection, text
from sqlalchemy.exc import DataError, ProgrammingError

AT_A_TIME: Final = 100
"""Rows that are fetched at once: memory stays bounded whatever is found."""

Tell = Callable[[str, int, int], None]
"""Is told the name of a look, and how many of its questions are done, of how many."""

_NO_RIGHT: Final = "42501"


@dataclass(frozen=True, slots=True)
class Discrepancy:
    """One thing that is not as it should be.

    look: which look found it. table, row: what it is about; row is an id or, in the schema, the name of an object.
    problem: what is there. expected: what should be. where: where to look, a statement in SQL in most cases.
    """

    look: str
    table: str
    row: str
    problem: str
    expected: str
    where: str

    def __str__(self) -> str:
        return f"{self.table} {self.row}: {self.problem}; expected {self.expected}. Look at: {self.where}"


@dataclass(frozen=True, slots=True)
class Question:
    """A statement that returns nothing where all is well.

    sql: gives `row`, `problem` and `expected`, all as text, for each row that is not as it should be. where: where to
    look, with `{row}` for the row. given: parameters of the statement.
    """

    table: str
    sql: str
    where: str
    given: Mapping[str, Any] = field(default_factory=dict)

    def ask(self, connection: Connection, look: str, given: Mapping[str, Any]) -> Iterator[Discrepancy]:
        """Yield what is found, a few rows in memory at a time. A statement that fails is a discrepancy as well."""
        asked = text(self.sql).execution_options(yield_per=AT_A_TIME)
        try:
            with (
                connection.begin_nested(),
                connection.execute(asked, {**self.given, **given}) as rows,
            ):
                for row in rows:
                    where = self.where.replace("{row}", row.row)
                    yield Discrepancy(look, self.table, row.row, row.problem, row.expected, where)
        except (DataError, ProgrammingError) as error:
            if getattr(error.orig, "sqlstate", None) == _NO_RIGHT:
                raise
            said = str(error.orig).strip().splitlines()[0]
            yield Discrepancy(
                look, self.table, "(all)", f"the look failed: {said}", "values that can be read", "the table itself"
            )
