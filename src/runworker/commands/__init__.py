"""Commands that an upstream may send, field by field: the wire contract.

A command is a Celery task name and keyword arguments in JSON. `parse` turns them into a frozen object or says exactly
which field is wrong. Roles that may issue a command stand beside it.
"""

from runworker.commands.base import BULK_LIMIT, Command, fingerprint_of
from runworker.commands.flows import ApproveFlowVersion, DeprecateFlowVersion, RejectFlowVersion, SubmitFlowVersion
from runworker.commands.lots import (
    AdoptLot,
    ConsumeLot,
    FinishLot,
    Parent,
    RecordQcDecision,
    RegisterLot,
    RejectLot,
    ResolveHold,
)
from runworker.commands.parsing import COMMANDS, parse
from runworker.commands.runs import (
    AbortRun,
    AdoptRun,
    AdvanceStep,
    ArchiveRun,
    CompleteRun,
    HoldRun,
    ResumeRun,
    RollbackStep,
    StartRun,
)

__all__ = [
    "BULK_LIMIT",
    "COMMANDS",
    "AbortRun",
    "AdoptLot",
    "AdoptRun",
    "AdvanceStep",
    "ApproveFlowVersion",
    "ArchiveRun",
    "Command",
    "CompleteRun",
    "ConsumeLot",
    "DeprecateFlowVersion",
    "FinishLot",
    "HoldRun",
    "Parent",
    "RecordQcDecision",
    "RegisterLot",
    "RejectFlowVersion",
    "RejectLot",
    "ResolveHold",
    "ResumeRun",
    "RollbackStep",
    "StartRun",
    "SubmitFlowVersion",
    "fingerprint_of",
    "parse",
]
