"""Upstreams queue commands by a function or by INSERT, and workers that listen are told once they have committed."""

from collections.abc import Iterator
from uuid import UUID, uuid4

import psycopg
import pytest
from psycopg import sql
from psycopg.types.json import Jsonb
from sqlalchemy import URL
from tests.servers import conninfo

NOTIFIES = "trg_commands_notify"
CHANNEL = "runworker_queued"
SENDER = "SET ROLE runworker_sender"
INSERT = "INSERT INTO commands (idempotency_key, command, payload) SELECT gen_random_uuid(), 'hold_run', '{}'"


@pytest.fixture
def upstream(plant_url: URL) -> Iterator[psycopg.Connection]:
    """A connection whose transactions really commit."""
    with psycopg.connect(conninfo(plant_url)) as connection:
        yield connection


@pytest.fixture
def listener(plant_url: URL) -> Iterator[psycopg.Connection]:
    with psycopg.connect(conninfo(plant_url), autocommit=True) as connection:
        connection.execute(sql.SQL("LISTEN {}").format(sql.Identifier(CHANNEL)))
        yield connection


def heard(listener: psycopg.Connection) -> int:
    """How many notifications came. What is committed has come before the answer to a later statement."""
    listener.execute("SELECT 1")
    return sum(1 for _ in listener.notifies(timeout=0))


def enqueue(connection: psycopg.Connection, key: UUID | None = None, **fields: object) -> UUID:
    return connection.execute("SELECT enqueue_command('hold_run', %s, %s)", [Jsonb(fields), key]).fetchone()[0]


def test_a_sender_needs_no_right_to_any_table(connection: psycopg.Connection) -> None:
    connection.execute(SENDER)
    key = enqueue(connection, reason="the plant's own system says so")
    connection.execute("SAVEPOINT before_the_table")
    with pytest.raises(psycopg.errors.InsufficientPrivilege):
        connection.execute("SELECT FROM commands")
    connection.execute("ROLLBACK TO before_the_table; RESET ROLE")
    found = "SELECT command, payload, status FROM commands WHERE idempotency_key = %s"
    assert connection.execute(found, [key]).fetchone() == (
        "hold_run", {"reason": "the plant's own system says so"}, "QUEUED",
    )  # fmt: skip


def test_a_new_key_is_a_uuid_in_the_order_of_time(connection: psycopg.Connection) -> None:
    keys = [enqueue(connection) for _ in range(50)]
    (now,) = connection.execute("SELECT extract(epoch FROM clock_timestamp())").fetchone()
    milliseconds = [key.int >> 80 for key in keys]
    assert milliseconds == sorted(milliseconds)
    assert float(now) - milliseconds[0] / 1000 < 60
    assert {(key.version, key.variant) for key in keys} == {(7, "specified in RFC 4122")}
    assert len({key.int & (1 << 62) - 1 for key in keys}) == 50


def test_the_same_again_is_one_command(connection: psycopg.Connection) -> None:
    key = uuid4()
    enqueue(connection, key, reason="why", source="one", issued_at="2026-01-01")
    assert enqueue(connection, key, reason="why", source="another", correlation_id="a second try") == key
    payloads = connection.execute("SELECT payload FROM commands WHERE idempotency_key = %s", [key]).fetchall()
    assert [payload["source"] for (payload,) in payloads] == ["one"]


def test_what_is_no_object_is_a_worker_s_to_refuse(connection: psycopg.Connection) -> None:
    again = ["SELECT enqueue_command('hold_run', '[1]', %s)", [uuid4()]]
    assert connection.execute(*again).fetchone() == connection.execute(*again).fetchone()


@pytest.mark.parametrize(
    ("command", "payload", "refusal"),
    [
        ("runworker.hold_run", {}, "runworker.hold_run is the name of a task, expected that of a command: hold_run"),
        ("hold_run", {"idempotency_key": str(uuid4())}, "expected as the third argument of enqueue_command"),
    ],
)
def test_what_would_mean_something_else_is_refused(
    connection: psycopg.Connection, command: str, payload: dict[str, str], refusal: str
) -> None:
    with pytest.raises(psycopg.errors.InvalidParameterValue, match=refusal):
        connection.execute("SELECT enqueue_command(%s, %s)", [command, Jsonb(payload)])


def test_many_of_one_transaction_are_one_notification(
    upstream: psycopg.Connection, listener: psycopg.Connection
) -> None:
    for _ in range(3):
        enqueue(upstream)
    upstream.execute(INSERT + " FROM generate_series(1, 100)")
    assert heard(listener) == 0
    upstream.commit()
    assert heard(listener) == 1


@pytest.mark.parametrize(
    "statement",
    [
        INSERT.replace("payload)", "payload, status, verdict, decided_at)") + ", 'APPLIED', '{}', now()",
        INSERT.replace("payload)", "payload, status, expires_at)") + ", 'WAITING', now()",
        "UPDATE commands SET deliveries = deliveries + 1 WHERE status = 'QUEUED'",
    ],
    ids=["decided", "waiting", "changed"],
)
def test_what_a_worker_writes_wakes_nobody(
    upstream: psycopg.Connection, listener: psycopg.Connection, statement: str
) -> None:
    assert upstream.execute(statement).rowcount > 0
    upstream.commit()
    assert heard(listener) == 0


def test_a_two_phase_commit_does_without(upstream: psycopg.Connection, listener: psycopg.Connection) -> None:
    """PostgreSQL prepares no transaction that notifies."""
    upstream.execute("SET LOCAL runworker.notify = 'off'")
    enqueue(upstream)
    upstream.commit()
    assert heard(listener) == 0
