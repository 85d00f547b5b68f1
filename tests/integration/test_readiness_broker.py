"""What a worker finds wrong with its broker before it takes anything."""

from collections.abc import Iterator

import pytest
from redis import Redis
from redis.backoff import NoBackoff
from redis.retry import Retry

from runworker.embedded import start_valkey, temporary_directory
from runworker.embedded.valkey import broker_url
from runworker.readiness import look_at_broker, maxmemory_policy


@pytest.fixture(scope="module")
def own_valkey() -> Iterator[Redis]:
    """A server whose settings tests may change."""
    with temporary_directory() as directory:
        server = start_valkey(directory, durable=False)
        with Redis.from_url(broker_url(directory, server.port)) as client:
            yield client
        server.stop()


FAULTS = {
    "maxmemory-policy": ("allkeys-lru", "noeviction", "broker-evicts"),
    "min-replicas-to-write": ("1", "0", "broker-refuses"),
}


@pytest.mark.parametrize("setting", FAULTS)
def test_a_fault_is_found_and_gone_with_its_cause(own_valkey: Redis, setting: str) -> None:
    wrong, right, name = FAULTS[setting]
    own_valkey.config_set(setting, wrong)
    found = look_at_broker(own_valkey)
    own_valkey.config_set(setting, right)

    assert [blocker.name for blocker in found] == [name]
    assert look_at_broker(own_valkey) == []


def test_a_replica_refuses(own_valkey: Redis) -> None:
    own_valkey.replicaof("127.0.0.1", "1")
    found = look_at_broker(own_valkey)
    own_valkey.replicaof("NO", "ONE")

    assert [blocker.name for blocker in found] == ["broker-refuses"]


def test_a_full_server_is_worked_off_and_copies_may_be_evicted(own_valkey: Redis) -> None:
    own_valkey.config_set("maxmemory", "1")
    own_valkey.config_set("maxmemory-policy", "volatile-lru")
    found = look_at_broker(own_valkey)
    own_valkey.config_set("maxmemory", "0")
    own_valkey.config_set("maxmemory-policy", "noeviction")

    assert found == []


def test_a_policy_that_may_not_be_seen_is_no_blocker(own_valkey: Redis) -> None:
    own_valkey.acl_setuser("worker", enabled=True, nopass=True, keys=["*"], categories=["+@all", "-@dangerous"])
    options = own_valkey.connection_pool.connection_kwargs
    with Redis(host=options["host"], port=options["port"], username="worker", password="any") as worker:  # noqa: S106 - any is taken
        assert maxmemory_policy(worker) is None
        assert look_at_broker(worker) == []


def test_a_server_that_is_not_there_is_away() -> None:
    with Redis(port=1, retry=Retry(NoBackoff(), 0)) as nobody:
        assert [blocker.name for blocker in look_at_broker(nobody)] == ["broker-away"]
