"""The plant's eleven steps as data. Source: the domain reference, "The canonical 11 steps"."""

from dataclasses import dataclass
from decimal import Decimal
from typing import Final

from runworker.states import LotType


@dataclass(frozen=True, slots=True)
class CanonicalStep:
    """One step of the plant's process.

    lot_types: what may be registered at this step; empty where no lot is made.
    has_gate: lots of this step pass a quality gate.
    ccp_limit: highest temperature in degrees Celsius that the critical control point allows; None where it is none.
    ccp_reading: which temperature is held against the limit; None where there is no limit.
    """

    index: int
    name: str
    lot_types: tuple[LotType, ...] = ()
    has_gate: bool = False
    ccp_limit: Decimal | None = None
    ccp_reading: str | None = None

    @property
    def is_ccp(self) -> bool:
        """Whether the step is a critical control point."""
        return self.ccp_limit is not None


_L = LotType

CANONICAL_STEPS: Final = (
    CanonicalStep(0, "Start"),
    CanonicalStep(1, "Receipt", (_L.RAW,), True, Decimal("4.0"), "surface"),
    CanonicalStep(2, "Deboning", (_L.DEB,), True),
    CanonicalStep(3, "Bulk Buffer", (_L.BULK,)),
    CanonicalStep(4, "Mixing", (_L.MIX,), True),
    CanonicalStep(5, "Skewering", (_L.SKW15, _L.SKW30), True),
    CanonicalStep(6, "SKU Split"),
    CanonicalStep(7, "Freezing", (_L.FRZ15, _L.FRZ30), True, Decimal("-18.0"), "core"),
    CanonicalStep(8, "Packaging", (_L.FG15, _L.FG30), True),
    CanonicalStep(9, "Palletizing", (_L.PAL,), True),
    CanonicalStep(10, "Shipment", (_L.SHIP,), True, Decimal("-18.0"), "ambient"),
)
"""By index: CANONICAL_STEPS[7] is Freezing."""
