"""What somebody may think of to ask: drawn as names and numbers, and made into fields of a command.

A request is wild, or aimed at what the plant is like at the moment: at a run, lot or version in the state that the
command is for, if there is one. Rules are reached by aimed requests, and refused by wild ones.
"""

from collections.abc import Callable, Mapping, Sequence
from itertools import count
from typing import Any
from uuid import UUID

from hypothesis import strategies as st
from tests.lifecycles.machine import PEOPLE
from tests.lifecycles.rules_lots import MADE_AT
from tests.lifecycles.world import World
from tests.plant import REASON

from runworker.states import LotType

Request = dict[str, Any]

RUNS = st.integers(0, 2)
SOME_NUMBER = st.integers(0, 15)
KILOGRAMS = st.sampled_from(["4", "6", "10", "0.01", "9.99", "10.01"])
CELSIUS = st.sampled_from([None, None, "4", "4.1", "-18", "-17.9"])
WHY = {"reason": st.just(REASON)}


def asking(*names: str, **fields: st.SearchStrategy[Any]) -> st.SearchStrategy[Request]:
    """Draws of one of these commands with these fields; those that are None are left out."""
    aimed = st.sampled_from([True, True, True, False])
    return st.fixed_dictionaries({"name": st.sampled_from(names), "user": PEOPLE, "aimed": aimed, **fields})


REQUESTS = st.one_of(
    asking("start_run", run_id=RUNS, flow_version_id=SOME_NUMBER),
    asking("advance_step", run_id=RUNS, to_step_index=st.integers(1, 10)),
    asking("rollback_step", run_id=RUNS, to_step_index=st.integers(0, 9), **WHY),
    asking("hold_run", "resume_run", "complete_run", "abort_run", "archive_run", run_id=RUNS),
    asking("submit_flow_version", "approve_flow_version", "deprecate_flow_version", flow_version_id=SOME_NUMBER),
    asking("reject_flow_version", flow_version_id=SOME_NUMBER, **WHY),
    asking(
        "register_lot",
        run_id=RUNS,
        step_index=st.sampled_from(sorted(MADE_AT)),
        lot_type=st.sampled_from([None] * 12 + [str(lot_type) for lot_type in LotType]),
        lot_id=st.sampled_from([None, None, None, 0, 1]),
        weight_kg=KILOGRAMS,
        temperature_c=CELSIUS,
        parents=st.lists(st.tuples(SOME_NUMBER, KILOGRAMS), min_size=1, max_size=3),
        code=st.sampled_from([None, None, None, "BUDA", "MAIN", "MAIN", "taken", "no code"]),
        supplier_id=st.sampled_from([None] * 7 + [UUID(int=7)]),
    ),
    asking(
        "record_qc_decision",
        lot_id=SOME_NUMBER,
        decision=st.sampled_from(["PASS", "PASS", "PASS", "HOLD", "HOLD", "FAIL"]),
        notes=st.sampled_from([REASON, REASON, " too short", None]),
        temperature_c=CELSIUS,
    ),
    asking("resolve_hold", lot_id=SOME_NUMBER, resolution=st.just(REASON)),
    asking("reject_lot", lot_id=SOME_NUMBER, **WHY),
    asking("consume_lot", lot_id=SOME_NUMBER, into_lot_id=SOME_NUMBER, quantity_used_kg=KILOGRAMS, final=st.booleans()),
    asking("finish_lot", lot_id=SOME_NUMBER),
)

FOR_LOTS = {
    "record_qc_decision": "QUARANTINE RELEASED", "resolve_hold": "HOLD", "reject_lot": "HOLD", "finish_lot": "CONSUMED",
    "consume_lot": "RELEASED",
}  # fmt: skip
FOR_RUNS = {"resume_run": "HOLD", "archive_run": "COMPLETED ABORTED"}
FOR_VERSIONS = {
    "submit_flow_version": "DRAFT", "approve_flow_version": "REVIEW", "reject_flow_version": "REVIEW",
    "deprecate_flow_version": "PUBLISHED", "start_run": "PUBLISHED",
}  # fmt: skip

_numbers = count(1000)
"""Of lot codes, which no two examples share."""


class Requests:
    """Makes fields of requests. runs, lots and versions: all ids there are to ask for; lots grow, latest last."""

    def __init__(self, world: Callable[[], World], runs: Sequence[UUID], lots: list[UUID], new: Callable[[], UUID],
                 versions: Sequence[UUID]) -> None:  # fmt: skip
        self.world, self.runs, self.lots, self.new_lot, self.versions = world, runs, lots, new, versions
        self.codes: dict[str, str] = {}

    def fields(self, request: Request) -> Request:
        """Fields of the command, its name and who asks among them."""
        fields = {name: value for name, value in request.items() if value is not None}
        name, aimed = fields["name"], fields.pop("aimed")
        if "flow_version_id" in fields:
            fields["flow_version_id"] = self._version(fields["flow_version_id"], FOR_VERSIONS[name] if aimed else "")
        if "run_id" in fields:
            fields["run_id"] = self._run(fields["run_id"], name, aimed=aimed)
            if aimed and fields["run_id"] in self.world().runs:
                self._aim_at_step(fields)
        if "into_lot_id" in fields:
            fields["into_lot_id"] = self._lot(fields["into_lot_id"], "QUARANTINE RELEASED" if aimed else "")
        if name == "register_lot":
            fields |= self._registered(fields, "RELEASED" if aimed else "")
        elif "lot_id" in fields:
            fields["lot_id"] = self._lot(fields["lot_id"], FOR_LOTS[name] if aimed else "")
        return fields

    def _version(self, number: int, states: str) -> UUID:
        return _pick(number, self.versions, self.world().versions, states)

    def _lot(self, number: int, states: str) -> UUID:
        return _pick(number, self.lots[::-1], self.world().lots, states)

    def _run(self, number: int, name: str, *, aimed: bool) -> UUID:
        if not aimed or name == "start_run":
            return self.runs[number]
        return _pick(number, self.runs, self.world().runs, FOR_RUNS.get(name, "RUNNING"))

    def _aim_at_step(self, fields: Request) -> None:
        run = self.world().runs[fields["run_id"]]
        if "step_index" in fields and run.step in MADE_AT:
            fields["step_index"] = run.step
        if fields["name"] == "advance_step":
            fields["to_step_index"] = next((step for step in run.planned if step > run.step), 10)
        if fields["name"] == "rollback_step":
            behind = [step for step in run.planned if step < run.step] or [0]
            fields["to_step_index"] = behind[fields["to_step_index"] % len(behind)]

    def _registered(self, fields: Request, states: str) -> Request:
        types = MADE_AT[fields["step_index"]].split()
        lot_type = fields.get("lot_type", types[len(self.lots) % len(types)])
        code = fields.pop("code", None)
        if code in ("MAIN", "BUDA"):
            prefix = "MIXLOT" if lot_type == "MIX" else lot_type
            code = self.codes[lot_type] = f"{prefix}-20200101-{code}-{next(_numbers)}"
        elif code == "taken":
            code = self.codes.get(lot_type)
        parents = [{"lot_id": self._lot(number, states), "quantity_used_kg": kg} for number, kg in fields["parents"]]
        lot_id = self._lot(fields["lot_id"], "") if "lot_id" in fields else self.new_lot()
        known = {"lot_id": lot_id, "lot_type": lot_type, "parents": [] if lot_type == "RAW" and states else parents}
        return known | ({"lot_code": code} if code else {})


def _pick(number: int, ids: Sequence[UUID], known: Mapping[UUID, Any], states: str) -> UUID:
    """One of those in these states; where there is none, one of all."""
    fitting = [id_ for id_ in ids if id_ in known and known[id_].status in states.split()] or ids
    return fitting[number % len(fitting)]
