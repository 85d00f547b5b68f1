"""Fixtures for tests that meet servers and processes."""

from tests.broker import channel, open_channel, redis
from tests.command_line import command_line
from tests.first_try import attempts, first_try
from tests.logs import logging_left_alone
from tests.outsider import outsider
from tests.patient import patient

__all__ = [
    "attempts",
    "channel",
    "command_line",
    "first_try",
    "logging_left_alone",
    "open_channel",
    "outsider",
    "patient",
    "redis",
]
