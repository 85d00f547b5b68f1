"""Give the constraints of a database that was taken over the names that rejections are told by.

An older system's tables bear PostgreSQL's own names (lots_lot_code_key), under which a code that was taken was no
LOT_CODE_TAKEN, and a run number that was taken refused start_run for good. A constraint that says the same as the
models' gets the models' name; what says something else is not touched, nor is one whose name is right. Nothing is
rewritten or looked through. A downgrade leaves the names: nobody noted the older ones.

Revision ID: 20261202_1_constraint_names
Revises: 20261201_4_rights
"""

from alembic import op

from runworker.online_changes import lock_tables

revision = "20261202_1_constraint_names"
down_revision = "20261201_4_rights"
branch_labels = None
depends_on = None

TABLES = (
    "users", "scenarios", "streams", "qc_gates", "phases", "flow_definitions", "flow_versions", "production_runs",
    "lots", "lot_genealogy", "qc_decisions",
)  # fmt: skip
UNIQUE = {
    "uq_users_email": ("users", "email"),
    "uq_flow_versions_definition_version": ("flow_versions", "flow_definition_id, version_num"),
    "uq_production_runs_run_code": ("production_runs", "run_code"),
    "uq_lots_lot_code": ("lots", "lot_code"),
}
REFERENCES = {
    "streams": {"scenario_id": "scenarios"},
    "qc_gates": {"scenario_id": "scenarios"},
    "phases": {"scenario_id": "scenarios", "stream_id": "streams", "qc_gate_id": "qc_gates"},
    "flow_definitions": {"created_by": "users"},
    "flow_versions": {"flow_definition_id": "flow_definitions", "created_by": "users", "published_by": "users"},
    "production_runs": {"scenario_id": "scenarios", "operator_id": "users"},
    "lots": {"production_run_id": "production_runs", "phase_id": "phases", "operator_id": "users"},
    "lot_genealogy": {"parent_lot_id": "lots", "child_lot_id": "lots"},
    "qc_decisions": {"lot_id": "lots", "qc_gate_id": "qc_gates", "operator_id": "users"},
}
CHECKS = {
    "users": ("role", "ADMIN, MANAGER, AUDITOR, OPERATOR, VIEWER"),
    "streams": ("stream_key", "A, B, C"),
    "qc_gates": ("gate_type", "CHECKPOINT, BLOCKING, INFO"),
    "qc_decisions": ("decision", "PASS, HOLD, FAIL"),
}

# A CHECK is compared without the casts, brackets and blanks that depend on the column's type.
THERE = """
    SELECT home.relname::text AS home, conname::text AS name,
           CASE contype
               WHEN 'c' THEN regexp_replace(
                   pg_get_constraintdef(con.oid), '::(text|character varying)([[][]])?|[() ]', '', 'g')
               ELSE pg_get_constraintdef(con.oid)
           END AS said
    FROM pg_constraint AS con JOIN pg_class AS home ON home.oid = conrelid
    WHERE home.relnamespace = 'public'::regnamespace AND contype IN ('p', 'u', 'f', 'c')
    ORDER BY 1, 2
"""


def upgrade() -> None:
    there = [(row.home, row.name, row.said) for row in op.get_bind().exec_driver_sql(THERE)]
    renamed = []
    for table, said, name in wanted():
        alike = [found for home, found, says in there if (home, says) == (table, said)]
        if alike and name not in alike:
            renamed.append((table, alike[0].replace('"', '""'), name))
    if renamed:
        lock_tables(*sorted({table for table, _, _ in renamed}))
    for table, older, name in renamed:
        op.execute(f'ALTER TABLE {table} RENAME CONSTRAINT "{older}" TO {name}')


def downgrade() -> None:
    pass


def wanted() -> list[tuple[str, str, str]]:
    """Table, definition and name of each constraint of the baseline that still is as it was."""
    return [
        *((table, "PRIMARY KEY (id)", f"pk_{table}") for table in TABLES),
        *((table, f"UNIQUE ({columns})", name) for name, (table, columns) in UNIQUE.items()),
        *(
            (table, f"FOREIGN KEY ({column}) REFERENCES {target}(id)", f"fk_{table}_{column}")
            for table, references in REFERENCES.items()
            for column, target in references.items()
        ),
        *((table, _one_of(column, values), f"ck_{table}_{column}") for table, (column, values) in CHECKS.items()),
    ]


def _one_of(column: str, values: str) -> str:
    listed = ",".join(f"'{value}'" for value in values.split(", "))
    return f"CHECK{column}=ANYARRAY[{listed}]"
