"""Letters: messages that go to dead_letters in place of being handled. Kept first, then answered, then acknowledged."""

from collections.abc import Callable
from functools import partial
from typing import Any
from uuid import UUID

import structlog
from celery import states
from kombu.message import Message

from runworker.codes import Code
from runworker.engine.sql.dead_letters import NewDeadLetter
from runworker.errors import Blocked, Unavailable
from runworker.safe_text import is_storable
from runworker.states import CommandStatus
from runworker.tasks.admission import name_and_id
from runworker.verdicts import Verdict

_log = structlog.get_logger(__name__)


class Letters:
    """The way of a worker's messages to dead_letters."""

    def __init__(self, consumer: Any) -> None:
        self._consumer = consumer

    def take(self, message: Message, code: Code, kept: Callable[[], Any]) -> None:
        """Take a message out of the queue once `kept` has kept it and returned the answer to its sender.

        A message that is not kept goes back, after a pause where something stands in its way alone. One that is kept is
        acknowledged whether or not the result store takes the answer.
        """
        task_id = name_and_id(message)[1]
        errors = self._consumer.connection_errors
        try:
            answer = kept()
        except Exception as error:  # of any kind: something is not kept
            _log.warning("dead_letter.postponed", code=str(code), task_id=task_id, error=str(error))
            # Not left unacked: a message counts against the worker's prefetch even after it was redelivered.
            give_back = partial(message.reject_log_error, _log, errors, requeue=True)
            if isinstance(error, Blocked):
                self._consumer.timer.call_after(error.pause_seconds, give_back)
            else:
                give_back()
            return
        if task_id and is_storable(task_id):
            self._answer(task_id, answer)
        message.ack_log_error(_log, errors)

    def keep(self, letter: NewDeadLetter, key: UUID | None = None) -> dict[str, Any]:
        """Keep a letter. Returns the refusal for its sender; key: of the command, as far as it is known.

        Raises Unavailable. While PostgreSQL takes no letters the intake is closed, and those that follow do not try.
        Raises Blocked where something stands in the way of this one alone.
        """
        intake = self._consumer.app.intake
        if not intake.is_open:
            raise Unavailable("the intake is closed")
        try:
            letter_id = self._consumer.app.engine.keep(letter)
        except Blocked:
            raise
        except Unavailable as error:
            intake.fail(str(error))
            raise
        _log.warning(
            "dead_letter.kept", dead_letter=letter_id, code=str(letter.code), task_id=letter.task_id, error=letter.error
        )
        refusal = Verdict(
            CommandStatus.REJECTED,
            letter.task_name.removeprefix("runworker.") if letter.task_name else None,
            key,
            code=letter.code,
            message=letter.error,
            state={"dead_letter": letter_id},
        )
        return dict(refusal.as_dict())

    def _answer(self, task_id: str, answer: Any) -> None:
        try:
            self._consumer.app.backend.store_result(task_id, answer, states.SUCCESS)
        except Exception as error:  # of any kind: so strange an id
            _log.error("verdict.untold", task_ids=[task_id], error=str(error))
