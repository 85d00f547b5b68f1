"""Writing rows: one statement for many, and an UPDATE that names the state each row comes from."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final

from sqlalchemy import Connection, Table, Text, Update, insert, select, update
from sqlalchemy.sql.dml import Insert

from runworker.engine.sql.arrays import RowParameters

Row = tuple[Any, ...]

FROM_STATUS: Final = "from_status"
"""Name of a value that rows carry beside their columns: the state that a row is in before the statement."""


class TableWrite:
    """A statement that writes rows of one table: for each row a value for every column of `parameters`, in order."""

    def __init__(self, statement: Insert | Update, parameters: RowParameters) -> None:
        self._statement = statement
        self._parameters = parameters

    def execute(self, connection: Connection, rows: Sequence[Row]) -> None:
        """Write the rows, if there are any.

        Raises RuntimeError unless every row to be changed was still in the state that it was read in.
        """
        if not rows:
            return
        result = connection.execute(self._statement, self._parameters.parameters(rows))
        if isinstance(self._statement, Update) and result.rowcount != len(rows):
            raise RuntimeError(f"{result.rowcount} of {len(rows)} locked rows were in the state they were read in")


def insert_rows(table: Table, columns: Sequence[str]) -> TableWrite:
    """Insert rows of these columns."""
    parameters = _parameters(table, columns)
    values = _own(parameters, columns)
    statement = insert(table).from_select(list(values), select(*values.values()), include_defaults=False)
    return TableWrite(statement, parameters)


def update_rows(table: Table, columns: Sequence[str], identity: Iterable[str], changed: Iterable[str]) -> TableWrite:
    """Change the columns `changed`, state and command of the rows that `identity` finds."""
    parameters = _parameters(table, columns)
    statement = (
        update(table)
        .where(
            *(table.c[name] == parameters.c[name] for name in identity),
            # Not `=`: on tables without statistics PostgreSQL would look up all rows of that state for each.
            table.c.status.is_not_distinct_from(parameters.c[FROM_STATUS]),
        )
        .values({name: parameters.c[name] for name in (*changed, "status", "command_key")})
    )
    return TableWrite(statement, parameters)


def _parameters(table: Table, columns: Sequence[str]) -> RowParameters:
    return RowParameters(**{name: Text() if name == FROM_STATUS else table.c[name].type for name in columns})


def _own(parameters: RowParameters, columns: Sequence[str]) -> Mapping[str, Any]:
    return {name: parameters.c[name] for name in columns if name != FROM_STATUS}
