"""Looks at a database before it is migrated, for all that would stop a revision or come out otherwise than it was.

Nothing is changed: one transaction that cannot write, and locks that stand in nobody's way.
"""

from runworker.migration_check.findings import MigrationFinding
from runworker.migration_check.looking import look, refuse_what_stops

__all__ = ["MigrationFinding", "look", "refuse_what_stops"]
