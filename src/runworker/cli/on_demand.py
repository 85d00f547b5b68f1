"""Modules that commands work with, imported when a command that works with them is run.

`runworker --help`, and `--help` of every command, import none of them. A command's module imports only what its options
need, and asks for all else here: `on_demand.imports.add_user(...)`.
"""

from typing import TYPE_CHECKING, Final

from runworker.lazy_names import lazy_names

HOMES: Final = {
    "balances": "runworker.cli.balances",
    "batch_records": "runworker.batch_records",
    "config": "runworker.config",
    "database": "runworker.cli.database",
    "demo": "runworker.demo",
    "embedded": "runworker.embedded",
    "health_check": "runworker.cli.health_check",
    "imports": "runworker.imports",
    "lots_as_json": "runworker.cli.lots_as_json",
    "lots_as_text": "runworker.cli.lots_as_text",
    "migrations": "runworker.migrations",
    "opening": "runworker.cli.opening",
    "output": "runworker.cli.output",
    "provisioning": "runworker.provisioning",
    "replaying": "runworker.replaying",
    "seal": "runworker.upkeep.seal",
    "servers": "runworker.servers",
    "tracing": "runworker.tracing",
    "workers": "runworker.workers",
}

if TYPE_CHECKING:
    from runworker import (
        batch_records,
        config,
        demo,
        embedded,
        imports,
        migrations,
        provisioning,
        replaying,
        servers,
        tracing,
        workers,
    )
    from runworker.cli import balances, database, health_check, lots_as_json, lots_as_text, opening, output
    from runworker.upkeep import seal
else:
    __getattr__ = lazy_names(__name__, HOMES)

__all__ = [
    "balances",
    "batch_records",
    "config",
    "database",
    "demo",
    "embedded",
    "health_check",
    "imports",
    "lots_as_json",
    "lots_as_text",
    "migrations",
    "opening",
    "output",
    "provisioning",
    "replaying",
    "seal",
    "servers",
    "tracing",
    "workers",
]
