"""What `runworker migrate --check` tells of databases that an older system left, each changed by a statement or two."""

import re
from dataclasses import dataclass
from pathlib import Path

import pytest
from tests.migrations.parents import picture, run

from runworker import migration_check, migrations, revisions
from runworker.errors import ConfigurationError
from runworker.migration_check import MigrationFinding, look


@dataclass(frozen=True)
class Variant:
    """statement: makes it. finding: begins with the object that stops the migration, and what is said of it.

    mended: where the remedy is plain SQL that leaves the rows as they are: whether the migration goes through after it.
    """

    statement: str
    on: str
    said: str
    mended: bool = True


VARIANTS = {
    "text instead of the enum": Variant(
        "ALTER TABLE lots ALTER lot_type TYPE text", "column lots.lot_type", "It is text, and not lot_type."
    ),
    "json instead of jsonb": Variant(
        "ALTER TABLE lots ALTER metadata DROP DEFAULT, ALTER metadata TYPE json;"
        " ALTER TABLE lots ALTER metadata SET DEFAULT '{}'",
        "column lots.metadata",
        "It is json, and not jsonb.",
    ),
    "time without a zone": Variant(
        "ALTER TABLE production_runs ALTER ended_at TYPE timestamp",
        "column production_runs.ended_at",
        "It is timestamp without time zone, and not timestamp with time zone.",
        mended=False,
    ),
    "codes cut short": Variant(
        "ALTER TABLE production_runs ALTER run_code TYPE varchar(40)",
        "column production_runs.run_code",
        "It is character varying(40), and not text.",
    ),
    "column that is missing": Variant(
        "ALTER TABLE qc_decisions DROP COLUMN digital_signature",
        "column qc_decisions.digital_signature",
        "It is missing.",
    ),
    "column without NOT NULL": Variant(
        "ALTER TABLE lots ALTER created_at DROP NOT NULL", "column lots.created_at", "It may be NULL.", mended=False
    ),
    "column with NOT NULL": Variant(
        "ALTER TABLE users ADD COLUMN shift text NOT NULL DEFAULT ''; ALTER TABLE users ALTER shift DROP DEFAULT",
        "column users.shift",
        "It is NOT NULL, has no default, and no model knows it.",
        mended=False,
    ),
    "column without a default": Variant(
        "ALTER TABLE lots ALTER id DROP DEFAULT", "column lots.id", "It has no default."
    ),
    "codes that are not unique": Variant(
        "ALTER TABLE lots DROP CONSTRAINT lots_lot_code_key", "table lots", "It has no UNIQUE (lot_code)."
    ),
    "no foreign key": Variant(
        "ALTER TABLE lots DROP CONSTRAINT lots_phase_id_fkey",
        "table lots",
        "It has no FOREIGN KEY (phase_id) REFERENCES phases(id).",
    ),
    "another foreign key": Variant(
        "ALTER TABLE lots DROP CONSTRAINT lots_phase_id_fkey,"
        " ADD CONSTRAINT to_phase FOREIGN KEY (phase_id) REFERENCES phases ON DELETE CASCADE",
        "table lots",
        "It has no FOREIGN KEY (phase_id) REFERENCES phases(id).",
    ),
    "CHECK of another name": Variant(
        "ALTER TABLE production_runs ADD CONSTRAINT known CHECK (status IN ('ACTIVE', 'COMPLETED', 'CANCELLED'))",
        "constraint known",
        "It says on production_runs: CHECK (status = ANY (ARRAY['ACTIVE', 'COMPLETED', 'CANCELLED'])).",
    ),
    "column already there": Variant(
        "ALTER TABLE lots ADD COLUMN status text", "column lots.status", "It is there already."
    ),
    "table already there": Variant("CREATE TABLE suppliers (name text)", "table suppliers", "It is there already."),
    "view in a table's place": Variant(
        "CREATE VIEW commands AS SELECT 1 AS one", "view commands", "It is there already."
    ),
    "index already there": Variant(
        "CREATE INDEX idx_lots_production_run ON lots (production_run_id)",
        "index idx_lots_production_run",
        "It is there already.",
    ),
    "name of a key already there": Variant(
        "CREATE INDEX uq_lots_lot_code ON lots (lot_code)", "index uq_lots_lot_code", "It is there already."
    ),
    "name of a foreign key already there": Variant(
        "ALTER TABLE lots ADD CONSTRAINT fk_lots_phase_id CHECK (phase_id IS NOT NULL) NOT VALID",
        "constraint fk_lots_phase_id",
        "It is there on lots already.",
    ),
    "function already there": Variant(
        "CREATE FUNCTION refuse_change() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NULL; END'",
        "function refuse_change()",
        "It is there already.",
    ),
    "children": Variant(
        "CREATE TABLE older_lots () INHERITS (lots)", "table lots", "It inherits: older_lots.", mended=False
    ),
    "rule": Variant(
        "CREATE RULE kept AS ON DELETE TO lots DO INSTEAD NOTHING",
        "table lots",
        "The rule kept rewrites its statements.",
    ),
    "unlogged": Variant("ALTER TABLE qc_decisions SET UNLOGGED", "table qc_decisions", "It is UNLOGGED."),
    "forced row security": Variant(
        "ALTER TABLE lots ENABLE ROW LEVEL SECURITY, FORCE ROW LEVEL SECURITY",
        "table lots",
        "Row-level security is FORCED on it.",
    ),
    "CHECK that older rows break": Variant(
        "ALTER TABLE lots ADD CONSTRAINT known CHECK (lot_type <> 'FG') NOT VALID",
        "constraint known",
        "It says on lots: CHECK (lot_type <> 'FG'",
    ),
    "deferred trigger": Variant(
        "CREATE FUNCTION seen() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NULL; END';"
        "CREATE CONSTRAINT TRIGGER seen AFTER UPDATE ON flow_versions DEFERRABLE INITIALLY DEFERRED FOR EACH ROW"
        " EXECUTE FUNCTION seen()",
        "trigger seen",
        "It is a deferred constraint trigger on flow_versions.",
        mended=False,
    ),
    "trigger that touches versions": Variant(
        "ALTER TABLE flow_versions ADD COLUMN touched timestamptz;"
        "CREATE FUNCTION touch() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN NEW.touched := now(); RETURN NEW; END';"
        "CREATE TRIGGER touch BEFORE UPDATE ON flow_versions FOR EACH ROW EXECUTE FUNCTION touch()",
        "trigger touch",
        "It fires before each UPDATE of flow_versions.",
        mended=False,
    ),
    "NaN": Variant(
        "UPDATE lots SET weight_kg = 'NaN' WHERE lot_code = 'used up'",
        "rows of lots",
        "1 of them has a weight_kg that is no number (NaN, or without end): ",
        mended=False,
    ),
    "endless target": Variant(
        "UPDATE production_runs SET daily_target_kg = 'Infinity'",
        "rows of production_runs",
        "6 of them have a daily_target_kg that is no number (NaN, or without end): ",
        mended=False,
    ),
    "endless time": Variant(
        "UPDATE production_runs SET ended_at = 'infinity' WHERE run_code = 'old active'",
        "rows of production_runs",
        "1 of them has an ended_at that is no time (infinity, or out of the years 1 to 9999): ",
        mended=False,
    ),
    "state that nobody knows": Variant(
        "ALTER TABLE production_runs DROP CONSTRAINT production_runs_status_check;"
        "UPDATE production_runs SET status = 'PAUSED' WHERE run_code = 'old active'",
        "rows of production_runs",
        "1 of them has a status that nobody knows: ",
        mended=False,
    ),
    "type that nobody knows": Variant(
        "ALTER TYPE lot_type ADD VALUE 'WASTE'; COMMIT; BEGIN;"
        "UPDATE lots SET lot_type = 'WASTE' WHERE lot_code = 'of no type or run'",
        "rows of lots",
        "1 of them has a lot_type that nobody knows: ",
        mended=False,
    ),
    "note that no downgrade wrote": Variant(
        """UPDATE lots SET metadata = '{"runworker_downgrade": {"status": "GONE"}}' WHERE lot_code = 'held'""",
        "rows of lots",
        "1 of them has a note runworker_downgrade in metadata that no downgrade wrote: ",
        mended=False,
    ),
}  # fmt: skip


ON_LOT_TYPE = {
    "view": "CREATE VIEW types AS SELECT lot_code, lot_type FROM lots",
    "materialized view": "CREATE MATERIALIZED VIEW kept_types AS SELECT lot_type FROM lots",
    "view that casts": "CREATE VIEW raw AS SELECT 'RAW'::lot_type AS kind",
    "policy": "CREATE POLICY raw ON lots USING (lot_type = 'RAW')",
    "partial index": "CREATE INDEX raw_lots ON lots (created_at) WHERE lot_type = 'RAW'",
    "expression index": "CREATE INDEX is_raw ON lots ((lot_type = 'RAW'))",
    "default": "ALTER TABLE lots ALTER lot_type SET DEFAULT 'RAW'",
    "generated column": "ALTER TABLE lots ADD COLUMN raw boolean GENERATED ALWAYS AS (lot_type = 'RAW') STORED",
    "CHECK on the type": "ALTER TABLE lots ADD CONSTRAINT known CHECK (lot_type <> 'RAW' OR lot_code <> '')",
    "trigger on the type": (
        "CREATE FUNCTION seen() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NEW; END';"
        "CREATE TRIGGER seen BEFORE UPDATE OF lot_type ON lots FOR EACH ROW EXECUTE FUNCTION seen()"
    ),
    "other table of the enum": "CREATE SCHEMA shop; CREATE TABLE shop.prices (kind lot_type)",
    "array of the enum": "CREATE TABLE offers (kinds lot_type[])",
    "function of the enum": "CREATE FUNCTION price(lot_type) RETURNS integer LANGUAGE sql AS 'SELECT 1'",
    "domain over the enum": "CREATE DOMAIN known_type AS lot_type",
}
"""What depends on lots.lot_type or on its type: new values are added to it, and nobody is in the way."""


def test_revisions_that_are_named_are_there() -> None:
    sources = Path(migration_check.__file__).parent.glob("*.py")
    named = {name for path in sources for name in re.findall(r'"(20\d{6}_\w+)"', path.read_text())}
    assert len(named) > 5
    assert named <= set(revisions.known())


def findings(url: str, severity: str) -> list[MigrationFinding]:
    with migrations.connected(url) as connection:
        return [each for each in look(connection) if each.severity == severity]


@pytest.mark.parametrize("variant", VARIANTS.values(), ids=VARIANTS)
def test_what_stops_a_migration_is_told_before_the_first_change(variant: Variant, parent_url: str) -> None:
    run(parent_url, variant.statement)
    before = picture(parent_url)

    found = findings(parent_url, "stops")
    with pytest.raises(ConfigurationError) as refused:
        migrations.upgrade(parent_url)

    assert [each.object for each in found] == [variant.on], found
    assert found[0].what.startswith(variant.said)
    assert str(found[0]) in str(refused.value)
    assert str(refused.value).startswith("This database cannot be migrated as it is. Nothing was changed.\n  1. ")
    assert picture(parent_url) == before
    if variant.mended:
        run(parent_url, found[0].remedy.partition(", and back ")[0].partition(". Where")[0].partition("; ")[0])
        migrations.upgrade(parent_url)
        assert migrations.current(parent_url) == migrations.newest()


BENT = {
    "rows of flow_versions": ("the status ARCHIVED", "the status PUBLISHED beside a newer"),
    "rows of production_runs": (
        "the status ACTIVE", "the status CANCELLED", "an end that nobody noted", "an end although they are ACTIVE",
    ),
    "rows of lots": ("no decision of quality control", "a legacy type", "less weight than was taken", "in a circle"),
    "rows of lot_genealogy": ("the same lot at both ends", "no quantity, or one of zero or less"),
}  # fmt: skip
DIRTY = """
INSERT INTO lot_genealogy (parent_lot_id, child_lot_id, quantity_used_kg)
SELECT md5(parent)::uuid, md5(child)::uuid, kg
FROM (VALUES ('held', 'held', 1), ('failed at last', 'never looked at', 90), ('never looked at', 'failed at last', 1))
     AS link (parent, child, kg);
"""


def test_what_bends_is_told_and_stops_nothing(parent_url: str) -> None:
    run(parent_url, DIRTY)

    found = findings(parent_url, "bends")

    said = {
        (on, part): [each.what for each in found if each.object == on] for on, parts in BENT.items() for part in parts
    }
    assert dict.fromkeys(said, True) == {key: any(key[1] in what for what in whats) for key, whats in said.items()}
    assert {each.object for each in found} == set(BENT)
    assert findings(parent_url, "stops") == []
    in_a_circle = run(parent_url, "SELECT string_agg(md5(lot)::uuid::text, ', ' ORDER BY md5(lot)::uuid::text)"
                                  " FROM unnest(ARRAY['failed at last', 'never looked at']) AS lot")[0][0]  # fmt: skip
    assert any(in_a_circle in each.what for each in found)
    for each in found:
        if " See " in each.remedy and "(these)" not in each.remedy:
            assert len(run(parent_url, each.remedy.partition(" See ")[2])) == int(each.what.split()[0])
    migrations.upgrade(parent_url)
    assert findings(parent_url, "bends") == []


OTHERS = {
    "view that reads states": (
        "CREATE VIEW at_work AS SELECT run_code FROM production_runs WHERE status = 'ACTIVE'",
        "view at_work",
        "It reads production_runs.status.",
    ),
    "trigger": (
        "CREATE FUNCTION seen() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NEW; END';"
        "CREATE TRIGGER seen BEFORE UPDATE ON lots FOR EACH ROW EXECUTE FUNCTION seen()",
        "trigger seen",
        "It fires on lots.",
    ),
    "wider type": (
        "ALTER TABLE lots ALTER weight_kg TYPE numeric(12, 3)",
        "column lots.weight_kg",
        "It is numeric(12,3), and not numeric(10,2).",
    ),
    "row security": ("ALTER TABLE lots ENABLE ROW LEVEL SECURITY", "table lots", "Row-level security is on."),
    "CHECK that lets new states through": (
        "ALTER TABLE production_runs ADD CONSTRAINT said CHECK (status <> '')",
        "constraint said",
        "It says on production_runs: CHECK (status <> '').",
    ),
    "CHECK that is missing": (
        "ALTER TABLE users DROP CONSTRAINT users_role_check",
        "table users",
        "It has no CHECK (role = ANY (ARRAY['ADMIN', 'MANAGER', 'AUDITOR', 'OPERATOR', 'VIEWER'])).",
    ),
    "event trigger": (
        "CREATE FUNCTION seen() RETURNS event_trigger LANGUAGE plpgsql AS 'BEGIN END';"
        "CREATE EVENT TRIGGER seen ON ddl_command_end EXECUTE FUNCTION seen()",
        "event trigger seen",
        "It fires while the migration creates and alters.",
    ),
}


@pytest.mark.parametrize(("statement", "on", "said"), OTHERS.values(), ids=OTHERS)
def test_what_others_have_there_is_told(statement: str, on: str, said: str, parent_url: str) -> None:
    run(parent_url, statement)

    assert [each.what for each in findings(parent_url, "bends") if each.object == on] == [said]
    assert findings(parent_url, "stops") == []
    migrations.upgrade(parent_url)


def test_what_depends_on_the_type_of_lots_stays_as_it_is(parent_url: str) -> None:
    run(parent_url, "; ".join(ON_LOT_TYPE.values()))
    assert findings(parent_url, "stops") == []
    migrations.upgrade(parent_url)
    assert migrations.current(parent_url) == migrations.newest()


def test_codes_that_are_given_twice(parent_url: str) -> None:
    run(
        parent_url,
        "ALTER TABLE lots DROP CONSTRAINT lots_lot_code_key; UPDATE lots SET lot_code = 'held' WHERE weight_kg > 9",
    )

    key, rows = findings(parent_url, "stops")

    assert (key.object, rows.object) == ("table lots", "rows of lots")
    assert rows.what.startswith("8 of them have the same lot_code as another row: ")
    assert rows.what.endswith(" and 3 more.")


def test_everything_is_told_at_once(parent_url: str) -> None:
    for variant in ("trigger that touches versions", "json instead of jsonb", "column already there", "NaN"):
        run(parent_url, VARIANTS[variant].statement)

    objects = [each.object for each in findings(parent_url, "stops")]
    left_out = [each.what for each in findings(parent_url, "bends") if each.object == "rows"]

    assert objects == ["column lots.metadata", "column lots.status", "trigger touch", "rows of lots"]
    assert left_out == ["Rows that need lots.metadata were not looked at."]


def test_an_empty_database_has_nothing_in_the_way(empty_database_url: str) -> None:
    assert findings(empty_database_url, "stops") + findings(empty_database_url, "bends") == []


def test_an_empty_database_whose_names_are_taken(empty_database_url: str) -> None:
    run(empty_database_url, "CREATE TYPE lot_type AS ENUM ('RAW'); CREATE TABLE commands (id integer)")

    assert [each.object for each in findings(empty_database_url, "stops")] == ["table commands", "type lot_type"]


def test_some_of_the_tables(parent_url: str) -> None:
    run(parent_url, "DROP TABLE qc_decisions")

    [found] = findings(parent_url, "stops")

    assert found.what == "Some of the baseline's tables are there and some are not (qc_decisions)."


@pytest.mark.parametrize("revision", ["20260124_production_runs", "20261129_4_runs_and_steps"])
def test_a_migration_that_has_begun(revision: str, parent_url: str) -> None:
    migrations.upgrade(parent_url, revision)
    assert findings(parent_url, "stops") == []
    run(parent_url, "ALTER TABLE lots ADD COLUMN sku_type text")

    assert [each.object for each in findings(parent_url, "stops")] == ["column lots.sku_type"]


def test_nothing_is_left_to_do(parent_url: str) -> None:
    migrations.upgrade(parent_url)
    run(parent_url, "CREATE VIEW types AS SELECT lot_type FROM lots")

    assert findings(parent_url, "stops") + findings(parent_url, "bends") == []


def test_a_target_before_what_would_stop_it(parent_url: str) -> None:
    run(parent_url, "ALTER TABLE lots ADD COLUMN sku_type text")

    migrations.upgrade(parent_url, "20261129_4_runs_and_steps")

    assert [each.object for each in findings(parent_url, "stops")] == ["column lots.sku_type"]


def test_revisions_of_others(parent_url: str) -> None:
    run(parent_url, "CREATE TABLE alembic_version (version_num text); INSERT INTO alembic_version VALUES ('e1f2')")

    [found] = findings(parent_url, "stops")

    assert (found.object, found.what) == (
        "table alembic_version",
        "It names e1f2, which is no revision of this release.",
    )
