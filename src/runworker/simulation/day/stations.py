"""One run's way through the plant, step by step: what is registered and decided, and what goes wrong."""

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from decimal import Decimal
from random import Random
from typing import Any, Final

from runworker.simulation.day import incidents
from runworker.simulation.day.incidents import Incident
from runworker.simulation.day.materials import (
    BOR,
    CHILLED,
    COMBFILE,
    CUSTOMERS,
    DRIP,
    FREEZING_LOSS,
    FROZEN,
    HALF,
    MARINADE,
    MATERIALS,
    MELL,
    SHIPPED,
    celsius,
    kilograms,
    racks,
    share,
)
from runworker.simulation.run_builder import RunBuilder
from runworker.simulation.scenario import NOTHING, PlannedLot
from runworker.states import Decision, LotType

REST_KG: Final = Decimal("11.80")
"""Of the buffer, where something is left or is scraped out."""

SCRAPINGS_KG: Final = Decimal("1.20")


class Stations:
    """The plant's stations, as one run passes them.

    skus: what it makes. incidents: what goes wrong. carried: a lot of a run that was given up. breaks_down: whether
    this one is. stock: released lots at hand, by material and from skewering on by SKU.
    """

    def __init__(
        self,
        run: RunBuilder,
        random: Random,
        skus: Sequence[str],
        incidents: Collection[Incident] = (),
        *,
        carried: PlannedLot | None = None,
        breaks_down: bool = False,
    ) -> None:
        self._run = run
        self._random = random
        self._skus = skus
        self._incidents = incidents
        self._carried = carried
        self._breaks_down = breaks_down
        self.stock: dict[str, list[PlannedLot]] = {}

    def pass_all(self) -> None:
        """Write the run from its first step to its end. It has been started."""
        steps: Mapping[int, Callable[[], None]] = {
            1: self._receive,
            2: self._debone,
            3: self._buffer,
            4: self._mix,
            5: self._skewer,
            7: self._freeze,
            8: self._pack,
            9: self._palletize,
            10: self._ship,
        }
        while not self._run.is_over and self._run.flow.plan.next_after(self._run.step) is not None:
            self._run.advance()
            if work := steps.get(self._run.step):
                work()
        if not self._run.is_over:
            self._run.complete()

    def _receive(self) -> None:
        if Incident.OTHER_SITE in self._incidents:
            incidents.other_site(self._run)
        for material in MATERIALS:
            fewer = 1 if self._carried and material is MELL else 0
            for _ in range(material.lots - fewer):
                kg, degrees = kilograms(self._random, *material.kg), celsius(self._random, CHILLED)
                lot = self._run.register(
                    LotType.RAW, kg, supplier=material.name, celsius=degrees, material=material.name
                )
                if Incident.TORN_FILM in self._incidents and material.name not in self.stock and material is not MELL:
                    incidents.torn_film(self._run, lot)
                else:
                    self._run.decide(lot)
                self.stock.setdefault(material.name, []).append(lot)
        if Incident.WARM_DELIVERY in self._incidents:
            incidents.warm_delivery(self._run)

    def _debone(self) -> None:
        for material in MATERIALS:
            raw, self.stock[material.name] = self.stock[material.name], []
            for lot in raw:
                kg = lot.weight_kg - share(self._random, lot.weight_kg, material.loss)
                deboned = self._run.register(LotType.DEB, kg, {lot.id: lot.weight_kg}, material=material.name)
                if Incident.BONE_SPLINTERS in self._incidents and (material, lot) == (MELL, raw[0]):
                    self._run.decide(deboned, Decision.FAIL, "Bone splinters in two of five samples")
                    continue
                self.stock[material.name].append(self._run.decide(deboned))
        if Incident.WEIGHED_AGAIN in self._incidents:
            incidents.weighed_again(self._run)

    def _buffer(self) -> None:
        for name, lots in self.stock.items():
            whole = sum((lot.weight_kg for lot in lots), NOTHING)
            kg = whole - share(self._random, whole, DRIP)
            self.stock[name] = [self._made(LotType.BULK, kg, lots, material=name)]

    def _mix(self) -> None:
        bulk = {name: lots[0] for name, lots in self.stock.items()}
        if Incident.SOUR_BUFFER in self._incidents:
            incidents.sour_buffer(self._run, bulk[BOR.name])
        if Incident.OVERDRAWN in self._incidents:
            incidents.overdrawn(self._run, bulk[MELL.name])
        taken = {lot.id: lot.left_kg for lots in self.stock.values() for lot in lots}
        if self._carried:
            taken[self._carried.id] = self._carried.left_kg
        if Incident.REST_LEFT in self._incidents:
            taken[bulk[MELL.name].id] -= REST_KG
        if Incident.REST_WRITTEN_OFF in self._incidents:
            taken[bulk[COMBFILE.name].id] -= REST_KG
        if self._breaks_down:
            taken[bulk[MELL.name].id] = share(self._random, bulk[MELL.name].weight_kg, HALF)
        whole = sum(taken.values(), NOTHING)
        mix = self._run.register(LotType.MIX, whole + share(self._random, whole, MARINADE), taken)
        if self._breaks_down:
            incidents.gearbox(self._run, mix)
            return
        if Incident.REST_WRITTEN_OFF in self._incidents:
            self._run.use_up(bulk[COMBFILE.name], mix, REST_KG - SCRAPINGS_KG)
        self._run.decide(mix)
        self.stock = {"mix": [mix]}

    def _skewer(self) -> None:
        [mix] = self.stock.pop("mix")
        if Incident.METAL_FOUND in self._incidents:
            incidents.metal_found(self._run, mix)
        if Incident.WRONG_TYPE in self._incidents:
            incidents.wrong_type(self._run, mix)
        lots = racks(mix.weight_kg, self._skus)
        left = mix.weight_kg
        for number, (sku, rods) in enumerate(lots, 1):
            kg = Decimal(int(sku) * rods)
            taken = kg if number < len(lots) else left  # the last takes the trimmings, which are lost
            left -= taken
            skewers = self._run.register(LotType(f"SKW{sku}"), kg, {mix.id: taken}, sku=sku, rods=rods)
            self.stock.setdefault(sku, []).append(self._run.decide(skewers))

    def _freeze(self) -> None:
        if Incident.WRONG_SKU in self._incidents:
            incidents.wrong_sku(self._run, self.stock["30"][0])
        for sku, skewers in self.stock.items():
            frozen = []
            for lot in skewers:
                kg = lot.weight_kg - share(self._random, lot.weight_kg, FREEZING_LOSS)
                made = self._run.register(LotType(f"FRZ{sku}"), kg, {lot.id: lot.weight_kg}, sku=sku)
                if Incident.FREEZER_DOOR in self._incidents and (sku, lot) == ("15", skewers[0]):
                    incidents.freezer_door(self._run, made)
                    continue
                frozen.append(self._run.decide(made, celsius=celsius(self._random, FROZEN)))
            self.stock[sku] = frozen

    def _pack(self) -> None:
        for sku, frozen in self.stock.items():
            self.stock[sku] = [self._made(LotType(f"FG{sku}"), lot.weight_kg, [lot], sku=sku) for lot in frozen]
        if Incident.TORN_PACK in self._incidents:
            incidents.torn_pack(self._run, self.stock["15"][0])

    def _palletize(self) -> None:
        if Incident.MIXED_PALLET in self._incidents:
            incidents.mixed_pallet(self._run, self.stock["15"][0], self.stock["30"][0])
        for sku, packed in self.stock.items():
            kg = sum((lot.weight_kg for lot in packed), NOTHING)
            pallet = self._run.register(LotType.PAL, kg, {lot.id: lot.weight_kg for lot in packed}, sku=sku)
            if Incident.VIEWER in self._incidents and sku == self._skus[0]:
                incidents.viewer(self._run, pallet)
            self.stock[sku] = [self._run.decide(pallet)]

    def _ship(self) -> None:
        pallets = {sku: lots[0] for sku, lots in self.stock.items()}
        if Incident.PALLET_LEFT in self._incidents:
            del pallets["30"]
        kg = sum((lot.weight_kg for lot in pallets.values()), NOTHING)
        sku = next(iter(pallets)) if len(pallets) == 1 else None
        loaded = {lot.id: lot.weight_kg for lot in pallets.values()}
        shipment = self._run.register(LotType.SHIP, kg, loaded, sku=sku, customer=self._random.choice(CUSTOMERS))
        if Incident.WARM_TRUCK in self._incidents:
            incidents.warm_truck(self._run, shipment)
        else:
            self._run.decide(shipment, celsius=celsius(self._random, SHIPPED))

    def _made(self, lot_type: LotType, kg: Decimal, of: Iterable[PlannedLot], **fields: Any) -> PlannedLot:
        """A lot that takes all of others and passes."""
        return self._run.decide(self._run.register(lot_type, kg, {lot.id: lot.weight_kg for lot in of}, **fields))
