"""Fields of every command: enough of them, all of them, and wrong ones."""

from typing import Any
from uuid import UUID

Fields = dict[str, Any]

KEY, USER, RUN, VERSION, LOT = (str(UUID(int=number)) for number in range(1, 6))
COMMON: Fields = {"idempotency_key": KEY, "issued_by": USER}
ENOUGH: dict[str, Fields] = {
    "start_run": COMMON | {"flow_version_id": VERSION},
    "advance_step": COMMON | {"run_id": RUN, "to_step_index": 1},
    "hold_run": COMMON | {"run_id": RUN, "reason": "oven is cold"},
    "resume_run": COMMON | {"run_id": RUN, "resolution": "oven is hot"},
    "complete_run": COMMON | {"run_id": RUN},
    "abort_run": COMMON | {"run_id": RUN, "reason": "power is out"},
    "rollback_step": COMMON | {"run_id": RUN, "to_step_index": 1, "reason": "mixed too long"},
    "archive_run": COMMON | {"run_id": RUN},
    "adopt_run": COMMON | {"run_id": RUN, "flow_version_id": VERSION, "step_index": 4, "reason": "cut-over day"},
    "register_lot": COMMON | {"run_id": RUN, "step_index": 1, "lot_type": "RAW", "weight_kg": "700.5"},
    "record_qc_decision": COMMON | {"lot_id": LOT, "decision": "PASS"},
    "resolve_hold": COMMON | {"lot_id": LOT, "resolution": "cooled down again"},
    "reject_lot": COMMON | {"lot_id": LOT, "reason": "smells of diesel"},
    "consume_lot": COMMON | {"lot_id": LOT, "into_lot_id": RUN, "quantity_used_kg": "12.5"},
    "finish_lot": COMMON | {"lot_id": LOT},
    "adopt_lot": COMMON | {"lot_id": LOT, "lot_type": "MIX", "reason": "cut-over day"},
    "submit_flow_version": COMMON | {"flow_version_id": VERSION},
    "approve_flow_version": COMMON | {"flow_version_id": VERSION},
    "reject_flow_version": COMMON | {"flow_version_id": VERSION, "reason": "no gate after mixing"},
    "deprecate_flow_version": COMMON | {"flow_version_id": VERSION},
}
OPTIONAL: dict[str, Fields] = {
    "start_run": {
        "run_id": RUN,
        "site_code": "BUDA",
        "scenario_id": RUN,
        "operator_id": USER,
        "daily_target_kg": "1250.5",
    },
    "advance_step": {"operator_id": USER},
    "register_lot": {
        "lot_id": LOT,
        "lot_code": "RAW-20260201-MAIN-0001",
        "temperature_c": "3.5",
        "supplier_id": VERSION,
        "parents": [{"lot_id": VERSION, "quantity_used_kg": "1.25"}],
        "metadata": {"truck": "ABC-123", "pallets": [1, 2]},
        "operator_id": USER,
    },
    "record_qc_decision": {
        "notes": "surface is dry",
        "temperature_c": "-18.5",
        "qc_gate_id": VERSION,
        "digital_signature": "signed",
    },
    "consume_lot": {"final": True},
    "adopt_lot": {"run_id": RUN, "step_index": 4},
    "deprecate_flow_version": {"reason": "replaced by another"},
}
ANYWHERE: Fields = {
    "issued_at": "2026-02-01T06:00:00Z",
    "source": "planner",
    "correlation_id": "order 7",
    "after": [RUN, VERSION],
}

IDS = ("no uuid", "", 7, 1.5, True, [], {}, "00000000-0000-0000-0000-00000000000g", "\x00", "\ud800")
LABELS = ("x" * 201, 7, "nul \x00", "half \ud800", [], {})
REASONS = (" too short ", "x" * 501, " " * 40, "x" * 1_000_000, "a NUL in \x00 it", "a half \ud800 in it", 7, None, [])
NO_WHOLE_NUMBERS = ("1", 1.0, 1.5, True, None, [], {}, "one")
WEIGHTS = (None, 0, -1, "much", True, "NaN", "Infinity", float("nan"), 0.001, "1.123456789", 10**8, "1e400", [], {})
CELSIUS = ("warm", True, "NaN", "-Infinity", 99.1, -99.1, 3.14, [], {})
PARENT = {"lot_id": LOT, "quantity_used_kg": "1"}
WRONG: dict[str, tuple[Any, ...]] = {
    "idempotency_key": (None, *IDS),
    "issued_by": (None, *IDS),
    "run_id": IDS,
    "flow_version_id": (None, *IDS),
    "scenario_id": IDS,
    "operator_id": IDS,
    "to_step_index": (*NO_WHOLE_NUMBERS, -1, 11, 2**31, 2**63, 2**64, -(2**63) - 1, 10**100, 10**5000),
    "daily_target_kg": (0, -1, "much", True, "1e400", 2**63, 2**64, 0.0001, "NaN", "Infinity", float("nan"), [], {}),
    "site_code": ("buda", "BUD", "BUDAP", "BÚDA", 1234, "BUDA\n", ""),
    "source": LABELS,
    "correlation_id": LABELS,
    "issued_at": ("yesterday", "2026-02-01T06:00:00", "2026-02-30T06:00:00Z", True, [], "\ud800", 10**30),
    "after": (None, "x", RUN, {}, [None], ["x"], [7], [RUN] * 21, 7, [[RUN]]),
    "reason": REASONS,
    "resolution": REASONS,
    "lot_id": IDS,
    "into_lot_id": (None, *IDS),
    "supplier_id": IDS,
    "qc_gate_id": IDS,
    "step_index": (*NO_WHOLE_NUMBERS, -1, 11, 2**63, 10**100),
    "lot_type": (None, "", "raw", "MIXLOT", "SKW45", 7, True, [], {}),
    "lot_code": LABELS,
    "digital_signature": LABELS,
    "weight_kg": WEIGHTS,
    "quantity_used_kg": WEIGHTS,
    "temperature_c": CELSIUS,
    "decision": (None, "", "pass", "RELEASE", 7, True, [], {}),
    "notes": ("x" * 501, "nul \x00", "half \ud800", 7, [], {}),
    "final": (None, 2, "perhaps", [], {}),
    "metadata": (None, [], "{}", 7, {"nul": "\x00"}, {"half": "\ud800"}, {"nan": float("nan")}, {"long": "x" * 16_384}),
    "parents": (
        None, {}, LOT, [LOT], [None], [{}], [{"lot_id": LOT}], [PARENT | {"lot_id": "x"}], [PARENT | {"final": True}],
        *([PARENT | {"quantity_used_kg": kg}] for kg in WEIGHTS), [PARENT] * 201,
    ),
}  # fmt: skip
