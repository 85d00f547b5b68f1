"""A broker behind Sentinel that dies: its replica takes over, and workers and senders go on."""

import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Final
from uuid import uuid4

import pytest
from kombu.exceptions import OperationalError
from pydantic import SecretStr
from redis import Redis
from redis.exceptions import RedisError
from tests.chaos.conftest import Site, crash
from tests.crew import PATIENCE, eventually

from runworker.client import Client, Sent
from runworker.embedded import RunningServer, start_valkey, temporary_directory
from runworker.embedded.process import HOST, free_port
from runworker.embedded.valkey import broker_url
from runworker.simulation.own_queue import DemoQueue

MASTER: Final = "plant"
COMMANDS: Final = 20


@pytest.fixture
def password(site: Site) -> str:
    """Of the site's server. Its replica takes it too, as senders know one password only."""
    return str(site.crew.redis.connection_pool.connection_kwargs["password"])


@pytest.fixture
def replica(site: Site, password: str) -> Iterator[RunningServer]:
    """A second server that follows the site's."""
    with temporary_directory() as directory:
        server = start_valkey(directory, durable=True)
        try:
            with Redis.from_url(broker_url(directory, server.port)) as redis:
                redis.config_set("masterauth", password)
                redis.config_set("requirepass", password)
                redis.replicaof(HOST, str(site.valkey.port))
                eventually(lambda: redis.info("replication")["master_link_status"] == "up", "the replica in step")
            yield server
        finally:
            server.stop()


@pytest.fixture
def sentinel_url(site: Site, replica: RunningServer, password: str, tmp_path: Path) -> Iterator[str]:
    """Where a Sentinel answers that watches the two, and decides alone."""
    port = free_port()
    configuration = tmp_path / "sentinel.conf"
    configuration.write_text(
        f"bind {HOST}\nport {port}\n"
        f"sentinel monitor {MASTER} {HOST} {site.valkey.port} 1\n"
        f"sentinel auth-pass {MASTER} {password}\n"
        f"sentinel down-after-milliseconds {MASTER} 500\n"
        f"sentinel failover-timeout {MASTER} 5000\n"
    )
    program = Path(f"/proc/{replica.pid}/exe").resolve()
    process = subprocess.Popen([program, configuration, "--sentinel"], stdout=subprocess.DEVNULL)
    try:
        with Redis(HOST, port, decode_responses=True) as watcher:
            eventually(lambda: knows_a_replica(watcher), "a Sentinel that knows both")
        yield f"sentinel://:{password}@{HOST}:{port}/0"
    finally:
        process.terminate()
        process.wait()


def knows_a_replica(watcher: Redis) -> bool:
    try:
        return bool(watcher.sentinel_slaves(MASTER))
    except RedisError:
        return False


def test_nothing_is_lost_when_the_broker_fails_over(site: Site, sentinel_url: str) -> None:
    crew, plant, version = site.crew, site.plant, site.plant.version()
    worker = crew.hire(broker_url=SecretStr(sentinel_url), sentinel_master=MASTER)
    with Client(sentinel_url, issued_by=plant.user("ADMIN"), sentinel_master=MASTER) as client:

        def started() -> Sent | None:
            try:
                return client.start_run(flow_version_id=version)
            except (RedisError, OperationalError):
                return None  # the replica has not taken over yet

        sent = [client.start_run(flow_version_id=version) for _ in range(COMMANDS)]
        assert crew.redis.wait(1, 5000) == 1
        crash(site.valkey)
        sent += [eventually(started, "a command accepted") for _ in range(COMMANDS)]
        assert {one.wait(timeout=PATIENCE).status for one in sent} == {"APPLIED"}
    settings = crew.settings.model_copy(update={"broker_url": SecretStr(sentinel_url), "sentinel_master": MASTER})
    with DemoQueue(settings, uuid4()) as demo, demo.client() as client:
        client.start_run(flow_version_id=version, issued_by=plant.user("ADMIN"))
        assert demo.left() == 1
    # One that was not accepted may have come through all the same.
    assert plant.count("production_runs") == plant.count("commands", "status = 'APPLIED'") >= 2 * COMMANDS
    assert not plant.count("dead_letters")
    assert worker.exit_code is None
    crew.dismiss()  # while there is still a broker to take leave of
