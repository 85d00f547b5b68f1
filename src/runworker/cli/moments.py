"""How points in time are read from the command line."""

from datetime import UTC, datetime

import typer


def moment(value: str) -> datetime:
    """A date or a time, in UTC where no zone is given."""
    try:
        time = datetime.fromisoformat(value)
    except ValueError:
        expected = "expected a time as 2026-01-25, 2026-01-25T06:00 or 2026-01-25T06:00+01:00"
        raise typer.BadParameter(f"{expected}, got {value!a:.80}") from None
    return time if time.tzinfo else time.replace(tzinfo=UTC)
