"""What an error tells of: the command, a lock, somebody else's rule or the server, by what the driver raises."""

import psycopg
import pytest
from sqlalchemy.exc import DataError, DBAPIError, IntegrityError, InterfaceError, OperationalError, TimeoutError

from runworker.engine.constraints import Blame, as_rejection, blame, is_passing, reason, spends_connection


def raised(sqlstate: str, *, invalidated: bool = False) -> DBAPIError:
    """The error as SQLAlchemy raises it for this SQLSTATE."""
    return DBAPIError("SELECT 1", {}, psycopg.errors.lookup(sqlstate)("said so"), connection_invalidated=invalidated)


SQLSTATES = sorted(
    {
        error.sqlstate
        for error in vars(psycopg.errors).values()
        if isinstance(error, type) and issubclass(error, psycopg.Error) and error.sqlstate
    }
)
SERVER_CLASSES = {"08", "0A", "25", "26", "28", "3D", "3F", "40", "53", "57", "58"}
LOCKED = {"55P03", "57014"}
OF_THE_SERVER = {"42501", "42703", "42P01", "42P05", "2200H", "22023"}
SPENT = {"0A000", "25006", "26000", "40001", "42P05", "57P01", "57P02", "57P03", "57P04", "57P05"}


def expected(sqlstate: str) -> Blame:
    if sqlstate in LOCKED:
        return Blame.LOCK
    if sqlstate in OF_THE_SERVER or sqlstate[:2] in SERVER_CLASSES:
        return Blame.SERVER
    return Blame.COMMAND if sqlstate[:2] == "22" else Blame.OBSTACLE


@pytest.mark.parametrize("sqlstate", SQLSTATES)
def test_every_sqlstate_is_blamed_on_somebody(sqlstate: str) -> None:
    assert blame(raised(sqlstate)) is expected(sqlstate)


def test_nothing_but_data_decides() -> None:
    """A broken constraint decides by its name alone, which none of these has."""
    deciding = {sqlstate for sqlstate in SQLSTATES if not is_passing(raised(sqlstate))}
    assert {sqlstate[:2] for sqlstate in deciding} == {"22"}
    assert {"22001", "22003", "22P02", "22P05"} <= deciding


def test_a_sqlstate_that_nobody_knows_decides_nothing() -> None:
    unknown = psycopg.Error("of an extension")
    unknown.sqlstate = "ZZ001"
    assert blame(DBAPIError("SELECT 1", {}, unknown)) is Blame.OBSTACLE


def test_connections_that_are_not_used_again() -> None:
    assert {sqlstate for sqlstate in SQLSTATES if spends_connection(sqlstate)} == SPENT & set(SQLSTATES)
    assert not spends_connection(None)


def test_a_connection_that_broke_passes_whatever_was_said_last() -> None:
    assert blame(raised("XX000", invalidated=True)) is Blame.SERVER


@pytest.mark.parametrize("kind", [OperationalError, InterfaceError])
def test_errors_without_sqlstate_pass_when_they_are_about_the_connection(kind: type[DBAPIError]) -> None:
    assert blame(kind("SELECT 1", {}, psycopg.OperationalError("connection refused"))) is Blame.SERVER


@pytest.mark.parametrize("kind", [IntegrityError, DataError])
def test_errors_without_sqlstate_stay_otherwise(kind: type[DBAPIError]) -> None:
    assert not is_passing(kind("INSERT", {}, psycopg.DataError("cannot contain NUL")))


@pytest.mark.parametrize(
    "error", [TimeoutError("QueuePool limit"), ConnectionError("reset"), OSError("too many open files"), MemoryError()]
)
def test_what_the_machine_lacks_is_no_fault_of_the_command(error: Exception) -> None:
    assert blame(error) is Blame.SERVER


@pytest.mark.parametrize("error", [ValueError("ours"), ZeroDivisionError(), KeyError("ours")])
def test_faults_of_ours_stay(error: Exception) -> None:
    assert not is_passing(error)


@pytest.mark.parametrize("error", [raised("23514"), raised("42601"), ValueError("ours")])
def test_an_error_that_names_no_constraint_is_no_rejection(error: Exception) -> None:
    assert as_rejection(error) is None


def test_a_reason_is_one_line_without_the_statement() -> None:
    said = psycopg.errors.lookup("42501")("permission denied for table commands\nDETAIL: more")
    assert reason(DBAPIError("SELECT secret", {"password": "secret"}, said)) == "permission denied for table commands"
    assert reason(MemoryError()) == "MemoryError"
