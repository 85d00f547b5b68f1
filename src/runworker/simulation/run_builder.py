"""Writes one run and its lots, each command with its expected verdict, and ties in what the plan does not order.

What is written holds in whatever order the commands are delivered. A move to the next step is tied to all that is done
at this step before; what belongs to a step waits for the run to be there. A lot's first quality decision is tied to
nothing: it may come before its lot, and waits for it. A registration waits for its step, and is tied to what released
its parents where that is no earlier step of the same run.
"""

from collections.abc import Iterable, Mapping
from decimal import Decimal
from typing import Any, Final
from uuid import UUID, uuid5

from runworker.codes import Code
from runworker.simulation.builder import ScenarioBuilder
from runworker.simulation.scenario import (
    NOTHING,
    SITE,
    ExpectedVerdict,
    PlannedCommand,
    PlannedDecision,
    PlannedLot,
    VersionPlan,
)
from runworker.states import FINAL_LOTS, CommandStatus, Decision, LotStatus, LotType, RunStatus, UserRole

AFTER_DECISION: Final = {
    Decision.PASS: LotStatus.RELEASED,
    Decision.HOLD: LotStatus.HOLD,
    Decision.FAIL: LotStatus.REJECTED,
}
RUN_IS_OVER: Final = ExpectedVerdict(CommandStatus.REJECTED, code=Code.RUN_NOT_RUNNING)


class RunBuilder:
    """Writes one run into a scenario, from its start on.

    after: keys of commands that the start is tied to. start: what else it says. step: where the run would be if
    nothing had ended it.
    """

    def __init__(self, scenario: ScenarioBuilder, flow: VersionPlan, after: Iterable[UUID] = (), **start: Any) -> None:
        self.scenario = scenario
        self.flow = flow
        self.step = flow.plan.first
        self.is_over = False
        self._commands: list[PlannedCommand] = []
        self.run_id, self._place = scenario.add_run(flow, self._commands)
        self._reached = self.step
        # Commands of this step that no other is tied to yet: whoever leaves the step has to be.
        self._open: dict[UUID, None] = {}
        # Commands of this step, and the one that what is registered at it is tied to where the plan does not say.
        self._here: set[UUID] = set()
        self._entry: tuple[UUID, ...] = ()
        fields: dict[str, Any] = {"flow_version_id": flow.version_id, "site_code": SITE, **start}
        self.started_by = self._last_move = self._move("start_run", RunStatus.RUNNING, after, **fields)
        self._open = {}

    def advance(self) -> None:
        """Go to the plan's next step, after all that is to be done at this one. Refused where the run is over."""
        following = self.flow.plan.next_after(self.step)
        assert following is not None  # noqa: S101 - the caller's mistake
        self.step = following
        key = self._move("advance_step", RunStatus.RUNNING, tuple(self._open), to_step_index=following)
        self._open, self._here, self._entry = {}, set(), ()
        if following <= self._reached:
            # The run was here before, so what waits for this step would not wait for this move.
            self._tie_in(key)
        self._reached = max(self._reached, following)

    def roll_back(self, to_step_index: int, reason: str) -> None:
        """Go back to a step."""
        self.step = to_step_index
        fields: dict[str, Any] = {"to_step_index": to_step_index, "reason": reason}
        self._tie_in(self._move("rollback_step", RunStatus.RUNNING, self._now(), UserRole.MANAGER, **fields))

    def hold(self, reason: str) -> None:
        """Pause the run, after all that is written of this step so far and before all that comes."""
        self._tie_in(self._move("hold_run", RunStatus.HOLD, self._now(), UserRole.AUDITOR, reason=reason))

    def resume(self, resolution: str) -> None:
        """Go on after a hold."""
        self._tie_in(self._move("resume_run", RunStatus.RUNNING, self._now(), UserRole.MANAGER, resolution=resolution))

    def abort(self, reason: str) -> None:
        """End the run early. What is left of its lots is free to others from then on."""
        key = self._move("abort_run", RunStatus.ABORTED, self._now(), UserRole.MANAGER, reason=reason)
        self._tie_in(key)
        for lot in self._lots():
            lot.follows = key
        self.is_over = True

    def complete(self) -> None:
        """End the run. It finishes every lot whose children are closed, last ones first. Refused where it is over."""
        key = self._move("complete_run", RunStatus.COMPLETED, tuple(self._open))
        if self.is_over:
            return
        self.is_over = True
        for lot in self._lots():
            done = LotStatus.RELEASED if lot.lot_type is LotType.SHIP else LotStatus.CONSUMED
            if lot.status is done and all(self.scenario.lots[child].status in FINAL_LOTS for child in lot.children):
                lot.becomes(LotStatus.FINISHED, key)
            lot.follows = key

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
    ) -> PlannedLot:
        """Register a lot at the current step. of: what it takes from which lots, in kilograms."""
        taken = dict(of or {})
        lot_id = uuid5(self.scenario.data.series, f"{self._place} lot {len(self._commands)}")
        supplier_id = self.scenario.data.suppliers[supplier] if supplier else None
        fields = self.registration(lot_type, kg, taken, lot_id=lot_id, supplier_id=supplier_id, temperature_c=celsius)
        parents = [self.scenario.lots[parent] for parent in taken]
        # Parents of earlier steps of this run are released: the plan has seen to it.
        released = [lot.follows for lot in parents if lot.run_id != self.run_id or lot.follows in self._here]
        tied = [*self._entry, *released]
        key = self._lot_command("register_lot", LotStatus.QUARANTINE, tied, metadata=metadata, **fields)
        lot = PlannedLot(lot_id, lot_type, self.run_id, self.step, kg, sku, supplier_id, celsius, follows=key)
        lot.gained_kg = kg - sum(taken.values(), NOTHING) if taken else None
        lot.becomes(LotStatus.QUARANTINE, key)
        self.scenario.lots[lot_id] = lot
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
        lot: PlannedLot,
        decision: Decision = Decision.PASS,
        notes: str | None = None,
        *,
        celsius: Decimal | None = None,
        too_warm: bool = False,
        **fields: Any,
    ) -> PlannedLot:
        """Let quality control decide. too_warm: whether the lot is above its limit, so that it has to go on HOLD."""
        status = LotStatus.HOLD if too_warm else AFTER_DECISION[decision]
        lot.temperature_c = celsius if celsius is not None else lot.temperature_c
        fields |= {"decision": decision, "notes": notes, "temperature_c": celsius}
        key = self._on(lot, "record_qc_decision", status, UserRole.AUDITOR, **fields)
        self.scenario.decisions[key] = PlannedDecision(
            key, lot.id, decision, self.scenario.data.people[UserRole.AUDITOR], notes, lot.temperature_c, too_warm
        )
        return lot

    def resolve(self, lot: PlannedLot, resolution: str) -> None:
        """Release a lot from HOLD."""
        self._on(lot, "resolve_hold", LotStatus.RELEASED, UserRole.MANAGER, resolution=resolution)

    def reject(self, lot: PlannedLot, reason: str) -> None:
        """Reject a lot on HOLD."""
        self._on(lot, "reject_lot", LotStatus.REJECTED, UserRole.MANAGER, reason=reason)

    def finish(self, lot: PlannedLot) -> None:
        """Close a used-up lot, after its children."""
        children = [self.scenario.lots[child].follows for child in lot.children]
        self._on(lot, "finish_lot", LotStatus.FINISHED, UserRole.OPERATOR, after=children)

    def use_up(self, lot: PlannedLot, into: PlannedLot, kg: Decimal) -> None:
        """Add the last of a lot to another; what is not taken is written off."""
        fields: dict[str, Any] = {"lot_id": lot.id, "into_lot_id": into.id, "quantity_used_kg": kg, "final": True}
        key = self._lot_command("consume_lot", LotStatus.CONSUMED, [*lot.takers, into.registered_by], **fields)
        self._take(lot.id, into, kg, key, final=True)

    def refuse(
        self, name: str, code: Code, *about: PlannedLot, by: UserRole = UserRole.OPERATOR, **fields: Any
    ) -> None:
        """Write a command that a rule refuses.

        It is tied to what was last done with the lots that it is about, and to its run's resumption or roll-back at
        this step; what is done next with the lots, to it. Where it is about none, to all that is written of this step.
        """
        after = [*self._entry, *(lot.follows for lot in about)] if about else self._now()
        key = self._add(name, ExpectedVerdict(CommandStatus.REJECTED, code=code), after, by, **fields)
        for lot in about:
            lot.follows = key

    def _move(
        self, name: str, status: RunStatus, after: Iterable[UUID], by: UserRole = UserRole.OPERATOR, **fields: Any
    ) -> UUID:
        expected = RUN_IS_OVER if self.is_over else ExpectedVerdict(CommandStatus.APPLIED, status, self.step)
        self._last_move = self._add(name, expected, after, by, run_id=self.run_id, **fields)
        return self._last_move

    def _on(
        self, lot: PlannedLot, name: str, status: LotStatus, by: UserRole, *, after: Iterable[UUID] = (), **fields: Any
    ) -> UUID:
        """A command that brings a lot into a state. The first one on a lot may come before it, and waits for it."""
        is_first = len(lot.trail) == 1 and lot.follows == lot.registered_by
        tied = [*after] if is_first else [lot.follows, *after]
        if lot.step_index != self.step:
            tied.append(self._last_move)  # or it could happen while the run is still at the step of the lot
        key = self._lot_command(name, status, tied, by, lot_id=lot.id, **fields)
        self._open.pop(lot.follows, None)
        lot.becomes(status, key)
        lot.follows = key
        return key

    def _take(self, parent_id: UUID, child: PlannedLot, kg: Decimal, key: UUID, *, final: bool) -> None:
        parent = self.scenario.lots[parent_id]
        parent.taken_kg += kg
        parent.takers.append(key)
        child.parents.append((parent_id, kg))
        if child.id not in parent.children:
            parent.children.append(child.id)
        if final or parent.left_kg == 0:
            parent.becomes(LotStatus.CONSUMED, *([key] if final else parent.takers))

    def _lots(self) -> list[PlannedLot]:
        """The run's lots, those of later steps first."""
        own = [lot for lot in self.scenario.lots.values() if lot.run_id == self.run_id]
        return sorted(own, key=lambda lot: lot.step_index, reverse=True)

    def _now(self) -> tuple[UUID, ...]:
        """Keys of the commands after which all that is written of this step has happened."""
        return tuple(self._open) or (self._last_move,)

    def _tie_in(self, key: UUID) -> None:
        self._open = {key: None}
        self._entry = (key,)

    def _lot_command(
        self, name: str, status: LotStatus, after: Iterable[UUID], by: UserRole = UserRole.OPERATOR, **fields: Any
    ) -> UUID:
        return self._add(name, ExpectedVerdict(CommandStatus.APPLIED, lot_status=status), after, by, **fields)

    def _add(self, name: str, expected: ExpectedVerdict, after: Iterable[UUID], by: UserRole, **fields: Any) -> UUID:
        tied = tuple(dict.fromkeys(after))
        place = f"{self._place} command {len(self._commands)}"
        planned = self.scenario.command(name, place, by, expected, after=tied, **fields)
        self._commands.append(planned)
        for key in tied:
            self._open.pop(key, None)
        self._open[planned.key] = None
        self._here.add(planned.key)
        return planned.key
