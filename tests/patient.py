"""Servers for the doctor to look at, which tests make ill and heal."""

from collections.abc import Iterator
from typing import Any

import psycopg
import pytest
from redis import Redis
from sqlalchemy import make_url
from tests.plant import Plant
from tests.servers import Servers, conninfo, fresh_broker, fresh_database

from runworker import doctor
from runworker.doctor import Finding, Group
from runworker.doctor.access import Access

CHECKS = {each.name: each for each in doctor.all_checks()}


class Patient:
    """A migrated database and a broker that tests make ill and heal."""

    def __init__(self, plant: Plant, worker_url: str, broker_url: str) -> None:
        self.plant = plant
        self.worker_url = worker_url
        self.broker_url = broker_url
        self.redis = Redis.from_url(broker_url)

    def access(self, **settings: Any) -> Access:
        own = {"database_url": self.worker_url, "migration_url": self.plant.url, "broker_url": self.broker_url}
        return Access(self.plant.settings(**(own | settings)))

    def findings(self, check: str, **settings: Any) -> list[Finding]:
        """What one check finds."""
        found = list(doctor.examine(self.access(**settings), [Group(None, [CHECKS[check]])]))
        assert {each.name for each in found} <= set(CHECKS[check].names)
        return found

    def worst(self, check: str, **settings: Any) -> Finding:
        """The one finding of a check, none of which may be a failure of the check itself."""
        [found] = self.findings(check, **settings)
        return found

    def told(self, *statements: str) -> None:
        """Have the owner say so, outside of any transaction."""
        with psycopg.connect(conninfo(self.plant.url), autocommit=True) as owner:
            for statement in statements:
                owner.execute(statement.replace("THIS", make_url(self.plant.url).database or ""))


@pytest.fixture(scope="module")
def patient(servers: Servers, template_database: str, worker_login: tuple[str, str]) -> Iterator[Patient]:
    with fresh_database(servers, template=template_database) as url, fresh_broker(servers) as broker_url:
        name, password = worker_login
        plant = Plant(url.render_as_string(hide_password=False))
        worker = url.set(username=name, password=password).render_as_string(hide_password=False)
        ill = Patient(plant, worker, broker_url)
        yield ill
        ill.redis.close()
        plant.close()
