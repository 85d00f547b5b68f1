"""Stored commands that are due, QUEUED by an upstream or WAITING for too long: found, claimed and judged.

Several workers share them: each judges what it has claimed, and passes over what others have, or are at work on. A
command that ends its processes is judged alone, and in the end refused (`engine.sql.claims`).
"""

from collections.abc import Collection, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta
from threading import Semaphore
from typing import Final
from uuid import UUID

import structlog
from sqlalchemy import Connection, func, select
from sqlalchemy.exc import DBAPIError

from runworker.codes import Code
from runworker.config import Settings
from runworker.engine.splitting import Splitter
from runworker.engine.sql import claims, ledger
from runworker.engine.sql.claims import Due, Suspect
from runworker.engine.sql.dead_letters import NewDeadLetter, body_of_stored
from runworker.engine.sql.ledger import LedgerWrite
from runworker.engine.transactions import Transactions
from runworker.errors import Blocked
from runworker.states import DECIDED_COMMANDS, CommandStatus
from runworker.verdicts import Verdict

_log = structlog.get_logger(__name__)

_LOOKERS: Final = 2
"""Threads of a worker that judge what is found: one is told of queued commands, the other does upkeep."""


@dataclass(frozen=True, slots=True)
class Judged:
    """What became of stored commands. left: keys of those that are as they were, and still claimed."""

    judged: int
    left: set[UUID]


class Found:
    """Judges stored commands. Each method raises Unavailable as `Engine.apply` does."""

    def __init__(self, transactions: Transactions, splitter: Splitter, settings: Settings) -> None:
        self._transactions = transactions
        self._splitter = splitter
        self._quarantine_after = settings.quarantine_after
        # A living process has judged a command by then, or given up, whatever the command meets.
        self._longest = timedelta(seconds=settings.statement_timeout_seconds + 2 * settings.retry_seconds)
        self._room = Semaphore(_LOOKERS)
        self._outlived: set[UUID] = set()

    def judge(self, due: Due, most: int, *, expire: datetime | None = None) -> Judged:
        """Claim the first `most` commands that are due, and judge them in one transaction.

        Those that another batch is at work on, or on what they are about, are left, and their claims stay. expire:
        commands whose time was up by then become EXPIRED.
        """
        with self._room:
            self._release_outlived()
            keys = self._transactions.run(lambda connection: claims.claim(connection, due, most, seen_until=expire))
            with self._outliving(keys):
                left = self._splitter.judge(keys, expire=expire, share=True) if keys else set()
            self.release(set(keys) - left)
        return Judged(len(keys) - len(left), left)

    def judge_left(self, keys: Sequence[UUID]) -> int:
        """Judge commands that were left, whose claims stay. Waits for other batches at work on what they are about.

        Returns how many were judged: what meets something in its way is left once more, and so is a command whose fault
        cannot even be kept.
        """
        with self._room, self._outliving(keys):
            return len(keys) - len(self._splitter.judge(keys, expire=None))

    def release(self, keys: Collection[UUID]) -> None:
        """Take claims back."""
        if keys:
            self._transactions.run(lambda connection: claims.release(connection, keys))

    def judge_suspect(self, due: Due, *, expire: datetime | None = None) -> bool:
        """Judge one command that a process died with, while no other thread of this one judges what it found.

        Returns whether there was one. One that has ended as many processes as it may is kept in dead_letters and
        refused.
        """
        with self._room, self._room:
            self._release_outlived()
            suspect = self._transactions.run(
                lambda connection: claims.claim_suspect(connection, due, self._longest, seen_until=expire)
            )
            if suspect is None:
                return False
            if suspect.deaths >= self._quarantine_after:
                is_left = not self._quarantine(suspect)
            else:
                with self._outliving([suspect.key]):
                    is_left = bool(self._splitter.judge([suspect.key], expire=expire))
            if is_left and suspect.deaths:
                self._transactions.run(lambda connection: claims.put_off(connection, suspect.key))
            else:
                self.release([suspect.key])
        return True

    @contextmanager
    def _outliving(self, keys: Collection[UUID]) -> Iterator[None]:
        """Whatever is raised here, this process lives: its claims must not lapse, and make it one that died."""
        try:
            yield
        except Exception:
            self._outlived.update(keys)
            raise

    def _release_outlived(self) -> None:
        keys = set(self._outlived)
        self.release(keys)
        self._outlived -= keys

    def _quarantine(self, suspect: Suspect) -> bool:
        """Keep a letter that names the command, and refuse it. Nobody reads its payload, which may be the poison.

        Returns whether nothing stood in the way of that.
        """
        key = suspect.key
        reason = f"its handling ended {suspect.deaths} processes of workers"
        letter = NewDeadLetter(raw_body=body_of_stored(key), code=Code.QUARANTINED, error=reason)
        try:
            letter_id = self._splitter.keep(letter)
            late = self._transactions.run(lambda connection: _refuse(connection, key, reason, letter_id))
        except (Blocked, DBAPIError) as error:
            _log.warning("dead_letter.postponed", code=str(letter.code), task_id=None, error=str(error))
            return False
        _log.error("command.quarantined", key=str(key), dead_letter=letter_id, error=reason)
        self._transactions.tell_late(late)
        self._splitter.wake({key})
        return True


def _refuse(connection: Connection, key: UUID, reason: str, letter_id: int) -> dict[str, Verdict]:
    """Write that an undecided command is refused. Returns the verdict by the task id of a sender to be told."""
    rows = [row for row in ledger.read(connection, [key], ()) if row.status not in DECIDED_COMMANDS]
    if not rows:
        return {}
    [row] = rows
    verdict = Verdict(
        CommandStatus.REJECTED,
        row.command,
        key,
        run_id=row.run_id,
        lot_id=row.lot_id,
        code=Code.QUARANTINED,
        message=f"{reason}; once operations have mended that, send it under a new key",
        state={"dead_letter": letter_id},
    )
    now = connection.execute(select(func.now())).scalar_one()
    ledger.write(connection, (), [LedgerWrite(key, None, verdict, (), None, 0, None)], now)
    return {row.task_id: verdict} if row.task_id else {}
