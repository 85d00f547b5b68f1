"""Years of work: plants whose ledger has a million and five million commands in it, and what that costs.

Rows are made inside PostgreSQL, past triggers and foreign keys: a command with payload and verdict, an audit event of
its run, and for every ten commands an archived run with its eleven steps. Keys are those of three years, in the order
of time, as runworker.client makes them; or spread evenly over all UUIDs, as random ones are, but written in order, so
that it takes minutes. They look a few hours old and sealed: nothing that workers do beside the queue (archiving,
sealing, pruning) has anything to do with them.
"""

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Final
from uuid import UUID, uuid4

import psycopg

from benchmarks.testbed import PlantDatabase, Testbed
from runworker.ids import new_id
from runworker.simulation.execution import Display


@dataclass(frozen=True)
class Past:
    """How many commands lie behind a plant, and whether their keys are in the order of time or random."""

    commands: int
    in_order: bool = True

    @property
    def make_id(self) -> Callable[[], UUID]:
        """Makes the keys that come after them."""
        return new_id if self.in_order else uuid4


PASTS: Final[Mapping[str, Past]] = {
    "empty": Past(0),
    "1_million": Past(1_000_000),
    "1_million_with_random_keys": Past(1_000_000, in_order=False),
    "5_million": Past(5_000_000),
}
PORTION: Final = 250_000
COMMANDS_A_RUN: Final = 10

_DAY: Final = 86_400_000
_MILLISECONDS: Final = 3 * 365 * _DAY
_RANDOM: Final = (
    "(lpad(to_hex(({number})::bigint * 4294967296 / {total}), 8, '0') || substr(md5('{kind}' || {number}), 9))::uuid"
)
_IN_ORDER: Final = (
    f"(lpad(to_hex({{until}} - ({{total}} - ({{number}})::bigint) * {_MILLISECONDS} / {{total}}), 12, '0')"
    " || '7' || substr(md5('{kind}' || {number}), 1, 3) || '8' || substr(md5('{kind}' || {number}), 4, 15))::uuid"
)
_RUNS: Final = """
    INSERT INTO production_runs (id, run_code, flow_version_id, operator_id, started_by, status, current_step_index,
                                 started_at, completed_at, ended_at, idempotency_key, command_key)
    SELECT {run}, 'RUN-20200101-PAST-' || lpad(i::text, 8, '0'), %(version)s, %(user)s, %(user)s, 'ARCHIVED', 10,
           now() - interval '40 days', now() - interval '40 days', now() - interval '40 days', {run}, {run}
    FROM generate_series(%(first)s::bigint / 10, %(last)s::bigint / 10) AS i
"""
_STEPS: Final = """
    INSERT INTO run_step_executions (id, run_id, step_index, node_id, status, started_at, completed_at, operator_id,
                                     command_key)
    SELECT {step}, {run}, step, 'node-' || step, 'COMPLETED', now() - interval '40 days',
           now() - interval '40 days', %(user)s, {run}
    FROM generate_series(%(first)s::bigint / 10, %(last)s::bigint / 10) AS i, generate_series(0, 10) AS step
"""
_COMMANDS: Final = """
    INSERT INTO commands (idempotency_key, command, payload, payload_sha256, issued_by, status, run_id, verdict,
                          task_id, received_at, decided_at, deliveries)
    SELECT {key}, 'advance_step',
           jsonb_build_object('run_id', {run_of_key}, 'issued_by', %(user)s::uuid, 'to_step_index', 1 + i %% 10),
           sha256(i::text::bytea), %(user)s, 'APPLIED', {run_of_key},
           jsonb_build_object('status', 'APPLIED', 'command', 'advance_step', 'idempotency_key', {key}, 'run_id',
               {run_of_key}, 'replayed', false, 'run_code', 'RUN-20200101-PAST-' || i / 10, 'run_status', 'RUNNING',
               'current_step_index', 1 + i %% 10, 'flow_version_id', %(version)s::uuid),
           {key}::text, now() - interval '6 hours', now() - interval '6 hours', 1
    FROM generate_series(%(first)s::bigint, %(last)s::bigint) AS i
"""
_EVENTS: Final = """
    INSERT INTO audit_events (at, entity, entity_id, operation, before, after, command_key, command, actor, db_user,
                              xact_id)
    SELECT now() - interval '6 hours', 'production_runs', {run_of_key}, 'UPDATE',
           jsonb_build_object('id', {run_of_key}, 'run_code', 'RUN-20200101-PAST-' || i / 10, 'status', 'RUNNING',
               'current_step_index', i %% 10, 'flow_version_id', %(version)s::uuid, 'operator_id', %(user)s::uuid),
           jsonb_build_object('id', {run_of_key}, 'run_code', 'RUN-20200101-PAST-' || i / 10, 'status', 'RUNNING',
               'current_step_index', 1 + i %% 10, 'flow_version_id', %(version)s::uuid, 'operator_id', %(user)s::uuid),
           {key}, 'advance_step', %(user)s, 'bench', 3
    FROM generate_series(%(first)s::bigint, %(last)s::bigint) AS i
"""
_SEAL: Final = """
    INSERT INTO audit_seals (first_event_id, last_event_id, events, previous_sha256, sha256)
    SELECT min(id), max(id), count(*), sha256('before'), sha256('history') FROM audit_events
"""
_TABLES: Final = ("production_runs", "run_step_executions", "commands", "audit_events")


def aged(testbed: Testbed, template: PlantDatabase, name: str, past: Past, display: Display) -> PlantDatabase:
    """A copy of a plant, of this name, with a past. Needs a superuser, as embedded servers have."""
    commands = past.commands
    plant = testbed.copy(template, f"history_{name}")
    with psycopg.connect(plant.conninfo, autocommit=True) as connection:
        # Foreign keys are triggers too: what is made here keeps them anyway.
        connection.execute("SET session_replication_role = replica")
        statements = _statements(past)
        for first in range(0, commands, PORTION):
            last = min(first + PORTION, commands) - 1
            for statement in statements:
                given = {"first": first, "last": last, "user": plant.manager, "version": plant.flow_version_id}
                connection.execute(statement, given)
            display.show(f"history: {name.replace('_', ' ')}", last + 1, commands)
        if commands:
            connection.execute(_SEAL)
        connection.execute(f"VACUUM ANALYZE {', '.join(_TABLES)}")
        connection.execute("CHECKPOINT")
    return plant


def _statements(past: Past) -> list[str]:
    pattern = _IN_ORDER if past.in_order else _RANDOM
    runs, until = -(-past.commands // COMMANDS_A_RUN), time.time_ns() // 1_000_000 - _DAY
    names = {
        "key": pattern.format(number="i", total=past.commands, kind="key", until=until),
        "run": pattern.format(number="i", total=runs, kind="run", until=until),
        "run_of_key": pattern.format(number="i / 10", total=runs, kind="run", until=until),
        "step": _IN_ORDER.format(number="i * 11 + step", total=11 * runs, kind="step", until=until),
    }
    return [statement.format(**names) for statement in (_RUNS, _STEPS, _COMMANDS, _EVENTS)]
