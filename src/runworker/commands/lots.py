"""Commands about lots. Rules: the domain reference, "Lot"."""

from typing import Annotated
from uuid import UUID

from pydantic import BaseModel, ConfigDict, Field, model_validator

from runworker.commands.base import (
    MANAGEMENT,
    QUALITY,
    SHOP_FLOOR,
    Celsius,
    Command,
    Document,
    Label,
    Note,
    Reason,
    StepIndex,
    Weight,
)
from runworker.states import Decision, LotType


class Parent(BaseModel):
    """A lot that material is taken from, and how much of it in kilograms."""

    model_config = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True)

    lot_id: UUID
    quantity_used_kg: Weight


class RegisterLot(Command):
    """Create a lot at the run's current step. Its parents are consumed by it."""

    name = "register_lot"
    roles = SHOP_FLOOR

    run_id: UUID
    step_index: StepIndex
    lot_type: LotType
    lot_id: UUID | None = None
    lot_code: Label | None = None
    weight_kg: Weight
    temperature_c: Celsius | None = None
    supplier_id: UUID | None = None
    parents: Annotated[tuple[Parent, ...], Field(max_length=200)] = ()
    metadata: Document = {}
    operator_id: UUID | None = None

    @property
    def target_lot(self) -> UUID:
        """The given id, else the key, so that a sender knows the lot before the worker does."""
        return self.lot_id or self.idempotency_key

    @property
    def other_lots(self) -> frozenset[UUID]:
        """The parents."""
        return frozenset(parent.lot_id for parent in self.parents)


class RecordQcDecision(Command):
    """Decide on a lot at its quality gate. temperature_c: as measured now; without it the lot's own counts."""

    name = "record_qc_decision"
    roles = QUALITY

    lot_id: UUID
    decision: Decision
    notes: Note | None = None
    temperature_c: Celsius | None = None
    qc_gate_id: UUID | None = None
    digital_signature: Label | None = None


class ResolveHold(Command):
    """Release a lot that is on HOLD."""

    name = "resolve_hold"
    roles = MANAGEMENT

    lot_id: UUID
    resolution: Reason


class RejectLot(Command):
    """Reject a lot that is on HOLD, for good."""

    name = "reject_lot"
    roles = MANAGEMENT

    lot_id: UUID
    reason: Reason


class ConsumeLot(Command):
    """Take material from a RELEASED lot into another. final: what is left is lost, and the lot CONSUMED."""

    name = "consume_lot"
    roles = SHOP_FLOOR

    lot_id: UUID
    into_lot_id: UUID
    quantity_used_kg: Weight
    final: bool = False

    @property
    def other_lots(self) -> frozenset[UUID]:
        """The lot that takes the material."""
        return frozenset({self.into_lot_id})


class FinishLot(Command):
    """Close a lot whose children are all closed."""

    name = "finish_lot"
    roles = SHOP_FLOOR

    lot_id: UUID


class AdoptLot(Command):
    """Give an older system's lot its type, its run or its step, each once and where it has none."""

    name = "adopt_lot"
    roles = MANAGEMENT

    lot_id: UUID
    lot_type: LotType | None = None
    run_id: UUID | None = None
    step_index: StepIndex | None = None
    reason: Reason

    @model_validator(mode="after")
    def _gives_something(self) -> "AdoptLot":
        if self.lot_type is None and self.run_id is None and self.step_index is None:
            raise ValueError("gives the lot nothing: expected lot_type, run_id or step_index, at least one of them")
        return self


LOT_COMMANDS: tuple[type[Command], ...] = (
    RegisterLot,
    RecordQcDecision,
    ResolveHold,
    RejectLot,
    ConsumeLot,
    FinishLot,
    AdoptLot,
)
