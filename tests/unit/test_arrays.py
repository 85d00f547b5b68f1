"""Arrays as PostgreSQL's binary format has them."""

from datetime import UTC, datetime, timedelta, timezone
from decimal import Decimal
from typing import Any
from uuid import UUID

import pytest
from sqlalchemy import Integer, Numeric, Text, Uuid, select
from sqlalchemy.dialects import postgresql

from runworker.engine.sql.arrays import (
    Array,
    Blobs,
    Decimals,
    Documents,
    Integers,
    Longs,
    RowParameters,
    Texts,
    Times,
    UuidLists,
    Uuids,
)

NULL = b"\xff\xff\xff\xff"
KEY = UUID("00112233-4455-6677-8899-aabbccddeeff")


@pytest.mark.parametrize(
    ("array", "packed"),
    [
        (Uuids([KEY, None]), [b"\0\0\0\x10" + KEY.bytes, NULL]),
        (Texts(["é", "", None]), [b"\0\0\0\x02\xc3\xa9", b"\0\0\0\0", NULL]),
        (Integers([-2, None]), [b"\0\0\0\x04\xff\xff\xff\xfe", NULL]),
        (Longs([2**40]), [b"\0\0\0\x08\0\0\x01\0\0\0\0\0"]),
        (Times([datetime(2000, 1, 1, 0, 0, 1, tzinfo=UTC), None]), [b"\0\0\0\x08" + (10**6).to_bytes(8), NULL]),
        (Blobs([b"\0x"]), [b"\0\0\0\x02\0x"]),
        (Decimals([Decimal("2.50"), None]), [b"\0\0\0\x042.50", NULL]),
        (Documents([{"a": None}, None]), [b'\0\0\0\x0b{"a": null}', NULL]),
        (UuidLists([(KEY,), ()]), [b"\0\0\0\x26{%s}" % str(KEY).encode(), NULL]),
    ],
)
def test_elements_stand_behind_their_length(array: Array, packed: list[bytes]) -> None:
    assert array.packed() == packed


def test_times_are_the_same_moment_in_every_zone_and_before_2000() -> None:
    noon = datetime(1999, 12, 31, 12, 0, 0, 1, tzinfo=UTC)
    assert Times([noon]).packed() == Times([noon.astimezone(timezone(timedelta(hours=2)))]).packed()
    assert int.from_bytes(Times([noon]).packed()[0][4:], signed=True) == -12 * 3600 * 10**6 + 1


@pytest.mark.parametrize("array", [Integers([2**31]), Longs([2**63]), Texts(["\ud800"])])
def test_what_does_not_fit_is_refused(array: Array) -> None:
    with pytest.raises(Exception, match=r"format|surrogates|range|too large"):
        array.packed()


def test_a_statement_gets_an_array_a_column_in_their_order() -> None:
    given = RowParameters(id=Uuid(), step=Integer(), weight=Numeric(), note=Text())
    parameters: dict[str, Any] = given.parameters([(KEY, 1, Decimal("2.50"), None), (KEY, 2, None, "x")])
    assert [(name, type(array), list(array)) for name, array in parameters.items()] == [
        ("each_id", Uuids, [KEY, KEY]),
        ("each_step", Integers, [1, 2]),
        ("each_weight", Decimals, [Decimal("2.50"), None]),
        ("each_note", Texts, [None, "x"]),
    ]


def test_what_has_no_array_travels_as_text_and_is_cast() -> None:
    given = RowParameters(weight=Numeric(), note=Text())
    said = str(select(*given.c.values()).compile(dialect=postgresql.dialect()))
    assert ".weight AS NUMERIC)" in said
    assert ".note" in said
    assert ".note AS" not in said


def test_a_row_short_of_a_column_is_a_mistake() -> None:
    with pytest.raises(ValueError, match="zip"):
        RowParameters(id=Uuid(), note=Text()).parameters([(KEY,)])
