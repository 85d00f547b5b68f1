"""Nothing that guards the tables goes without a test.

The database is asked for what it has; a constraint, index, trigger or foreign key that no test here names fails.
"""

import re

import psycopg
import pytest
from psycopg import sql
from tests.guards.sections import SECTIONS
from tests.guards.test_allowed import TABLES_WITH_COMMAND_KEY
from tests.guards.test_audit import CHANGES
from tests.guards.test_queueing import NOTIFIES
from tests.guards.test_races import LOCKS_RUN

from runworker.engine.constraints import CODES_OF_CONSTRAINTS

AUDITED = {*CHANGES, "run_step_executions"}
AUDITING = {f"audit_{table}_{operation}" for table in AUDITED for operation in ("insert", "update", "delete")}
AUDITING |= {"audit_dead_letters_update", "audit_dead_letters_delete", "audit_commands_delete"}

GUARDS_AS_THEIR_OWNER = {
    "guard_audit_seal",
    "guard_lot_adopted", "guard_lot_core", "guard_lot_end", "guard_lot_link", "guard_lot_link_finished",
    "guard_lot_of_finished_run", "guard_lot_pallet_sku", "guard_lot_released", "guard_production_run",
    "guard_run_step_execution", "guard_step_of_run", "guard_steps_of_run",
    "lock_run_of_lot",
}  # fmt: skip

RULES = """
    SELECT conname FROM pg_constraint
    WHERE connamespace = 'public'::regnamespace AND contype IN ('c', 'u', 'x')
    UNION
    SELECT indexrelid::regclass::text FROM pg_index JOIN pg_class ON pg_class.oid = indexrelid
    WHERE relnamespace = 'public'::regnamespace AND indisunique AND NOT indisprimary
"""
# PostgreSQL 18 lists NOT NULL in pg_constraint as well (contype n); those, and keys, are compared with the models.

TRIGGERS = """
    SELECT tgname, proname, prosrc FROM pg_trigger
    JOIN pg_class ON pg_class.oid = tgrelid
    JOIN pg_proc ON pg_proc.oid = tgfoid
    WHERE relnamespace = 'public'::regnamespace AND NOT tgisinternal
"""

FOREIGN_KEYS = """
    SELECT conname, relname, attname FROM pg_constraint
    JOIN pg_class ON pg_class.oid = conrelid
    JOIN pg_attribute ON attrelid = conrelid AND attnum = conkey[1]
    WHERE connamespace = 'public'::regnamespace AND contype = 'f'
"""


def _tested() -> set[str]:
    return {section.name for section in SECTIONS}


def test_every_constraint_has_a_violation(connection: psycopg.Connection) -> None:
    rules = {name for (name,) in connection.execute(RULES)}

    assert rules - _tested() == set()


def test_every_trigger_has_a_test(connection: psycopg.Connection) -> None:
    tested_here = AUDITING | {f"trg_{table}_command_key" for table in TABLES_WITH_COMMAND_KEY} | {LOCKS_RUN, NOTIFIES}

    for trigger, function, source in connection.execute(TRIGGERS):
        # A guard names in its function what it refuses; a trigger of refuse_change is itself the name.
        refuses = {trigger} if function == "refuse_change" else set(_guards_named_in(source))
        assert trigger in tested_here or (refuses and refuses <= _tested()), f"{trigger}: {refuses - _tested()}"


def test_every_guard_is_named_by_a_function_or_trigger(connection: psycopg.Connection) -> None:
    """A section cannot outlive what it tests."""
    sources = connection.execute("SELECT prosrc FROM pg_proc WHERE pronamespace = 'public'::regnamespace").fetchall()
    named = {guard for (source,) in sources for guard in _guards_named_in(source)}
    triggers = {trigger for trigger, _, _ in connection.execute(TRIGGERS)}
    rules = {name for (name,) in connection.execute(RULES)}

    assert _tested() - named - triggers - rules == set()


NAMED = """
    SELECT conname FROM pg_constraint
    WHERE contype IN ('c', 'f', 'p', 'u', 'x') AND conrelid = ANY (%(written)s::regclass[])
    UNION
    SELECT indexrelid::regclass::text FROM pg_index WHERE indisunique AND indrelid = ANY (%(written)s::regclass[])
    UNION
    SELECT tgname FROM pg_trigger JOIN pg_proc ON pg_proc.oid = tgfoid
    WHERE proname = 'refuse_change' AND tgrelid = ANY (%(written)s::regclass[])
"""
WRITTEN_BY_COMMANDS = [
    "commands", "production_runs", "run_step_executions", "lots", "lot_genealogy", "qc_decisions", "flow_versions",
    "code_counters", "audit_events",
]  # fmt: skip

_OF_WRITTEN = tuple(f"{kind}_{table}_" for kind in ("guard", "fk") for table in WRITTEN_BY_COMMANDS)

_ANOTHER_SCHEMA = "the engine writes such a row only where schema and release do not fit each other"
_NUMBERED = (
    "numbers and ids that no command brings; a clash tells of a copy without its sequences, or of another writer"
)
_LOOKED_AGAIN = "another program took the same a moment ago; the engine looks again"
_LOCKED_FIRST = "the row it needs is locked before it is written; nothing that a command says breaks it"
_NOT_DONE = "commands neither delete, truncate nor rename, nor import versions"

_OF_UPSTREAMS = "what upstreams queue; a message brings nothing so large, and its key is looked up first"

OF_THE_SURROUNDINGS = {
    _OF_UPSTREAMS: {"guard_commands_payload", "guard_commands_reused"},
    _ANOTHER_SCHEMA: {
        "ck_commands_decided", "ck_commands_status", "ck_commands_waiting", "ck_flow_versions_status", "ck_lots_status",
        "ck_lots_sku_type", "ck_lots_step_index_range", "ck_production_runs_status", "ck_production_runs_times",
        "ck_qc_decisions_decision", "ck_run_step_executions_status", "ck_run_step_executions_step_index",
        "ck_run_step_executions_times", "guard_commands_decided", "guard_commands_move",
    },
    _NUMBERED: {
        "pk_audit_events", "pk_code_counters", "pk_lot_genealogy", "pk_qc_decisions", "pk_run_step_executions",
    },
    _LOOKED_AGAIN: {"pk_commands", "uq_production_runs_run_code"},
    _LOCKED_FIRST: {
        "fk_lot_genealogy_child_lot_id", "fk_lot_genealogy_parent_lot_id", "fk_lots_production_run_id",
        "fk_qc_decisions_lot_id", "fk_run_step_executions_run_id", "uq_run_step_executions_run_step",
    },
    _NOT_DONE: {
        "fk_flow_versions_created_by", "fk_flow_versions_flow_definition_id", "fk_lots_phase_id",
        "guard_audit_events_append_only", "guard_audit_events_kept", "guard_commands_identity", "guard_commands_kept",
        "guard_commands_truncate",
        "guard_flow_versions_truncate", "guard_lot_genealogy_truncate", "guard_lots_truncate",
        "guard_production_runs_delete", "guard_production_runs_identity", "guard_production_runs_truncate",
        "guard_qc_decisions_truncate", "guard_run_step_executions_delete", "guard_run_step_executions_identity",
        "guard_run_step_executions_truncate", "pk_flow_versions", "uq_flow_versions_definition_version",
    },
}  # fmt: skip
"""Why a rule of a table that commands write has no code: it decides none of them."""


def test_every_rule_decides_or_tells_of_the_surroundings(connection: psycopg.Connection) -> None:
    named = {name for (name,) in connection.execute(NAMED, {"written": WRITTEN_BY_COMMANDS})}
    for (source,) in connection.execute("SELECT prosrc FROM pg_proc WHERE pronamespace = 'public'::regnamespace"):
        named |= {guard for guard in _guards_named_in(source) if guard.startswith(_OF_WRITTEN)}
    surroundings = {name for names in OF_THE_SURROUNDINGS.values() for name in names}

    assert len(named) > 80
    assert named == surroundings | CODES_OF_CONSTRAINTS.keys()
    assert not surroundings & CODES_OF_CONSTRAINTS.keys()


def test_what_guards_lots_has_codes_of_its_own() -> None:
    """What the plant has a rule for is told to the sender."""
    of_lots = ("guard_lots_", "guard_lot_genealogy_", "guard_qc_decisions_")
    rules = {name for name in _tested() if name.startswith(of_lots) and not name.endswith("_truncate")}

    assert len(rules) > 20
    assert rules - CODES_OF_CONSTRAINTS.keys() == set()


def test_guards_do_not_follow_the_sessions_search_path(connection: psycopg.Connection) -> None:
    following = connection.execute(
        "SELECT DISTINCT proname FROM pg_proc JOIN pg_trigger ON tgfoid = pg_proc.oid"
        " WHERE pronamespace = 'public'::regnamespace"
        " AND NOT coalesce('search_path=pg_catalog, pg_temp' = ANY (proconfig), false)"
    ).fetchall()

    assert following == []


def test_what_runs_with_its_owners_rights_and_who_may_call_it(connection: psycopg.Connection) -> None:
    definers = connection.execute(
        "SELECT proname, ARRAY(SELECT grantee::regrole::text FROM aclexplode(proacl) WHERE grantee <> proowner)"
        " FROM pg_proc WHERE pronamespace = 'public'::regnamespace AND prosecdef"
    ).fetchall()

    callers = {name: [] for name in AUDITING}
    guards = {name: [] for name in GUARDS_AS_THEIR_OWNER}
    assert dict(definers) == callers | guards | {
        "prune_commands": ["runworker_worker"],
        "enqueue_command": ["runworker_sender"],
    }


def test_every_reference_leads_somewhere(connection: psycopg.Connection) -> None:
    """Each foreign key, by its name, refuses an id that is not there."""
    foreign_keys = connection.execute(FOREIGN_KEYS).fetchall()
    assert len(foreign_keys) > 20

    for name, table, column in foreign_keys:
        # Its guards would refuse most of these before the key is looked at.
        disable = sql.SQL("ALTER TABLE {} DISABLE TRIGGER USER").format(sql.Identifier(table))
        point_nowhere = sql.SQL("UPDATE {} SET {} = gen_random_uuid() WHERE ctid = (SELECT min(ctid) FROM {})")
        with connection.transaction(force_rollback=True):
            connection.execute(disable)
            with pytest.raises(psycopg.errors.ForeignKeyViolation) as refused:
                connection.execute(point_nowhere.format(*map(sql.Identifier, (table, column, table))))
        assert refused.value.diag.constraint_name == name


def _guards_named_in(source: str) -> list[str]:
    return re.findall(r"CONSTRAINT = '(\w+)'", source)
