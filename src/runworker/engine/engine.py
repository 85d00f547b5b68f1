"""The engine's door: `Engine.apply` for commands that come, `Engine.found` for those that the ledger has.

Around the transaction of a batch three things are done: while the server fails, the batch is tried again with backoff
and jitter, and verdicts that were decided late are told (`engine.transactions`); what fails is taken apart until the
bad command stands alone (`engine.splitting`).
"""

from collections.abc import Mapping, Sequence
from uuid import UUID

from sqlalchemy import Connection

from runworker.commands import Command
from runworker.config import Settings
from runworker.engine.asked import Asked
from runworker.engine.found import Found
from runworker.engine.splitting import Splitter
from runworker.engine.sql import ledger
from runworker.engine.sql.dead_letters import NewDeadLetter
from runworker.engine.transactions import LateVerdicts, Transactions
from runworker.states import CommandStatus
from runworker.verdicts import Verdict


def _tell_nobody(_verdicts: Mapping[str, Verdict]) -> None:
    return


class Engine:
    """Applies commands to one database. Safe to share between threads; not between processes.

    tell_late: given verdicts by task id of commands that had been answered WAITING, after their commit. found: judges
    what the ledger has. database: the pool of connections.
    """

    def __init__(self, settings: Settings, tell_late: LateVerdicts = _tell_nobody) -> None:
        self._transactions = Transactions(settings, tell_late)
        self._splitter = Splitter(self._transactions)
        self.found = Found(self._transactions, self._splitter, settings)
        self.database = self._transactions.database

    def close(self) -> None:
        """Close all connections."""
        self._transactions.close()

    def apply(self, commands: Sequence[Command], task_ids: Mapping[UUID, str] | None = None) -> list[Verdict]:
        """Apply commands, in order where order matters, and return a verdict for each.

        task_ids: Celery task ids by idempotency key, kept so that a late verdict finds its result.
        Raises Unavailable when PostgreSQL stays away for `retry_seconds`; the transaction that failed wrote nothing.
        Raises Blocked, with the verdicts of the others, where something stands in the way of some commands.
        """
        asked = Asked(list(commands), task_ids or {})
        self._splitter.apply(asked)
        return asked.told()

    def keep(self, letter: NewDeadLetter) -> int:
        """Put an unreadable message into dead_letters. Returns its id.

        Raises Unavailable as `apply` does, and Blocked where something stands in the way of this letter alone: the same
        message came before, and somebody holds its row. The caller puts the message back: it would be lost with a
        letter that is not kept.
        """
        return self._splitter.keep(letter)

    def verdicts(self, keys: Sequence[UUID]) -> dict[UUID, Verdict]:
        """Stored verdicts by key; keys that are unknown or not judged yet are absent."""

        def read(connection: Connection) -> dict[UUID, Verdict]:
            rows = ledger.peek(connection, keys)
            return {row.idempotency_key: row.told for row in rows if row.status is not CommandStatus.QUEUED}

        return self._transactions.run(read)
