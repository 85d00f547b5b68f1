"""Which database errors pass by themselves, told from what PostgreSQL and the driver raise."""

import psycopg
import pytest
from sqlalchemy.exc import DBAPIError, IntegrityError, InterfaceError, OperationalError, TimeoutError

from runworker.codes import Code
from runworker.engine.constraints import CODES_OF_CONSTRAINTS, as_rejection, is_passing


def raised(sqlstate: str, *, invalidated: bool = False) -> DBAPIError:
    """The error as SQLAlchemy raises it for this SQLSTATE."""
    return DBAPIError("SELECT 1", {}, psycopg.errors.lookup(sqlstate)("said so"), connection_invalidated=invalidated)


PASSING = {
    "08006": "connection lost",
    "08001": "connection refused",
    "40001": "serialization",
    "40P01": "deadlock",
    "53100": "disk full",
    "53200": "out of memory",
    "53300": "too many connections",
    "55P03": "lock timeout",
    "57014": "statement timeout",
    "57P01": "shut down by an administrator",
    "57P02": "crash",
    "57P03": "starting up",
    "58030": "disk error",
    "25P03": "idle in a transaction for too long",
    "25P04": "transaction timeout",
    "25006": "read-only",
    "42501": "no privilege",
    "42P01": "no table",
    "42703": "no column",
    "3F000": "no schema",
}
LASTING = {
    "22001": "text too long",
    "22P05": "untranslatable character",
    "23502": "NULL",
    "23503": "foreign key",
    "23505": "unique",
    "23514": "check",
    "42601": "syntax",
    "XX000": "internal",
}


@pytest.mark.parametrize("sqlstate", PASSING, ids=PASSING.values())
def test_errors_that_pass(sqlstate: str) -> None:
    assert is_passing(raised(sqlstate))


@pytest.mark.parametrize("sqlstate", LASTING, ids=LASTING.values())
def test_errors_that_stay(sqlstate: str) -> None:
    assert not is_passing(raised(sqlstate))


def test_a_connection_that_broke_passes_whatever_was_said_last() -> None:
    assert is_passing(raised("XX000", invalidated=True))


@pytest.mark.parametrize("kind", [OperationalError, InterfaceError])
def test_errors_without_sqlstate_pass_when_they_are_about_the_connection(kind: type[DBAPIError]) -> None:
    assert is_passing(kind("SELECT 1", {}, psycopg.OperationalError("connection refused")))


def test_errors_without_sqlstate_stay_otherwise() -> None:
    assert not is_passing(IntegrityError("INSERT", {}, psycopg.IntegrityError("no diagnosis")))


def test_a_pool_without_a_free_connection_passes() -> None:
    assert is_passing(TimeoutError("QueuePool limit"))


@pytest.mark.parametrize("error", [ValueError("ours"), ZeroDivisionError(), ConnectionError("somebody else's")])
def test_errors_that_are_not_the_databases_stay(error: Exception) -> None:
    assert not is_passing(error)


@pytest.mark.parametrize("error", [raised("23514"), raised("42601"), ValueError("ours")])
def test_an_error_that_names_no_constraint_is_no_rejection(error: Exception) -> None:
    assert as_rejection(error) is None


def test_constraints_have_codes_of_their_own() -> None:
    assert Code.STATE_CONFLICT not in CODES_OF_CONSTRAINTS.values()
