"""The figures of a run of chaos, and everything that speaks against it."""

import platform
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from importlib.metadata import version
from typing import Any, Final

from runworker.simulation.chaos.checker import Evidence, LedgerEntry, Violation, doubled, lost, told_wrongly
from runworker.simulation.chaos.history import History
from runworker.states import CommandStatus

FIRST_DECISION_SECONDS: Final = 10.0
"""Within which the first command has to be decided after a fault's end."""

EXAMPLES: Final = 10
PACKAGES: Final = ("runworker", "celery", "kombu", "redis", "sqlalchemy", "psycopg")


@dataclass(slots=True)
class FaultRecord:
    """How often a fault happened, and the longest time from its end to the first decision, in seconds."""

    times: int = 0
    slowest_first_decision: float = 0.0

    def add(self, first_decision: float) -> None:
        """Count one more."""
        self.times += 1
        self.slowest_first_decision = max(self.slowest_first_decision, first_decision)

    @property
    def as_dict(self) -> Mapping[str, float]:
        """As the report has it."""
        return {"times": self.times, "slowest_first_decision_seconds": round(self.slowest_first_decision, 2)}


@dataclass(frozen=True)
class ChaosReport:
    """Figures by name, and what speaks against the promise, by kind.

    others: what the scenario's own proof says, workers that ended by themselves, and faults after which nothing was
    decided for too long.
    """

    figures: Mapping[str, Any]
    lost: Sequence[Violation]
    doubled: Sequence[Violation]
    told_wrongly: Sequence[Violation]
    others: Sequence[Violation]

    @property
    def is_clean(self) -> bool:
        """Whether nothing speaks against it."""
        return not any(self.kinds.values())

    @property
    def kinds(self) -> Mapping[str, Sequence[Violation]]:
        """All violations, by kind."""
        return {
            "lost": self.lost,
            "doubled": self.doubled,
            "told_wrongly": self.told_wrongly,
            "others": self.others,
        }

    @property
    def examples(self) -> list[str]:
        """The first of each kind, in words."""
        return [f"{name}: {one.said}" for name, violations in self.kinds.items() for one in violations[:EXAMPLES]]

    def entries(self, evidence: Evidence) -> list[LedgerEntry]:
        """What the ledger has of the commands and runs that violations are about."""
        about = {one.key for violations in self.kinds.values() for one in violations} - {""}
        return [entry for entry in evidence.ledger if entry.key in about or entry.run_id in about]

    @property
    def as_dict(self) -> dict[str, Any]:
        """Everything, as JSON has it, with the first examples of each kind."""
        return {
            **self.figures,
            **{name: len(violations) for name, violations in self.kinds.items()},
            "examples": {
                name: [{"key": one.key, "said": one.said} for one in violations[:EXAMPLES]]
                for name, violations in self.kinds.items()
            },
        }


def too_slow(faults: Mapping[str, FaultRecord]) -> Iterator[str]:
    """Faults after which nothing was decided for too long."""
    for name, record in faults.items():
        if record.slowest_first_decision > FIRST_DECISION_SECONDS:
            yield f"after {name} the first decision came {record.slowest_first_decision:.1f} s after its end"


def judged(history: History, evidence: Evidence, figures: Mapping[str, Any], others: Iterable[str]) -> ChaosReport:
    """Hold history and database against each other. figures, others: of the run, to which this adds."""
    commands = sum(exchange.command is not None for exchange in history.exchanges.values())
    statuses = Counter(entry.status for entry in evidence.ledger)
    return ChaosReport(
        {
            "versions": {"python": platform.python_version(), **{name: version(name) for name in PACKAGES}},
            "commands": commands,
            "damaged_messages": len(history.exchanges) - commands,
            "messages": history.messages,
            "applied": statuses[CommandStatus.APPLIED],
            "rejected": statuses[CommandStatus.REJECTED],
            **figures,
        },
        tuple(lost(history, evidence)),
        tuple(doubled(evidence)),
        tuple(told_wrongly(history, evidence)),
        tuple(Violation("", said) for said in others),
    )
