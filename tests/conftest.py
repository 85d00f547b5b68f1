"""Fixtures for all tests."""

from tests.crew import crew, shared_crew
from tests.plant import engine, plant
from tests.servers import (
    broker_url,
    database_url,
    empty_database_url,
    servers,
    template_database,
    worker_database_url,
    worker_login,
)

__all__ = [
    "broker_url",
    "crew",
    "database_url",
    "empty_database_url",
    "engine",
    "plant",
    "servers",
    "shared_crew",
    "template_database",
    "worker_database_url",
    "worker_login",
]
