"""Modules that commands work with, imported when a command that works with them is run.

`runworker --help`, and `--help` of every command, import none of them. A command's module imports only what its options
need, and asks for all else here: `on_demand.imports.add_user(...)`.
"""

from typing import TYPE_CHECKING, Final

from runworker.lazy_names import lazy_names

HOMES: Final = {
    "balances": "runworker.cli.balances",
    "batch_records": "runworker.batch_records",
    "database": "runworker.cli.database",
    "demo_tables": "runworker.cli.demo_tables",
    "embedded": "runworker.embedded",
    "health_check": "runworker.cli.health_check",
    "imports": "runworker.imports",
    "lots_as_json": "runworker.cli.lots_as_json",
    "lots_as_text": "runworker.cli.lots_as_text",
    "migrations": "runworker.migrations",
    "opening": "runworker.cli.opening",
    "output": "runworker.cli.output",
    "progress": "runworker.cli.progress",
    "provisioning": "runworker.provisioning",
    "replaying": "runworker.replaying",
    "seal": "runworker.upkeep.seal",
    "servers": "runworker.servers",
    "signal_guard": "runworker.cli.signal_guard",
    "simulation": "runworker.simulation",
    "tracing": "runworker.tracing",
    "urls": "runworker.urls",
    "workers": "runworker.workers",
}

if TYPE_CHECKING:
    from runworker import (
        batch_records,
        embedded,
        imports,
        migrations,
        provisioning,
        replaying,
        servers,
        simulation,
        tracing,
        urls,
        workers,
    )
    from runworker.cli import (
        balances,
        database,
        demo_tables,
        health_check,
        lots_as_json,
        lots_as_text,
        opening,
        output,
        progress,
        signal_guard,
    )
    from runworker.upkeep import seal
else:
    __getattr__ = lazy_names(__name__, HOMES)

__all__ = [
    "balances",
    "batch_records",
    "database",
    "demo_tables",
    "embedded",
    "health_check",
    "imports",
    "lots_as_json",
    "lots_as_text",
    "migrations",
    "opening",
    "output",
    "progress",
    "provisioning",
    "replaying",
    "seal",
    "servers",
    "signal_guard",
    "simulation",
    "tracing",
    "urls",
    "workers",
]
