"""The worker's consumer: a message that cannot be read is kept, then acknowledged.

Stock Celery logs such a message and drops it. Here it goes to dead_letters with its raw body; while PostgreSQL is away
it is not acknowledged, so that the broker delivers it again.
"""

import json
from collections.abc import Callable
from typing import Any

import structlog
from celery import states
from celery.worker.consumer import Consumer as StockConsumer
from celery.worker.strategy import default as stock_strategy
from kombu.message import Message

from runworker.engine.dead_letters import Letter
from runworker.errors import Code, InvalidMessage, Unavailable
from runworker.states import CommandStatus
from runworker.verdicts import Verdict

_log = structlog.get_logger(__name__)


class Consumer(StockConsumer):
    """Celery's consumer, but nothing unreadable is lost."""

    def on_decode_error(self, message: Message, exc: Exception) -> None:
        """The envelope or the body is not JSON, or names a content type that is not accepted."""
        self._keep(message, Code.MALFORMED_MESSAGE, f"{type(exc).__name__}: {exc}")

    def on_unknown_message(self, body: object, message: Message) -> None:
        """No task name anywhere."""
        self._keep(message, Code.MALFORMED_MESSAGE, "the message names no task; expected a Celery message")

    def on_invalid_task(self, body: object, message: Message, exc: Exception) -> None:
        """A task message whose parts are not where Celery's protocol puts them."""
        self._keep(message, Code.MALFORMED_MESSAGE, f"{type(exc).__name__}: {exc}")

    def on_unknown_task(self, body: object, message: Message, exc: Exception) -> None:
        """A task name that is no command."""
        self._keep(message, Code.UNKNOWN_COMMAND, f"no command is called {message.headers.get('task')!r}")

    def _keep(self, message: Message, code: Code, error: str) -> None:
        headers = message.headers if isinstance(message.headers, dict) else {}
        task_id, task_name = headers.get("id"), headers.get("task")
        raw = message.body.encode("utf-8", "surrogatepass") if isinstance(message.body, str) else bytes(message.body)
        letter = Letter(
            raw_body=raw,
            code=code,
            error=error,
            task_name=task_name if isinstance(task_name, str) else None,
            task_id=task_id if isinstance(task_id, str) else None,
            headers=headers,
        )
        try:
            letter_id = self.app.engine.keep(letter)
        except Unavailable:
            _log.warning("dead_letter.postponed", code=str(code), task_id=task_id)
            return
        _log.warning("dead_letter.kept", dead_letter=letter_id, code=str(code), task_id=task_id, error=error)
        message.ack_log_error(_log, self.connection_errors)
        if isinstance(task_id, str):
            verdict = Verdict(CommandStatus.REJECTED, _command_of(task_name), None, code=code, message=error)
            self.app.backend.store_result(task_id, verdict.as_dict(), states.SUCCESS)


def read_first(task: Any, app: Any, consumer: Consumer) -> Callable[..., None]:
    """Celery's own strategy behind a look at the body: a pool process would lose what it cannot decode."""
    handle = stock_strategy(task, app, consumer)

    def strategy(message: Message, body: object, *args: Any, **options: Any) -> None:
        try:
            _check(message.decode() if body is None else body)
        except Exception as error:
            consumer.on_decode_error(message, error)
        else:
            handle(message, body, *args, **options)

    return strategy


def _check(body: object) -> None:
    """Protocol 2 carries [args, kwargs, embed], protocol 1 an object with `args` and `kwargs`."""
    match body:
        case [list(), dict(), *_] | {"kwargs": dict()}:
            json.dumps(body, default=str).encode()
        case _:
            raise InvalidMessage(Code.MALFORMED_MESSAGE, "expected the body [args, kwargs, embed]")


def _command_of(task_name: object) -> str | None:
    return task_name.removeprefix("runworker.") if isinstance(task_name, str) else None
