"""Each constraint and guard refuses, by its name, what it is there to refuse."""

import psycopg
import pytest
from tests.guards.sections import SECTIONS, Section


@pytest.mark.parametrize("section", SECTIONS, ids=str)
def test_violation_is_refused_by_name(connection: psycopg.Connection, section: Section) -> None:
    *preparation, violation = section.statements
    for statement in preparation:
        connection.execute(statement)

    with pytest.raises(psycopg.errors.IntegrityError) as refused:
        connection.execute(violation)

    assert refused.value.diag.constraint_name == section.name
    assert refused.value.diag.table_name
