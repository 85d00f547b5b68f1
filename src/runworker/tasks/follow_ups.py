"""Follow-ups: what a message asks for once its command is decided, its callbacks and the rest of its chain.

Celery sends them between the work and the result, and whatever is wrong with one becomes the task's FAILURE, although
the ledger has decided the command. So the task sends them itself, and one that cannot be sent is logged. A part of a
chord is left to Celery, which counts it when the result is stored.
"""

from collections.abc import Sequence
from typing import Any, NamedTuple

import structlog
from celery.canvas import maybe_signature

_log = structlog.get_logger(__name__)


class FollowUps(NamedTuple):
    """Signatures, as the message has them. chain: its next task stands last."""

    callbacks: Sequence[Any]
    chain: Sequence[Any]

    @classmethod
    def taken_from(cls, request: Any) -> "FollowUps":
        """Take them off Celery's request, so that Celery sends none. Errbacks too: no command fails."""
        taken = cls(request.callbacks or (), request.chain or ())
        request.callbacks = request.chain = request.errbacks = None
        return taken

    def send(self, app: Any, request: Any, answer: Any) -> None:
        """Send each with the answer, to whichever worker has its task."""
        family = {"parent_id": request.id, "root_id": request.root_id or request.id}
        for callback in self.callbacks:
            _send(app, callback, answer, "callback", **family)
        if self.chain:
            _send(app, self.chain[-1], answer, "chain", chain=self.chain[:-1], **family)


def _send(app: Any, signature: Any, answer: Any, what: str, **options: Any) -> None:
    try:
        maybe_signature(signature, app=app).apply_async((answer,), **options)
    except Exception:  # of any kind: a signature is whatever its sender made of it
        _log.exception("follow_up.failed", task_id=options["parent_id"], what=what)
