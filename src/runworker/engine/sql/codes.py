"""Run and lot codes. Numbers come from a counter a block at a time, in a transaction of their own.

So two workers never wait for each other's batch to get a number, and a batch that fails leaves a gap, not a duplicate.
"""

from collections import defaultdict
from collections.abc import Iterable
from datetime import date
from uuid import UUID

from sqlalchemy import Engine, select
from sqlalchemy.dialects.postgresql import insert

from runworker.models import CodeCounter, Lot

CodeRequest = tuple[UUID, str, str]
"""Id of a new entity, prefix of its code, and its site."""


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
    codes: list[str] = []
    while (missing := count - len(codes)) > 0:
        new = insert(CodeCounter).values(prefix=prefix, site_code=site_code, day=day, last_number=missing)
        taken = new.on_conflict_do_update(
            index_elements=[CodeCounter.prefix, CodeCounter.site_code, CodeCounter.day],
            set_={"last_number": CodeCounter.last_number + missing},
        ).returning(CodeCounter.last_number)
        with database.begin() as connection:
            last = connection.execute(taken).scalar_one()
            fresh = [
                f"{prefix}-{day:%Y%m%d}-{site_code}-{number:04d}" for number in range(last - missing + 1, last + 1)
            ]
            # Callers may give lots codes of their own, ahead of the counter.
            used = set(connection.execute(select(Lot.lot_code).where(Lot.lot_code.in_(fresh))).scalars())
        codes += [code for code in fresh if code not in used]
    return codes
