"""Results as senders read them: Celery's keys and format, but the word that counts most stands.

Celery keeps the first success. A refusal that no ledger row has, and WAITING, are successes to it like any other: a
mended or late command would be APPLIED while its sender reads the first answer. Here the ledger's word stands, whoever
writes last. All ways to a result go through the one script: nothing comes between reading and writing, and a batch of
results is one round trip.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

import structlog
from celery import states
from celery.backends.redis import RedisBackend, SentinelBackend
from redis.exceptions import RedisError

from runworker.codes import UNRECORDED
from runworker.errors import Unavailable
from runworker.tasks.requests import PooledRequest
from runworker.verdicts import Verdict

_log = structlog.get_logger(__name__)

_STORE: Final = """
local FINAL, WAITS, UNRECORDED, NO_ANSWER = 3, 2, 1, 0
local unrecorded = {%s}

local function weight_of_verdict(verdict)
  if type(verdict) ~= 'table' or type(verdict.status) ~= 'string' then return UNRECORDED end
  if verdict.status == 'WAITING' then return WAITS end
  if unrecorded[verdict.code] or (verdict.dead_letter and verdict.dead_letter ~= cjson.null) then return UNRECORDED end
  return FINAL
end

local function weight(text)
  local readable, meta = pcall(cjson.decode, text)
  if not (readable and type(meta) == 'table' and meta.status == 'SUCCESS') then return NO_ANSWER end
  local parts = meta.result
  if type(parts) ~= 'table' or parts[1] == nil then return weight_of_verdict(parts) end
  local sum = 0
  for _, part in ipairs(parts) do sum = sum + weight_of_verdict(part) end
  return sum / #parts
end

local function is_decided_now(text)
  local parts = cjson.decode(text).result
  if parts[1] == nil then parts = {parts} end
  for _, part in ipairs(parts) do if part.replayed == false then return true end end
  return false
end

for place, key in ipairs(KEYS) do
  local new, stands = ARGV[place + 2], false
  local known = redis.call('GET', key)
  if known then
    local old_weight, new_weight = weight(known), weight(new)
    stands = old_weight > new_weight
      or (old_weight == new_weight and old_weight == FINAL and not is_decided_now(new))
  end
  if not stands and (known or place <= tonumber(ARGV[2])) then
    redis.call('SETEX', key, ARGV[1], new)
    redis.call('PUBLISH', key, new)
  end
end
""" % ", ".join(f"{code}=true" for code in sorted(UNRECORDED))  # noqa: UP031 - braces are Lua's here
"""From weak to strong: what Celery says in place of a verdict; a refusal that the ledger has not; WAITING; what the
ledger has decided. A stronger result replaces a weaker one, and an equal one too. A decision stays, unless the ledger
has decided once more: a failover had cost it the first decision. An answer to many commands weighs as much as its parts
on average: none of them goes back in the ledger."""

_PATIENCE: Final = {"max_retries": 3}
"""How often a result is tried to be stored. While its worker tries, messages wait for it."""


def store(app: Any, answers: Sequence[tuple[PooledRequest, Any]]) -> None:
    """Store the answers to messages, unless the sender wants none. Raises Unavailable where that cannot be done now."""
    now = app.now().isoformat()
    told = [(pooled.task_id, answer) for pooled, answer in answers]
    metas = [_meta(pooled, answer, now) for pooled, answer in answers if not pooled.ignored]
    write(app.backend, metas, _of_keys(app.backend, told, now))


def store_late(app: Any, verdicts: Mapping[str, Verdict]) -> None:
    """Store verdicts by task id that were decided after their message was answered. Raises Unavailable."""
    now = app.now().isoformat()
    told = [(task_id, verdict.as_dict()) for task_id, verdict in verdicts.items()]
    write(app.backend, [success(*each, now) for each in told], _of_keys(app.backend, told, now))


def success(task_id: str, result: Any, now: str, **more: Any) -> dict[str, Any]:
    """A task's success as Celery stores it. now: as ISO 8601."""
    return {
        "status": states.SUCCESS,
        "result": result,
        "traceback": None,
        "children": [],
        "date_done": now,
        **more,
        "task_id": task_id,
    }


def write(backend: Any, metas: Sequence[Mapping[str, Any]], instead: Sequence[Mapping[str, Any]] = ()) -> None:
    """Store results in Celery's format, in their order, where nothing stronger stands. Raises Unavailable.

    instead: results that are stored where their task has one already, and not otherwise.
    """
    everything = [*metas, *instead]
    if not everything:
        return
    keys = [backend.get_key_for_task(meta["task_id"]) for meta in everything]
    arguments = [backend.expires, len(metas), *(backend.encode(meta) for meta in everything)]
    _ensured(backend, lambda: backend.client.register_script(_STORE)(keys=keys, args=arguments))


def _of_keys(backend: Any, told: Sequence[tuple[str, Any]], now: str) -> list[Mapping[str, Any]]:
    """Results of those commands whose key is another task's id than they were told under, if it has a result.

    Clients use keys as task ids. An earlier message about the command may have been answered under that: it came too
    late, say, or could not be read.
    """
    verdicts = [
        (verdict["idempotency_key"], verdict)
        for task_id, answer in told
        for verdict in (answer if isinstance(answer, list) else [answer])
        if isinstance(verdict, Mapping) and verdict.get("idempotency_key") not in (None, task_id)
        if verdict.get("code") not in UNRECORDED and "dead_letter" not in verdict
    ]
    keys = [backend.get_key_for_task(key) for key, _ in verdicts]
    if not keys or not _ensured(backend, lambda: backend.client.exists(*keys)):
        return []
    return [success(key, verdict, now) for key, verdict in verdicts]


def _ensured(backend: Any, work: Callable[[], Any]) -> Any:
    try:
        return backend.ensure(work, (), **_PATIENCE)
    except (RedisError, OSError) as error:
        raise Unavailable(f"results cannot be stored: {error}") from error


class _Weighing(RedisBackend):
    def _store_result(
        self, task_id: str, result: Any, state: str, traceback: Any = None, request: Any = None, **_options: Any
    ) -> Any:
        """Store what Celery stores one by one. What is decided stays so: where it cannot be told, it is logged."""
        meta = self._get_result_meta(result=result, state=state, traceback=traceback, request=request)
        try:
            write(self, [{**meta, "task_id": task_id}], _of_keys(self, [(task_id, result)], meta["date_done"]))
        except Unavailable as error:
            _log.error("verdict.untold", task_ids=[task_id], error=str(error))
        return result

    def mark_as_revoked(self, task_id: str, reason: str = "", request: Any = None, **options: Any) -> None:
        """Store that a task was ended. `control revoke` ends none yet: the worker that drops the message tells."""
        if request is not None:
            super().mark_as_revoked(task_id, reason, request=request, **options)

    def on_chord_part_return(self, request: Any, state: str, result: Any, **options: Any) -> None:
        """Count a part of a chord. A chord that is none is no failure of the command, which is decided."""
        try:
            super().on_chord_part_return(request, state, result, **options)
        except Exception:
            _log.exception("follow_up.failed", task_id=request.id, what="chord")


class RedisResults(_Weighing):
    """Celery's backend for `redis://` and `rediss://`, but what it stores goes through the script as well."""


class SentinelResults(_Weighing, SentinelBackend):
    """The same behind Sentinel."""


BACKENDS: Final = {
    scheme: f"{kind.__module__}:{kind.__qualname__}"
    for scheme, kind in (("redis", RedisResults), ("rediss", RedisResults), ("sentinel", SentinelResults))
}
"""By scheme of the URL, named as Celery's loader wants them."""


def _meta(pooled: PooledRequest, answer: Any, now: str) -> Mapping[str, Any]:
    asked = (("group_id", pooled.context.get("group")), ("parent_id", pooled.context.get("parent_id")))
    of_canvas = {name: value for name, value in asked if value and isinstance(value, str)}
    return success(pooled.task_id, answer, now, **of_canvas)
