"""Fixtures for tests without servers."""

from tests.logs import logging_left_alone

__all__ = ["logging_left_alone"]
