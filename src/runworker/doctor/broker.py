"""The broker as a server: version, room, persistence, clock."""

import time
from collections.abc import Iterator, Mapping
from typing import Any, Final

from redis import Redis
from redis.exceptions import ResponseError

from runworker.doctor.access import Access
from runworker.doctor.examination import away
from runworker.doctor.findings import Finding, check, error, note, ok, warning
from runworker.doctor.measures import room, skew
from runworker.readiness import look_at_broker, maxmemory_policy

AWAY: Final = "broker-away"
OLDEST: Final = {"redis": 7, "valkey": 8}
FULL: Final = 0.8
NEARLY_FULL: Final = 0.95
LOOPBACK: Final = ("127.0.0.1", "localhost", "::1")


@check(AWAY)
def reachable(access: Access) -> Iterator[Finding]:
    """Somebody answers, and lets the doctor in."""
    try:
        with access.broker() as client:
            client.ping()
    except Exception as failed:
        if (said := away(failed)) is None:
            raise
        yield error(
            AWAY,
            f"The broker does not let the doctor in: {said}.",
            "Senders cannot send, workers wait.",
            "Start it; see RUNWORKER_BROKER_URL and `runworker config`.",
        )
        return
    yield ok(AWAY, "the broker answers")


@check("broker-policy", "broker-refuses", "broker-evicts")
def policy(access: Access) -> Iterator[Finding]:
    """It writes, and never throws messages away."""
    with access.broker() as client:
        found = look_at_broker(client)
        kept = maxmemory_policy(client)
    for blocker in found:
        yield error(blocker.name, blocker.problem, "Workers wait, and take nothing.", blocker.remedy)
    if found:
        return
    if kept is None:
        yield note(
            "broker-policy",
            "This login may not see maxmemory-policy.",
            "A server that evicts loses messages without a word.",
            "Ask who runs it for noeviction.",
        )
    elif kept != "noeviction":
        yield note(
            "broker-policy",
            f"maxmemory-policy is {kept}: out of memory, it throws copies of verdicts away.",
            "Senders wait for a verdict that does not come; `runworker.verdicts` has it.",
            "CONFIG SET maxmemory-policy noeviction",
        )
    else:
        yield ok("broker-policy", "it writes, maxmemory-policy is noeviction")


@check("broker-version")
def version(access: Access) -> Iterator[Finding]:
    """A release that runworker is tested with."""
    with access.broker() as client:
        told = _info(client, "server")
    name = "valkey" if "valkey_version" in told else "redis"
    release = str(told.get(f"{name}_version", "0"))
    if told.get("redis_mode") == "cluster":
        yield error(
            "broker-version",
            "The broker is a node of a cluster.",
            "A queue and its unacked messages have to be on one node.",
            "Use a server of its own, or Sentinel.",
        )
    elif int(release.split(".", maxsplit=1)[0]) < OLDEST[name]:
        yield error(
            "broker-version",
            f"The broker is {name} {release}.",
            "runworker needs Redis 7, Valkey 8, or newer.",
            "Upgrade it.",
        )
    else:
        yield ok("broker-version", f"{name} {release}")


@check("broker-persistence")
def persistence(access: Access) -> Iterator[Finding]:
    """Messages outlive the server's process, and it can save."""
    with access.broker() as client:
        told = _info(client, "persistence")
        fsync = _config(client, "appendfsync")
    failing = [
        name
        for name in ("rdb_last_bgsave_status", "aof_last_write_status", "aof_last_bgrewrite_status")
        if told.get(name, "ok") != "ok"
    ]
    if failing:
        yield error(
            "broker-persistence",
            f"The broker cannot save: {', '.join(failing)}.",
            "What it has is in memory only, and it refuses writes with MISCONF.",
            "Make room on its disk and see to its rights; its log has the reason.",
        )
    elif not told.get("aof_enabled"):
        yield warning(
            "broker-persistence",
            "No append-only file is written.",
            "Messages are lost when the server ends; their senders have to send again.",
            "CONFIG SET appendonly yes, and in its configuration file.",
        )
    elif fsync == "no":
        yield note(
            "broker-persistence",
            "appendfsync is no.",
            "When the machine ends, half a minute of messages is lost.",
            "CONFIG SET appendfsync everysec",
        )
    else:
        yield ok("broker-persistence", f"append-only file on, appendfsync {fsync or 'not shown to this login'}")


@check("broker-replica")
def replica(access: Access) -> Iterator[Finding]:
    """It is a master, and not a replica that takes writes and forgets them."""
    with access.broker() as client:
        told = _info(client, "replication")
    if told.get("role") == "slave":
        yield error(
            "broker-replica",
            f"The broker is a replica of {told.get('master_host')}.",
            "What is written to it is refused, or gone at the next synchronisation.",
            "Point RUNWORKER_BROKER_URL to the master, or name the Sentinels.",
        )
    else:
        yield ok("broker-replica", f"a master with {told.get('connected_slaves', 0)} replicas")


@check("broker-memory")
def memory(access: Access) -> Iterator[Finding]:
    """There is room for messages."""
    with access.broker() as client:
        told = _info(client, "memory")
    used, most = int(told.get("used_memory", 0)), int(told.get("maxmemory", 0))
    megabytes = f"{used / 2**20:.0f} MB"
    if not most:
        yield ok("broker-memory", f"{megabytes} in use, no maxmemory")
    elif used >= FULL * most:
        tell = error if used >= NEARLY_FULL * most else warning
        yield tell(
            "broker-memory",
            f"{megabytes} of {most / 2**20:.0f} MB are in use.",
            "A full broker takes no messages and no verdicts; workers only empty it.",
            "Raise maxmemory, or start more workers; `runworker doctor` names other applications' queues.",
        )
    else:
        yield ok("broker-memory", f"{megabytes} of {most / 2**20:.0f} MB are in use")


@check("broker-disk")
def disk(access: Access) -> Iterator[Finding]:
    """There is room for the append-only file, as far as the disk is this machine's."""
    with access.broker() as client:
        folder = _config(client, "dir")
        host = client.connection_pool.connection_kwargs.get("host")  # Sentinel's pool has none
    try:
        found = room("broker-disk", "the broker", folder or "") if host in LOOPBACK else None
    except OSError:  # another machine's, or not for this user to see
        found = None
    yield found or ok("broker-disk", "how full its disk is cannot be seen from here")


@check("clock-broker")
def clock(access: Access) -> Iterator[Finding]:
    """This machine and the broker have the same time."""
    with access.broker() as client:
        client.ping()
        before = time.time()
        seconds, microseconds = client.time()
        after = time.time()
    yield skew("clock-broker", "The broker", seconds + microseconds / 1e6, before, after)


@check("results-away")
def results(access: Access) -> Iterator[Finding]:
    """The server of verdicts answers, where it is another one."""
    other = access.settings.result_backend_url
    if other is None:
        yield ok("results-away", "verdicts are put into the broker")
        return
    try:
        with access.broker(other.get_secret_value()) as client:
            client.ping()
    except Exception as failed:
        if (said := away(failed)) is None:
            raise
        yield error(
            "results-away",
            f"The server of verdicts does not let the doctor in: {said}.",
            "Commands are decided, and their senders are not told.",
            "Start it; see RUNWORKER_RESULT_BACKEND_URL.",
        )
        return
    yield ok("results-away", "the server of verdicts answers")


def _info(client: Redis, section: str) -> dict[str, Any]:
    told: dict[str, Any] = client.info(section)
    return told


def _config(client: Redis, name: str) -> str | None:
    """A setting, or None where this login may not see it, as with some providers."""
    try:
        told: Mapping[str | None, str | None] = client.config_get(name)
    except ResponseError:
        return None
    return told.get(name)
