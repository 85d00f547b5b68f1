"""Breaks the workers that import it: they take a key that the ledger has for a new one.

Their database has to do without the primary key of the ledger, which would refuse the second row.
"""

from typing import Any

from runworker.engine.sql import ledger
from runworker.states import DECIDED_COMMANDS

_read = ledger.read


def _without_decided(*args: Any) -> list[ledger.LedgerRow]:
    return [row for row in _read(*args) if row.status not in DECIDED_COMMANDS]


ledger.read = _without_decided
