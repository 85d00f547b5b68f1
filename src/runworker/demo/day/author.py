"""Writes what happens to one run and its lots.

A lot's first quality decision is tied to nothing: it may come before its lot, and waits for it. A registration waits
for its step, and is tied to what released its parents where that is no earlier step of the same run.
"""

from collections.abc import Iterable, Mapping
from decimal import Decimal
from typing import Any
from uuid import UUID, uuid5

from runworker.codes import Code
from runworker.demo.day.book import CLOSED, NOTHING, ScriptedDecision, ScriptedLot
from runworker.demo.day.moves import Moves
from runworker.demo.script import Expected
from runworker.states import CommandStatus, Decision, LotStatus, LotType, RunStatus, UserRole

AFTER_DECISION = {
    Decision.PASS: LotStatus.RELEASED,
    Decision.HOLD: LotStatus.HOLD,
    Decision.FAIL: LotStatus.REJECTED,
}


class Author(Moves):
    """Writes one run with its lots."""

    @property
    def lots(self) -> list[ScriptedLot]:
        """The run's lots, those of later steps first."""
        own = [lot for lot in self.book.lots.values() if lot.run_id == self.run_id]
        return sorted(own, key=lambda lot: lot.step_index, reverse=True)

    def abort(self, reason: str) -> UUID:
        """End the run early. What is left of its lots is free to others from then on."""
        key = self._move("abort_run", RunStatus.ABORTED, self._now(), by=UserRole.MANAGER, reason=reason)
        self._tie_in(key)
        for lot in self.lots:
            lot.follows = key
        self.is_over = True
        return key

    def complete(self) -> UUID:
        """End the run. It finishes every lot whose children are closed, last ones first."""
        key = self._move("complete_run", RunStatus.COMPLETED, tuple(self._open))
        self.is_over = True
        for lot in self.lots:
            done = LotStatus.RELEASED if lot.lot_type is LotType.SHIP else LotStatus.CONSUMED
            if lot.status is done and all(self.book.lots[child].status in CLOSED for child in lot.children):
                lot.becomes(LotStatus.FINISHED, key)
            lot.follows = key
        return key

    def register(
        self,
        lot_type: LotType,
        kg: Decimal,
        of: Mapping[UUID, Decimal] | None = None,
        *,
        sku: str | None = None,
        supplier: str | None = None,
        celsius: Decimal | None = None,
        **metadata: Any,
    ) -> ScriptedLot:
        """Register a lot at the current step. of: what it takes from which lots, in kilograms."""
        taken = dict(of or {})
        lot_id = uuid5(self.book.cast.series, f"{self._place} lot {len(self._script)}")
        supplier_id = self.book.cast.suppliers[supplier] if supplier else None
        key = self._lot_command(
            "register_lot",
            LotStatus.QUARANTINE,
            [*self._entry, *self._releases(taken)],
            metadata=metadata,
            **self.registration(lot_type, kg, taken, lot_id=lot_id, supplier_id=supplier_id, temperature_c=celsius),
        )
        gained = kg - sum(taken.values(), NOTHING) if taken else None
        lot = ScriptedLot(
            lot_id, lot_type, self.run_id, self.step, kg, sku, supplier_id, celsius, follows=key, gained_kg=gained
        )
        lot.becomes(LotStatus.QUARANTINE, key)
        self.book.lots[lot_id] = lot
        for parent_id, quantity in taken.items():
            self._take(parent_id, lot, quantity, key, final=False)
        return lot

    def registration(
        self, lot_type: LotType, kg: Decimal, of: Mapping[UUID, Decimal] | None = None, **fields: Any
    ) -> dict[str, Any]:
        """The fields of a registration at the current step."""
        parents = [{"lot_id": parent, "quantity_used_kg": quantity} for parent, quantity in (of or {}).items()]
        about = {"run_id": self.run_id, "step_index": self.step, "lot_type": lot_type}
        return {**about, "weight_kg": kg, "parents": parents, **fields}

    def decide(
        self,
        lot: ScriptedLot,
        decision: Decision = Decision.PASS,
        notes: str | None = None,
        *,
        celsius: Decimal | None = None,
        too_warm: bool = False,
    ) -> ScriptedLot:
        """Let quality control decide. too_warm: whether the lot is above its limit, so that it has to go on HOLD."""
        status = LotStatus.HOLD if too_warm else AFTER_DECISION[decision]
        lot.temperature_c = celsius if celsius is not None else lot.temperature_c
        fields: dict[str, Any] = {"decision": decision, "notes": notes, "temperature_c": celsius}
        key = self._on(lot, "record_qc_decision", status, UserRole.AUDITOR, **fields)
        auditor = self.book.cast.people[UserRole.AUDITOR]
        self.book.decisions[key] = ScriptedDecision(key, lot.id, decision, auditor, notes, lot.temperature_c, too_warm)
        return lot

    def resolve(self, lot: ScriptedLot, resolution: str) -> None:
        """Release a lot from HOLD."""
        self._on(lot, "resolve_hold", LotStatus.RELEASED, UserRole.MANAGER, resolution=resolution)

    def reject(self, lot: ScriptedLot, reason: str) -> None:
        """Reject a lot on HOLD."""
        self._on(lot, "reject_lot", LotStatus.REJECTED, UserRole.MANAGER, reason=reason)

    def finish(self, lot: ScriptedLot) -> None:
        """Close a used-up lot, after its children."""
        children = [self.book.lots[child].follows for child in lot.children]
        self._on(lot, "finish_lot", LotStatus.FINISHED, UserRole.OPERATOR, after=children)

    def use_up(self, lot: ScriptedLot, into: ScriptedLot, kg: Decimal) -> None:
        """Add the last of a lot to another; what is not taken is written off."""
        fields: dict[str, Any] = {"lot_id": lot.id, "into_lot_id": into.id, "quantity_used_kg": kg, "final": True}
        key = self._lot_command("consume_lot", LotStatus.CONSUMED, [*lot.takers, *into.trail[0][1]], **fields)
        self._take(lot.id, into, kg, key, final=True)

    def refuse(
        self, name: str, code: Code, *about: ScriptedLot, by: UserRole = UserRole.OPERATOR, **fields: Any
    ) -> None:
        """Write a command that a rule refuses.

        It is tied to what was last done with the lots that it is about, and to its run's resumption or roll-back at
        this step; what is done next with the lots, to it. Where it is about none, to all that is written of this step.
        """
        after = [*self._entry, *(lot.follows for lot in about)] if about else self._now()
        key = self._add(name, Expected(CommandStatus.REJECTED, code=code), after, by, **fields)
        for lot in about:
            lot.follows = key

    def _on(
        self, lot: ScriptedLot, name: str, status: LotStatus, by: UserRole, *, after: Iterable[UUID] = (), **fields: Any
    ) -> UUID:
        """A command that brings a lot into a state. The first one on a lot may come before it, and waits for it."""
        is_first = len(lot.trail) == 1 and lot.follows in lot.trail[0][1]
        tied = [*after] if is_first else [lot.follows, *after]
        if lot.step_index != self.step and self._last_move:
            tied.append(self._last_move)  # or it could happen while the run is still at the step of the lot
        key = self._lot_command(name, status, tied, by, lot_id=lot.id, **fields)
        self._open.pop(lot.follows, None)
        lot.becomes(status, key)
        lot.follows = key
        return key

    def _take(self, parent_id: UUID, child: ScriptedLot, kg: Decimal, key: UUID, *, final: bool) -> None:
        parent = self.book.lots[parent_id]
        parent.taken_kg += kg
        parent.takers.append(key)
        child.parents.append((parent_id, kg))
        if child.id not in parent.children:
            parent.children.append(child.id)
        if final or parent.left_kg == 0:
            parent.becomes(LotStatus.CONSUMED, *([key] if final else parent.takers))

    def _releases(self, parents: Iterable[UUID]) -> Iterable[UUID]:
        """What a registration is tied to because of its parents; those of earlier steps the plan has released."""
        for parent in map(self.book.lots.__getitem__, parents):
            if parent.run_id != self.run_id or parent.follows in self._here:
                yield parent.follows

    def _lot_command(
        self, name: str, status: LotStatus, after: Iterable[UUID], by: UserRole = UserRole.OPERATOR, **fields: Any
    ) -> UUID:
        return self._add(name, Expected(CommandStatus.APPLIED, lot_status=status), after, by, **fields)
