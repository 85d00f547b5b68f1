"""Where material came from and where it went: genealogy, recall and mass balance. Reads only."""

from runworker.tracing.genealogy import Genealogy, NotFound, TracedLink, TracedLot
from runworker.tracing.mass_balance import MassBalance, StepBalance, mass_balance
from runworker.tracing.recall import Containing, Recall, recall
from runworker.tracing.runs import balance_of_run, find_run, genealogy_of_run
from runworker.tracing.trace import Direction, Trace, trace

__all__ = [
    "Containing",
    "Direction",
    "Genealogy",
    "MassBalance",
    "NotFound",
    "Recall",
    "StepBalance",
    "Trace",
    "TracedLink",
    "TracedLot",
    "balance_of_run",
    "find_run",
    "genealogy_of_run",
    "mass_balance",
    "recall",
    "trace",
]
