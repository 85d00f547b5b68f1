"""Pruning: ledger rows forgotten once their retention has passed, a bounded chunk at a time."""

from datetime import timedelta
from typing import Final

from sqlalchemy import Engine, Integer, Interval, bindparam, text

CHUNK: Final = 1000
"""Ledger rows of one transaction at most."""

_PRUNE: Final = text("SELECT prune_commands(:older_than, :most)").bindparams(
    bindparam("older_than", type_=Interval()), bindparam("most", type_=Integer())
)


def prune_commands(database: Engine, retention: timedelta) -> int:
    """Forget the commands decided longest ago. Returns how many; fewer than CHUNK when none are left.

    Commands of a run that is not ARCHIVED stay, and so do those that somebody works on. The function in the database
    refuses a retention below 24 hours, and does the deleting: nobody but the tables' owner has the right to.
    """
    with database.begin() as connection:
        pruned: int = connection.execute(_PRUNE, {"older_than": retention, "most": CHUNK}).scalar_one()
        return pruned
