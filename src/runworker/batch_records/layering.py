"""Where the lots of a drawing stand: a column a step, and in each an order with few crossings.

Sugiyama's method, small: a link that passes over columns gets a place to pass through in each of them, and columns
are ordered to and fro by the mean position of what they are linked to.
"""

from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Final
from uuid import UUID

from runworker.tracing import Genealogy, TracedLink

SWEEPS: Final = 8

Place = tuple[int, float]
"""Column and row; rows may lie between two."""

_Slot = UUID | tuple[UUID, UUID, int]
"""A lot, or where a link (parent, child) passes through a column."""


@dataclass(frozen=True, slots=True)
class Layout:
    """steps: the step of each column. paths: the places a link goes through, both ends included."""

    steps: tuple[int | None, ...]
    lots: Mapping[UUID, Place]
    paths: Sequence[tuple[TracedLink, tuple[Place, ...]]]
    rows: float


def laid_out(genealogy: Genealogy) -> Layout:
    """Places for all lots and links. Legacy lots without a step stand in a column of their own, before the others."""
    steps = sorted({lot.step_index for lot in genealogy.lots.values()}, key=lambda step: -1 if step is None else step)
    column_of = {lot.id: steps.index(lot.step_index) for lot in genealogy.lots.values()}
    columns: list[list[_Slot]] = [[] for _ in steps]
    for lot in genealogy.lots.values():
        columns[column_of[lot.id]].append(lot.id)
    chains: list[tuple[TracedLink, list[_Slot]]] = []
    for link in genealogy.links:
        between = range(column_of[link.parent_id] + 1, column_of[link.child_id])
        passing: list[_Slot] = [(link.parent_id, link.child_id, column) for column in between]
        for column, slot in zip(between, passing, strict=True):
            columns[column].append(slot)
        chains.append((link, [link.parent_id, *passing, link.child_id]))
    _order(columns, chains)
    places = _places(columns)
    return Layout(
        tuple(steps),
        {lot_id: places[lot_id] for lot_id in genealogy.lots},
        [(link, tuple(places[slot] for slot in chain)) for link, chain in chains],
        max((len(column) for column in columns), default=0),
    )


def _order(columns: list[list[_Slot]], chains: Sequence[tuple[TracedLink, list[_Slot]]]) -> None:
    """Sort each column by the mean row of its neighbours in the column before, then behind, to and fro."""
    before: defaultdict[_Slot, list[_Slot]] = defaultdict(list)
    behind: defaultdict[_Slot, list[_Slot]] = defaultdict(list)
    for _, chain in chains:
        for here, there in pairwise(chain):
            behind[here].append(there)
            before[there].append(here)
    row = {slot: float(index) for column in columns for index, slot in enumerate(column)}
    for sweep in range(SWEEPS):
        forward = sweep % 2 == 0
        neighbours = before if forward else behind
        for column in columns if forward else reversed(columns):
            column.sort(key=_by_mean(neighbours, row))
            # Relative to the column's length: a column of three is spread as wide as one of thirty.
            row.update({slot: (index + 0.5) / len(column) for index, slot in enumerate(column)})


def _by_mean(neighbours: Mapping[_Slot, list[_Slot]], row: Mapping[_Slot, float]) -> Callable[[_Slot], float]:
    def mean(slot: _Slot) -> float:
        rows = [row[other] for other in neighbours.get(slot, ())]
        return sum(rows) / len(rows) if rows else row[slot]

    return mean


def _places(columns: Sequence[Sequence[_Slot]]) -> Mapping[_Slot, Place]:
    """Columns centred beside each other."""
    highest = max((len(column) for column in columns), default=0)
    return {
        slot: (index, (highest - len(column)) / 2 + row)
        for index, column in enumerate(columns)
        for row, slot in enumerate(column)
    }
