"""Watches how engines come to their verdicts: a race that ends well may have got there by failing and trying again."""

from collections.abc import Iterator
from typing import Any, Final

import pytest
import sqlalchemy
from sqlalchemy import Connection, event
from structlog.testing import capture_logs
from tests.plant import Plant

AGAIN: Final = frozenset({"batch.split", "database.retry", "command.failed"})
"""Log events of an engine that does something again."""


class Attempts:
    """What was done in vain. log: all log events. undone: how many transactions of engines were rolled back."""

    def __init__(self, plant: Plant, log: list[Any]) -> None:
        self.log = log
        self.undone = 0
        self._plant = plant

    @property
    def again(self) -> list[Any]:
        """Log events that tell of a batch that was split or tried again."""
        return [entry for entry in self.log if entry["event"] in AGAIN]

    def count(self, connection: Connection) -> None:
        """Take note of a transaction that is rolled back. Those of tests are their own business."""
        self.undone += self._plant.is_engines(connection)


@pytest.fixture
def attempts(plant: Plant) -> Iterator[Attempts]:
    """How engines of the plant fared."""
    with capture_logs() as log:
        attempts = Attempts(plant, log)
        event.listen(sqlalchemy.Engine, "rollback", attempts.count)
        yield attempts
        event.remove(sqlalchemy.Engine, "rollback", attempts.count)


@pytest.fixture
def first_try(attempts: Attempts) -> Iterator[None]:
    """Every batch of the test has to get through at the first try: none is split, retried or rolled back.

    A single command is tried again without a word, so that log events alone would not tell.
    """
    yield
    assert (attempts.again, attempts.undone) == ([], 0)
