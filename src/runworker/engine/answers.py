"""Answers: a verdict for every command of a batch, its row in the ledger, and an answer to every delivery."""

from collections import Counter
from collections.abc import Mapping
from datetime import datetime
from typing import Any
from uuid import UUID

from runworker.codes import Code
from runworker.commands import Command
from runworker.engine.batch import BatchRequest, PendingCommand
from runworker.engine.sql.ledger import LedgerWrite
from runworker.engine.sql.ledger_rows import LedgerRow
from runworker.errors import InvalidMessage, NotYet, Rejected
from runworker.handlers.facts import Outcome
from runworker.states import CommandStatus
from runworker.verdicts import Verdict


class Answers:
    """The verdicts of a batch whose commands are judged.

    known: ledger rows by key, as they were. judged: commands by key. codes: of new runs and lots, by id. expires_at:
    when a command gives up that begins to wait now. new_rows, changed_rows: for the ledger. repeated: how often known
    keys were delivered again.
    """

    def __init__(
        self,
        request: BatchRequest,
        known: Mapping[UUID, LedgerRow],
        judged: Mapping[UUID, PendingCommand],
        *,
        codes: Mapping[UUID, str],
        expires_at: datetime,
    ) -> None:
        self._request = request
        self._known = known
        self._judged = judged
        self._expires_at = expires_at
        self._verdicts = {key: self._verdict(pending, codes) for key, pending in judged.items()}
        delivered_keys = {command.idempotency_key for command in request.commands}
        self._originals = {key: _fingerprint(known.get(key), judged.get(key)) for key in delivered_keys}
        deliveries = Counter(
            command.idempotency_key
            for command in request.commands
            if command.fingerprint == self._originals[command.idempotency_key]
        )
        self.repeated = {key: times for key, times in deliveries.items() if key in known}
        self.new_rows: list[LedgerWrite] = []
        self.changed_rows: list[LedgerWrite] = []
        for pending in judged.values():
            if pending.row is None:
                self.new_rows.append(self._ledger_write(pending, deliveries[pending.key]))
            elif self._verdicts[pending.key].as_dict() != pending.row.verdict or self._brings_a_task(pending.row):
                self.changed_rows.append(self._ledger_write(pending, 0))

    def of_deliveries(self) -> list[Verdict]:
        """A verdict for every delivery: the first of a new command gets its own, repeats a replay of it."""
        answers = []
        answered = {key for key, row in self._known.items() if row.status is not CommandStatus.QUEUED}
        for command in self._request.commands:
            key = command.idempotency_key
            if command.fingerprint != self._originals[key]:
                answers.append(_reused(command, self._known.get(key)))
                continue
            verdict = self._verdicts.get(key) or self._known[key].told
            answers.append(verdict.as_replay() if key in answered else verdict)
            answered.add(key)
        return answers

    def late(self) -> dict[str, Verdict]:
        """Verdicts by task id of commands decided now whose own message was answered before."""
        return {
            pending.row.task_id: self._verdicts[pending.key]
            for pending in self._judged.values()
            if pending.row is not None and pending.row.task_id is not None and pending.is_decided
        }

    def _verdict(self, pending: PendingCommand, codes: Mapping[UUID, str]) -> Verdict:
        command = pending.command
        about: dict[str, Any] = {"command": pending.name, "idempotency_key": pending.key}
        if isinstance(command, Command):
            about |= {"run_id": command.target_run, "lot_id": command.target_lot}
            about["payload_sha256"] = command.fingerprint.hex()
        match pending.judgement:
            case Outcome() as outcome:
                about["run_id"] = about.get("run_id") or (outcome.lots[0].run_id if outcome.lots else None)
                return Verdict(CommandStatus.APPLIED, **about, state={**_state_after(outcome, codes), **outcome.state})
            case Rejected() | InvalidMessage() as refusal:
                about |= {"code": refusal.code, "message": refusal.message}
                return Verdict(CommandStatus.REJECTED, **about, state=refusal.facts)
            case NotYet() as wait if pending.expired:
                about |= {"code": Code.WAIT_EXPIRED, "message": f"waited in vain: {wait.message}"}
                return Verdict(CommandStatus.EXPIRED, **about, waiting_for=wait.waiting_for)
            case NotYet() as wait:
                about |= {"message": wait.message, "waiting_for": wait.waiting_for}
                return Verdict(CommandStatus.WAITING, **about, state={"expires_at": self._expiry(pending).isoformat()})
            case None:
                raise AssertionError("every command has been judged")

    def _ledger_write(self, pending: PendingCommand, deliveries: int) -> LedgerWrite:
        blocked_on = pending.blocked_on
        return LedgerWrite(
            key=pending.key,
            command=pending.command if isinstance(pending.command, Command) else None,
            verdict=self._verdicts[pending.key],
            blocked_on=blocked_on,
            task_id=self._request.task_ids.get(pending.key),
            deliveries=deliveries,
            expires_at=self._expiry(pending) if blocked_on else None,
        )

    def _expiry(self, pending: PendingCommand) -> datetime:
        return (pending.row.expires_at if pending.row else None) or self._expires_at

    def _brings_a_task(self, row: LedgerRow) -> bool:
        return row.task_id is None and row.idempotency_key in self._request.task_ids


def _state_after(outcome: Outcome, codes: Mapping[UUID, str]) -> dict[str, Any]:
    """The state that an applied command's verdict tells: of its run or else its first lot, and of its version."""
    state: dict[str, Any] = {}
    if (run := outcome.run) is not None:
        state |= {
            "run_code": run.run_code or codes[run.id],
            "run_status": str(run.status),
            "current_step_index": run.current_step_index,
            "flow_version_id": str(run.flow_version_id) if run.flow_version_id else None,
        }
    elif outcome.lots:
        lot = outcome.lots[0]
        state |= {
            "lot_code": lot.lot_code or codes[lot.id],
            "lot_type": lot.lot_type and str(lot.lot_type),
            "lot_status": str(lot.status),
            "sku_type": lot.sku_type,
            "left_kg": str(lot.left_kg),
        }
    if outcome.versions:
        version = outcome.versions[-1]
        state |= {"flow_version_id": str(version.id), "flow_version_status": str(version.status)}
    return state


def _fingerprint(row: LedgerRow | None, pending: PendingCommand | None) -> bytes | None:
    """The fingerprint that a key stands for: as the ledger has it, else of the command that came first."""
    if row is not None and row.payload_sha256 is not None:
        return row.payload_sha256
    return pending.command.fingerprint if pending and isinstance(pending.command, Command) else None


def _reused(command: Command, row: LedgerRow | None) -> Verdict:
    first = f"a {row.command} received at {row.received_at:%Y-%m-%d %H:%M:%SZ}" if row else "one before it in the batch"
    return Verdict(
        CommandStatus.REJECTED,
        command.name,
        command.idempotency_key,
        code=Code.IDEMPOTENCY_KEY_REUSED,
        message=f"the key belongs to {first} with another payload; a new command needs a new key",
        payload_sha256=command.fingerprint.hex(),
    )
