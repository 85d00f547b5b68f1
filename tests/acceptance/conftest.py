"""Fixtures for tests that meet servers and processes."""

from tests.command_line import command_line
from tests.logs import logging_left_alone

__all__ = ["command_line", "logging_left_alone"]
