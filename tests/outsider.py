"""A session beside the engine's: it holds locks, stops an engine at a known place, and looks at who has locked what."""

import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future
from dataclasses import dataclass
from typing import Any, Final
from uuid import UUID

import psycopg
import pytest
from psycopg import sql
from sqlalchemy import make_url
from tests.plant import Plant

from runworker.commands import Command

PATIENCE: Final = 20.0
"""Seconds after which nobody is going to wait any more."""

_KEYS: Final = {"commands": "idempotency_key"}
"""Of tables whose key is not `id`."""


@dataclass(frozen=True, slots=True)
class Waiting:
    """Work whose session waits for a lock. pid: of that session."""

    pid: int
    _work: Future[Any]

    @property
    def is_done(self) -> bool:
        """Whether it waits no longer."""
        return self._work.done()

    def result(self) -> Any:
        """What the work gives, once it has got its lock."""
        return self._work.result(timeout=120)


def lock_number(id_: UUID) -> int:
    """The number of the advisory lock that stands for an id: workers of any release have to agree on it."""
    return int.from_bytes(id_.bytes[8:], signed=True)


class Outsider:
    """A raw connection whose transaction lasts until `commit` or `rollback`, and another that only looks."""

    def __init__(self, plant: Plant) -> None:
        self._plant = plant
        conninfo = make_url(plant.url).set(drivername="postgresql").render_as_string(hide_password=False)
        self._session = psycopg.connect(conninfo)
        self._watch = psycopg.connect(conninfo, autocommit=True)

    @property
    def pid(self) -> int:
        """Of the session that holds locks."""
        return self._session.info.backend_pid

    def execute(self, statement: str, *parameters: Any) -> None:
        """Run a statement and hold what it locks."""
        self._session.execute(statement.encode(), parameters)

    def hold(self, table: str, id_: UUID) -> None:
        """Lock a row against everybody."""
        statement = sql.SQL("SELECT FROM {} WHERE {} = %s FOR UPDATE").format(*_names(table))
        assert self._session.execute(statement, [id_]).rowcount == 1

    def hold_number(self, number: int) -> None:
        """Take an advisory lock."""
        self._session.execute("SELECT pg_advisory_xact_lock(%s)", [number])

    def stop_before_writing(self, command: Command) -> None:
        """Have the batch of this new command wait when it has all its locks and is about to write the ledger.

        A row with its key is inserted and not committed, so that nobody sees it and the key's index waits for it.
        """
        self.execute(
            "INSERT INTO commands (idempotency_key, command, payload) VALUES (%s, 'start_run', '{}')",
            command.idempotency_key,
        )

    def commit(self) -> None:
        """Let go of everything, and have others see what was done."""
        self._session.commit()

    def rollback(self) -> None:
        """Let go of everything, with nothing done."""
        self._session.rollback()

    def close(self) -> None:
        """End both connections, and with them what was held."""
        self._session.close()
        self._watch.close()

    def begin(self, work: Callable[[], Any], behind: Waiting | None = None) -> Waiting:
        """Begin `work` in a thread and return once it waits for a lock of this session, or of that of `behind`."""
        holder = self.pid if behind is None else behind.pid
        future = self._plant.in_background(work)
        deadline = time.monotonic() + PATIENCE
        while True:
            found = self._watch.execute(
                "SELECT pid FROM pg_stat_activity"
                " WHERE datname = current_database() AND %s = ANY(pg_blocking_pids(pid))",
                [holder],
            ).fetchone()
            if found:
                return Waiting(found[0], future)
            assert not future.done(), f"it did not wait: {future.result()}"
            assert time.monotonic() < deadline, "it neither waits nor ends"

    def locked(self, table: str, ids: Iterable[UUID], against: str = "KEY SHARE") -> list[UUID]:
        """Those of the rows that nobody could lock now in this mode, in the order in which they are given.

        KEY SHARE is refused by FOR UPDATE only, NO KEY UPDATE by FOR SHARE too.
        """
        asked = list(ids)
        name, key = _names(table)
        statement = sql.SQL("SELECT {key} FROM {name} WHERE {key} = ANY(%s) FOR {mode} SKIP LOCKED").format(
            name=name, key=key, mode=sql.SQL(against)
        )
        free = {found for (found,) in self._watch.execute(statement, [asked])}
        return [id_ for id_ in asked if id_ not in free]

    def numbers_of(self, waiting: Waiting) -> list[int]:
        """The advisory locks that a session holds, ascending. The one that it waits for is not among them."""
        found = self._watch.execute(
            "SELECT (classid::bigint << 32) | objid::bigint FROM pg_locks"
            " WHERE locktype = 'advisory' AND objsubid = 1 AND granted AND pid = %s",
            [waiting.pid],
        )
        return sorted(number for (number,) in found)


def _names(table: str) -> Sequence[sql.Identifier]:
    return sql.Identifier(table), sql.Identifier(_KEYS.get(table, "id"))


@pytest.fixture
def outsider(plant: Plant) -> Iterator[Outsider]:
    """Somebody else on the plant's database. What it holds at the end of the test, it lets go of."""
    outsider = Outsider(plant)
    yield outsider
    outsider.close()
