"""Keeps what one test does to logging from the next."""

import logging
from collections.abc import Iterator

import pytest
import structlog

OURS = "runworker.logs"


@pytest.fixture
def logging_left_alone() -> Iterator[None]:
    """Take back what `configure_logging` sets for the whole process."""
    root = logging.getLogger()
    level, alembic = root.level, logging.getLogger("alembic").level
    yield
    root.setLevel(level)
    logging.getLogger("alembic").setLevel(alembic)
    for handler in [each for each in root.handlers if type(each).__module__ == OURS]:
        root.removeHandler(handler)
    logging.captureWarnings(False)
    structlog.reset_defaults()
