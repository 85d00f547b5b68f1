"""Codes of lots: TYPE-YYYYMMDD-SITE-####, MIX lots spelled MIXLOT. Rules: the domain reference, "Lot"."""

import re
from datetime import date
from typing import Final

from runworker.codes import Code
from runworker.commands import RegisterLot
from runworker.errors import Rejected
from runworker.handlers.facts import Facts, RunFact
from runworker.states import LotType

_CODE: Final = re.compile(r"(?P<prefix>[A-Z0-9]+)-(?P<day>\d{8})-(?P<site>[A-Z]{4})-\d{4,}", re.ASCII)


def code_prefix(lot_type: LotType) -> str:
    """The beginning of codes of this type."""
    return "MIXLOT" if lot_type is LotType.MIX else str(lot_type)


def require_fitting_code(command: RegisterLot, run: RunFact, facts: Facts) -> None:
    """Refuse a code that the caller gave and that does not fit the lot's type or the run's site."""
    if command.lot_code is None:
        return
    prefix = code_prefix(command.lot_type)
    found = _CODE.fullmatch(command.lot_code)
    if found is None or found["prefix"] != prefix or not _is_day(found["day"]):
        raise Rejected(Code.LOT_CODE_INVALID, f"lot code {command.lot_code!r}: expected {prefix}-YYYYMMDD-SITE-####")
    site = run.site_code or facts.rules.default_site_code
    if found["site"] != site:
        raise Rejected(
            Code.LOT_CODE_OTHER_SITE, f"lot code {command.lot_code} is of {found['site']}; the run is at {site}"
        )


def site_of_code(lot_code: str | None) -> str | None:
    """The plant site that a code tells; None where a legacy code tells none."""
    found = _CODE.fullmatch(lot_code or "")
    return found["site"] if found else None


def _is_day(digits: str) -> bool:
    try:
        date(int(digits[:4]), int(digits[4:6]), int(digits[6:]))
    except ValueError:
        return False
    return True
