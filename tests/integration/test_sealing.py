"""The seals of the audit trail: made over what is settled, and broken by every change of it."""

import hashlib
import json
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from uuid import uuid4

import pytest
from sqlalchemy import Connection, Engine, create_engine, text
from structlog.testing import capture_logs

from runworker.upkeep import seal as sealing
from runworker.upkeep.seal import Verification, seal, verify
from runworker.upkeep.settled import last_settled_id

EVENT = text("""
    INSERT INTO audit_events (entity, entity_id, operation, after, db_user, xact_id)
    VALUES ('lots', :entity_id, 'INSERT', '{"weight_kg": 12.50, "code": "Ő-1"}', current_user,
            pg_current_xact_id()::text::bigint)
""")

LINES = """
    SELECT jsonb_build_array(
        id, to_char(at AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"'), entity, entity_id, operation,
        before::text, after::text, command_key, command, actor, db_user, xact_id)::text
    FROM audit_events ORDER BY id
"""


@pytest.fixture
def database(database_url: str) -> Iterator[Engine]:
    """The migrated database as its owner; nobody else works in it."""
    engine = create_engine(database_url)
    yield engine
    engine.dispose()


def add_events(connection: Connection, count: int = 1) -> None:
    for _ in range(count):
        connection.execute(EVENT, {"entity_id": uuid4()})


def sealed(database: Engine, *counts: int) -> None:
    """Seals over so many events each."""
    for count in counts:
        with database.begin() as connection:
            add_events(connection, count)
        assert seal(database) == count


@contextmanager
def unguarded(database: Engine, table: str) -> Iterator[Connection]:
    """What the owner of the tables can do and nobody else: change what is never to change."""
    with database.begin() as connection:
        connection.execute(text(f"ALTER TABLE {table} DISABLE TRIGGER USER"))
        yield connection
        connection.execute(text(f"ALTER TABLE {table} ENABLE TRIGGER USER"))


def test_nothing_to_seal_makes_no_seal(database: Engine) -> None:
    assert seal(database) == 0
    assert verify(database) == Verification(seals=0, events=0, unsealed=0, head=None, broken=None)


def test_each_seal_covers_what_came_since_the_one_before(database: Engine) -> None:
    sealed(database, 3, 2)
    assert seal(database) == 0
    with database.begin() as connection:
        add_events(connection)
    found = verify(database)
    assert (found.seals, found.events, found.unsealed, found.broken) == (2, 5, 1, None)
    with database.connect() as connection:
        rows = connection.execute(text("SELECT * FROM audit_seals ORDER BY id")).all()
    assert [(row.events, row.last_event_id - row.first_event_id + 1) for row in rows] == [(3, 3), (2, 2)]
    assert rows[0].previous_sha256 == bytes(32)
    assert rows[1].previous_sha256 == rows[0].sha256
    assert rows[1].sha256.hex() == found.head


def test_a_seal_is_bounded(database: Engine, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sealing, "MOST_EVENTS", 3)
    with database.begin() as connection:
        add_events(connection, 7)
    assert [seal(database) for _ in range(4)] == [3, 3, 1, 0]
    assert verify(database).broken is None


def test_the_hash_can_be_recomputed_without_runworker(database: Engine) -> None:
    """As the module documents it: with the text that PostgreSQL prints, and sha256 from anywhere."""
    sealed(database, 2)
    row = text("""
        SELECT *, to_char(sealed_at AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"') AS instant FROM audit_seals
    """)
    with database.connect() as connection:
        found = connection.execute(row).one()
        events = connection.execute(text(LINES)).scalars().all()
    described = json.dumps(["runworker.audit_seal.1", found.first_event_id, found.last_event_id, 2, found.instant])
    expected = hashlib.sha256(bytes(32) + "".join(f"{line}\n" for line in [described, *events]).encode())
    assert found.sha256 == expected.digest()
    assert "12.50" in events[0]


def test_events_of_a_transaction_under_way_are_waited_for(database: Engine) -> None:
    """The later event is committed while an earlier id is not: sealing it alone would break the seal afterwards."""
    with database.connect() as slow:
        add_events(slow)
        with database.begin() as quick:
            add_events(quick)
        assert seal(database, patience=0.2) == 0
        slow.commit()
    assert seal(database) == 2
    assert verify(database).broken is None


def test_sealing_goes_on_as_soon_as_the_transaction_ends(database: Engine) -> None:
    with database.connect() as slow:
        add_events(slow)
        with database.begin() as quick:
            add_events(quick)
        ending = threading.Timer(0.3, slow.rollback)
        ending.start()
        assert seal(database, patience=30) == 1
        ending.join()
    assert verify(database).broken is None


def test_a_transaction_that_only_began_later_is_not_waited_for(database: Engine) -> None:
    with database.begin() as connection:
        add_events(connection, 2)
    drawn = last_settled_id(database, 1.0)
    with database.connect() as later:
        add_events(later)
        assert last_settled_id(database, 0.2) is None, "its event has an id, and is not there to be seen"
        later.rollback()
    assert last_settled_id(database, 1.0) == drawn


def test_nobody_is_waited_for_who_has_written_no_event(database: Engine, empty_database_url: str) -> None:
    """Not who only draws a transaction id, nor who works in another database."""
    with database.begin() as connection:
        add_events(connection)
    elsewhere = create_engine(empty_database_url)
    with elsewhere.connect() as other, database.connect() as here:
        for connection in (other, here):
            connection.execute(text("SELECT pg_current_xact_id()"))
        other.execute(text("CREATE TABLE audit_events ()"))
        other.execute(text("INSERT INTO audit_events DEFAULT VALUES"))
        here.execute(text("SELECT FROM audit_events"))
        assert seal(database, patience=0) == 1
    elsewhere.dispose()


def test_whom_sealing_waits_for_is_told(database: Engine) -> None:
    with database.connect() as slow, capture_logs() as logs:
        slow.execute(text("SET application_name = 'slow'"))
        add_events(slow)
        pid = slow.execute(text("SELECT pg_backend_pid()")).scalar_one()
        with database.begin() as quick:
            add_events(quick)
        assert seal(database, patience=0.1) == 0
    [said] = [log for log in logs if log["event"] == "seal.postponed"]
    [waits_for] = said["waits_for"]
    assert (waits_for["pid"], waits_for["application"], "since" in waits_for) == (pid, "slow", True)


def test_a_seal_is_bounded_by_bytes(database: Engine, monkeypatch: pytest.MonkeyPatch) -> None:
    with database.begin() as connection:
        add_events(connection, 6)
        size = len(connection.execute(text(LINES)).scalars().first().encode())
    monkeypatch.setattr(sealing, "MOST_BYTES", 2 * size - 10)
    assert [seal(database) for _ in range(4)] == [2, 2, 2, 0]
    monkeypatch.setattr(sealing, "MOST_BYTES", 1)
    with database.begin() as connection:
        add_events(connection, 2)
    assert [seal(database) for _ in range(3)] == [1, 1, 0], "one larger than that is sealed alone"
    assert verify(database).broken is None


def test_sealers_at_once_do_not_fork_the_chain(database: Engine, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sealing, "MOST_EVENTS", 5)
    with database.begin() as connection:
        add_events(connection, 40)
    together = threading.Barrier(4)
    counts: list[int] = []

    def work() -> None:
        together.wait()
        while count := seal(database):
            counts.append(count)

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sum(counts) == 40
    found = verify(database)
    assert (found.events, found.unsealed, found.broken) == (40, 0, None)


EVENTS, SEALS = "audit_events", "audit_seals"
TAMPERING = {
    "event changed": (EVENTS, "SET db_user = 'nobody'", "hash does not fit"),
    "event given a digit": (EVENTS, """SET after = '{"weight_kg": 12.500, "code": "Ő-1"}'""", "hash does not fit"),
    "event given a null": (EVENTS, "SET before = 'null'", "hash does not fit"),
    "event moved in time": (EVENTS, "SET at = at + interval '1 microsecond'", "hash does not fit"),
    "event moved for ever": (EVENTS, "SET at = '-infinity'", "hash does not fit"),
    "event exchanged": (EVENTS, "SET entity_id = gen_random_uuid(), after = NULL", "hash does not fit"),
    "event deleted": (EVENTS, None, "made over 2 events, and there are fewer"),
    "seal given a hash": (SEALS, "SET sha256 = sha256('x')", "hash does not fit"),
    "seal moved in time": (SEALS, "SET sealed_at = sealed_at - interval '1 day'", "hash does not fit"),
    "seal moved for ever": (SEALS, "SET sealed_at = 'infinity'", "hash does not fit"),
    "seal grown": (SEALS, "SET last_event_id = last_event_id + 100", "made over 2 events, and there are more"),
    "seal turned round": (SEALS, "SET last_event_id = 0", "covers event 0, which the seal before it covers"),
    "seal given a count": (SEALS, "SET events = 1000000000", "made over 1000000000 events, and there are fewer"),
    "seal given a start": (SEALS, "SET first_event_id = first_event_id + 1", "hash does not fit"),
    "seal given a link": (SEALS, "SET previous_sha256 = sha256('x')", "does not follow the seal before it"),
}


@pytest.mark.parametrize("name", TAMPERING)
def test_tampering_is_found_at_the_seal_it_breaks(database: Engine, name: str) -> None:
    table, change, reason = TAMPERING[name]
    sealed(database, 2, 2, 2)
    with database.connect() as connection:
        second = connection.execute(text("SELECT * FROM audit_seals ORDER BY id LIMIT 1 OFFSET 1")).one()
    row = second.id if table == SEALS else second.first_event_id
    with unguarded(database, table) as connection:
        statement = f"UPDATE {table} {change} WHERE id = :id" if change else f"DELETE FROM {table} WHERE id = :id"  # noqa: S608 - words of the table above
        connection.execute(text(statement), {"id": row})
    found = verify(database)
    assert (found.seals, found.events) == (1, 2)
    assert found.broken is not None
    assert found.broken.seal_id == second.id
    assert reason in found.broken.reason


def test_an_event_put_into_a_gap_of_a_sealed_range_is_found(database: Engine) -> None:
    with database.connect() as connection:
        add_events(connection)
        connection.rollback()  # its id is never given out again
    sealed(database, 2)
    with database.begin() as connection:
        connection.execute(
            text("""
                INSERT INTO audit_events (id, entity, entity_id, operation, db_user, xact_id) OVERRIDING SYSTEM VALUE
                SELECT min(id) - 1, 'lots', gen_random_uuid(), 'INSERT', 'postgres', 1 FROM audit_events
            """)
        )
    found = verify(database)
    assert found.broken is not None
    assert "are more" in found.broken.reason


@pytest.mark.parametrize("seal_number", [0, 1])
def test_a_removed_seal_is_found(database: Engine, seal_number: int) -> None:
    sealed(database, 2, 2, 2)
    with unguarded(database, "audit_seals") as connection:
        connection.execute(
            text("DELETE FROM audit_seals WHERE id = (SELECT id FROM audit_seals ORDER BY id LIMIT 1 OFFSET :number)"),
            {"number": seal_number},
        )
    found = verify(database)
    assert found.seals == seal_number
    assert found.broken is not None
    assert "does not follow the seal before it" in found.broken.reason


def test_a_change_before_it_is_sealed_is_the_triggers_matter(database: Engine) -> None:
    sealed(database, 1)
    before = verify(database).head
    with database.begin() as connection:
        add_events(connection)
    assert verify(database).head == before


def test_the_worker_may_seal(worker_database_url: str, database: Engine) -> None:
    with database.begin() as connection:
        add_events(connection, 2)
    worker = create_engine(worker_database_url)
    try:
        assert seal(worker) == 2
        assert verify(worker).seals == 1
    finally:
        worker.dispose()


def race(database: Engine, stop: threading.Event, fail: Callable[[BaseException], None]) -> None:
    try:
        while not stop.is_set():
            with database.begin() as connection:
                add_events(connection, 3)
    except BaseException as error:
        fail(error)


def test_sealing_while_others_write_never_breaks_the_chain(database: Engine) -> None:
    stop = threading.Event()
    failures: list[BaseException] = []
    writers = [threading.Thread(target=race, args=(database, stop, failures.append)) for _ in range(3)]
    for writer in writers:
        writer.start()
    made = [seal(database) for _ in range(15)]
    stop.set()
    for writer in writers:
        writer.join()
    assert not failures
    while seal(database):
        pass
    found = verify(database)
    assert (found.unsealed, found.broken) == (0, None)
    assert found.events >= sum(made) > 0
