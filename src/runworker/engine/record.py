"""Recording a batch: verdicts into the ledger, then the state that they speak of."""

from collections import Counter
from collections.abc import Iterable, Mapping
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from sqlalchemy import Connection

from runworker.commands import Command
from runworker.engine import ledger
from runworker.engine.codes import Wanted, take_codes
from runworker.engine.entries import Decided, Entry, Order, Tools
from runworker.engine.judge import Judge
from runworker.engine.writing import Change, write_changes
from runworker.errors import Code, InvalidMessage, NotYet, Rejected
from runworker.handlers.facts import Outcome
from runworker.handlers.lot_codes import code_prefix
from runworker.states import CommandStatus
from runworker.verdicts import Verdict


class Record:
    """Writes what a judge decided and answers every delivery."""

    def __init__(self, tools: Tools, order: Order, now: datetime, known: Mapping[UUID, ledger.Row]) -> None:
        self._tools = tools
        self._order = order
        self._now = now
        self._known = known

    def write(self, connection: Connection, judge: Judge) -> Decided:
        """Write everything in a number of statements that does not depend on the size of the batch.

        The ledger comes first: audit triggers look up there who asked for a change.
        """
        codes = self._take_codes(judge.changes)
        verdicts = {entry.key: self._verdict(entry, codes) for entry in judge.entries.values()}
        original = {key: _fingerprint(self._known.get(key), judge.entries.get(key)) for key in self._delivered_keys()}
        delivered = Counter(
            command.idempotency_key
            for command in self._order.commands
            if command.fingerprint == original[command.idempotency_key]
        )
        new, moved = [], []
        for entry in judge.entries.values():
            verdict = verdicts[entry.key]
            if entry.row is None:
                new.append(self._ledger_record(entry, verdict, delivered[entry.key]))
            elif verdict.as_dict() != entry.row.verdict or self._brings_a_task(entry.row):
                moved.append(self._ledger_record(entry, verdict, 0))
        ledger.write(connection, new, moved, self._now)
        ledger.count_deliveries(connection, {key: times for key, times in delivered.items() if key in self._known})
        write_changes(connection, judge.changes, codes)
        return Decided(self._answers(verdicts, original), _late(judge.entries.values(), verdicts), judge.woken)

    def _brings_a_task(self, row: ledger.Row) -> bool:
        return row.task_id is None and row.idempotency_key in self._order.task_ids

    def _delivered_keys(self) -> set[UUID]:
        return {command.idempotency_key for command in self._order.commands}

    def _take_codes(self, changes: Iterable[Change]) -> dict[UUID, str]:
        wanted: list[Wanted] = []
        for change in changes:
            run = change.after.run
            if run is not None and change.before.run is None and run.new_at_site:
                wanted.append((run.id, "RUN", run.new_at_site))
            wanted += [
                (lot.id, code_prefix(lot.lot_type), lot.new_at_site)
                for lot in change.after.lots
                if lot.lot_code is None and lot.lot_type and lot.new_at_site
            ]
        return take_codes(self._tools.numbers, dict.fromkeys(wanted), self._now.date()) if wanted else {}

    def _verdict(self, entry: Entry, codes: Mapping[UUID, str]) -> Verdict:
        command = entry.command
        about: dict[str, Any] = {"command": entry.name, "idempotency_key": entry.key}
        if isinstance(command, Command):
            about |= {"run_id": command.target_run, "lot_id": command.target_lot}
        match entry.answer:
            case Outcome() as outcome:
                about["run_id"] = about.get("run_id") or (outcome.lots[0].run_id if outcome.lots else None)
                return Verdict(CommandStatus.APPLIED, **about, state={**_became(outcome, codes), **outcome.state})
            case Rejected() | InvalidMessage() as refusal:
                about |= {"code": refusal.code, "message": refusal.message}
                return Verdict(CommandStatus.REJECTED, **about, state=refusal.facts)
            case NotYet() as wait if entry.expired:
                about |= {"code": Code.WAIT_EXPIRED, "message": f"waited in vain: {wait.message}"}
                return Verdict(CommandStatus.EXPIRED, **about, waiting_for=wait.waiting_for)
            case NotYet() as wait:
                about |= {"message": wait.message, "waiting_for": wait.waiting_for}
                return Verdict(CommandStatus.WAITING, **about, state={"expires_at": self._expiry(entry).isoformat()})
            case None:
                raise AssertionError("every entry has been judged")

    def _expiry(self, entry: Entry) -> datetime:
        given_before = entry.row.expires_at if entry.row else None
        return given_before or self._now + timedelta(seconds=self._tools.settings.wait_seconds)

    def _ledger_record(self, entry: Entry, verdict: Verdict, deliveries: int) -> ledger.Record:
        waits_for = entry.answer.wakes_on if isinstance(entry.answer, NotYet) and not entry.expired else None
        return ledger.Record(
            key=entry.key,
            command=entry.command if isinstance(entry.command, Command) else None,
            verdict=verdict,
            wakes_on=waits_for or (),
            task_id=self._order.task_ids.get(entry.key),
            deliveries=deliveries,
            expires_at=self._expiry(entry) if waits_for else None,
        )

    def _answers(self, verdicts: Mapping[UUID, Verdict], original: Mapping[UUID, bytes | None]) -> list[Verdict]:
        """A verdict for every delivery: the first of a new command gets its own, repeats a replay of it."""
        answers = []
        answered: set[UUID] = {key for key, row in self._known.items() if row.status is not CommandStatus.QUEUED}
        for command in self._order.commands:
            key = command.idempotency_key
            if command.fingerprint != original[key]:
                answers.append(_reused(command, self._known.get(key)))
                continue
            verdict = verdicts.get(key) or Verdict.from_dict(self._known[key].verdict or {})
            answers.append(verdict.as_replay() if key in answered else verdict)
            answered.add(key)
        return answers


def _became(outcome: Outcome, codes: Mapping[UUID, str]) -> dict[str, Any]:
    """What an applied command's verdict says of the run, of the lot that it was about, and of the flow version."""
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


def _fingerprint(row: ledger.Row | None, entry: Entry | None) -> bytes | None:
    """Of what the key stands for: as the ledger has it, else as the command came first."""
    if row is not None and row.payload_sha256 is not None:
        return row.payload_sha256
    return entry.command.fingerprint if entry and isinstance(entry.command, Command) else None


def _late(entries: Iterable[Entry], verdicts: Mapping[UUID, Verdict]) -> dict[str, Verdict]:
    return {
        entry.row.task_id: verdicts[entry.key]
        for entry in entries
        if entry.row is not None and entry.row.task_id is not None and entry.is_decided
    }


def _reused(command: Command, row: ledger.Row | None) -> Verdict:
    first = f"a {row.command} received at {row.received_at:%Y-%m-%d %H:%M:%SZ}" if row else "one before it in the batch"
    return Verdict(
        CommandStatus.REJECTED,
        command.name,
        command.idempotency_key,
        code=Code.IDEMPOTENCY_KEY_REUSED,
        message=f"the key belongs to {first} with another payload; a new command needs a new key",
    )
