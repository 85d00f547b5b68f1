"""Run and lot codes. Numbers come from a counter a block at a time, in a transaction of their own.

So two workers never wait for each other's batch to get a number, and a batch that fails leaves a gap, not a duplicate.
Others may give numbers as well: a counter begins above the greatest that is in use, and skips those that it meets.
"""

from collections import defaultdict
from collections.abc import Iterable, Mapping
from datetime import date
from typing import Any, Final
from uuid import UUID

from sqlalchemy import Connection, Engine, Text, cast, exists, func, select, update
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.orm import InstrumentedAttribute

from runworker.models import CodeCounter, Lot, ProductionRun

CodeRequest = tuple[UUID, str, str]
"""Id of a new entity, prefix of its code, and its site."""

RUN_PREFIX: Final = "RUN"
"""The prefix of run codes. All others are those of lots."""

_WINDOW: Final = 10_000
"""How many numbers are looked through at once: an ordinary day's. The table may be long; each is found by its index."""

_KEY: Final = (CodeCounter.prefix, CodeCounter.site_code, CodeCounter.day)
_NEXT: Final = update(CodeCounter).returning(CodeCounter.last_number)


def take_codes(database: Engine, wanted: Iterable[CodeRequest], day: date) -> dict[UUID, str]:
    """A fresh code `PREFIX-YYYYMMDD-SITE-####` for each entity, ascending. The number grows a digit past 9999."""
    by_counter: defaultdict[tuple[str, str], list[UUID]] = defaultdict(list)
    for id_, prefix, site_code in wanted:
        by_counter[prefix, site_code].append(id_)
    codes: dict[UUID, str] = {}
    for (prefix, site_code), ids in sorted(by_counter.items()):
        codes |= zip(ids, _take(database, prefix, site_code, day, len(ids)), strict=True)
    return codes


def _take(database: Engine, prefix: str, site_code: str, day: date, count: int) -> list[str]:
    begin = f"{prefix}-{day:%Y%m%d}-{site_code}-"
    counter = {"prefix": prefix, "site_code": site_code, "day": day}
    with database.begin() as connection:
        taken = _NEXT.filter_by(**counter).values(last_number=CodeCounter.last_number + count)
        last = connection.execute(taken).scalar_one_or_none()
        if last is None:
            last = _skip(connection, counter, begin, 0, count)
        elif _are_used(connection, prefix, [_code(begin, number) for number in range(last - count + 1, last + 1)]):
            last = _skip(connection, counter, begin, last - count, count)
    return [_code(begin, number) for number in range(last - count + 1, last + 1)]


def _skip(connection: Connection, counter: Mapping[str, Any], begin: str, after: int, count: int) -> int:
    """Take the block above the greatest number in use. Returns its last number."""
    greatest = _greatest_used(connection, begin, after)
    new = insert(CodeCounter).values(**counter, last_number=greatest + count)
    above = func.greatest(CodeCounter.last_number, greatest) + count
    return int(
        connection.execute(
            new.on_conflict_do_update(index_elements=_KEY, set_={"last_number": above}).returning(
                CodeCounter.last_number
            )
        ).scalar_one()
    )


def _are_used(connection: Connection, prefix: str, codes: list[str]) -> bool:
    column = _column(prefix)
    return connection.execute(select(column).where(column.in_(codes)).limit(1)).first() is not None


def _greatest_used(connection: Connection, begin: str, after: int) -> int:
    """The greatest number in use above `after`, or else `after`: looked for as long as a window has one."""
    column = _column(begin.partition("-")[0])
    while True:
        number = func.generate_series(after + 1, after + _WINDOW).column_valued("number")
        digits = cast(number, Text)
        code = begin + func.lpad(digits, func.greatest(4, func.length(digits)), "0")  # as `_code` writes it
        found = connection.execute(select(func.max(number)).where(exists().where(column == code))).scalar_one()
        if found is None:
            return after
        after = found


def _column(prefix: str) -> InstrumentedAttribute[str]:
    return ProductionRun.run_code if prefix == RUN_PREFIX else Lot.lot_code


def _code(begin: str, number: int) -> str:
    return f"{begin}{number:04d}"
