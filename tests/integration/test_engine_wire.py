"""No wait for PostgreSQL is without an end, whatever stands between."""

import time
from collections.abc import Callable
from uuid import uuid4

import pytest
from sqlalchemy import make_url
from sqlalchemy.exc import DBAPIError
from tests.plant import Plant
from tests.proxy import Proxy

from runworker.engine import Engine
from runworker.errors import Unavailable
from runworker.states import CommandStatus
from runworker.upkeep import sweep

MODES = ("session", "transaction")
HASTY = {"statement_timeout_seconds": 1, "connect_timeout_seconds": 2, "retry_seconds": 0}


@pytest.mark.parametrize("mode", MODES)
def test_a_wire_that_takes_everything_and_passes_nothing_on(plant: Plant, mode: str) -> None:
    """What stands between acknowledges for the server, so that no kernel finds out: keepalives are answered, too."""
    with Proxy(plant.url) as proxy:
        engine = plant.engine(database_url=proxy.url, pool_mode=mode, **HASTY)
        (started,) = engine.apply([plant.command("start_run")])
        hold = plant.command("hold_run", run_id=started.run_id)
        waits: tuple[Callable[[], object], ...] = (
            lambda: engine.apply([hold]),  # on a connection that was there
            lambda: engine.apply([hold]),  # on one that is to be made
            lambda: engine.verdicts([uuid4()]),
            lambda: sweep(engine),
        )
        proxy.fall_silent()
        for wait in waits:
            began = time.monotonic()
            with pytest.raises(Unavailable, match=r"no answer within|timeout"):
                wait()
            assert time.monotonic() - began < 7
        proxy.come_back()
        assert engine.apply([hold])[0].status is CommandStatus.APPLIED


def test_a_statement_may_take_as_long_as_the_server_lets_it(plant: Plant) -> None:
    engine = plant.engine(statement_timeout_seconds=2)
    with engine.database.begin() as connection:
        assert connection.exec_driver_sql("SELECT 1 FROM pg_sleep(1.5)").scalar_one() == 1


def libpq(engine: Engine) -> dict[str, str]:
    with engine.database.connect() as connection:
        driver = connection.connection.driver_connection
        assert driver is not None
        return {str(name): str(value) for name, value in driver.info.get_parameters().items()}


def test_the_kernel_gives_up_a_wire_that_is_silent(plant: Plant) -> None:
    by_default = libpq(plant.engine())
    assert by_default["tcp_user_timeout"] == "15000"
    idle, interval, count = (int(by_default[f"keepalives_{part}"]) for part in ("idle", "interval", "count"))
    assert idle + interval * count <= 15
    assert libpq(plant.engine(silence_timeout_seconds=3))["tcp_user_timeout"] == "3000"
    through = f"{plant.url}?keepalives_idle=7"
    assert libpq(plant.engine(database_url=through))["keepalives_idle"] == "7"


def test_of_two_hosts_the_one_that_takes_writes(plant: Plant) -> None:
    """As libpq spells it. The first is away; the second is found whenever a connection is made."""
    url = make_url(plant.url)
    two = f"postgresql://{url.username}:{url.password}@127.0.0.1:1,{url.host}:{url.port}/{url.database}"
    engine = plant.engine(database_url=f"{two}?target_session_attrs=read-write")
    assert engine.apply([plant.command("start_run")])[0].status is CommandStatus.APPLIED
    assert libpq(engine)["port"] == str(url.port)


def test_a_server_that_takes_no_writes_any_more_is_left_by_all_connections(plant: Plant) -> None:
    """The next ones may lead to another server."""
    database = plant.engine().database
    with database.connect() as one, database.connect() as other:
        before = {connection.exec_driver_sql("SELECT pg_backend_pid()").scalar_one() for connection in (one, other)}
        one.rollback()
        one.exec_driver_sql("SET TRANSACTION READ ONLY")
        with pytest.raises(DBAPIError, match="read-only"):
            one.exec_driver_sql("UPDATE commands SET task_id = task_id")
        assert one.invalidated
    with database.connect() as one, database.connect() as other:
        after = {connection.exec_driver_sql("SELECT pg_backend_pid()").scalar_one() for connection in (one, other)}
    assert not before & after
