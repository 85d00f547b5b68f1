"""Rows that break a rule, cannot be read, or come out otherwise than they were."""

from collections import defaultdict
from collections.abc import Iterator, Mapping
from typing import Final

from sqlalchemy import Connection, text
from sqlalchemy.exc import DBAPIError

from runworker.migration_check.course import BASELINE, Course
from runworker.migration_check.findings import MigrationFinding, listed, stops
from runworker.migration_check.row_rules import GENEALOGY, LINK, RULES, RowRule

_FOUND: Final = """
    WITH found (id) AS MATERIALIZED ({sql})
    SELECT (SELECT count(*) FROM found) AS many, ARRAY(SELECT id FROM found ORDER BY id LIMIT 5) AS first
"""


def rows(connection: Connection, course: Course, unfit: frozenset[str]) -> Iterator[MigrationFinding]:
    """What the rules find. unfit: tables, and columns as table.column, that cannot be looked at for another finding."""
    if not course.at or BASELINE in course.ahead:
        return
    for rule in RULES:
        if rule.revision in course.ahead and not _needs(rule.uses) & unfit:
            yield from _asked(connection, rule)
    if GENEALOGY in course.ahead and not _needs(LINK) & unfit:
        yield from _circles(connection)


def _needs(uses: Mapping[str, tuple[str, ...]]) -> frozenset[str]:
    return frozenset(uses) | {
        f"{table}.{column.partition('::')[0]}" for table, names in uses.items() for column in names
    }


def _asked(connection: Connection, rule: RowRule) -> Iterator[MigrationFinding]:
    try:
        with connection.begin_nested():
            found = connection.execute(text(_FOUND.format(sql=rule.sql).replace(":", r"\:"))).one()
    except DBAPIError as error:
        if error.connection_invalidated:
            raise
        said = str(error.orig).strip().splitlines()[0]
        yield stops(rule.on, f"They could not be looked at: {said}.", "What is in them may stop it.", "Look again.")
        return
    if found.many:
        yield _finding(rule, found.many, found.first)


def _finding(rule: RowRule, many: int, first: list[str]) -> MigrationFinding:
    more = f" and {many - len(first)} more" if many > len(first) else ""
    see = " ".join(rule.sql.split()).replace("SELECT id::text", "SELECT *", 1)
    return MigrationFinding(
        rule.severity,
        rule.on,
        f"{many} of them {'has' if many == 1 else 'have'} {rule.what}: {', '.join(first)}{more}.",
        rule.why,
        f"{rule.remedy.rstrip('.')}. See {see}",
    )


def _circles(connection: Connection) -> Iterator[MigrationFinding]:
    """Lots that descend from themselves, by way of others. Links whose ends are not in between are peeled away."""
    links = connection.execute(
        text("SELECT parent_lot_id::text, child_lot_id::text FROM lot_genealogy WHERE parent_lot_id <> child_lot_id")
    )
    forward, back = defaultdict[str, set[str]](set), defaultdict[str, set[str]](set)
    for parent, child in links:
        forward[parent].add(child)
        back[child].add(parent)
    for here, there in ((forward, back), (back, forward)):
        loose = [lot for lot in here if not there.get(lot)]
        while loose:
            lot = loose.pop()
            for near in here.pop(lot, ()):
                there[near].discard(lot)
                if not there[near]:
                    loose.append(near)
    circling = sorted(lot for lot in forward.keys() & back.keys() if forward[lot] and back[lot])
    if circling:
        yield MigrationFinding(
            "bends",
            "rows of lots",
            f"{len(circling)} of them are in a circle, or between two: {listed(circling)}.",
            "They stay as they are, and are traced and recalled; no link that closes a circle can be added.",
            "DELETE the link that is wrong while it can be. See SELECT * FROM lot_genealogy"
            " WHERE parent_lot_id IN (these)",
        )
