"""The table of a recall is opened with a spreadsheet, which runs a cell that begins like a formula."""

import csv
import io
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any
from uuid import uuid4

import pytest

from runworker.batch_records import recall_csv
from runworker.batch_records.recall_page import COLUMNS
from runworker.states import LotStatus, LotType
from runworker.tracing import Containing, Recall
from runworker.tracing.genealogy import Genealogy, TracedLot


def cells(**fields: Any) -> dict[str, str]:
    """The line of one finished lot."""
    known: dict[str, Any] = dict.fromkeys(TracedLot.__dataclass_fields__) | {
        "id": uuid4(),
        "code": "FG15-20260201-MAIN-0001",
        "lot_type": LotType.FG15,
        "status": LotStatus.FINISHED,
        "weight_kg": Decimal(500),
        "used_kg": Decimal(500),
        "taken_kg": Decimal(0),
        "metadata": {},
        "created_at": datetime(2026, 2, 1, 6, tzinfo=UTC),
    }
    lot = TracedLot(**(known | fields))
    found = Recall(lot.id, {Containing.FINISHED_GOODS: (lot,)}, (), (), Genealogy({lot.id: lot}, ()))
    (line,) = csv.DictReader(io.StringIO(recall_csv(found).removeprefix("\ufeff")))
    return line


@pytest.mark.parametrize("begins", ["=", "+", "-", "@", "\t", "\r"])
def test_a_cell_that_begins_like_a_formula_is_text(begins: str) -> None:
    hostile = f'{begins}HYPERLINK("http://elsewhere.example","click")'
    line = cells(code=hostile, run_code=hostile, supplier_code=hostile, supplier_name=hostile)
    assert [line[column] for column in ("lot", "run", "supplier_code", "supplier_name")] == [f"'{hostile}"] * 4


@pytest.mark.parametrize("name", ["Kovács és Társa", "A=B", "1-2", "'quoted'", "x@example.com"])
def test_any_other_cell_is_as_it_was(name: str) -> None:
    assert cells(supplier_name=name)["supplier_name"] == name


def test_what_is_not_known_is_empty() -> None:
    line = cells(weight_kg=None)
    assert tuple(line) == COLUMNS
    assert (line["weight_kg"], line["taken_kg"], line["step"], line["supplier_name"]) == ("", "0", "", "")
