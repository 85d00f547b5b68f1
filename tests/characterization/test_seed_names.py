"""Names that the plan of the schema gave, to the letter: other systems and their scripts know them."""

import psycopg
import pytest
from tests.servers import conninfo

COLUMNS = {
    "lots": {
        "step_index": "integer",
        "status": "character varying(20)",
        "sku_type": "character varying(10)",
        "supplier_id": "uuid",
    },
    "flow_versions": {"reviewed_by": "uuid"},
    "production_runs": {
        "flow_version_id": "uuid",
        "current_step_index": "integer",
        "idempotency_key": "uuid",
        "started_by": "uuid",
        "completed_at": "timestamp with time zone",
    },
    "run_step_executions": {
        "id": "uuid",
        "run_id": "uuid",
        "step_index": "integer",
        "node_id": "character varying(50)",
        "status": "character varying(20)",
        "started_at": "timestamp with time zone",
        "completed_at": "timestamp with time zone",
        "operator_id": "uuid",
        "created_at": "timestamp with time zone",
    },
}
CONSTRAINTS = {
    "lots": {"ck_lots_step_index_range", "ck_lots_status"},
    "flow_versions": {"ck_flow_versions_status", "fk_flow_versions_reviewed_by"},
    "production_runs": {
        "fk_production_runs_flow_version",
        "ck_production_runs_step_index",
        "ck_production_runs_status",
        "uq_production_runs_idempotency_key",
        "fk_production_runs_started_by",
    },
    "run_step_executions": {
        "uq_run_step_executions_run_step",
        "ck_run_step_executions_step_index",
        "ck_run_step_executions_status",
    },
}
INDEXES = {
    "lots": {"idx_lots_step_index", "idx_lots_status"},
    "flow_versions": {"idx_flow_versions_status"},
    "production_runs": {"idx_production_runs_flow_version", "idx_production_runs_status"},
    "run_step_executions": {"idx_run_step_executions_run", "idx_run_step_executions_status"},
}


@pytest.mark.parametrize("table", COLUMNS)
def test_table_has_what_the_plan_names(database_url: str, table: str) -> None:
    with psycopg.connect(conninfo(database_url)) as connection:
        columns = dict(
            connection.execute(
                "SELECT attname, format_type(atttypid, atttypmod) FROM pg_attribute WHERE attrelid = %s::regclass",
                [table],
            ).fetchall()
        )
        constraints = {
            name
            for (name,) in connection.execute(
                "SELECT conname FROM pg_constraint WHERE conrelid = %s::regclass", [table]
            )
        }
        indexes = {
            name for (name,) in connection.execute("SELECT indexname FROM pg_indexes WHERE tablename = %s", [table])
        }

    assert COLUMNS[table].items() - columns.items() == set()
    assert CONSTRAINTS[table] - constraints == set()
    assert INDEXES[table] - indexes == set()


def test_immutability_trigger_has_its_name_and_function(database_url: str) -> None:
    with psycopg.connect(conninfo(database_url)) as connection:
        trigger = connection.execute(
            "SELECT pg_get_triggerdef(oid) FROM pg_trigger WHERE tgname = 'trg_flow_version_immutable'"
        ).fetchone()

    assert trigger == (
        "CREATE TRIGGER trg_flow_version_immutable BEFORE UPDATE ON public.flow_versions"
        " FOR EACH ROW EXECUTE FUNCTION prevent_published_flow_version_modification()",
    )
