"""The batch record's parts about material: lots, genealogy, quality control, mass balance."""

from decimal import Decimal

from runworker.batch_records.drawing import genealogy_drawing
from runworker.batch_records.markup import Content, Html, definitions, table, tag
from runworker.batch_records.pieces import code, meanings, person, section, state, time
from runworker.batch_records.run_record import DecisionRecord, RunRecord
from runworker.batch_records.words import DECISIONS, LOT_STATES, LOT_TYPES, step_name
from runworker.tracing import TracedLot


def lots(record: RunRecord) -> Html:
    """Every lot of the run, in the order in which it was made."""
    own = [record.genealogy.lots[lot_id] for lot_id in record.own_lots]
    own.sort(key=lambda lot: (-1 if lot.step_index is None else lot.step_index, lot.code))
    return section(
        "Lots",
        "A lot is material that is handled as one and traced as one. What its children took from it is taken; the rest"
        " is left.",
        table(
            ("Lot", "Kind", "Step", "State", "Weight kg", "Taken kg", "Left kg", "Supplier", "Operator", "Registered"),
            [_lot(lot, record) for lot in own],
            caption=f"{len(own)} lots",
            empty="The run has no lots.",
        ),
        meanings(LOT_STATES, (lot.status for lot in own)),
    )


def _lot(lot: TracedLot, record: RunRecord) -> tuple[Content, ...]:
    labels = record.flow.labels if record.flow else {}
    return (
        code(lot.code),
        LOT_TYPES[lot.lot_type] if lot.lot_type else "unknown",
        step_name(lot.step_index, labels),
        state(lot.status),
        _kg(lot.weight_kg),
        _kg(lot.taken_kg),
        _kg(lot.left_kg),
        f"{lot.supplier_name} ({lot.supplier_code})" if lot.supplier_code else None,
        person(lot.operator_id, record.people),
        time(lot.created_at),
    )


def genealogy(record: RunRecord) -> Html:
    """What was made of what: drawn, and as a table."""
    found = record.genealogy
    made = [lot for lot in found.lots.values() if lot.id in found.parents]
    made.sort(key=lambda lot: (-1 if lot.step_index is None else lot.step_index, lot.code))
    rows = [(code(_named(lot, record)), _parents(lot, record), str(lot.used_kg), _kg(lot.weight_kg)) for lot in made]
    labels = record.flow.labels if record.flow else {}
    drawn = tag("div", genealogy_drawing(found, record.own_lots, labels), class_="drawing") if found.lots else None
    return section(
        "Genealogy",
        "What each lot was made of, from raw material on the left to shipments on the right. The frame shows the state"
        " that is written in the box: heavy for rejected, dashes for on hold. Dotted: lots of other runs.",
        drawn,
        table(
            ("Lot", "Made of", "Taken from them kg", "Weight kg"),
            rows,
            caption=f"{len(found.links)} links between lots",
            empty="No lot was made of another.",
        ),
    )


def _parents(lot: TracedLot, record: RunRecord) -> str:
    lots = record.genealogy.lots
    return "; ".join(
        f"{'?' if link.quantity_kg is None else link.quantity_kg} kg of {_named(lots[link.parent_id], record)}"
        for link in record.genealogy.parents[lot.id]
    )


def _named(lot: TracedLot, record: RunRecord) -> str:
    return lot.code if lot.run_id == record.id else f"{lot.code} ({lot.run_code or 'no run'})"


def decisions(record: RunRecord) -> Html:
    """Every quality decision, with the temperature and what the critical control point allows."""
    return section(
        "Quality control",
        "Every decision on a lot. At a critical control point (CCP) the temperature must not be above its limit: a lot"
        " that is too warm goes on hold whatever was decided.",
        table(
            (
                "When",
                "Lot",
                "Step",
                "Decision",
                "Measured °C",
                "Limit °C",
                "Temperature",
                "Notes",
                "Gate",
                "By",
                "Signature",
            ),
            [_decision(decision, record) for decision in record.decisions],
            caption=f"{len(record.decisions)} decisions",
            empty="No decision was taken.",
        ),
        meanings(DECISIONS, (decision.decision for decision in record.decisions)),
    )


def _decision(decision: DecisionRecord, record: RunRecord) -> tuple[Content, ...]:
    labels = record.flow.labels if record.flow else {}
    within = None
    if decision.limit_c is not None:
        within = "not measured" if decision.temperature_c is None else "within the limit"
    return (
        time(decision.decided_at),
        code(decision.lot_code),
        step_name(decision.step_index, labels),
        state(decision.decision),
        None if decision.temperature_c is None else str(decision.temperature_c),
        None if decision.limit_c is None else f"≤ {decision.limit_c}",
        tag("strong", "ABOVE THE LIMIT: put on hold") if decision.too_warm else within,
        decision.notes,
        decision.gate,
        person(decision.operator_id, record.people),
        decision.signature,
    )


def mass_balance(record: RunRecord) -> Html:
    """What went in, what came out, and that nothing is missing."""
    balance = record.balance
    labels = record.flow.labels if record.flow else {}
    figures = (
        ("In: raw material" + _of(balance.from_elsewhere_kg, "from other runs"), f"{balance.in_kg} kg"),
        ("Gained (marinade, water)", f"+ {balance.gained_kg} kg"),
        ("Lost (trimming, drip)" + _of(balance.written_off_kg, "written off"), f"- {balance.lost_kg} kg"),
        ("Rejected", f"- {balance.rejected_kg} kg"),
        ("Left on lots", f"- {balance.left_kg} kg"),
        ("Out: shipped" + _of(balance.to_elsewhere_kg, "to other runs"), f"- {balance.out_kg} kg"),
        ("Not accounted for", f"{balance.error_kg} kg"),
    )
    off = f"{balance.error_kg} kg are off: more was taken from a lot than it weighed, or a weight is missing."
    unweighed = f"Lots that were never weighed count as 0 kg: {', '.join(balance.unweighed)}."
    return section(
        "Mass balance",
        "Every kilogram that came in or was gained has to be somewhere: shipped, rejected, left or lost. What is not"
        " accounted for must be exactly zero.",
        definitions(figures),
        tag("p", off, class_="warning") if balance.error_kg else None,
        tag("p", unweighed, class_="warning") if balance.unweighed else None,
        table(
            ("Step", "Lots", "Made of kg", "Made kg", "Gained kg", "Lost kg", "Rejected kg", "Left kg"),
            [
                (step_name(step.step_index, labels), step.lots, *map(str, (
                    step.used_kg, step.made_kg, step.gained_kg, step.lost_kg, step.rejected_kg, step.left_kg,
                )))
                for step in balance.steps
            ],
            caption="By step",
            empty="The run has no lots.",
        ),
        table(
            ("Lot", "Left kg"),
            [(code(lot), str(kilograms)) for lot, kilograms in balance.left_on],
            caption="What is left",
            empty="Nothing is left on any lot.",
        ),
    )  # fmt: skip


def _of(kilograms: Decimal, what: str) -> str:
    return f" ({kilograms} kg {what})" if kilograms else ""


def _kg(kilograms: Decimal | None) -> str | None:
    return None if kilograms is None else str(kilograms)
