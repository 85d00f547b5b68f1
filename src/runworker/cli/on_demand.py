"""Modules that commands work with, imported when a command that works with them is run.

`runworker --help`, and `--help` of every command, import none of them. A command's module imports only what its options
need, and asks for all else here: `on_demand.imports.add_user(...)`.
"""

from typing import TYPE_CHECKING, Final

from runworker.lazy_names import lazy_names

HOMES: Final = {
    "audit_archives": "runworker.upkeep.audit_archives",
    "balances": "runworker.cli.balances",
    "batch_records": "runworker.batch_records",
    "chaos": "runworker.simulation.chaos",
    "chaos_tables": "runworker.cli.chaos_tables",
    "database": "runworker.cli.database",
    "dead_letters": "runworker.dead_letters",
    "demo_tables": "runworker.cli.demo_tables",
    "doctor": "runworker.doctor",
    "embedded": "runworker.embedded",
    "health_check": "runworker.cli.health_check",
    "imports": "runworker.imports",
    "letter_report": "runworker.cli.letter_report",
    "lots_as_json": "runworker.cli.lots_as_json",
    "lots_as_text": "runworker.cli.lots_as_text",
    "migration_check": "runworker.migration_check",
    "migrations": "runworker.migrations",
    "opening": "runworker.cli.opening",
    "output": "runworker.cli.output",
    "progress": "runworker.cli.progress",
    "provisioning": "runworker.provisioning",
    "servers": "runworker.servers",
    "signal_guard": "runworker.cli.signal_guard",
    "simulation": "runworker.simulation",
    "tracing": "runworker.tracing",
    "urls": "runworker.urls",
    "verification": "runworker.verification",
    "workers": "runworker.workers",
}

if TYPE_CHECKING:
    from runworker import (
        batch_records,
        dead_letters,
        doctor,
        embedded,
        imports,
        migration_check,
        migrations,
        provisioning,
        servers,
        simulation,
        tracing,
        urls,
        verification,
        workers,
    )
    from runworker.cli import (
        balances,
        chaos_tables,
        database,
        demo_tables,
        health_check,
        letter_report,
        lots_as_json,
        lots_as_text,
        opening,
        output,
        progress,
        signal_guard,
    )
    from runworker.simulation import chaos
    from runworker.upkeep import audit_archives
else:
    __getattr__ = lazy_names(__name__, HOMES)

__all__ = [
    "audit_archives",
    "balances",
    "batch_records",
    "chaos",
    "chaos_tables",
    "database",
    "dead_letters",
    "demo_tables",
    "doctor",
    "embedded",
    "health_check",
    "imports",
    "letter_report",
    "lots_as_json",
    "lots_as_text",
    "migration_check",
    "migrations",
    "opening",
    "output",
    "progress",
    "provisioning",
    "servers",
    "signal_guard",
    "simulation",
    "tracing",
    "urls",
    "verification",
    "workers",
]
