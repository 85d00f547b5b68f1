"""The engine: applies commands to PostgreSQL, one or many at a time."""

from runworker.engine.apply import Engine

__all__ = ["Engine"]
