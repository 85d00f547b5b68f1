"""SQLAlchemy models: the one definition of the tables. Guards and functions live in `alembic/sql`."""

from runworker.models.audit import AuditArchive, AuditEvent, AuditSeal
from runworker.models.base import Base
from runworker.models.flow import FlowDefinition, FlowVersion
from runworker.models.ledger import CodeCounter, CommandClaim, CommandRecord, DeadLetter
from runworker.models.lot import Lot, LotGenealogy, Supplier
from runworker.models.production import Phase, ProductionRun, Scenario, Stream
from runworker.models.qc import QCDecision, QCGate
from runworker.models.run import RunStepExecution
from runworker.models.user import User
from runworker.states import (
    Decision,
    FlowVersionStatus,
    GateType,
    LotStatus,
    LotType,
    RunStatus,
    StepExecutionStatus,
    UserRole,
)

__all__ = [
    "AuditArchive",
    "AuditEvent",
    "AuditSeal",
    "Base",
    "CodeCounter",
    "CommandClaim",
    "CommandRecord",
    "DeadLetter",
    "Decision",
    "FlowDefinition",
    "FlowVersion",
    "FlowVersionStatus",
    "GateType",
    "Lot",
    "LotGenealogy",
    "LotStatus",
    "LotType",
    "Phase",
    "ProductionRun",
    "QCDecision",
    "QCGate",
    "RunStatus",
    "RunStepExecution",
    "Scenario",
    "StepExecutionStatus",
    "Stream",
    "Supplier",
    "User",
    "UserRole",
]
