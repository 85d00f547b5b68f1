"""Incidents and refused commands of a day, each once, in runs that the seed deals them to."""

from decimal import Decimal
from enum import Enum, auto

from runworker.codes import Code
from runworker.simulation.day.materials import MELL
from runworker.simulation.run_builder import RunBuilder
from runworker.simulation.scenario import PlannedLot
from runworker.states import Decision, LotType, UserRole


class Incident(Enum):
    """Something out of the ordinary in a run."""

    OTHER_SITE = auto()  # a delivery is labelled with another site's code
    WARM_DELIVERY = auto()  # meat above 4.0 °C, passed by mistake: the limit says HOLD, the manager rejects it
    TORN_FILM = auto()  # held at receipt; an operator may not release it, the manager does
    BONE_SPLINTERS = auto()  # a boned lot fails
    WEIGHED_AGAIN = auto()  # the run goes back to deboning, which it left too early
    SOUR_BUFFER = auto()  # a released lot is held, so that it cannot be mixed, and released after all
    OVERDRAWN = auto()  # more is taken from the buffer than there is
    REST_WRITTEN_OFF = auto()  # the last of the buffer goes into the mix, scrapings are written off
    REST_LEFT = auto()  # a rest stays in the buffer
    METAL_FOUND = auto()  # the run is held; nothing is registered meanwhile
    WRONG_TYPE = auto()  # finished goods at skewering
    FREEZER_DOOR = auto()  # above -18.0 °C: HOLD whatever was decided, rejected
    WRONG_SKU = auto()  # rods of 30 frozen as 15
    TORN_PACK = auto()  # held after it was released, and released again
    MIXED_PALLET = auto()  # 15 and 30 on one pallet
    VIEWER = auto()  # somebody who only reads decides
    PALLET_LEFT = auto()  # a pallet stays in the cold store
    WARM_TRUCK = auto()  # the shipment is held by its limit, and goes when the truck has cooled


def other_site(run: RunBuilder) -> None:
    """A code of another site is refused."""
    code = "RAW-20260125-DUNA-0001"
    fields = run.registration(LotType.RAW, Decimal("180"), lot_code=code)
    run.refuse("register_lot", Code.LOT_CODE_OTHER_SITE, **fields)


def warm_delivery(run: RunBuilder) -> None:
    """The run does not go on with a lot on HOLD."""
    lot = run.register(LotType.RAW, Decimal("184.60"), supplier=MELL.name, celsius=Decimal("6.4"))
    run.decide(lot, too_warm=True)
    following = run.flow.plan.next_after(run.step)
    run.refuse("advance_step", Code.QC_PENDING, lot, run_id=run.run_id, to_step_index=following)
    run.reject(lot, "Above 4.0 °C for two hours without a record")


def torn_film(run: RunBuilder, lot: PlannedLot) -> None:
    """A HOLD is a manager's to end."""
    run.decide(lot, Decision.HOLD, "Two crates with torn film, smell to be checked")
    resolution = "Torn crates taken out, the rest weighed again"
    run.refuse("resolve_hold", Code.ROLE_NOT_ALLOWED, lot, lot_id=lot.id, resolution=resolution)
    run.resolve(lot, resolution)


def weighed_again(run: RunBuilder) -> None:
    """Back to deboning before anything was registered beyond it, but not back behind what was."""
    step, reason = run.step, "The scale at deboning was not checked this morning"
    too_far = {"run_id": run.run_id, "to_step_index": step - 1, "reason": reason}
    run.refuse("rollback_step", Code.LIVE_LOTS_AHEAD, by=UserRole.MANAGER, **too_far)
    run.advance()
    run.roll_back(step, reason)


def sour_buffer(run: RunBuilder, lot: PlannedLot) -> None:
    """A lot on HOLD is not used."""
    run.decide(lot, Decision.HOLD, "Smells sour at the outlet, sample taken")
    fields = run.registration(LotType.MIX, lot.weight_kg, {lot.id: lot.weight_kg})
    run.refuse("register_lot", Code.PARENT_NOT_RELEASED, lot, **fields)
    run.resolve(lot, "Sample is clean; the outlet was to blame and is washed")


def overdrawn(run: RunBuilder, lot: PlannedLot) -> None:
    """More than a lot weighs is not taken from it."""
    wanted = lot.weight_kg + 50
    fields = run.registration(LotType.MIX, wanted, {lot.id: wanted})
    run.refuse("register_lot", Code.QUANTITY_EXCEEDS_LEFT, lot, **fields)


def metal_found(run: RunBuilder, mix: PlannedLot) -> None:
    """A run on HOLD makes nothing."""
    run.hold("Metal detector at the skewering table rings")
    fields = run.registration(LotType.SKW15, Decimal("150"), {mix.id: Decimal("150")})
    run.refuse("register_lot", Code.RUN_ON_HOLD, **fields)
    run.resume("A clip of the bag closer, found and taken out")


def wrong_type(run: RunBuilder, mix: PlannedLot) -> None:
    """A step makes its own lots only."""
    fields = run.registration(LotType.FG15, Decimal("150"), {mix.id: Decimal("150")})
    run.refuse("register_lot", Code.LOT_TYPE_NOT_ALLOWED, mix, **fields)


def freezer_door(run: RunBuilder, lot: PlannedLot) -> None:
    """A lot that is too warm goes on HOLD although it was passed."""
    run.decide(lot, celsius=Decimal("-11.5"), too_warm=True)
    run.reject(lot, "Thawed twice behind the tunnel's door")


def wrong_sku(run: RunBuilder, rods: PlannedLot) -> None:
    """Rods of 30 do not become lots of 15."""
    fields = run.registration(LotType.FRZ15, rods.weight_kg, {rods.id: rods.weight_kg})
    run.refuse("register_lot", Code.SKU_MIXED, rods, **fields)


def torn_pack(run: RunBuilder, lot: PlannedLot) -> None:
    """A released lot can be held again."""
    run.decide(lot, Decision.HOLD, "Film of the outer cartons is torn")
    run.resolve(lot, "Cartons changed, rods were not touched")


def mixed_pallet(run: RunBuilder, one: PlannedLot, other: PlannedLot) -> None:
    """A pallet holds one SKU."""
    together = {one.id: one.weight_kg, other.id: other.weight_kg}
    fields = run.registration(LotType.PAL, one.weight_kg + other.weight_kg, together)
    run.refuse("register_lot", Code.SKU_MIXED, one, other, **fields)


def viewer(run: RunBuilder, lot: PlannedLot) -> None:
    """A viewer decides nothing."""
    run.refuse(
        "record_qc_decision",
        Code.ROLE_NOT_ALLOWED,
        lot,
        by=UserRole.VIEWER,
        lot_id=lot.id,
        decision=Decision.FAIL,
        notes="I do not like the look of it",
    )


def warm_truck(run: RunBuilder, shipment: PlannedLot) -> None:
    """The run is not complete before its shipment is released."""
    run.decide(shipment, celsius=Decimal("-15.2"), too_warm=True)
    run.refuse("complete_run", Code.QC_PENDING, shipment, run_id=run.run_id)
    run.resolve(shipment, "Truck cooled to -19.0 °C, cores measured at -18.8 °C")


def gearbox(run: RunBuilder, mix: PlannedLot) -> None:
    """The mix is lost and the run with it; what comes after is refused."""
    run.decide(mix, Decision.HOLD, "Gearbox oil on the floor and in the mixer")
    run.reject(mix, "Oil in the mix, destroyed")
    run.hold("Mixer is out of order until tomorrow")
    run.abort("No mixer, the meat in the buffer goes to the next run")
    following = run.flow.plan.next_after(run.step)
    run.refuse("advance_step", Code.RUN_NOT_RUNNING, run_id=run.run_id, to_step_index=following)
