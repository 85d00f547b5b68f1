"""A whole run through all eleven steps, as the plant makes one: with holds, lots too warm, rejected lots, a roll-back.

The kilograms: 1,640.00 received, of which 200.00 are rejected; 96.00 lost in deboning, 40.00 of bulk left over,
20.00 gained in mixing; of 1,324.00 that are skewered 60.00 are rejected frozen, and 1,264.00 shipped.
"""

from typing import Any
from uuid import UUID, uuid4

from tests.plant import Plant

from runworker.engine import Engine
from runworker.imports import canonical_flow
from runworker.states import UserRole
from runworker.verdicts import Verdict

PEOPLE = {
    UserRole.OPERATOR: ("Anna Kovács", "anna.kovacs@plant.example"),
    UserRole.AUDITOR: ("Béla Nagy", "bela.nagy@plant.example"),
    UserRole.MANAGER: ("Csilla Szabó", "csilla.szabo@plant.example"),
}
SUPPLIERS = {"SUP-MELL": "Alföld Poultry & Sons", "SUP-BOR": "Tisza Meat", "SUP-COMB": "=Combfilé Ltd."}


class WholeRun:
    """One run and its lots by name. Every command has to be applied, but for those that `refused` sends.

    after it was made, the run stands at step 0.
    """

    def __init__(self, plant: Plant, engine: Engine, version: UUID | None = None) -> None:
        self.plant, self.engine = plant, engine
        self.people = {role: self._person(role) for role in PEOPLE}
        self.suppliers = {code: self._supplier(code) for code in SUPPLIERS}
        self.id = uuid4()
        self.version = version or plant.version(canonical_flow().graph)
        self.step = 0
        self.lots: dict[str, UUID] = {}
        self.send("start_run", run_id=self.id, flow_version_id=self.version, site_code="DUNA", daily_target_kg="1200")

    def send(self, name: str, *, by: UserRole = UserRole.OPERATOR, **fields: Any) -> Verdict:
        verdict = self._apply(name, by, fields)
        assert verdict.status == "APPLIED", verdict.as_dict()
        return verdict

    def refused(self, name: str, *, by: UserRole = UserRole.OPERATOR, **fields: Any) -> Verdict:
        verdict = self._apply(name, by, fields)
        assert verdict.status == "REJECTED", verdict.as_dict()
        return verdict

    def advance(self, step: int) -> None:
        self.step = step
        self.send("advance_step", run_id=self.id, to_step_index=step)

    def register(self, name: str, lot_type: str, kg: str, *, of: dict[str, str] | None = None, **fields: Any) -> UUID:
        """Register a lot made of others: their names and kilograms."""
        self.lots[name] = uuid4()
        parents = [{"lot_id": self.lots[parent], "quantity_used_kg": used} for parent, used in (of or {}).items()]
        wanted = {"lot_type": lot_type, "weight_kg": kg, "parents": parents, "step_index": self.step}
        self.send("register_lot", run_id=self.id, lot_id=self.lots[name], **wanted, **fields)
        return self.lots[name]

    def decide(self, name: str, decision: str = "PASS", **fields: Any) -> Verdict:
        return self.send("record_qc_decision", by=UserRole.AUDITOR, lot_id=self.lots[name], decision=decision, **fields)

    def make(self, name: str, lot_type: str, kg: str, *, of: dict[str, str], **decided: Any) -> None:
        """Register a lot and pass it."""
        self.register(name, lot_type, kg, of=of)
        self.decide(name, **decided)

    def _apply(self, name: str, by: UserRole, fields: dict[str, Any]) -> Verdict:
        return self.engine.apply([self.plant.command(name, issued_by=self.people[by], **fields)])[0]

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
    """Play the run from its start to its completion."""
    run = WholeRun(plant, engine)
    _receive(run)
    _debone_and_buffer(run)
    _mix_and_skewer(run)
    _freeze(run)
    _pack_and_ship(run)
    run.send("complete_run", run_id=run.id)
    return run


def _receive(run: WholeRun) -> None:
    run.advance(1)
    deliveries = (
        ("mell", "SUP-MELL", "700", "3.1"),
        ("bőr", "SUP-BOR", "240", "3.8"),
        ("comb", "SUP-COMB", "500", "2.6"),
    )
    for name, supplier, kg, degrees in deliveries:
        run.register(name, "RAW", kg, supplier_id=run.suppliers[supplier], temperature_c=degrees)
    run.register("warm", "RAW", "200", supplier_id=run.suppliers["SUP-MELL"], temperature_c="6.4")
    run.decide("mell", digital_signature="BN-20260125-1")
    run.decide("bőr", "HOLD", notes="Two crates with torn film; smell to be checked")
    run.decide("comb")
    run.decide("warm")
    run.refused("advance_step", run_id=run.id, to_step_index=2)
    manager = UserRole.MANAGER
    run.send("resolve_hold", by=manager, lot_id=run.lots["bőr"], resolution="Torn crates removed & weighed again")
    run.send("reject_lot", by=manager, lot_id=run.lots["warm"], reason="Above 4.0 °C for <2 h> without a record")


def _debone_and_buffer(run: WholeRun) -> None:
    run.advance(2)
    run.make("mell, boned", "DEB", "644", of={"mell": "700"})
    run.make("bőr, cut", "DEB", "240", of={"bőr": "240"})
    run.make("comb, boned", "DEB", "460", of={"comb": "500"})
    run.advance(3)
    run.send(
        "rollback_step",
        by=UserRole.MANAGER,
        run_id=run.id,
        to_step_index=2,
        reason="Advanced before the last scale check",
    )
    run.advance(3)
    for name, of, kg in (("A", "mell, boned", "644"), ("B", "bőr, cut", "240"), ("C", "comb, boned", "460")):
        run.make(f"bulk {name}", "BULK", kg, of={of: kg})


def _mix_and_skewer(run: WholeRun) -> None:
    run.advance(4)
    run.make("mix 1", "MIX", "700", of={"bulk A": "340", "bulk B": "120", "bulk C": "230"})
    run.send("hold_run", run_id=run.id, reason="Mixer stopped: gearbox oil on the floor")
    run.send("resume_run", by=UserRole.MANAGER, run_id=run.id, resolution="Gearbox sealed, floor and mixer cleaned")
    run.make("mix 2", "MIX", "624", of={"bulk A": "304", "bulk B": "80", "bulk C": "230"})
    run.advance(5)
    run.make("skewer 15 a", "SKW15", "340", of={"mix 1": "340"})
    run.make("skewer 15 b", "SKW15", "360", of={"mix 1": "360"})
    run.make("skewer 30 a", "SKW30", "324", of={"mix 2": "324"})
    run.make("skewer 30 b", "SKW30", "300", of={"mix 2": "300"})
    run.advance(6)


def _freeze(run: WholeRun) -> None:
    run.advance(7)
    run.make("frozen 15 a", "FRZ15", "340", of={"skewer 15 a": "340"}, temperature_c="-19.2")
    run.make("frozen 15 b", "FRZ15", "300", of={"skewer 15 b": "300"}, temperature_c="-18.0")
    run.make("frozen 15 c", "FRZ15", "60", of={"skewer 15 b": "60"}, temperature_c="-11.5")
    run.send(
        "reject_lot", by=UserRole.MANAGER, lot_id=run.lots["frozen 15 c"], reason="Thawed twice behind the tunnel door"
    )
    run.make("frozen 30 a", "FRZ30", "324", of={"skewer 30 a": "324"}, temperature_c="-20.5")
    run.make("frozen 30 b", "FRZ30", "300", of={"skewer 30 b": "300"}, temperature_c="-18.6")


def _pack_and_ship(run: WholeRun) -> None:
    run.advance(8)
    run.make("packed 15", "FG15", "640", of={"frozen 15 a": "340", "frozen 15 b": "300"})
    run.make("packed 30", "FG30", "624", of={"frozen 30 a": "324", "frozen 30 b": "300"})
    run.advance(9)
    run.make("pallet 15", "PAL", "640", of={"packed 15": "640"})
    run.make("pallet 30", "PAL", "624", of={"packed 30": "624"})
    run.advance(10)
    run.register("shipment", "SHIP", "640", of={"pallet 15": "640"}, metadata={"customer": "Wien <Grill> GmbH"})
    run.decide("shipment", temperature_c="-19.0")
    run.register("second shipment", "SHIP", "624", of={"pallet 30": "624"}, metadata={"vehicle": "ABC-123"})
    run.decide("second shipment", temperature_c="-18.4")
