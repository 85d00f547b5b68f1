"""Fixtures: databases of an older system."""

from collections.abc import Iterator

import pytest
from tests.migrations.parents import parent_template
from tests.outsider import outsider
from tests.servers import Servers, fresh_database

__all__ = ["outsider", "parent_url", "parents"]


@pytest.fixture(scope="session")
def parents(servers: Servers) -> Iterator[str]:
    """Name of the mould of `parent_url`."""
    with parent_template(servers) as name:
        yield name


@pytest.fixture
def parent_url(servers: Servers, parents: str) -> Iterator[str]:
    """SQLAlchemy URL of a database of the test's own that an older system left, which knew no Alembic."""
    with fresh_database(servers, template=parents) as url:
        yield url.render_as_string(hide_password=False)
