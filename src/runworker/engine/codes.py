"""Run codes. Numbers come from a counter a block at a time, in a transaction of their own.

So two workers never wait for each other's batch to get a number, and a batch that fails leaves a gap, not a duplicate.
"""

from datetime import date

from sqlalchemy import Engine
from sqlalchemy.dialects.postgresql import insert

from runworker.models import CodeCounter


def take_run_codes(database: Engine, site_code: str, day: date, count: int) -> list[str]:
    """`count` fresh codes `RUN-YYYYMMDD-SITE-####`, ascending. The number grows a digit past 9999."""
    new = insert(CodeCounter).values(prefix="RUN", site_code=site_code, day=day, last_number=count)
    taken = new.on_conflict_do_update(
        index_elements=[CodeCounter.prefix, CodeCounter.site_code, CodeCounter.day],
        set_={"last_number": CodeCounter.last_number + count},
    ).returning(CodeCounter.last_number)
    with database.begin() as connection:
        last = connection.execute(taken).scalar_one()
    return [f"RUN-{day:%Y%m%d}-{site_code}-{number:04d}" for number in range(last - count + 1, last + 1)]
