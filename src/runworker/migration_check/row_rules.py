"""Rules for rows: those that a revision or a worker would fail on, and those that come out otherwise than they were."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Final, Literal

from runworker.migration_check.names import LOT_TYPES
from runworker.states import Decision, FlowVersionStatus, GateType, LotStatus, LotType, RunStatus, UserRole

STATES_OF_LOTS: Final = "20260124_lot_step_index_status"
STATES_OF_VERSIONS: Final = "20260124_flow_version_status"
STATES_OF_RUNS: Final = "20260124_production_runs"
ONE_PUBLISHED: Final = "20261129_3_flow_versions"
TIMES_OF_RUNS: Final = "20261129_4_runs_and_steps"
GENEALOGY: Final = "20261129_6_genealogy"
QUALITY: Final = "20261129_7_quality"


@dataclass(frozen=True, slots=True)
class RowRule:
    """A statement that finds rows. revision: matters while this one is still to come.

    sql: gives the ids of the rows, or what they are known by, as text. uses: its columns, by table.
    """

    revision: str
    severity: Literal["stops", "bends"]
    uses: Mapping[str, tuple[str, ...]]
    what: str
    why: str
    remedy: str
    sql: str

    @property
    def on(self) -> str:
        """What it is about."""
        return f"rows of {next(iter(self.uses))}"


def _among(words: Iterable[StrEnum | str]) -> str:
    return ", ".join(f"'{word}'" for word in words)


def _a(column: str) -> str:
    name = column.partition("::")[0]
    return f"{'an' if name[0] in 'aeiou' else 'a'} {name}"


def _unknown(table: str, column: str, revision: str, words: Iterable[StrEnum | str]) -> RowRule:
    known = list(words)
    return RowRule(
        revision,
        "stops",
        {table: ("id", column)},
        f"{_a(column)} that nobody knows",
        f"It is one of {', '.join(known)}.",
        f"UPDATE {table} SET {column.partition('::')[0]} = one of these",  # noqa: S608 - to be read
        f"SELECT id::text FROM {table} WHERE {column} NOT IN ({_among(known)})",  # noqa: S608 - our own words
    )


def _no_number(table: str, column: str, revision: str) -> RowRule:
    condition = f"{column} IN ('NaN', 'Infinity', '-Infinity')"
    return RowRule(
        revision,
        "stops",
        {table: ("id", column)},
        f"{_a(column)} that is no number (NaN, or without end)",
        "No sum with it can be told, and guards let nobody mend it later.",
        f"UPDATE {table} SET {column} = NULL WHERE {condition}, which says that nobody noted it",  # noqa: S608 - to be read
        f"SELECT id::text FROM {table} WHERE {condition}",  # noqa: S608 - our own words
    )


def _no_time(table: str, column: str, revision: str) -> RowRule:
    condition = f"{column} NOT BETWEEN '0001-01-02' AND '9999-12-30'"
    return RowRule(
        revision,
        "stops",
        {table: ("id", column)},
        f"{_a(column)} that is no time (infinity, or out of the years 1 to 9999)",
        "Workers cannot read it.",
        f"UPDATE {table} SET {column} = a time that may be true WHERE {condition}",  # noqa: S608 - to be read
        f"SELECT id::text FROM {table} WHERE {condition}",  # noqa: S608 - our own words
    )


def _twice(table: str, *columns: str) -> RowRule:
    together = ", ".join(columns)
    return RowRule(
        LOT_TYPES,
        "stops",
        {table: ("id", *columns)},
        f"the same {together} as another row",
        "It has to be one row's alone.",
        f"UPDATE {table}: give all but one of them another",
        f"SELECT id::text FROM {table} WHERE ({together}) IN"  # noqa: S608 - our own words
        f" (SELECT {together} FROM {table} GROUP BY {together} HAVING count(*) > 1)",
    )


def _bent(
    revision: str, uses: Mapping[str, tuple[str, ...]], what: str, why: str, sql: str, *, remedy: str = "None is needed"
) -> RowRule:
    return RowRule(revision, "bends", uses, what, why, remedy, sql)


_KEPT: Final = "metadata #>> '{runworker_downgrade,%s}'"
LINK: Final = {"lot_genealogy": ("id", "parent_lot_id", "child_lot_id", "quantity_used_kg")}

RULES: Final = (
    _unknown("flow_versions", "status", STATES_OF_VERSIONS, (*FlowVersionStatus, "ARCHIVED")),
    _unknown("production_runs", "status", STATES_OF_RUNS, (*RunStatus, "ACTIVE", "CANCELLED")),
    _unknown("users", "role", LOT_TYPES, UserRole),
    _unknown("qc_decisions", "decision", QUALITY, Decision),
    _unknown("qc_gates", "gate_type", LOT_TYPES, GateType),
    _unknown("lots", "lot_type::text", LOT_TYPES, LotType),
    _twice("lots", "lot_code"),
    _twice("production_runs", "run_code"),
    _twice("users", "email"),
    _twice("flow_versions", "flow_definition_id", "version_num"),
    _no_number("lots", "weight_kg", LOT_TYPES),
    _no_number("lots", "temperature_c", LOT_TYPES),
    _no_number("lot_genealogy", "quantity_used_kg", GENEALOGY),
    _no_number("qc_decisions", "temperature_c", QUALITY),
    _no_number("production_runs", "daily_target_kg", TIMES_OF_RUNS),
    _no_time("lots", "created_at", LOT_TYPES),
    _no_time("lot_genealogy", "linked_at", GENEALOGY),
    _no_time("qc_decisions", "decided_at", QUALITY),
    _no_time("production_runs", "started_at", TIMES_OF_RUNS),
    _no_time("production_runs", "ended_at", TIMES_OF_RUNS),
    _no_time("flow_versions", "published_at", STATES_OF_VERSIONS),
    RowRule(
        STATES_OF_LOTS,
        "stops",
        {"lots": ("id", "metadata")},
        "a note runworker_downgrade in metadata that no downgrade wrote",
        "Status, step and SKU of the lot are read from it.",
        "UPDATE lots SET metadata = metadata - 'runworker_downgrade' for them",
        f"""
        SELECT id::text FROM lots
        WHERE {_KEPT % "status"} NOT IN ({_among(LotStatus)})
           OR {_KEPT % "sku_type"} NOT IN ('15', '30')
           OR {_KEPT % "step_index"} !~ '^([0-9]|10)$'
        """,  # noqa: S608 - our own words
    ),
    _bent(
        STATES_OF_VERSIONS,
        {"flow_versions": ("id", "status")},
        "the status ARCHIVED",
        "It becomes DEPRECATED.",
        "SELECT id::text FROM flow_versions WHERE status = 'ARCHIVED'",
    ),
    _bent(
        ONE_PUBLISHED,
        {"flow_versions": ("id", "flow_definition_id", "version_num", "status")},
        "the status PUBLISHED beside a newer PUBLISHED version of the same flow",
        "They become DEPRECATED: the one with the highest number stays in force.",
        "SELECT id::text FROM flow_versions AS old WHERE status = 'PUBLISHED' AND EXISTS"
        " (SELECT FROM flow_versions AS newer WHERE newer.flow_definition_id = old.flow_definition_id"
        " AND newer.status = 'PUBLISHED' AND newer.version_num > old.version_num)",
        remedy="ARCHIVE those that are not to stay, where it is not the highest",
    ),
    _bent(
        STATES_OF_RUNS,
        {"production_runs": ("id", "status")},
        "the status ACTIVE",
        "They become RUNNING, without a flow version and without steps, for nobody noted either.",
        "SELECT id::text FROM production_runs WHERE status = 'ACTIVE'",
        remedy="Finish them before, where they are finished",
    ),
    _bent(
        STATES_OF_RUNS,
        {"production_runs": ("id", "status")},
        "the status CANCELLED",
        "They become ABORTED.",
        "SELECT id::text FROM production_runs WHERE status = 'CANCELLED'",
    ),
    _bent(
        TIMES_OF_RUNS,
        {"production_runs": ("id", "status", "ended_at")},
        "an end that nobody noted",
        "They end at the time at which they started.",
        "SELECT id::text FROM production_runs WHERE status IN ('COMPLETED', 'CANCELLED') AND ended_at IS NULL",
        remedy="UPDATE production_runs SET ended_at, where it is known",
    ),
    _bent(
        TIMES_OF_RUNS,
        {"production_runs": ("id", "status", "ended_at")},
        "an end although they are ACTIVE",
        "The end moves into summary, as legacy_ended_at.",
        "SELECT id::text FROM production_runs WHERE status = 'ACTIVE' AND ended_at IS NOT NULL",
        remedy="UPDATE production_runs SET status = 'COMPLETED', where they are",
    ),
    _bent(
        STATES_OF_LOTS,
        {"lots": ("id", "production_run_id"), "qc_decisions": ("lot_id",), "production_runs": ("id", "status")},
        "no decision of quality control, and no COMPLETED run",
        "They become QUARANTINE, or CONSUMED where all of them was used: no lot is RELEASED without a PASS on record.",
        "SELECT id::text FROM lots WHERE NOT EXISTS (SELECT FROM qc_decisions WHERE lot_id = lots.id)"
        " AND NOT EXISTS (SELECT FROM production_runs AS run"
        " WHERE run.id = lots.production_run_id AND run.status = 'COMPLETED')",
        remedy="INSERT the decisions that were made and not written down",
    ),
    _bent(
        LOT_TYPES,
        {"lots": ("id", "lot_type")},
        "a legacy type (SKW, FRZ, FG)",
        "They keep it; no new lot of such a type is taken from anybody.",
        "SELECT id::text FROM lots WHERE lot_type::text IN ('SKW', 'FRZ', 'FG')",
    ),
    _bent(
        LOT_TYPES,
        {"lots": ("id", "weight_kg")},
        "a weight of zero or less",
        "They keep it; nothing can be taken of them.",
        "SELECT id::text FROM lots WHERE weight_kg <= 0",
    ),
    _bent(
        GENEALOGY,
        LINK,
        "the same lot at both ends",
        "They stay as they are, and no such link can be added.",
        "SELECT id::text FROM lot_genealogy WHERE parent_lot_id = child_lot_id",
    ),
    _bent(
        GENEALOGY,
        LINK,
        "no quantity, or one of zero or less",
        "They stay as they are; mass balances count nothing for them.",
        "SELECT id::text FROM lot_genealogy WHERE (quantity_used_kg > 0) IS NOT TRUE",
    ),
    _bent(
        GENEALOGY,
        {"lots": ("id", "weight_kg"), **LINK},
        "less weight than was taken from them",
        "They stay as they are; nothing more can be taken, and mass balances tell the difference.",
        # An older system has no index of links by parent.
        "SELECT id::text FROM lots JOIN (SELECT parent_lot_id, sum(quantity_used_kg) AS kg FROM lot_genealogy"
        " GROUP BY 1) AS taken ON parent_lot_id = lots.id WHERE weight_kg < kg",
    ),
)
