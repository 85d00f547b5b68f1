"""A whole run through all eleven steps, as the plant makes one: with holds, lots too warm, rejected lots, a roll-back.

The kilograms: 1,640.00 received, of which 200.00 are rejected; 96.00 lost in deboning, 40.00 of bulk left over,
20.00 gained in mixing; of 1,324.00 that are skewered 60.00 are rejected frozen, and 1,264.00 shipped.
"""

from decimal import Decimal
from typing import Any
from uuid import UUID, uuid4

from tests.plant import Plant
from tests.proofs import violations

from runworker.codes import Code
from runworker.engine import Engine
from runworker.imports import canonical_flow
from runworker.plan import read_plan
from runworker.simulation.builder import ScenarioBuilder
from runworker.simulation.delivery import DeliveryPlan
from runworker.simulation.lot_proof import LOT_CHECKS
from runworker.simulation.master_data import PLANT_FLOW, MasterData
from runworker.simulation.proof import RUN_CHECKS, Expectation
from runworker.simulation.run_builder import RunBuilder
from runworker.simulation.scenario import PlannedLot, VersionPlan
from runworker.states import Decision, LotType, UserRole

PEOPLE = {
    UserRole.OPERATOR: ("Anna Kovács", "anna.kovacs@plant.example"),
    UserRole.AUDITOR: ("Béla Nagy", "bela.nagy@plant.example"),
    UserRole.MANAGER: ("Csilla Szabó", "csilla.szabo@plant.example"),
}
SUPPLIERS = {"SUP-MELL": "Alföld Poultry & Sons", "SUP-BOR": "Tisza Meat", "SUP-COMB": "=Combfilé Ltd."}


class WholeRun:
    """One run and its lots by name. Every command is applied alone, and has to come to what was planned.

    after it was made, the run stands at step 0.
    """

    def __init__(self, plant: Plant, engine: Engine, version: UUID | None = None) -> None:
        self.plant, self.engine = plant, engine
        self.version = version or plant.version(canonical_flow().graph)
        flow = VersionPlan(self.version, read_plan(canonical_flow().graph))
        people = {role: self._person(role) for role in PEOPLE}
        suppliers = {code: self._supplier(code) for code in SUPPLIERS}
        self.scenario = ScenarioBuilder(MasterData(people, {PLANT_FLOW: flow}, uuid4(), suppliers))
        self.run = RunBuilder(self.scenario, flow, site_code="DUNA", daily_target_kg="1200")
        self.lots: dict[str, PlannedLot] = {}
        self._applied = 0
        self.apply()

    @property
    def id(self) -> UUID:
        return self.run.run_id

    def advance(self, step: int) -> None:
        self.run.advance()
        assert self.run.step == step
        self.apply()

    def register(
        self, name: str, lot_type: LotType, kg: str, *, of: dict[str, str] | None = None, **fields: Any
    ) -> None:
        """Register a lot made of others: their names and kilograms."""
        parents = {self.lots[parent].id: Decimal(used) for parent, used in (of or {}).items()}
        if lot_type[-2:] in ("15", "30"):
            fields["sku"] = lot_type[-2:]
        self.lots[name] = self.run.register(lot_type, Decimal(kg), parents, **fields)
        self.apply()

    def decide(self, name: str, decision: Decision = Decision.PASS, notes: str | None = None, **fields: Any) -> None:
        self.run.decide(self.lots[name], decision, notes, **fields)
        self.apply()

    def make(self, name: str, lot_type: LotType, kg: str, *, of: dict[str, str], sku: str | None = None) -> None:
        """Register a lot and pass it."""
        self.register(name, lot_type, kg, of=of, sku=sku)
        self.decide(name)

    def freeze(self, name: str, lot_type: LotType, kg: str, *, of: dict[str, str], celsius: str) -> None:
        """Register a frozen lot and pass it, which its limit overrules where it is too warm."""
        self.register(name, lot_type, kg, of=of)
        self.decide(name, celsius=Decimal(celsius), too_warm=Decimal(celsius) > -18)

    def apply(self) -> None:
        """Apply what has been written and was not applied yet."""
        for planned in list(self.scenario.build().planned.values())[self._applied :]:
            [verdict] = self.engine.apply([planned.command])
            assert verdict.as_dict().items() >= planned.expected.as_dict.items(), verdict.as_dict()
            self._applied += 1

    def violations(self) -> list[str]:
        """All in which the database is not as planned."""
        scenario = self.scenario.build()
        wanted = Expectation(scenario, DeliveryPlan(tuple(scenario.commands)).copies)
        return violations(self.plant, wanted, {**RUN_CHECKS, **LOT_CHECKS})

    def _person(self, role: UserRole) -> UUID:
        name, email = PEOPLE[role]
        add = (
            "INSERT INTO users (email, full_name, role) VALUES (:email, :name, :role)"
            " ON CONFLICT (email) DO UPDATE SET full_name = :name RETURNING id"
        )
        return self.plant.sql(add, email=email, name=name, role=str(role))[0][0]

    def _supplier(self, code: str) -> UUID:
        add = (
            "INSERT INTO suppliers (code, name) VALUES (:code, :name)"
            " ON CONFLICT (code) DO UPDATE SET name = :name RETURNING id"
        )
        return self.plant.sql(add, code=code, name=SUPPLIERS[code])[0][0]


def whole_run(plant: Plant, engine: Engine) -> WholeRun:
    """Take the run from its start to its completion."""
    run = WholeRun(plant, engine)
    _receive(run)
    _debone_and_buffer(run)
    _mix_and_skewer(run)
    _freeze(run)
    _pack_and_ship(run)
    run.run.complete()
    run.apply()
    run.scenario.recalled = run.lots["mell"].id
    assert run.violations() == []
    return run


def _receive(run: WholeRun) -> None:
    run.advance(1)
    deliveries = (
        ("mell", "SUP-MELL", "700", "3.1"),
        ("bőr", "SUP-BOR", "240", "3.8"),
        ("comb", "SUP-COMB", "500", "2.6"),
        ("warm", "SUP-MELL", "200", "6.4"),
    )
    for name, supplier, kg, degrees in deliveries:
        run.register(name, LotType.RAW, kg, supplier=supplier, celsius=Decimal(degrees))
    run.decide("mell", digital_signature="BN-20260125-1")
    run.decide("bőr", Decision.HOLD, "Two crates with torn film; smell to be checked")
    run.decide("comb")
    run.decide("warm", too_warm=True)
    run.run.refuse("advance_step", Code.QC_PENDING, run_id=run.id, to_step_index=2)
    run.run.resolve(run.lots["bőr"], "Torn crates removed & weighed again")
    run.run.reject(run.lots["warm"], "Above 4.0 °C for <2 h> without a record")
    run.apply()


def _debone_and_buffer(run: WholeRun) -> None:
    run.advance(2)
    run.make("mell, boned", LotType.DEB, "644", of={"mell": "700"})
    run.make("bőr, cut", LotType.DEB, "240", of={"bőr": "240"})
    run.make("comb, boned", LotType.DEB, "460", of={"comb": "500"})
    run.advance(3)
    run.run.roll_back(2, "Advanced before the last scale check")
    run.advance(3)
    for name, of, kg in (("A", "mell, boned", "644"), ("B", "bőr, cut", "240"), ("C", "comb, boned", "460")):
        run.make(f"bulk {name}", LotType.BULK, kg, of={of: kg})


def _mix_and_skewer(run: WholeRun) -> None:
    run.advance(4)
    run.make("mix 1", LotType.MIX, "700", of={"bulk A": "340", "bulk B": "120", "bulk C": "230"})
    run.run.hold("Mixer stopped: gearbox oil on the floor")
    run.run.resume("Gearbox sealed, floor and mixer cleaned")
    run.make("mix 2", LotType.MIX, "624", of={"bulk A": "304", "bulk B": "80", "bulk C": "230"})
    run.advance(5)
    run.make("skewer 15 a", LotType.SKW15, "340", of={"mix 1": "340"})
    run.make("skewer 15 b", LotType.SKW15, "360", of={"mix 1": "360"})
    run.make("skewer 30 a", LotType.SKW30, "324", of={"mix 2": "324"})
    run.make("skewer 30 b", LotType.SKW30, "300", of={"mix 2": "300"})
    run.advance(6)


def _freeze(run: WholeRun) -> None:
    run.advance(7)
    run.freeze("frozen 15 a", LotType.FRZ15, "340", of={"skewer 15 a": "340"}, celsius="-19.2")
    run.freeze("frozen 15 b", LotType.FRZ15, "300", of={"skewer 15 b": "300"}, celsius="-18.0")
    run.freeze("frozen 15 c", LotType.FRZ15, "60", of={"skewer 15 b": "60"}, celsius="-11.5")
    run.run.reject(run.lots["frozen 15 c"], "Thawed twice behind the tunnel door")
    run.freeze("frozen 30 a", LotType.FRZ30, "324", of={"skewer 30 a": "324"}, celsius="-20.5")
    run.freeze("frozen 30 b", LotType.FRZ30, "300", of={"skewer 30 b": "300"}, celsius="-18.6")


def _pack_and_ship(run: WholeRun) -> None:
    run.advance(8)
    run.make("packed 15", LotType.FG15, "640", of={"frozen 15 a": "340", "frozen 15 b": "300"})
    run.make("packed 30", LotType.FG30, "624", of={"frozen 30 a": "324", "frozen 30 b": "300"})
    run.advance(9)
    run.make("pallet 15", LotType.PAL, "640", of={"packed 15": "640"}, sku="15")
    run.make("pallet 30", LotType.PAL, "624", of={"packed 30": "624"}, sku="30")
    run.advance(10)
    run.register("shipment", LotType.SHIP, "640", of={"pallet 15": "640"}, sku="15", customer="Wien <Grill> GmbH")
    run.decide("shipment", celsius=Decimal("-19.0"))
    run.register("second shipment", LotType.SHIP, "624", of={"pallet 30": "624"}, sku="30", vehicle="ABC-123")
    run.decide("second shipment", celsius=Decimal("-18.4"))
