"""Traces and recalls against real PostgreSQL: equal to a walk over the tables in Python, and one query each."""

from collections import defaultdict
from collections.abc import Iterator
from decimal import Decimal
from random import Random
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import event, text
from tests.genealogies import Genealogies, Parentage, code_of, id_of

from runworker.tracing import Direction, NotFound, Trace, mass_balance, recall, trace
from runworker.tracing.recall import to_do

KG = Decimal("1.25")
SHIFTED = 5


@pytest.fixture
def genealogies(database_url: str) -> Iterator[Genealogies]:
    found = Genealogies(database_url)
    yield found
    found.database.dispose()


@pytest.fixture
def statements(genealogies: Genealogies) -> Iterator[list[str]]:
    """Statements that reach the database from here on."""
    seen: list[str] = []

    def note(_connection: Any, _cursor: Any, statement: str, *_rest: Any) -> None:
        seen.append(statement)

    event.listen(genealogies.database, "before_cursor_execute", note)
    yield seen
    event.remove(genealogies.database, "before_cursor_execute", note)


def traced(
    genealogies: Genealogies, number: int, direction: Direction = Direction.BOTH, depth: int | None = None
) -> Trace:
    with genealogies.database.connect() as connection:
        return trace(connection, code_of(number), direction, depth)


def walk(links: list[Parentage], start: int, *, back: bool, depth: int | None) -> tuple[set[int], dict[Any, Any]]:
    """What a trace has to find, walked level by level: lots, and kilograms by parent and child."""
    beside = defaultdict(list)
    for link in links:
        beside[link[1] if back else link[0]].append(link)
    reached, front, taken = {start}, {start}, defaultdict(list)
    while front and depth != 0:
        ahead = {link[0] if back else link[1] for lot in front for link in beside[lot]}
        for lot in front:
            for parent, child, kg in beside[lot]:
                taken[id_of(parent), id_of(child)].append(kg)
        front = ahead - reached
        reached |= ahead
        depth = None if depth is None else depth - 1
    known = {ends: [kg for kg in kgs if kg is not None] for ends, kgs in taken.items()}
    return reached, {ends: sum(kgs) if kgs else None for ends, kgs in known.items()}


LOTS = 12
KILOGRAMS = st.none() | st.decimals("0.01", "99.99", places=2)
LINKS = st.lists(st.tuples(st.integers(0, LOTS - 1), st.integers(0, LOTS - 1), KILOGRAMS), max_size=30).map(
    lambda links: [link for link in links if link[0] != link[1]]
)


@given(
    links=LINKS,
    start=st.integers(0, LOTS - 1),
    direction=st.sampled_from(Direction),
    depth=st.none() | st.integers(1, 5),
)
@settings(max_examples=100, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_a_trace_finds_what_a_walk_over_the_tables_finds(
    genealogies: Genealogies, links: list[Parentage], start: int, direction: Direction, depth: int | None
) -> None:
    """Any graph: diamonds, links repeated, and cycles, which older systems may have left."""
    genealogies.write(LOTS, links)
    reached: set[int] = set()
    taken: dict[Any, Any] = {}
    for back, name in ((True, Direction.BACK), (False, Direction.FORWARD)):
        if direction in (name, Direction.BOTH):
            lots, kilograms = walk(links, start, back=back, depth=depth)
            reached |= lots
            taken |= kilograms
    found = traced(genealogies, start, direction, depth)
    assert set(found.genealogy.lots) == {id_of(number) for number in reached}
    assert {(link.parent_id, link.child_id): link.quantity_kg for link in found.genealogy.links} == taken
    assert len(found.genealogy.links) == len(taken)
    for lot_id, lot in found.genealogy.lots.items():
        assert lot.taken_kg == sum(kg or 0 for parent, _, kg in links if id_of(parent) == lot_id)
        assert lot.used_kg == sum(kg or 0 for _, child, kg in links if id_of(child) == lot_id)


@given(links=LINKS, start=st.integers(0, LOTS - 1), raw=st.sets(st.integers(0, LOTS - 1)))
@settings(max_examples=100, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_a_recall_finds_all_that_contains_a_lot_and_all_raw_material_in_that(
    genealogies: Genealogies, links: list[Parentage], start: int, raw: set[int]
) -> None:
    genealogies.write(LOTS, links, raw=sorted(raw))
    containing, _ = walk(links, start, back=False, depth=None)
    origins, _ = walk(links, start, back=True, depth=None)
    inside = {lot for each in containing for lot in walk(links, each, back=True, depth=None)[0]}
    with genealogies.database.connect() as connection:
        found = recall(connection, code_of(start))
    assert {lot.id for lots in found.containing.values() for lot in lots} == set(map(id_of, containing))
    assert {lot.id for lot in found.sources} == set(map(id_of, raw & origins))
    assert {lot.id for lot in found.companions} == set(map(id_of, (raw & inside) - origins))


def test_a_chain_of_eleven_levels_among_ten_thousand_lots_takes_one_query(
    genealogies: Genealogies, statements: list[str]
) -> None:
    """The chain is lots 0 to 10; each of the others is made of up to three of those just before it, never of these."""
    random = Random(3)  # noqa: S311 - a graph, not a secret
    chain: list[Parentage] = [(lot, lot + 1, KG) for lot in range(10)]
    rest = [
        (random.randrange(max(11, lot - 50), lot), lot, KG)
        for lot in range(12, 10_000)
        for _ in range(random.randrange(4))
    ]
    genealogies.write(10_000, chain + rest)
    statements.clear()
    found = traced(genealogies, 5)
    assert len(statements) == 1
    assert statements[0].startswith("WITH RECURSIVE")
    assert [lot.code for lot in found.genealogy.lots.values()] == [code_of(lot) for lot in range(11)]
    assert found.genealogy.ancestors(id_of(10)) == {id_of(10 - level): level for level in range(11)}
    with genealogies.database.connect() as connection:
        recall(connection, code_of(5))
    assert len(statements) == 2


def test_neither_trace_nor_recall_reads_a_whole_table(genealogies: Genealogies) -> None:
    """Whatever share of the table the planner thinks a walk will find."""
    genealogies.write(10_000, [(lot - up, lot, KG) for lot in range(60, 10_000) if lot % 60 > 9 for up in (7, 8, 9)])
    plans: list[str] = []

    def explain(connection: Any, _cursor: Any, statement: str, parameters: Any, *_rest: Any) -> None:
        if statement.startswith("WITH RECURSIVE"):
            plan = connection.connection.driver_connection.execute(f"EXPLAIN {statement}", parameters)
            plans.append("\n".join(line for (line,) in plan))

    with genealogies.database.connect() as connection:
        connection.exec_driver_sql("ANALYZE lots, lot_genealogy")
        event.listen(connection, "before_cursor_execute", explain)
        trace(connection, code_of(5_000))
        recall(connection, code_of(5_000))
    assert len(plans) == 2
    for plan in plans:
        assert "idx_lot_genealogy_child" in plan
        assert "Seq Scan on lot" not in plan


def test_many_paths_to_the_same_lots_are_not_walked_one_by_one(genealogies: Genealogies) -> None:
    """Twenty layers of three lots, each made of all three before: 3^19 paths, 60 lots, 171 links."""
    links = [
        (3 * layer + parent, 3 * layer + 3 + child, KG)
        for layer in range(19)
        for parent in range(3)
        for child in range(3)
    ]
    genealogies.write(60, links)
    for depth in (None, 19):
        found = traced(genealogies, 0, Direction.FORWARD, depth)
        assert len(found.genealogy.lots) == 58
        assert len(found.genealogy.links) == 3 + 18 * 9


def test_a_depth_ends_a_trace_both_ways(genealogies: Genealogies) -> None:
    genealogies.write(11, [(lot, lot + 1, KG) for lot in range(10)])
    found = traced(genealogies, SHIFTED, depth=2)
    assert [lot.code for lot in found.genealogy.lots.values()] == [code_of(lot) for lot in range(3, 8)]
    assert len(found.genealogy.links) == 4


def test_what_a_trace_does_not_reach_counts_as_from_and_to_elsewhere(genealogies: Genealogies) -> None:
    genealogies.write(4, [(0, 1, Decimal(40)), (1, 2, Decimal("99.5")), (1, 3, Decimal("0.5"))], raw=[0])
    found = traced(genealogies, 1, Direction.BACK)
    balance = mass_balance(found.genealogy.lots.values(), found.genealogy.links)
    assert (balance.in_kg, balance.to_elsewhere_kg, balance.gained_kg) == (100, 100, 60)
    assert balance.left_on == ((code_of(0), Decimal(60)),)
    assert balance.error_kg == 0


def test_more_taken_than_there_was_shows_as_an_error(genealogies: Genealogies) -> None:
    genealogies.write(2, [(0, 1, Decimal("100.01"))], raw=[0])
    found = traced(genealogies, 0)
    assert mass_balance(found.genealogy.lots.values(), found.genealogy.links).error_kg == Decimal("-0.01")


def test_raw_material_with_parents_shows_as_an_error(genealogies: Genealogies) -> None:
    genealogies.write(2, [(0, 1, Decimal(100))], raw=[0, 1])
    found = traced(genealogies, 0)
    assert mass_balance(found.genealogy.lots.values(), found.genealogy.links).error_kg == Decimal(100)


@pytest.mark.parametrize("code", ["LOT-999999", "", "lot-000000", "' OR true --", "%"])
def test_a_code_that_no_lot_has_is_an_error(genealogies: Genealogies, code: str) -> None:
    genealogies.write(1, [])
    with genealogies.database.connect() as connection:
        for find in (trace, recall):
            with pytest.raises(NotFound, match="No lot has the code"):
                find(connection, code)


def test_what_is_no_number_is_taken_for_not_noted(genealogies: Genealogies) -> None:
    genealogies.write(3, [(0, 1, Decimal("NaN")), (1, 2, KG), (0, 2, KG)])
    with genealogies.database.begin() as connection:
        connection.execute(text("SET LOCAL session_replication_role = replica"))
        connection.execute(
            text("UPDATE lots SET weight_kg = 'NaN', temperature_c = 'NaN' WHERE lot_code = 'LOT-000001'")
        )

    with genealogies.database.connect() as connection:
        found = recall(connection, code_of(0))
    lots = found.genealogy.lots

    assert [to_do(lots[id_of(number)]) for number in range(3)] == [
        f"Stop: {100 - KG} kg are at the plant",
        "Used up: nothing left here",
        "Stop: 100.00 kg are at the plant",
    ]
    assert (lots[id_of(1)].weight_kg, lots[id_of(1)].temperature_c, lots[id_of(1)].used_kg) == (None, None, 0)
    assert [link.quantity_kg for link in found.genealogy.links if link.child_id == id_of(1)] == [None]
