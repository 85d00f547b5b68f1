"""Queueing a command within the sender's own transaction, through SQLAlchemy or psycopg."""

import json
from typing import Any, NoReturn
from uuid import UUID

import psycopg
from sqlalchemy import Connection, text
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session, scoped_session

from runworker.commands import Command, parse
from runworker.errors import KeyReused
from runworker.ids import new_id

_REUSED = "guard_commands_reused"
_TEXT = text("SELECT public.enqueue_command(:command, CAST(:payload AS jsonb), :key)")
_RAW = "SELECT public.enqueue_command(%(command)s, CAST(%(payload)s AS jsonb), %(key)s)"

Upstream = Connection | Session | scoped_session[Session] | psycopg.Connection[Any]


def enqueue(upstream: Upstream, command: Command | str, **fields: Any) -> UUID:
    """Queue a command in the transaction of `upstream`, which commits both or neither. Returns the command's key.

    command: the command, or its wire name with its fields, of which `idempotency_key` may be left out. Workers take it
    once the transaction has committed. The same command again is no other; nothing is committed here.

    Raises InvalidMessage, before anything is written, where the workers could not read the command. Raises KeyReused
    where the key is another command's, and the errors of `upstream`: its transaction has failed then.
    """
    # What is neither may take the call and write nothing: asyncio's connections return what has to be awaited first.
    if not isinstance(upstream, Connection | Session | scoped_session | psycopg.Connection):
        raise TypeError(
            f"enqueue takes a Connection or Session of SQLAlchemy or a Connection of psycopg, got {type(upstream)}; "
            "for asyncio there are enqueue_async and run_sync"
        )
    ready = _command(command, fields)
    try:
        if isinstance(upstream, psycopg.Connection):
            upstream.execute(_RAW, _parameters(ready))
        else:
            upstream.execute(_TEXT, _parameters(ready))
    except (IntegrityError, psycopg.IntegrityError) as error:
        _tell(error)
    return ready.idempotency_key


async def enqueue_async(upstream: psycopg.AsyncConnection[Any], command: Command | str, **fields: Any) -> UUID:
    """`enqueue` for psycopg's AsyncConnection. SQLAlchemy's have `run_sync`, which takes `enqueue` itself."""
    if not isinstance(upstream, psycopg.AsyncConnection):
        raise TypeError(f"enqueue_async takes an AsyncConnection of psycopg, got {type(upstream)}")
    ready = _command(command, fields)
    try:
        await upstream.execute(_RAW, _parameters(ready))
    except psycopg.IntegrityError as error:
        _tell(error)
    return ready.idempotency_key


def _command(command: Command | str, fields: dict[str, Any]) -> Command:
    if isinstance(command, Command):
        if fields:
            raise TypeError("enqueue takes the fields of a command that is given by its name")
        return command
    return parse(command, {"idempotency_key": new_id()} | fields)


def _parameters(command: Command) -> dict[str, Any]:
    return {"command": command.name, "payload": json.dumps(command.payload), "key": command.idempotency_key}


def _tell(error: IntegrityError | psycopg.IntegrityError) -> NoReturn:
    original = error.orig if isinstance(error, IntegrityError) else error
    if isinstance(original, psycopg.Error) and original.diag.constraint_name == _REUSED:
        raise KeyReused(original.diag.message_primary or "the key is another command's") from error
    raise error
