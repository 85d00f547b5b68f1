"""Mutated messages: each is decided and its sender told that verdict, or kept and its sender told REJECTED.

FUZZED=20000 in the environment tries so many messages, SEED=... a seed that failed.
"""

import json
import os
from collections import Counter
from collections.abc import Iterator, Sequence
from random import Random, SystemRandom
from typing import Any, Final

import pytest
from tests.crew import PREFORK, Crew, eventually
from tests.mutations import Mutant, mutant

from runworker.codes import Code

COUNT: Final = int(os.environ.get("FUZZED", "400"))
AT_ONCE: Final = 200

pytestmark = pytest.mark.timeout(120 + COUNT // 10)


def test_however_a_message_is_mutated_it_has_one_end_and_its_sender_is_told(crew: Crew) -> None:
    seed = int(os.environ.get("SEED", SystemRandom().getrandbits(32)))
    random = Random(seed)  # noqa: S311 - messages to send again, no secret
    worker = crew.hire(PREFORK)
    ends: Counter[str] = Counter()
    for _ in range(max(COUNT // AT_ONCE, 1)):
        mutants = [mutant(random, crew.plant.fields("start_run")) for _ in range(AT_ONCE)]
        for each in mutants:
            crew.push(each.item.content)
        eventually(crew.idle, f"every message acknowledged, seed {seed}")
        assert worker.exit_code is None, f"seed {seed}"
        wrong = []
        for each, end in ends_of(crew, mutants):
            ends[end] += 1
            if end.startswith("wrong"):
                wrong.append((end, each))
        assert not wrong, f"seed {seed}: {len(wrong)}, the first: {wrong[:3]}"
    print(dict(ends))  # noqa: T201 - pytest shows it with a failure, or with -s
    assert ends["APPLIED"] > COUNT // 10
    assert ends["kept"] > COUNT // 10


def ends_of(crew: Crew, mutants: Sequence[Mutant]) -> Iterator[tuple[Mutant, str]]:
    """How each message has ended: its command's status in the ledger, kept or too late; or what is wrong with that."""
    keys = [each.key for each in mutants]
    found = "SELECT idempotency_key, status FROM commands WHERE idempotency_key = ANY(CAST(:keys AS uuid[]))"
    decided = {str(key): status for key, status in crew.plant.sql(found, keys=keys)}
    bodies = [body for each in mutants for body in (each.item.content, each.item.body)]
    ids = [each.item.task_id for each in mutants]
    found = "SELECT raw_body, task_id, code FROM dead_letters WHERE raw_body = ANY(:bodies) OR task_id = ANY(:ids)"
    letters = crew.plant.sql(found, bodies=bodies, ids=ids)
    by_body = {bytes(letter.raw_body): letter.code for letter in letters}
    by_id = {letter.task_id: letter.code for letter in letters}
    for each in mutants:
        item = each.item
        if item.content in by_body and each.key not in decided:
            yield each, "kept unopened"  # nobody knows whom to tell
            continue
        kept = by_body.get(item.body) or by_id.get(item.task_id)
        yield each, _end(decided.get(each.key), kept, _told(crew, item.task_id), each)


def _end(status: str | None, kept: str | None, told: Any, each: Mutant) -> str:
    is_told = each.item.task_id is not None and not each.ignored
    if is_told and told.get("code") == Code.MESSAGE_EXPIRED and not status and not kept:
        return "too late"
    if status and kept:
        return f"wrong: {status} and kept for {kept}"
    if not status and not kept:
        return f"wrong: no trace, told {told}"
    if is_told and (told.get("status"), told.get("code")) != (status or "REJECTED", kept):
        return f"wrong: {status or kept}, told {told}"
    return status or "kept"


def _told(crew: Crew, task_id: str | None) -> Any:
    if task_id is None:
        return None
    stored = crew.redis.get(f"celery-task-meta-{task_id}")
    meta = json.loads(stored) if stored else {"status": "nothing", "result": None}
    return meta["result"] if meta["status"] == "SUCCESS" else {"status": meta["status"], "result": meta["result"]}
