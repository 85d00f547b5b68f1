"""A sender queues commands within its own transaction, whichever library it talks to PostgreSQL with."""

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any
from uuid import UUID, uuid4

import psycopg
import pytest
from sqlalchemy import create_engine, make_url, text
from sqlalchemy.orm import Session, scoped_session, sessionmaker
from tests.plant import Plant

from runworker.client import KeyReused, enqueue, enqueue_async
from runworker.codes import Code
from runworker.engine import Engine
from runworker.errors import InvalidMessage
from runworker.states import CommandStatus
from runworker.upkeep import sweep


@contextmanager
def sqlalchemy_connection(url: str) -> Iterator[Any]:
    engine = create_engine(url)
    with engine.connect() as connection:
        yield connection
    engine.dispose()


@contextmanager
def sqlalchemy_session(url: str) -> Iterator[Any]:
    engine = create_engine(url)
    with Session(engine) as session:
        yield session
    engine.dispose()


@contextmanager
def sqlalchemy_scoped_session(url: str) -> Iterator[Any]:
    engine = create_engine(url)
    session = scoped_session(sessionmaker(engine))
    yield session
    session.remove()
    engine.dispose()


@contextmanager
def psycopg_connection(url: str) -> Iterator[Any]:
    with psycopg.connect(_conninfo(url)) as connection:
        yield connection
        connection.rollback()


LIBRARIES = [sqlalchemy_connection, sqlalchemy_session, sqlalchemy_scoped_session, psycopg_connection]


def _conninfo(url: str) -> str:
    return make_url(url).set(drivername="postgresql").render_as_string(hide_password=False)


@pytest.fixture(params=LIBRARIES, ids=lambda library: library.__name__)
def upstream(request: pytest.FixtureRequest, plant: Plant) -> Iterator[Any]:
    """A sender with no more rights than a sender needs, in a transaction."""
    with request.param(plant.url) as upstream:
        role = "SET ROLE runworker_sender"
        upstream.execute(role if isinstance(upstream, psycopg.Connection) else text(role))
        yield upstream


def queued(plant: Plant) -> list[UUID]:
    return [key for (key,) in plant.sql("SELECT idempotency_key FROM commands WHERE status = 'QUEUED'")]


def test_it_is_there_with_the_sender_s_commit(plant: Plant, engine: Engine, upstream: Any) -> None:
    fields = plant.fields("start_run")
    key = fields.pop("idempotency_key")
    assert enqueue(upstream, "start_run", idempotency_key=key, **fields) == UUID(key)
    another = enqueue(upstream, "start_run", **fields)
    assert queued(plant) == []
    upstream.commit()
    assert sorted(queued(plant)) == sorted([UUID(key), another])
    assert sweep(engine) == 2
    assert {verdict.status for verdict in engine.verdicts([UUID(key), another]).values()} == {CommandStatus.APPLIED}


def test_it_is_not_there_where_the_sender_takes_back(plant: Plant, upstream: Any) -> None:
    enqueue(upstream, plant.command("start_run"))
    upstream.rollback()
    assert queued(plant) == []


def test_what_workers_could_not_read_is_refused_before_it_is_written(plant: Plant, upstream: Any) -> None:
    good = plant.command("start_run")
    with pytest.raises(InvalidMessage) as refused:
        enqueue(upstream, "start_run", issued_by=good.issued_by, speed=3)
    assert refused.value.code is Code.MISSING_FIELD
    with pytest.raises(InvalidMessage, match="its command is start_run"):
        enqueue(upstream, "runworker.start_run", **plant.fields("start_run"))
    enqueue(upstream, good)
    upstream.commit()
    assert queued(plant) == [good.idempotency_key]


def test_the_same_again_is_no_other_command(plant: Plant, engine: Engine, upstream: Any) -> None:
    sent, decided = plant.command("start_run"), plant.command("start_run", daily_target_kg="1250.50")
    engine.apply([decided])
    for command in (sent, sent, decided):
        enqueue(upstream, command)
    upstream.commit()
    assert queued(plant) == [sent.idempotency_key]


def test_a_key_of_another_command_is_refused(plant: Plant, engine: Engine, upstream: Any) -> None:
    known = plant.command("start_run")
    engine.apply([known])
    with pytest.raises(KeyReused, match=f"Key {known.idempotency_key} belongs to a start_run"):
        enqueue(
            upstream,
            "hold_run",
            **plant.fields("hold_run", **{"idempotency_key": known.idempotency_key, "run_id": uuid4()}),
        )
    upstream.rollback()
    assert plant.ledger(known.idempotency_key).status == "APPLIED"


def test_fields_of_a_command_that_has_its_own_are_a_mistake(plant: Plant, upstream: Any) -> None:
    with pytest.raises(TypeError):
        enqueue(upstream, plant.command("start_run"), source="me")


def test_what_would_write_nothing_is_refused(plant: Plant) -> None:
    fields = plant.fields("start_run")

    async def through_asyncio() -> None:
        async with await psycopg.AsyncConnection.connect(_conninfo(plant.url)) as connection:
            with pytest.raises(TypeError, match="for asyncio there are enqueue_async and run_sync"):
                enqueue(connection, "start_run", **fields)  # type: ignore[arg-type]  # the mistake in question

    asyncio.run(through_asyncio())
    with psycopg.connect(_conninfo(plant.url)) as connection:
        with pytest.raises(TypeError, match="Cursor"):
            enqueue(connection.cursor(), "start_run", **fields)  # type: ignore[arg-type]  # the mistake in question
        with pytest.raises(TypeError, match="AsyncConnection"):
            asyncio.run(enqueue_async(connection, "start_run", **fields))  # type: ignore[arg-type]  # as above
    assert queued(plant) == []


def test_for_asyncio(plant: Plant) -> None:
    fields = plant.fields("start_run")
    key = fields.pop("idempotency_key")

    async def send() -> None:
        async with await psycopg.AsyncConnection.connect(_conninfo(plant.url)) as upstream:
            await enqueue_async(upstream, "start_run", idempotency_key=key, **fields)
            await enqueue_async(upstream, "start_run", **fields)
            await upstream.commit()
            with pytest.raises(KeyReused):
                await enqueue_async(upstream, "hold_run", **plant.fields("hold_run", idempotency_key=key, run_id=key))

    asyncio.run(send())
    assert len(queued(plant)) == 2
