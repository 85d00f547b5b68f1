"""What lies about in the broker: messages, unacked ones, unreadable ones, workers, and other applications' queues."""

import time
from collections.abc import Iterator
from typing import Any, Final

from redis import Redis

from runworker.doctor.access import Access
from runworker.doctor.findings import Finding, Severity, check, error, listed, note, ok, span, warning
from runworker.transport import UNREADABLE

PRIORITIES: Final = ("", "\x06\x163", "\x06\x166", "\x06\x169")
"""What kombu puts behind a queue's name, for the lists of its priorities."""
BINDINGS: Final = "_kombu.binding."
CELERYS_OWN: Final = ("celeryev", "celery.pidbox", "reply.celery.pidbox")
MOST_KEYS: Final = 100_000
MOST_BINDINGS: Final = 1_000
SAMPLE: Final = 1_000


@check("broker-workers")
def workers(access: Access) -> Iterator[Finding]:
    """Somebody takes messages."""
    with access.broker() as client:
        seconds, _ = client.time()
        alive = client.zcount("unacked_leases", f"({seconds}", "+inf")
        waiting = sum(int(client.llen(f"{access.settings.queue}{each}")) for each in PRIORITIES)
        names: Any = client.zrangebyscore("unacked_leases", f"({seconds}", "+inf", start=0, num=5)
    seen = f"{waiting} messages in {access.settings.queue}, {alive} workers with a lease"
    if alive:
        holders = listed([_text(name).rpartition(":")[0] for name in names])
        yield ok("broker-workers", f"{seen}: {holders}")
    elif access.settings.reliable_transport:
        tell = error if waiting else warning
        yield tell(
            "broker-workers",
            f"{seen}.",
            "Nobody takes messages, or only workers of kombu's own transport.",
            "celery -A runworker.app worker; one that runs says in its log what it waits for.",
        )
    else:
        yield note("broker-workers", f"{seen}.", "Workers of kombu's own transport have none.")


@check("broker-unreadable")
def unreadable(access: Access) -> Iterator[Finding]:
    """Upkeep empties the unreadable list."""
    with access.broker() as client:
        many = int(client.llen(f"{access.settings.queue}{UNREADABLE}"))
    if many:
        yield warning(
            "broker-unreadable",
            f"{many} items that are no message lie in {access.settings.queue}{UNREADABLE}.",
            "Upkeep moves them to dead_letters, unless no worker runs or PostgreSQL is away.",
            "Look again in a moment; then at upkeep.postponed in a worker's log.",
        )
    else:
        yield ok("broker-unreadable", "none")


@check("broker-unacked")
def unacked(access: Access) -> Iterator[Finding]:
    """No message has been with a worker for too long."""
    limit = 2 * access.given.visibility_timeout_seconds
    with access.broker() as client:
        many = client.hlen("unacked")
        oldest: Any = client.zrange("unacked_index", 0, 0, withscores=True)
    age = time.time() - oldest[0][1] if oldest else 0.0
    seen = f"{many} messages are with workers" + (f", the first for {span(age)}" if oldest else "")
    if oldest and age > limit:
        yield warning(
            "broker-unacked",
            f"{seen}.",
            f"After {access.given.visibility_timeout_seconds} s they should be delivered again: no worker looks, or "
            "another application has them, with a longer visibility timeout.",
            "Start a worker; see broker-shared.",
        )
    else:
        yield ok("broker-unacked", seen)


@check("broker-shared")
def shared(access: Access) -> Iterator[Finding]:
    """No other Celery application uses this database of the broker."""
    with access.broker() as client:
        foreign, all_seen = _foreign_queues(client, access.settings.queue)
        tags: Any = client.zrange("unacked_index", 0, SAMPLE - 1)
    strangers = sum("@" not in _text(tag) for tag in tags)
    found = []
    why = (
        "All Celery applications in a database share the hash of unacked messages: the one with the shortest visibility"
        " timeout gives the others' messages out again while they are at work, and FLUSHDB empties them all."
    )
    remedy = "Give each application a database of its own: the number at the end of RUNWORKER_BROKER_URL."
    if foreign:
        found.append(warning("broker-shared", f"Other queues in this database: {listed(foreign)}.", why, remedy))
    if strangers:
        found.append(
            note(
                "broker-shared",
                f"{strangers} unacked messages were fetched by workers of kombu's own transport.",
                "Such workers hold no lease: what they had when they die waits for the visibility timeout.",
                "Unless they are meant to, find them: `celery -A runworker.app inspect active_queues`.",
            )
        )
    if not all_seen:
        found.append(note("broker-shared", f"Only the first {MOST_KEYS} keys were looked at.", why))
    yield from found or [ok("broker-shared", f"no queue but {access.settings.queue}")]


def _foreign_queues(client: Redis, queue: str) -> tuple[list[str], bool]:
    """Queues that are neither ours nor Celery's own; and whether all keys were looked at."""
    found: set[str] = set()
    cursor, looked_at = 0, 0
    while True:
        cursor, keys = client.scan(cursor, match=f"{BINDINGS}*", count=SAMPLE)
        looked_at += SAMPLE
        for key in keys[:MOST_BINDINGS]:
            if client.type(key) in (b"set", "set"):
                members: Any = client.srandmember(key, SAMPLE)
                found |= {_text(member).rpartition("\x06\x16")[2] for member in members}
        if not cursor or looked_at >= MOST_KEYS:
            return sorted(name for name in found if not _is_ours(name, queue)), not cursor


def _is_ours(name: str, queue: str) -> bool:
    """A queue of ours, of a worker's own (NAME@HOST.dq2), of events, of remote control or of an answer to it."""
    return name == queue or name.endswith((".dq2", ".pidbox")) or name.startswith(CELERYS_OWN)


@check("workers-settings", "workers-others")
def settings_of_workers(access: Access) -> Iterator[Finding]:
    """Running workers have the settings that are needed; they are asked by remote control."""
    with access.celery() as celery:
        answers = celery.control.inspect(timeout=1.0).conf(with_defaults=False) or {}
    ours: dict[str, dict[str, Any]] = {}
    others: dict[str, dict[str, Any]] = {}
    for worker, conf in answers.items():
        mine = isinstance(conf, dict) and str(conf.get("worker_consumer", "")).startswith("runworker.")
        (ours if mine else others)[worker] = conf if isinstance(conf, dict) else {}
    found = [_odd(worker, conf, access) for worker, conf in sorted(ours.items())]
    found += [_other(worker, conf, access) for worker, conf in sorted(others.items())]
    yield from [each for each in found if each] or [ok("workers-settings", f"{len(ours)} workers answered")]


def _odd(worker: str, conf: dict[str, Any], access: Access) -> Finding | None:
    needed: dict[str, Any] = {
        "task_acks_late": True,
        "task_reject_on_worker_lost": True,
        "task_default_queue": access.settings.queue,
    }
    wrong = [f"{name} = {conf[name]}" for name, value in needed.items() if conf.get(name, value) != value]
    timeout = _timeout(conf)
    if timeout not in (None, access.given.visibility_timeout_seconds):
        wrong.append(f"visibility_timeout = {timeout}")
    if not wrong:
        return None
    return warning(
        "workers-settings",
        f"{worker} has {listed(wrong)}.",
        "It was started with other settings than are in force here: messages may be lost, or given out twice.",
        "Compare `runworker config` on its machine, then restart it.",
    )


def _other(worker: str, conf: dict[str, Any], access: Access) -> Finding | None:
    timeout = _timeout(conf) or 3600
    return Finding(
        "workers-others",
        Severity.WARNING if timeout < access.given.visibility_timeout_seconds else Severity.NOTE,
        f"{worker} is no worker of runworker; its visibility timeout is {timeout} s, ours is "
        f"{access.given.visibility_timeout_seconds} s.",
        "All share the hash of unacked messages: the shorter timeout gives out again what is still at work.",
        "Give it a database of its own.",
    )


def _timeout(conf: dict[str, Any]) -> Any:
    options = conf.get("broker_transport_options")
    return options.get("visibility_timeout") if isinstance(options, dict) else None


def _text(value: object) -> str:
    return value.decode(errors="replace") if isinstance(value, bytes) else str(value)
