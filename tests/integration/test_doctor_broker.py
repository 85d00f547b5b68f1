"""The doctor at the broker and its workers: each check finds a real fault once, and tells what to do."""

import re
import threading
import time
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from celery import Celery
from tests.crew import eventually
from tests.patient import Patient

from runworker import doctor
from runworker.doctor import Finding, Severity
from runworker.workers import WorkerProcesses

NOTE, WARNING, ERROR = Severity.NOTE, Severity.WARNING, Severity.ERROR


def test_a_broker_that_evicts_is_full_or_a_replica(patient: Patient) -> None:
    redis = patient.redis
    for name in ("broker-policy", "broker-memory", "broker-replica", "broker-version", "broker-disk", "results-away"):
        assert patient.worst(name).severity is Severity.OK, name
    try:
        redis.config_set("maxmemory-policy", "volatile-lru")
        assert patient.worst("broker-policy").severity is NOTE
        redis.config_set("maxmemory-policy", "allkeys-lru")
        evicts = patient.worst("broker-policy")
        used: Any = redis.info("memory")["used_memory"]
        redis.config_set("maxmemory-policy", "noeviction")
        redis.config_set("maxmemory", int(used / 0.9))
        filling = patient.worst("broker-memory")
        redis.config_set("maxmemory", 1)
        full = patient.worst("broker-memory")
        redis.config_set("maxmemory", 0)
        redis.replicaof("127.0.0.1", 1)
        replica, refuses = patient.worst("broker-replica"), patient.worst("broker-policy")
    finally:
        redis.config_set("maxmemory", 0)
        redis.config_set("maxmemory-policy", "noeviction")
        redis.replicaof("NO", "ONE")
    assert (evicts.name, evicts.severity) == ("broker-evicts", ERROR)
    assert (filling.severity, full.severity) == (WARNING, ERROR)
    assert (replica.severity, "127.0.0.1" in replica.seen) == (ERROR, True)
    assert (refuses.name, refuses.severity) == ("broker-refuses", ERROR)
    away = patient.worst("results-away", result_backend_url="redis://:s3cret@127.0.0.1:1/0")
    assert (away.severity, "s3cret" in away.seen) == (ERROR, False)


def test_a_broker_that_cannot_save(patient: Patient) -> None:
    redis = patient.redis

    def saved() -> Finding:
        redis.bgsave()
        eventually(lambda: not redis.info("persistence")["rdb_bgsave_in_progress"], "it has tried")
        return patient.worst("broker-persistence")

    in_the_way = Path(str(redis.config_get("dir")["dir"]), str(redis.config_get("dbfilename")["dbfilename"]))
    if not in_the_way.parent.is_dir():
        pytest.skip("the broker is another machine's")
    in_the_way.mkdir()
    try:
        found = saved()
    finally:
        in_the_way.rmdir()
    assert (found.severity, "rdb_last_bgsave_status" in found.seen) == (ERROR, True)
    assert saved().severity is not ERROR
    in_the_way.unlink()


def test_what_lies_about_in_the_broker(patient: Patient) -> None:
    redis = patient.redis
    for name in ("broker-unacked", "broker-unreadable", "broker-shared", "workers-settings"):
        assert patient.worst(name).severity is Severity.OK, name
    assert patient.worst("broker-workers").severity is WARNING
    redis.lpush("celery\x06\x163", "a message")
    redis.lpush("celery.unreadable", "no message")
    redis.hset("unacked", "a-stock-tag", "[]")
    redis.zadd("unacked_index", {"a-stock-tag": time.time() - 7200})
    redis.sadd("_kombu.binding.others", "others\x06\x16\x06\x16others", "x\x06\x16\x06\x16w1@h.dq2")
    try:
        alone, unacked, unreadable = (patient.worst(f"broker-{it}") for it in ("workers", "unacked", "unreadable"))
        shared = patient.findings("broker-shared")
        redis.zadd("unacked_leases", {"7@press:0123": time.time() + 60})
        assert "7@press" in patient.worst("broker-workers").seen
    finally:
        redis.flushdb()
    assert (alone.severity, "1 messages in celery" in alone.seen) == (ERROR, True)
    assert (unacked.severity, "the first for 2 h" in unacked.seen) == (WARNING, True)
    assert unreadable.severity is WARNING
    assert [each.severity for each in shared] == [WARNING, NOTE]
    assert "others." in shared[0].seen


def test_a_login_that_may_not_look_is_a_finding(patient: Patient) -> None:
    redis = patient.redis
    redis.execute_command("ACL", "SETUSER", "few", "on", ">pw", "~*", "&*", "+@read", "+@write", "+@scripting",
                          "+@pubsub", "+@connection", "+@transaction")  # fmt: skip
    url = re.sub(r"//[^@]*@", "//few:pw@", patient.broker_url)
    try:
        [group] = [each for each in doctor.GROUPS if each.opening and each.opening.name == "broker-away"]
        found = list(doctor.examine(patient.access(broker_url=url), [group]))
    finally:
        redis.execute_command("ACL", "DELUSER", "few")
    assert {each.severity for each in found if "may not" in each.seen} == {NOTE}
    assert {each.name for each in found if "may not" in each.seen} >= {"broker-policy", "broker-version"}
    assert not [each for each in found if "The check failed" in each.seen]


def test_a_worker_with_other_settings_is_told_of(patient: Patient, forked_workers: None, tmp_path: Path) -> None:
    settings = patient.plant.settings(
        database_url=patient.worker_url, broker_url=patient.broker_url, visibility_timeout_seconds=30
    )
    with WorkerProcesses(settings, log=tmp_path / "worker.log") as workers:
        workers.start()
        found = patient.worst("workers-settings")
        fitting = patient.worst("workers-settings", visibility_timeout_seconds=30)
    assert (found.severity, "visibility_timeout = 30" in found.seen) == (WARNING, True)
    assert fitting.seen == "1 workers answered"


def test_another_applications_worker_is_told_of(patient: Patient) -> None:
    """One that answers the doctor as Celery's own workers do."""
    conf = {
        "broker_transport_options": {"visibility_timeout": 10},
        "worker_consumer": "celery.worker.consumer:Consumer",
    }
    done = threading.Event()
    with Celery("theirs", broker=patient.broker_url, set_as_current=False) as theirs, theirs.connection() as connection:
        node = theirs.control.mailbox.Node("theirs@elsewhere", channel=connection.channel())
        node.handlers["conf"] = lambda state, **_: conf
        consumer = node.listen()

        def answer() -> None:
            while not done.is_set():
                with suppress(TimeoutError):
                    connection.drain_events(timeout=0.1)

        def seen() -> Finding | None:
            found = patient.worst("workers-settings")
            return found if found.name == "workers-others" else None

        thread = threading.Thread(target=answer)
        thread.start()
        impatient = eventually(seen, "a finding about theirs")
        conf["broker_transport_options"]["visibility_timeout"] = 3600
        patient_one = eventually(seen, "a finding about theirs")
        done.set()
        thread.join()
        consumer.cancel()
    patient.redis.flushdb()
    assert (impatient.severity, patient_one.severity) == (WARNING, NOTE)
    assert "theirs@elsewhere is no worker of runworker; its visibility timeout is 10 s, ours is 60 s" in impatient.seen
