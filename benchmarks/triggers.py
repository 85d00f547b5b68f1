"""What PostgreSQL itself spends on a command, with one schema and with another, side by side.

    uv run python benchmarks/triggers.py head head:without-audit.sql

Each argument is a revision, and a file of SQL that is run on top of it where one is named. Every schema gets a database
of its own on one embedded server, and all take turns, 500 commands at a time, in batches of 100: starts, advances,
registrations of RAW lots. The ratio is the median of those to the first schema's turn just before.
CPU is that of the backends, from /proc/PID/schedstat, so that what else the machine does weighs little; wall time is
that of the engine's statements and holds the driver's share too. Medians over `--rounds`.

HOT is the share of updates that touched no index, since the start, and size that of table and indexes together.
"""

import argparse
import logging
import statistics
import time
from collections import defaultdict
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final
from uuid import UUID, uuid4

import structlog
from sqlalchemy import create_engine, event, make_url, text

from runworker.commands import Command, parse
from runworker.config import Settings
from runworker.embedded import EmbeddedServers, temporary_directory
from runworker.engine import Engine
from runworker.migrations import upgrade
from runworker.states import CommandStatus

BATCH: Final = 100
RUNS: Final = 500
STEPS: Final = range(11)

PLANT: Final = """
    INSERT INTO users (id, email, role) VALUES (md5('admin')::uuid, 'admin@plant.example', 'ADMIN');
    INSERT INTO flow_definitions (id, name) VALUES (md5('flow')::uuid, '{"en": "Flow"}');
    INSERT INTO flow_versions (id, flow_definition_id, version_num, status, graph_schema)
    SELECT md5('version')::uuid, md5('flow')::uuid, 1, 'PUBLISHED', jsonb_build_object(
        'nodes', jsonb_agg(jsonb_build_object('id', 'n' || i, 'data', jsonb_build_object('stepIndex', i), 'type',
                                              CASE i WHEN 0 THEN 'start' WHEN 10 THEN 'end' ELSE 'process' END)),
        'edges', jsonb_agg(jsonb_build_object('id', 'e' || i, 'source', 'n' || i, 'target', 'n' || i + 1))
                 FILTER (WHERE i < 10))
    FROM generate_series(0, 10) AS i;
"""
TABLES: Final = ("production_runs", "run_step_executions", "lots", "commands", "audit_events")
HOT: Final = text(
    "SELECT relname, n_tup_upd, n_tup_hot_upd, pg_total_relation_size(relid) FROM pg_stat_user_tables"
    " WHERE relname = ANY (:tables) ORDER BY relname"
)


class Schema:
    """A database at one revision, with an engine on it and what the engine has cost there."""

    def __init__(self, name: str, admin_url: str) -> None:
        self.name = name
        revision, _, file = name.partition(":")
        url = make_url(admin_url).set(drivername="postgresql+psycopg")
        database = f"bench_{uuid4().hex[:8]}"
        with create_engine(url, isolation_level="AUTOCOMMIT").connect() as connection:
            connection.exec_driver_sql(f"CREATE DATABASE {database}")
        self.owner = create_engine(url.set(database=database), isolation_level="AUTOCOMMIT")
        upgrade(url.set(database=database).render_as_string(hide_password=False), revision)
        with self.owner.connect().execution_options(no_parameters=True) as connection:
            connection.exec_driver_sql(PLANT)
            if file:
                connection.exec_driver_sql(Path(file).read_text())
            self.user, self.version = connection.exec_driver_sql(
                "SELECT md5('admin')::uuid, md5('version')::uuid"
            ).one()
        defaults = {name: field.default for name, field in Settings.model_fields.items()}
        defaults["database_url"] = url.set(database=database).render_as_string(hide_password=False)
        self.engine = Engine(Settings(_env_file=None, **defaults))
        self.wall = 0.0
        self._began = 0.0
        event.listen(self.engine.database, "before_cursor_execute", self._begin)
        event.listen(self.engine.database, "after_cursor_execute", self._end)
        self.costs: defaultdict[str, list[tuple[float, float]]] = defaultdict(list)

    def _begin(self, *_: Any) -> None:
        self._began = time.perf_counter()

    def _end(self, *_: Any) -> None:
        self.wall += time.perf_counter() - self._began

    def _cpu(self) -> float:
        """Seconds on a CPU that the engine's backends have had."""
        with self.owner.connect() as connection:
            pids = connection.exec_driver_sql(
                "SELECT pid FROM pg_stat_activity WHERE datname = current_database() AND application_name = 'runworker'"
            ).scalars()
            return sum(int(Path(f"/proc/{pid}/schedstat").read_text().split()[0]) for pid in pids) / 1e9

    @contextmanager
    def measured(self, what: str, commands: int) -> Iterator[None]:
        """Note under `what` how many microseconds of CPU and wall time each command took."""
        cpu, wall = self._cpu(), self.wall
        yield
        cost = ((self._cpu() - cpu) / commands * 1e6, (self.wall - wall) / commands * 1e6)
        self.costs[what].append(cost)

    def apply(self, what: str, fields: Sequence[dict[str, Any]]) -> None:
        """Apply one command for each of `fields`, in batches."""
        commands = [self._command(what, given) for given in fields]
        with self.measured(what, len(commands)):
            for first in range(0, len(commands), BATCH):
                verdicts = self.engine.apply(commands[first : first + BATCH])
                refused = [verdict for verdict in verdicts if verdict.status is not CommandStatus.APPLIED]
                if refused:
                    raise SystemExit(f"{len(refused)} of {len(verdicts)} were not applied: {refused[0]}")

    def _command(self, name: str, fields: dict[str, Any]) -> Command:
        return parse(name, {"idempotency_key": str(uuid4()), "issued_by": str(self.user), **fields})

    def round(self) -> Iterator[None]:
        """Some runs from their start to their last step, with a lot each. Yields wherever another schema may go on."""
        runs: list[UUID] = [uuid4() for _ in range(RUNS)]
        self.apply("start_run", [{"run_id": str(run), "flow_version_id": str(self.version)} for run in runs])
        yield
        for step in STEPS[1:]:
            self.apply("advance_step", [{"run_id": str(run), "to_step_index": step} for run in runs])
            yield
            if step == 1:
                lots = [{"step_index": 1, "lot_type": "RAW", "weight_kg": "500.25"} for _ in runs]
                self.apply("register_lot", [{"run_id": str(run), **lot} for run, lot in zip(runs, lots, strict=True)])
                yield


def main() -> None:
    """Measure all schemas in turns and print a table."""
    options = argparse.ArgumentParser(description="CPU of PostgreSQL by command and schema.")
    options.add_argument("schemas", nargs="+")
    options.add_argument("--rounds", type=int, default=3)
    given = options.parse_args()
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.WARNING))
    with temporary_directory() as directory, EmbeddedServers(directory, durable=False) as servers:
        schemas = [Schema(name, servers.urls.admin_database_url) for name in given.schemas]
        for _ in range(given.rounds + 1):
            for _ in zip(*(schema.round() for schema in schemas), strict=True):
                pass
        for schema in schemas:
            print(schema.name)  # noqa: T201 - a script's result
            for what, costs in schema.costs.items():
                warm = slice(len(costs) // (given.rounds + 1), None)
                cpu, wall = (statistics.median(column) for column in zip(*costs[warm], strict=True))
                pairs = zip(costs[warm], schemas[0].costs[what][warm], strict=True)
                ratio = statistics.median(cost / first for (cost, _), (first, _) in pairs)
                print(f"  {what:14} {cpu:7.1f} us CPU  {wall:7.1f} us wall  CPU / first {ratio:.2f}")  # noqa: T201
            with schema.owner.connect() as connection:
                for table, updated, hot, size in connection.execute(HOT, {"tables": list(TABLES)}):
                    share = f"{hot / updated:.0%} of {updated} HOT" if updated else ""
                    print(f"  {table:22} {size / 2**20:7.1f} MB  {share}")  # noqa: T201
            schema.engine.close()
            schema.owner.dispose()


if __name__ == "__main__":
    main()
