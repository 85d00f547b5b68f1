"""The course of a migration: where the database stands, what is to come, and what its schema should be until then."""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import Final

from sqlalchemy import ARRAY, Connection, Text, bindparam, text

from runworker import migrations, revisions
from runworker.migration_check.findings import MigrationFinding, listed, stops
from runworker.states import FlowVersionStatus, RunStatus
from runworker.verification.catalogue import Thing
from runworker.verification.schema import Expected, history

BASELINE: Final = "20260124_add_flow_definitions"
BASELINE_TABLES: Final = (
    "flow_definitions", "flow_versions", "lot_genealogy", "lots", "phases", "production_runs", "qc_decisions",
    "qc_gates", "scenarios", "streams", "users",
)  # fmt: skip

_Key = tuple[str, str, str]


@dataclass(frozen=True)
class Course:
    """at: the revision whose tables are there, None where there are none. ahead: those to come, the oldest first."""

    at: str | None
    ahead: tuple[str, ...]

    @cached_property
    def wanted(self) -> frozenset[Thing]:
        """What the schema should be before the first change."""
        return _made_by(self.at)

    @cached_property
    def in_the_end(self) -> frozenset[Thing]:
        """What it is to be after the last."""
        return _made_by(self.ahead[-1])

    @cached_property
    def made_next(self) -> frozenset[Thing]:
        """What the first of the revisions to come makes."""
        return _made_by(self.ahead[0]) - self.wanted

    @cached_property
    def tables(self) -> tuple[str, ...]:
        """Tables that are there, and are altered or written to."""
        found = {thing.home for thing in self.wanted if thing.kind == "table"} - {"alembic_version"}
        return tuple(sorted(found))

    @cached_property
    def new_states(self) -> dict[str, tuple[str, ...]]:
        """Tables whose rows move to other states, and the states that there are afterwards."""
        renamed = {
            "20260124_flow_version_status": ("flow_versions", tuple(FlowVersionStatus)),
            "20260124_production_runs": ("production_runs", tuple(RunStatus)),
        }
        return dict(renamed[revision] for revision in self.ahead if revision in renamed and self.at)

    @cached_property
    def created(self) -> dict[_Key, str]:
        """What the revisions to come create, by kind, home and name: the revision that does."""
        there = {_key(thing) for thing in self.wanted}
        found: dict[_Key, str] = {}
        for revision in self.ahead:
            for thing in sorted(_made_by(revision)):
                if _key(thing) not in there and thing.kind != "right" and thing.home != "alembic_version":
                    found.setdefault(_key(thing), revision)
        return found


def _key(thing: Thing) -> _Key:
    return (thing.kind, thing.home, thing.name)


def _made_by(revision: str | None) -> frozenset[Thing]:
    """The schema at a revision; that of the one before it where `make schema` has not seen it yet."""
    by_name: dict[str, Expected] = {each.revision: each for each in history()}
    known = revisions.known()
    for each in reversed(known[: known.index(revision) + 1] if revision in known else ()):
        if each in by_name:
            return by_name[each].things
    return frozenset()


_TABLES: Final = text("""
    SELECT space.nspname::text AS schema, array_agg(home.relname::text) AS names
    FROM pg_class AS home JOIN pg_namespace AS space ON space.oid = home.relnamespace
    WHERE home.relname = ANY (:tables) AND home.relkind IN ('r', 'p', 'v', 'm', 'f')
      AND space.nspname !~ '^pg_' AND space.nspname <> 'information_schema'
    GROUP BY space.nspname ORDER BY space.nspname
""").bindparams(bindparam("tables", type_=ARRAY(Text)))
_VERSION: Final = text("""
    SELECT has_table_privilege(oid, 'SELECT') AND has_table_privilege(oid, 'INSERT')
           AND has_table_privilege(oid, 'UPDATE') AS may_use
    FROM pg_class WHERE relnamespace = 'public'::regnamespace AND relname = 'alembic_version'
""")
_REVISION: Final = text("SELECT version_num::text FROM public.alembic_version ORDER BY 1")


def course(connection: Connection, target: str) -> Iterator[Course | MigrationFinding]:
    """Yield what keeps a migration from beginning here, or the one course that it takes; neither if none is needed.

    Raises ConfigurationError for a target that is unknown.
    """
    version = connection.execute(_VERSION).one_or_none()
    if version is not None and not version.may_use:
        yield stops(
            "table alembic_version",
            "This login may not use it.",
            "It holds the revision that the database is at.",
            "Migrate as the owner of the tables: set RUNWORKER_MIGRATION_URL.",
        )
        return
    there = list(connection.execute(_REVISION).scalars()) if version is not None else []
    if len(there) > 1 or not set(there) <= set(revisions.known()):
        yield stops(
            "table alembic_version",
            f"It names {listed(there)}, which is no revision of this release.",
            "A newer release, or another program that uses Alembic, has been here.",
            "Upgrade runworker, or give it a database of its own.",
        )
        return
    homes = {row.schema: set(row.names) for row in connection.execute(_TABLES, {"tables": list(BASELINE_TABLES)})}
    if there:
        at: str | None = there[0]
    else:
        found = _where_to_begin(homes)
        if isinstance(found, MigrationFinding):
            yield found
            return
        at = found
    begun_at = there[0] if there else None
    ahead = tuple(each for each in migrations.ahead(begun_at, target) if each != at)
    if ahead:
        yield Course(at, ahead)


def _where_to_begin(homes: dict[str, set[str]]) -> MigrationFinding | str | None:
    """The baseline where its tables are there, None where they are not, or why neither can be said."""
    here = homes.get("public", set())
    whole = [schema for schema, names in homes.items() if schema != "public" and names == set(BASELINE_TABLES)]
    if whole and not here:
        return stops(
            f"schema {whole[0]}",
            f"The plant's tables are in the schema {whole[0]}, and none is in public.",
            "Workers and migrations know public alone: they would make empty tables there.",
            f"ALTER TABLE {whole[0]}.lots SET SCHEMA public, likewise the other ten tables and the type lot_type.",
        )
    missing = sorted(set(BASELINE_TABLES) - here)
    if here and missing:
        return stops(
            "tables of the baseline",
            f"Some of the baseline's tables are there and some are not ({', '.join(missing)}).",
            "A database to migrate has all of them, from an older system, or none.",
            "Create those that are missing, as docs/database.md has them, or give runworker a database of its own.",
        )
    return BASELINE if here else None
