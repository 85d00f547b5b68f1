"""Fixtures for tests that meet servers and processes."""

from tests.broker import channel, open_channel, redis
from tests.command_line import command_line
from tests.logs import logging_left_alone

__all__ = ["channel", "command_line", "logging_left_alone", "open_channel", "redis"]
