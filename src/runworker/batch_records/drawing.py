"""The genealogy of a run as a picture: inline SVG, a column a step, from raw material on the left to shipments."""

from collections.abc import Mapping, Sequence
from typing import Final
from uuid import UUID

from runworker.batch_records.layering import Place, laid_out
from runworker.batch_records.markup import Html, joined, tag
from runworker.batch_records.words import LOT_STATES, SYMBOLS, TONES, step_name
from runworker.tracing import Genealogy, TracedLink, TracedLot

WIDTH: Final = 132
HEIGHT: Final = 64
GAP: Final = 34
"""Between two columns."""
PITCH: Final = HEIGHT + 14
"""From one row to the next."""
TOP: Final = 34


def genealogy_drawing(genealogy: Genealogy, own: Sequence[UUID], labels: Mapping[int, Mapping[str, str]]) -> Html:
    """The drawing. own: ids of the run's lots; others are drawn with a broken border."""
    layout = laid_out(genealogy)
    width = len(layout.steps) * (WIDTH + GAP) - GAP + 4
    height = int(TOP + layout.rows * PITCH)
    heads = [
        tag("text", step_name(step, labels), x=_left(column) + WIDTH // 2, y=18, class_="step")
        for column, step in enumerate(layout.steps)
    ]
    links = [_link(link, places, genealogy) for link, places in layout.paths]
    mine = set(own)
    boxes = [_box(genealogy.lots[lot_id], place, lot_id in mine) for lot_id, place in layout.lots.items()]
    told = "Lots as boxes, a column for each step, joined where one was made of the other; the tables say the same."
    return tag(
        "svg",
        tag("title", "Genealogy of the run's lots", id="drawing-title"),
        tag("desc", told, id="drawing-desc"),
        *heads,
        *links,
        *boxes,
        viewBox=f"0 0 {width} {height}",
        width=width,
        height=height,
        role="img",
        aria_labelledby="drawing-title drawing-desc",
    )


def _box(lot: TracedLot, place: Place, own: bool) -> Html:
    x, y = _left(place[0]), _top(place[1])
    kind, _, number = lot.code.partition("-")
    weight = f"{lot.weight_kg} kg" if lot.weight_kg is not None else "never weighed"
    condition = f"{SYMBOLS[lot.status]} {lot.status}"
    lines = (("kind", kind, 16), ("number", number, 30), ("weight", weight, 43), ("condition", condition, 58))
    texts = [tag("text", text, x=x + 8, y=y + down, class_=name) for name, text, down in lines]
    frame = tag("rect", x=x, y=y, width=WIDTH, height=HEIGHT, rx=4)
    title = tag("title", f"{lot.code}: {weight}, {lot.status}. {LOT_STATES[lot.status]}")
    tone = TONES.get(lot.status, "good")
    return tag("g", title, frame, *texts, class_=f"lot {tone}" if own else f"lot {tone} outside")


def _link(link: TracedLink, places: Sequence[Place], genealogy: Genealogy) -> Html:
    """A line from the parent's right side to the child's left, straight through the columns that it passes."""
    x, y = _left(places[0][0]) + WIDTH, _middle(places[0])
    path = [f"M{x} {y}"]
    for place in places[1:]:
        entry, height = _left(place[0]), _middle(place)
        half = (entry + x) // 2
        path.append(f"C{half} {y} {half} {height} {entry} {height}")
        x, y = entry, height
        if place is not places[-1]:
            x += WIDTH
            path.append(f"H{x}")
    parent, child = genealogy.lots[link.parent_id], genealogy.lots[link.child_id]
    quantity = f"{link.quantity_kg} kg" if link.quantity_kg is not None else "an unknown quantity"
    title = tag("title", f"{quantity} of {parent.code} went into {child.code}")
    return tag("path", title, d=joined(path), class_="link")


def _left(column: int) -> int:
    return 2 + column * (WIDTH + GAP)


def _top(row: float) -> int:
    return int(TOP + row * PITCH)


def _middle(place: Place) -> int:
    return _top(place[1]) + HEIGHT // 2
