"""The clock that times go by is PostgreSQL's. A machine's own may be wrong, and often is by some seconds."""

from datetime import UTC, datetime, timedelta

from sqlalchemy import Engine, func, select
from sqlalchemy.exc import SQLAlchemyError


def clock_behind(database: Engine) -> timedelta | None:
    """By how much this machine's clock is behind PostgreSQL's; None where PostgreSQL cannot be asked now."""
    try:
        with database.connect() as connection:
            now: datetime = connection.execute(select(func.clock_timestamp())).scalar_one()
            return now - datetime.now(UTC)
    except SQLAlchemyError:
        return None
