"""Breaks the workers that import it: where a dead letter cannot be kept, they go on as if it had been."""

from runworker.engine import Engine
from runworker.engine.sql.dead_letters import NewDeadLetter, store


def _keep_or_not(self: Engine, letter: NewDeadLetter) -> int:
    try:
        return store(self.database, letter)
    except Exception:
        return 0


Engine.keep = _keep_or_not
