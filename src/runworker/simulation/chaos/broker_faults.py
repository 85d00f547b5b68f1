"""Faults of the broker: dead, emptied, standing still, or there and refusing."""

import os
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from random import Random
from typing import Final

from runworker.embedded.process import HOST
from runworker.simulation.chaos.fault import Fault
from runworker.simulation.chaos.site import ChaosSite
from runworker.simulation.chaos.waiting import wait_until

NOWHERE: Final = "1"
"""A port at which no server listens."""


@contextmanager
def killed(site: ChaosSite, _: Random) -> Iterator[None]:
    """SIGKILL; it comes back with the data that it had."""
    os.kill(site.broker_server.pid, signal.SIGKILL)
    site.broker_server.wait()
    try:
        yield
    finally:
        site.start_broker()
        site.await_broker()


@contextmanager
def flushed(site: ChaosSite, _: Random) -> Iterator[None]:
    """All that it had is gone, messages, leases and results: who got no verdict has to send again."""
    site.broker.flushall()
    yield


@contextmanager
def paused(site: ChaosSite, _: Random) -> Iterator[None]:
    """SIGSTOP: connections are taken by the kernel, and nobody answers."""
    os.kill(site.broker_server.pid, signal.SIGSTOP)
    try:
        yield
    finally:
        os.kill(site.broker_server.pid, signal.SIGCONT)
        site.await_broker()


@contextmanager
def replica(site: ChaosSite, _: Random) -> Iterator[None]:
    """READONLY to every write, as on the old server after a failover."""
    site.broker.replicaof(HOST, NOWHERE)
    try:
        yield
    finally:
        site.broker.replicaof("NO", "ONE")
        site.await_broker()


@contextmanager
def masterless(site: ChaosSite, random: Random) -> Iterator[None]:
    """MASTERDOWN to reads as well: a replica that gives no answer rather than an old one."""
    with _setting(site, "replica-serve-stale-data", "no", "yes"), replica(site, random):
        yield


@contextmanager
def full(site: ChaosSite, _: Random) -> Iterator[None]:
    """OOM to every command that would need memory."""
    with _setting(site, "maxmemory", "1", "0"):
        yield


@contextmanager
def unable_to_save(site: ChaosSite, _: Random) -> Iterator[None]:
    """MISCONF to every write: the last snapshot failed, for its folder cannot be written to."""
    folder = Path(str(site.broker.config_get("dir")["dir"]))
    mode = folder.stat().st_mode
    with _setting(site, "save", "3600 1", ""):
        folder.chmod(0o500)
        try:
            site.broker.bgsave()
            wait_until(
                lambda: site.broker.info("persistence")["rdb_last_bgsave_status"] == "err", "a snapshot that fails"
            )
            yield
        finally:
            folder.chmod(mode)


@contextmanager
def without_replicas(site: ChaosSite, _: Random) -> Iterator[None]:
    """NOREPLICAS to every write: too few replicas are in step."""
    with _setting(site, "min-replicas-to-write", "1", "0"):
        yield


@contextmanager
def _setting(site: ChaosSite, name: str, value: str, usual: str) -> Iterator[None]:
    """Another value of a setting for as long as the block lasts."""
    site.broker.config_set(name, value)
    try:
        yield
    finally:
        site.broker.config_set(name, usual)
        site.await_broker()


BROKER_FAULTS: Final = (
    Fault("broker-killed", "broker", killed),
    Fault("broker-flushed", "broker", flushed),
    Fault("broker-paused", "broker", paused),
    Fault("broker-replica", "broker", replica),
    Fault("broker-masterless", "broker", masterless),
    Fault("broker-full", "broker", full),
    Fault("broker-unable-to-save", "broker", unable_to_save),
    Fault("broker-without-replicas", "broker", without_replicas),
)
