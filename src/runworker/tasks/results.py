"""Results of many tasks at once: Celery's keys and format, one round trip.

Celery reads what is stored, writes and publishes, task by task. The script does the same for all of them, and nobody
can come between the look and the writing.
"""

from collections.abc import Mapping, Sequence
from typing import Any, Final

from celery import states
from redis.exceptions import RedisError

from runworker.errors import Unavailable
from runworker.tasks.requests import PooledRequest

_STORE: Final = """
for place, key in ipairs(KEYS) do
  local known = redis.call('GET', key)
  local readable, meta = pcall(cjson.decode, known or '{}')
  if not (readable and type(meta) == 'table' and meta.status == 'SUCCESS') then
    redis.call('SETEX', key, ARGV[1], ARGV[place + 1])
    redis.call('PUBLISH', key, ARGV[place + 1])
  end
end
"""
"""As Celery has it, a success stays as it is."""


def store(app: Any, answers: Sequence[tuple[PooledRequest, Any]]) -> None:
    """Store the results of tasks that succeeded, but for those whose sender wants none.

    Of two with one task id the first is kept. Raises Unavailable when the backend stays away for all the attempts that
    Celery makes.
    """
    backend, now = app.backend, app.now().isoformat()
    metas: dict[Any, Any] = {}
    for pooled, answer in answers:
        key = backend.get_key_for_task(pooled.task_id)
        if key not in metas and not pooled.ignored:
            metas[key] = backend.encode(_meta(pooled, answer, now))
    if not metas:
        return
    try:
        backend.ensure(_run, (backend, list(metas), [backend.expires, *metas.values()]))
    except (RedisError, OSError) as error:
        raise Unavailable(f"results cannot be stored: {error}") from error


def success(task_id: str, result: Any, now: str, **more: Any) -> dict[str, Any]:
    """What Celery stores of a task that succeeded. now: as ISO 8601."""
    return {
        "status": states.SUCCESS,
        "result": result,
        "traceback": None,
        "children": [],
        "date_done": now,
        **more,
        "task_id": task_id,
    }


def _run(backend: Any, keys: Sequence[Any], arguments: Sequence[Any]) -> None:
    backend.client.register_script(_STORE)(keys=keys, args=arguments)


def _meta(pooled: PooledRequest, answer: Any, now: str) -> Mapping[str, Any]:
    parent = pooled.context.get("parent_id")
    return success(pooled.task_id, answer, now, **({"parent_id": parent} if parent else {}))
