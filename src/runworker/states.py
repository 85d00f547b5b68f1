"""States, roles and legal moves: the plant's state machines as data.

One table an entity. PostgreSQL enforces the same tables by trigger; a test proves that both agree on every ordered
pair of states. Source: the domain reference, "State machines".
"""

from collections.abc import Mapping
from enum import StrEnum
from types import MappingProxyType
from typing import Final, TypeVar


class FlowVersionStatus(StrEnum):
    """Life of a flow version, the snapshot of a process graph."""

    DRAFT = "DRAFT"  # being drawn
    REVIEW = "REVIEW"  # submitted, waits for approval
    PUBLISHED = "PUBLISHED"  # in force and immutable; at most one for each flow
    DEPRECATED = "DEPRECATED"  # replaced or withdrawn; final


class RunStatus(StrEnum):
    """Life of a production run."""

    IDLE = "IDLE"  # created, not started
    RUNNING = "RUNNING"  # one step is in progress
    HOLD = "HOLD"  # paused, with a reason
    COMPLETED = "COMPLETED"  # went through its whole plan; read-only
    ABORTED = "ABORTED"  # ended early, with a reason
    ARCHIVED = "ARCHIVED"  # finished and past retention; final


class StepExecutionStatus(StrEnum):
    """Life of one step of a run."""

    PENDING = "PENDING"  # planned, not reached
    IN_PROGRESS = "IN_PROGRESS"  # the run's current step
    COMPLETED = "COMPLETED"  # done
    SKIPPED = "SKIPPED"  # not in the plan, or not reached before an abort


class LotStatus(StrEnum):
    """Life of a lot, a traceable unit of material."""

    CREATED = "CREATED"  # row exists, not yet registered by the plant
    QUARANTINE = "QUARANTINE"  # registered, waits for quality control
    RELEASED = "RELEASED"  # passed quality control, may be used
    HOLD = "HOLD"  # stopped by quality control
    REJECTED = "REJECTED"  # failed quality control; final
    CONSUMED = "CONSUMED"  # used up by its child lots
    FINISHED = "FINISHED"  # its whole descent is finished; final


class LotType(StrEnum):
    """The material of a lot. SKW, FRZ and FG are legacy: readable, never registered anew."""

    RAW = "RAW"  # raw material receipt
    DEB = "DEB"  # deboned meat
    BULK = "BULK"  # bulk buffer
    MIX = "MIX"  # mixed batch
    SKW15 = "SKW15"  # skewer, 15 rod
    SKW30 = "SKW30"  # skewer, 30 rod
    FRZ15 = "FRZ15"  # frozen, 15 rod
    FRZ30 = "FRZ30"  # frozen, 30 rod
    FG15 = "FG15"  # finished goods, 15 rod
    FG30 = "FG30"  # finished goods, 30 rod
    PAL = "PAL"  # pallet
    SHIP = "SHIP"  # shipment
    SKW = "SKW"  # legacy skewer
    FRZ = "FRZ"  # legacy frozen
    FG = "FG"  # legacy finished goods


class UserRole(StrEnum):
    """The role of a person or system. Each command names the roles that may issue it."""

    ADMIN = "ADMIN"
    MANAGER = "MANAGER"
    AUDITOR = "AUDITOR"
    OPERATOR = "OPERATOR"
    VIEWER = "VIEWER"  # reads; issues nothing


class Decision(StrEnum):
    """Outcome of a quality control."""

    PASS = "PASS"  # noqa: S105 - a verdict on meat, not a password
    HOLD = "HOLD"
    FAIL = "FAIL"


class GateType(StrEnum):
    """The effect of a quality gate on the process."""

    CHECKPOINT = "CHECKPOINT"
    BLOCKING = "BLOCKING"
    INFO = "INFO"


class CommandStatus(StrEnum):
    """Life of a command in the ledger."""

    QUEUED = "QUEUED"  # put into the ledger by an upstream's own transaction, not yet taken
    WAITING = "WAITING"  # came before its turn
    APPLIED = "APPLIED"  # took effect; final
    REJECTED = "REJECTED"  # a rule said no; final
    EXPIRED = "EXPIRED"  # what it waited for never came; final


class DeadLetterState(StrEnum):
    """What became of a dead letter, read from its times."""

    OPEN = "OPEN"  # needs somebody: neither replayed nor discarded since it was seen last
    REPLAYED = "REPLAYED"  # sent again, and not seen since
    DISCARDED = "DISCARDED"  # marked as needing nothing more


DECIDED_COMMANDS: Final = frozenset({CommandStatus.APPLIED, CommandStatus.REJECTED, CommandStatus.EXPIRED})
"""A verdict that never changes again."""

UNCHANGING_VERSIONS: Final = frozenset({FlowVersionStatus.PUBLISHED, FlowVersionStatus.DEPRECATED})
"""The graph stays as it is."""

UNFINISHED_RUNS: Final = frozenset({RunStatus.IDLE, RunStatus.RUNNING, RunStatus.HOLD})
"""The run may still make something."""

FINISHED_RUNS: Final = frozenset({RunStatus.COMPLETED, RunStatus.ABORTED, RunStatus.ARCHIVED})
"""The run makes nothing any more."""

OPEN_LOTS: Final = frozenset({LotStatus.CREATED, LotStatus.QUARANTINE, LotStatus.RELEASED, LotStatus.HOLD})
"""The lot may still be used."""

USED_UP_LOTS: Final = frozenset({LotStatus.CONSUMED, LotStatus.FINISHED})
"""The lot went into others, or left the plant."""

FINAL_LOTS: Final = frozenset({LotStatus.FINISHED, LotStatus.REJECTED})
"""The lot makes no further move."""

CLOSED_LOTS: Final = USED_UP_LOTS | {LotStatus.REJECTED}
"""The lot takes in no further material."""

STOPPABLE_LOTS: Final = frozenset({LotStatus.QUARANTINE, LotStatus.RELEASED})
"""Quality control may put the lot on HOLD."""

QC_PENDING_LOTS: Final = frozenset({LotStatus.CREATED, LotStatus.QUARANTINE, LotStatus.HOLD})
"""At a step with a gate, the lot keeps its run there."""

SHIPPABLE_LOTS: Final = USED_UP_LOTS | {LotStatus.RELEASED}
"""A lot of type SHIP has left, or may."""

ENDED_EARLY: Final = frozenset({LotStatus.REJECTED, RunStatus.ABORTED})
"""A lot or run was stopped before its end."""

LEGACY_LOT_TYPES: Final = frozenset({LotType.SKW, LotType.FRZ, LotType.FG})
"""A new lot is never registered with one of them."""

SKU_INHERITING_LOT_TYPES: Final = frozenset({LotType.PAL, LotType.SHIP})
"""The lot has the SKU of what it is made of."""

FINISHED_GOODS_LOT_TYPES: Final = frozenset({LotType.FG15, LotType.FG30, LotType.FG, LotType.PAL})
"""Packed goods, and pallets of them."""

State = TypeVar("State", bound=StrEnum)


def _moves(table: dict[State, set[State]]) -> Mapping[State, frozenset[State]]:
    return MappingProxyType({source: frozenset(targets) for source, targets in table.items()})


_V, _R, _S, _L = FlowVersionStatus, RunStatus, StepExecutionStatus, LotStatus

FLOW_VERSION_MOVES: Final = _moves(
    {
        _V.DRAFT: {_V.REVIEW},
        _V.REVIEW: {_V.PUBLISHED, _V.DRAFT},
        _V.PUBLISHED: {_V.DEPRECATED},
        _V.DEPRECATED: set(),
    }
)

RUN_MOVES: Final = _moves(
    {
        _R.IDLE: {_R.RUNNING, _R.ABORTED},
        _R.RUNNING: {_R.HOLD, _R.COMPLETED, _R.ABORTED},
        _R.HOLD: {_R.RUNNING, _R.ABORTED},
        _R.COMPLETED: {_R.ARCHIVED},
        _R.ABORTED: {_R.ARCHIVED},
        _R.ARCHIVED: set(),
    }
)

STEP_MOVES: Final = _moves(
    {
        _S.PENDING: {_S.IN_PROGRESS, _S.SKIPPED},
        _S.IN_PROGRESS: {_S.COMPLETED, _S.SKIPPED, _S.PENDING},
        _S.COMPLETED: {_S.PENDING, _S.IN_PROGRESS},
        _S.SKIPPED: set(),
    }
)

LOT_MOVES: Final = _moves(
    {
        _L.CREATED: {_L.QUARANTINE},
        _L.QUARANTINE: {_L.RELEASED, _L.HOLD, _L.REJECTED},
        _L.RELEASED: {_L.HOLD, _L.CONSUMED, _L.FINISHED},
        _L.HOLD: {_L.RELEASED, _L.REJECTED},
        _L.REJECTED: set(),
        _L.CONSUMED: {_L.FINISHED},
        _L.FINISHED: set(),
    }
)
"""RELEASED to FINISHED is for SHIP lots only, which have no child."""
