"""Decides from the client's history and the database alone what was lost, doubled or told wrongly. Pure.

What the scenario's own proof (`proof`, `lot_proof`) says of runs, lots and kilograms comes besides.
"""

from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Final

from runworker.simulation.chaos.history import Exchange, History, Wire, same
from runworker.states import DECIDED_COMMANDS, CommandStatus

_ONCE_A_RUN: Final = frozenset({"start_run", "complete_run", "abort_run"})
"""Moves that no run makes twice, whichever commands ask for them."""


@dataclass(frozen=True, slots=True)
class LedgerEntry:
    """A row of the ledger. to_step_index: of a move to a step, None for other commands."""

    key: str
    command: str
    status: str
    run_id: str | None
    to_step_index: int | None
    verdict: Wire | None


@dataclass(frozen=True, slots=True)
class RepeatedChange:
    """A command that changed one entity more than once, by the audit trail."""

    key: str
    entity: str
    entity_id: str
    times: int


@dataclass(frozen=True, slots=True)
class OverdrawnLot:
    """A lot of which more was taken than it weighs. Kilograms as text."""

    lot_id: str
    weight_kg: str
    taken_kg: str


@dataclass(frozen=True)
class Evidence:
    """What the database has in the end. letters: task ids of dead letters, and short bodies of those without."""

    ledger: tuple[LedgerEntry, ...]
    letters: frozenset[str]
    repeated: tuple[RepeatedChange, ...] = ()
    overdrawn: tuple[OverdrawnLot, ...] = ()

    @cached_property
    def by_key(self) -> Mapping[str, LedgerEntry]:
        """The row of each key; the last one, where a key has several."""
        return {entry.key: entry for entry in self.ledger}


@dataclass(frozen=True, slots=True)
class Violation:
    """What speaks against the promise. key: of the command, lot or run that it is about."""

    key: str
    said: str


def lost(history: History, evidence: Evidence) -> Iterator[Violation]:
    """Commands that were sent and accepted, and of which nothing came: neither decided nor a dead letter.

    A damaged message has to become a dead letter. A verdict that was told for it does not keep its content.
    """
    for key, exchange in history.exchanges.items():
        entry = evidence.by_key.get(key)
        is_decided = entry is not None and entry.status in _DECIDED
        if is_decided or key in evidence.letters or history.is_excused(key):
            continue
        if exchange.command is None:
            yield Violation(key, f"the damaged message {key} was accepted and is no dead letter; {_last(exchange)}")
        else:
            where = f"is {entry.status} in the ledger" if entry else "is not in the ledger"
            yield Violation(key, f"{exchange.command} {key} was accepted and {where}; {_last(exchange)}")


def doubled(evidence: Evidence) -> Iterator[Violation]:
    """Effects that were written twice."""
    for key, times in Counter(entry.key for entry in evidence.ledger).items():
        if times > 1:
            yield Violation(key, f"the ledger has {times} rows of the key {key}; it had to have one")
    for change in evidence.repeated:
        about = f"{change.entity} {change.entity_id}"
        yield Violation(change.key, f"command {change.key} changed {about} {change.times} times; it had to once")
    for lot in evidence.overdrawn:
        yield Violation(lot.lot_id, f"{lot.taken_kg} kg were taken from lot {lot.lot_id} of {lot.weight_kg} kg")
    applied = [entry for entry in evidence.ledger if entry.status == CommandStatus.APPLIED]
    rolled_back = Counter(entry.run_id for entry in applied if entry.command == "rollback_step")
    moves = Counter(
        (entry.run_id, entry.command, entry.to_step_index)
        for entry in applied
        if entry.command in _ONCE_A_RUN or entry.command == "advance_step"
    )
    for (run_id, command, step), times in moves.items():
        allowed = 1 + (rolled_back[run_id] if command == "advance_step" else 0)
        if times > allowed:
            where = "" if step is None else f" to step {step}"
            yield Violation(str(run_id), f"{times} {command}{where} of run {run_id} are APPLIED; {allowed} may be")


def told_wrongly(history: History, evidence: Evidence) -> Iterator[Violation]:
    """Verdicts that the client was told and that are not the ledger's."""
    for key, exchange in history.exchanges.items():
        for wire in exchange.told:
            if said := _wrong(key, exchange, wire, evidence.by_key.get(key)):
                yield Violation(key, f"{exchange.command or 'the damaged message'} {key} {said}")


def _wrong(key: str, exchange: Exchange, wire: Wire, entry: LedgerEntry | None) -> str | None:
    """What is wrong with one telling, None where nothing is."""
    status = wire.get("status")
    if status not in _STATUSES:
        return f"was told {status}, which is no verdict: {wire.get('result')}"
    if exchange.command is None:
        return None if status == CommandStatus.REJECTED else f"was told {status}"
    if (wire.get("idempotency_key"), wire.get("command")) != (key, exchange.command):
        return f"was told the verdict on {wire.get('command')} {wire.get('idempotency_key')}"
    if status not in _DECIDED or (entry and entry.verdict and same(wire, entry.verdict)):
        return None
    says = f"the ledger says {_short(entry.verdict or {'status': entry.status})}" if entry else "is not in the ledger"
    return f"was told {_short(wire)}, and {says}"


def _last(exchange: Exchange) -> str:
    return f"the last told was {_short(exchange.told[-1])}" if exchange.told else "nothing was told"


def _short(wire: Mapping[str, Any]) -> str:
    code = f" ({wire['code']})" if wire.get("code") else ""
    return f"{wire.get('status')}{code}"


_STATUSES: Final = frozenset(map(str, CommandStatus))
_DECIDED: Final = frozenset(map(str, DECIDED_COMMANDS))
