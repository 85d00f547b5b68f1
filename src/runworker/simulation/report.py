"""Counts the figures of a demo, and collects what speaks against it."""

import time
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import chain
from typing import Any

from runworker.simulation.database_state import DatabaseState
from runworker.simulation.lot_proof import LOTS
from runworker.simulation.mass_balance import balance
from runworker.simulation.proof import Check, Expectation
from runworker.simulation.scenario import BuiltScenario
from runworker.states import CommandStatus, FlowVersionStatus, LotStatus, RunStatus


@dataclass(frozen=True)
class Report:
    """Figures by name, and every claim with what speaks against it.

    gave_up: why the demo did not wait for the end, if so.
    """

    figures: Mapping[str, Any]
    checks: Sequence[Check]
    gave_up: str | None = None

    @property
    def violations(self) -> list[str]:
        """Everything that is not as it has to be."""
        found = list(chain.from_iterable(check.violations for check in self.checks))
        return [self.gave_up, *found] if self.gave_up else found


def run_figures(wanted: Expectation, state: DatabaseState, checks: Sequence[Check], began: float) -> dict[str, Any]:
    """Figures of runs and commands, all of them read back but for the messages sent and the kills.

    began: reading of time.monotonic().
    """
    scenario = wanted.scenario
    ours = {run.run_id for run in scenario.runs}
    ends = Counter(row.status for row in state.runs if row.id in ours)
    rows = [row for row in state.ledger if row.idempotency_key in scenario.planned]
    verdicts = Counter(row.status for row in rows)
    return {
        "runs": ends.total(),
        "completed": ends[RunStatus.COMPLETED],
        "aborted": ends[RunStatus.ABORTED],
        "messages_sent": sum(wanted.copies.values()),
        "commands_applied": verdicts[CommandStatus.APPLIED],
        "replays": sum(row.deliveries - 1 for row in rows if row.deliveries),
        "rejected": verdicts[CommandStatus.REJECTED],
        "worker_kills": wanted.kills,
        "violations": sum(len(check.violations) for check in checks),
        "seconds": round(time.monotonic() - began, 2),
    }


def lot_figures(scenario: BuiltScenario, state: DatabaseState) -> dict[str, Any]:
    """Figures of lots, all of them read back. Kilograms are text, so that no digit is lost."""
    kilograms = balance(scenario, state)
    became = Counter(event.status for event in state.events if event.entity == LOTS)
    rolled_back = {key for key, planned in scenario.planned.items() if planned.command.name == "rollback_step"}
    applied = {row.idempotency_key for row in state.ledger if row.status == CommandStatus.APPLIED}
    recalled = state.recalled
    return {
        "lots": len(state.lots),
        "genealogy_links": len(state.links),
        "qc_decisions": len(state.decisions),
        "holds": became[LotStatus.HOLD],
        "ccp_violations": sum(bool(verdict.get("ccp_violation")) for verdict in state.verdicts.values()),
        "rejections": sum(row.status == LotStatus.REJECTED for row in state.lots),
        "rollbacks": len(rolled_back & applied),
        "superseded": sum(row.status == FlowVersionStatus.DEPRECATED for row in state.versions),
        "received_kg": str(kilograms.received_kg),
        "shipped_kg": str(kilograms.shipped_kg),
        "mass_balance_error_kg": str(kilograms.error_kg),
        "recalled": recalled.lot_code if recalled else None,
        "recalled_lots": len(recalled.containing) if recalled else 0,
        "recalled_shipments": len(recalled.shipments) if recalled else 0,
    }
