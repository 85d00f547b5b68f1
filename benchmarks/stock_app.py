"""The tasks of stock Celery: one that does nothing, and the obvious one, an ORM transaction a message.

Celery's defaults hold but for the broker, the queue, and what BENCH_CELERY says (settings as a JSON object).
"""

import json
import os
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

from celery import Celery
from sqlalchemy import Engine, create_engine, select
from sqlalchemy.orm import Session, selectinload

from runworker.models import CommandRecord, ProductionRun
from runworker.states import CommandStatus, RunStatus, StepExecutionStatus

app = Celery("stock", set_as_current=True)
app.conf.update(json.loads(os.environ.get("BENCH_CELERY", "{}")))


@app.task(name="bench.noop")
def noop() -> None:
    """Do nothing."""


@app.task(name="bench.orm_advance")
def orm_advance(idempotency_key: str, issued_by: str, run_id: str, to_step_index: int) -> dict[str, Any]:
    """Advance a run as one would write it first: load, change, write down, commit."""
    key, now = UUID(idempotency_key), datetime.now(UTC)
    with Session(_database()) as session, session.begin():
        if (known := session.get(CommandRecord, key)) is not None:
            return known.verdict or {}
        run = session.scalars(
            select(ProductionRun)
            .where(ProductionRun.id == UUID(run_id))
            .options(selectinload(ProductionRun.step_executions))
            .with_for_update()
        ).one()
        if run.status != RunStatus.RUNNING or to_step_index != run.current_step_index + 1:
            raise ValueError(f"run {run.id} is {run.status} at step {run.current_step_index}")
        steps = {step.step_index: step for step in run.step_executions}
        verdict = {"status": "APPLIED", "command": "advance_step", "idempotency_key": idempotency_key, "run_id": run_id}
        payload = {"issued_by": issued_by, "run_id": run_id, "to_step_index": to_step_index}
        session.add(
            CommandRecord(
                idempotency_key=key,
                command="advance_step",
                payload=payload,
                issued_by=UUID(issued_by),
                status=CommandStatus.APPLIED.value,
                run_id=run.id,
                verdict=verdict,
                decided_at=now,
                deliveries=1,
            )
        )
        finished, begun = steps[run.current_step_index], steps[to_step_index]
        finished.status, finished.completed_at = StepExecutionStatus.COMPLETED.value, now
        finished.command_key = key
        session.flush()  # at most one step of a run may be IN_PROGRESS
        begun.status, begun.started_at, begun.command_key = StepExecutionStatus.IN_PROGRESS.value, now, key
        run.current_step_index, run.command_key = to_step_index, key
    return verdict


_engines: dict[int, Engine] = {}


def _database() -> Engine:
    """This process's connections; a forked one makes its own."""
    if os.getpid() not in _engines:
        _engines[os.getpid()] = create_engine(os.environ["BENCH_DATABASE_URL"])
    return _engines[os.getpid()]
