"""The codes of refusals: why a message or a command was refused.

Codes are stable: senders branch on them. `docs/errors.md` explains each, and a test keeps it complete.
"""

from enum import StrEnum
from typing import Final


class Code(StrEnum):
    """Why a message was refused. The text after each value is its one-line meaning."""

    meaning: str

    def __new__(cls, value: str, meaning: str = "") -> "Code":
        """Keep the meaning beside the value."""
        member = str.__new__(cls, value)
        member._value_ = value
        member.meaning = meaning
        return member

    # The message itself
    MALFORMED_MESSAGE = "MALFORMED_MESSAGE", "The message is not a JSON Celery message."
    POSITIONAL_ARGUMENTS = (
        "POSITIONAL_ARGUMENTS",
        "Fields came as positional arguments; send keyword arguments.",
    )
    UNKNOWN_COMMAND = "UNKNOWN_COMMAND", "No command has this name."
    MISSING_FIELD = "MISSING_FIELD", "A required field is absent."
    UNKNOWN_FIELD = "UNKNOWN_FIELD", "The command has no such field."
    INVALID_FIELD = "INVALID_FIELD", "A field has the wrong type, range, length or characters."
    BATCH_TOO_LARGE = "BATCH_TOO_LARGE", "A bulk message carries more commands than it may."
    QUARANTINED = "QUARANTINED", "The command ended every process that handled it; operations have been told."
    INTERNAL_ERROR = "INTERNAL_ERROR", "runworker failed on this command; operations have been told."

    # The ledger
    IDEMPOTENCY_KEY_REUSED = (
        "IDEMPOTENCY_KEY_REUSED",
        "The key already belongs to a command with another payload.",
    )
    MESSAGE_EXPIRED = "MESSAGE_EXPIRED", "The message came to its turn after its `expires`; it was not applied."
    MESSAGE_REVOKED = "MESSAGE_REVOKED", "An operator took the message back; it was not applied."
    WAIT_EXPIRED = "WAIT_EXPIRED", "What the command waited for did not come in time."

    # Who
    UNKNOWN_USER = "UNKNOWN_USER", "issued_by or operator_id names no user."
    ROLE_NOT_ALLOWED = "ROLE_NOT_ALLOWED", "The user's role may not issue this command."

    # Flow versions
    UNKNOWN_FLOW_VERSION = "UNKNOWN_FLOW_VERSION", "No flow version has this id."
    FLOW_VERSION_NOT_PUBLISHED = "FLOW_VERSION_NOT_PUBLISHED", "A run is pinned to a PUBLISHED version only."
    FLOW_VERSION_IMMUTABLE = "FLOW_VERSION_IMMUTABLE", "A PUBLISHED or DEPRECATED version does not change."
    FLOW_VERSION_ILLEGAL_MOVE = (
        "FLOW_VERSION_ILLEGAL_MOVE",
        "The flow version may not go from its state to that one.",
    )
    FLOW_ALREADY_PUBLISHED = "FLOW_ALREADY_PUBLISHED", "The flow already has a PUBLISHED version."
    FLOW_VERSION_IN_USE = "FLOW_VERSION_IN_USE", "Unfinished runs are pinned to the version."
    PLAN_INVALID = "PLAN_INVALID", "The version's graph gives no valid plan; `problems` lists why."
    PLAN_EMPTY = "PLAN_EMPTY", "The graph has no nodes."
    PLAN_MALFORMED = "PLAN_MALFORMED", "The graph, a node or an edge does not have the documented shape."
    PLAN_DUPLICATE_NODE = "PLAN_DUPLICATE_NODE", "Two nodes share one id."
    PLAN_DANGLING_EDGE = "PLAN_DANGLING_EDGE", "An edge names a node that is not there."
    PLAN_NO_START = "PLAN_NO_START", "The graph has no start node."
    PLAN_MANY_STARTS = "PLAN_MANY_STARTS", "The graph has more than one start node."
    PLAN_START_NOT_FIRST = "PLAN_START_NOT_FIRST", "The start node is not step 0."
    PLAN_NO_END = "PLAN_NO_END", "The graph has no end node."
    PLAN_CYCLE = "PLAN_CYCLE", "The edges lead back to a node they came from."
    PLAN_STEP_INDEX = "PLAN_STEP_INDEX", "A step's index is missing or outside 0 to 10."
    PLAN_DUPLICATE_STEP = "PLAN_DUPLICATE_STEP", "Two nodes claim one step index."
    PLAN_UNREACHABLE_STEP = "PLAN_UNREACHABLE_STEP", "A step cannot be reached from the step before it."

    # Runs
    UNKNOWN_SCENARIO = "UNKNOWN_SCENARIO", "scenario_id names no scenario."
    RUN_ALREADY_EXISTS = "RUN_ALREADY_EXISTS", "A run with this id has been started before."
    RUN_PIN_IMMUTABLE = "RUN_PIN_IMMUTABLE", "A run's flow version never changes."
    RUN_NOT_PINNED = "RUN_NOT_PINNED", "A legacy run cannot be stepped before it is adopted."
    RUN_ILLEGAL_MOVE = "RUN_ILLEGAL_MOVE", "The run may not go from its state to that one."
    RUN_NOT_RUNNING = "RUN_NOT_RUNNING", "The run is finished or not started; the command needs it RUNNING."
    RUN_ON_HOLD = "RUN_ON_HOLD", "The run is on HOLD; resume it first."
    RUN_READ_ONLY = "RUN_READ_ONLY", "A finished run does not change but for archiving."
    STEP_NOT_PLANNED = "STEP_NOT_PLANNED", "The run's plan does not have this step."
    STEP_ALREADY_PASSED = "STEP_ALREADY_PASSED", "The run is at this step or beyond it."
    STEP_NOT_BEHIND = "STEP_NOT_BEHIND", "A run goes back only to an earlier step of its plan."
    STEP_ILLEGAL_MOVE = "STEP_ILLEGAL_MOVE", "The step may not go from its state to that one."
    QC_PENDING = "QC_PENDING", "Lots of the current step wait for quality control."
    LIVE_LOTS_AHEAD = "LIVE_LOTS_AHEAD", "Live lots belong to a later step than the run is to be at."
    RETENTION_NOT_PASSED = "RETENTION_NOT_PASSED", "A finished run is archived only after its retention."

    # Lots
    LOT_ALREADY_EXISTS = "LOT_ALREADY_EXISTS", "A lot with this id has been registered before."
    LOT_ALREADY_ADOPTED = "LOT_ALREADY_ADOPTED", "The lot has the type, run or step already that was to be given."
    LOT_TYPE_LEGACY = "LOT_TYPE_LEGACY", "No lot is given a legacy type."
    LOT_TYPE_NOT_ALLOWED = "LOT_TYPE_NOT_ALLOWED", "The current step does not make lots of this type."
    LOT_CODE_INVALID = "LOT_CODE_INVALID", "The lot code does not have the form TYPE-YYYYMMDD-SITE-####."
    LOT_CODE_OTHER_SITE = "LOT_CODE_OTHER_SITE", "The lot code names another site than the run's."
    LOT_CODE_TAKEN = "LOT_CODE_TAKEN", "Another lot has this code."
    LOT_ILLEGAL_MOVE = "LOT_ILLEGAL_MOVE", "The lot may not go from its state to that one."
    LOT_FROZEN = "LOT_FROZEN", "A CONSUMED, FINISHED or REJECTED lot keeps its core attributes."
    UNKNOWN_SUPPLIER = "UNKNOWN_SUPPLIER", "supplier_id names no supplier."
    SUPPLIER_NOT_ALLOWED = "SUPPLIER_NOT_ALLOWED", "Only a RAW lot has a supplier."
    UNKNOWN_QC_GATE = "UNKNOWN_QC_GATE", "qc_gate_id names no quality gate."
    NOTES_REQUIRED = "NOTES_REQUIRED", "HOLD and FAIL need notes of 10 to 500 characters."
    QC_DECISION_IMMUTABLE = "QC_DECISION_IMMUTABLE", "A quality decision does not change."
    RAW_LOT_HAS_PARENTS = "RAW_LOT_HAS_PARENTS", "A RAW lot has no parents."
    PARENTS_REQUIRED = "PARENTS_REQUIRED", "A lot that is not RAW is made of at least one parent."
    PARENT_REPEATED = "PARENT_REPEATED", "A parent stands twice in the list."
    LOT_OWN_PARENT = "LOT_OWN_PARENT", "A lot is not made of itself."
    PARENT_NOT_RELEASED = "PARENT_NOT_RELEASED", "Only RELEASED lots are used."
    PARENT_NOT_EARLIER = "PARENT_NOT_EARLIER", "A parent is of an earlier step than its child."
    PARENT_OTHER_SITE = "PARENT_OTHER_SITE", "A parent is at another plant site."
    PARENT_RUN_ARCHIVED = "PARENT_RUN_ARCHIVED", "A parent belongs to an ARCHIVED run."
    SKU_MIXED = "SKU_MIXED", "Lots of different SKUs are not mixed."
    QUANTITY_EXCEEDS_LEFT = "QUANTITY_EXCEEDS_LEFT", "More is taken from a lot than is left of it."
    GENEALOGY_CYCLE = "GENEALOGY_CYCLE", "A lot would descend from itself."
    CHILDREN_NOT_FINISHED = "CHILDREN_NOT_FINISHED", "A lot is finished after all its children."


OF_MESSAGES: Final = (
    Code.MALFORMED_MESSAGE, Code.POSITIONAL_ARGUMENTS, Code.UNKNOWN_COMMAND, Code.MISSING_FIELD, Code.UNKNOWN_FIELD,
    Code.INVALID_FIELD, Code.BATCH_TOO_LARGE, Code.QUARANTINED, Code.INTERNAL_ERROR,
)  # fmt: skip
"""Codes of the message itself: those that dead letters have."""

UNRECORDED: Final = frozenset({Code.IDEMPOTENCY_KEY_REUSED, Code.MESSAGE_EXPIRED, Code.MESSAGE_REVOKED})
"""Codes that never stand in the ledger under the key they are told about: what the ledger decides later counts more."""
