"""The engine: applies commands to PostgreSQL, one or many at a time."""

from runworker.engine.engine import Engine

__all__ = ["Engine"]
