"""The rights that a worker needs, and no more. The migrations grant them; a test proves that both agree."""

from collections.abc import Mapping
from typing import Final

_READS: Final = ("SELECT",)
_ADDS: Final = ("SELECT", "INSERT")
_WRITES: Final = ("SELECT", "INSERT", "UPDATE")

ON_TABLES: Final[Mapping[str, tuple[str, ...]]] = {
    "audit_events": _READS,
    "audit_seals": _ADDS,
    "code_counters": _WRITES,
    "command_claims": (*_WRITES, "DELETE"),
    "commands": _WRITES,
    "dead_letters": _ADDS,
    "flow_versions": _READS,
    "lot_genealogy": _ADDS,
    "lots": _WRITES,
    "production_runs": _WRITES,
    "qc_decisions": _ADDS,
    "run_step_executions": _WRITES,
    "users": _READS,
}
"""Rights on all columns of a table."""

ON_COLUMNS: Final[Mapping[str, tuple[str, ...]]] = {
    "dead_letters": ("code", "error", "last_seen_at", "times"),
    "flow_versions": ("command_key", "published_at", "published_by", "reviewed_by", "status"),
}
"""Columns that are changed, of tables that are not changed otherwise."""

ON_FUNCTIONS: Final = ("prune_commands(interval, integer)",)
"""Functions that are called. Those of triggers need no right."""
