"""Verdicts and their wire form."""

import dataclasses
import json
from typing import Any
from uuid import UUID, uuid4

import pytest
from hypothesis import given
from hypothesis import strategies as st

from runworker.codes import Code
from runworker.states import CommandStatus
from runworker.verdicts import Verdict

KEY, RUN, LOT = uuid4(), uuid4(), uuid4()
OWN_NAMES = {field.name for field in dataclasses.fields(Verdict)} - {"state"}
JSON_VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(),
    lambda some: st.lists(some) | st.dictionaries(st.text(), some),
    max_leaves=5,  # making a hundred takes as long as all that is done to them
)
VERDICTS = st.builds(
    Verdict,
    status=st.sampled_from(CommandStatus),
    command=st.none() | st.just("start_run"),
    idempotency_key=st.none() | st.uuids(),
    run_id=st.none() | st.uuids(),
    lot_id=st.none() | st.uuids(),
    code=st.none() | st.sampled_from(Code),
    message=st.none() | st.text(),
    waiting_for=st.none() | st.dictionaries(st.text(), JSON_VALUES),
    replayed=st.booleans(),
    state=st.dictionaries(st.text().filter(lambda name: name not in OWN_NAMES), JSON_VALUES),
)


def test_wire_form_of_an_applied_command() -> None:
    verdict = Verdict(CommandStatus.APPLIED, "hold_run", KEY, run_id=RUN, state={"run_status": "HOLD"})
    assert verdict.as_dict() == {
        "status": "APPLIED",
        "command": "hold_run",
        "idempotency_key": str(KEY),
        "run_id": str(RUN),
        "replayed": False,
        "run_status": "HOLD",
    }


def test_wire_form_with_every_part() -> None:
    verdict = Verdict(
        CommandStatus.EXPIRED, "hold_run", KEY, RUN, LOT, Code.WAIT_EXPIRED, "in vain", {"run_id": str(RUN)}, True
    )
    assert verdict.as_dict() == {
        "status": "EXPIRED",
        "command": "hold_run",
        "idempotency_key": str(KEY),
        "run_id": str(RUN),
        "lot_id": str(LOT),
        "code": "WAIT_EXPIRED",
        "message": "in vain",
        "waiting_for": {"run_id": str(RUN)},
        "replayed": True,
    }


def test_wire_form_says_none_for_what_could_not_be_read() -> None:
    wire = Verdict(CommandStatus.REJECTED, None, None, code=Code.UNKNOWN_COMMAND).as_dict()
    assert (wire["command"], wire["idempotency_key"]) == (None, None)


@given(VERDICTS)
def test_wire_form_is_json_and_can_be_read_back(verdict: Verdict) -> None:
    assert Verdict.from_dict(json.loads(json.dumps(verdict.as_dict()))) == verdict


def test_a_code_of_another_release_stays_as_it_is() -> None:
    wire = {"status": "REJECTED", "command": None, "idempotency_key": None, "replayed": False, "code": "OF_TOMORROW"}

    assert Verdict.from_dict(wire).as_dict() == wire


def test_wire_form_is_not_what_the_verdict_holds() -> None:
    waiting_for: dict[str, Any] = {"run_id": "x"}
    Verdict(CommandStatus.WAITING, "hold_run", KEY, waiting_for=waiting_for).as_dict()["waiting_for"].clear()
    assert waiting_for == {"run_id": "x"}


@pytest.mark.parametrize(
    ("wire", "error"),
    [
        ({}, KeyError),
        ({"status": "DONE", "command": None, "replayed": False}, ValueError),
        ({"status": "APPLIED", "command": None, "replayed": False, "run_id": "seven"}, ValueError),
    ],
)
def test_what_is_no_verdict(wire: dict[str, Any], error: type[Exception]) -> None:
    with pytest.raises(error):
        Verdict.from_dict(wire)


@pytest.mark.parametrize(
    ("status", "decided"),
    [("QUEUED", False), ("WAITING", False), ("APPLIED", True), ("REJECTED", True), ("EXPIRED", True)],
)
def test_which_verdicts_are_final(status: str, decided: bool) -> None:
    assert Verdict(CommandStatus(status), "hold_run", KEY).decided is decided


@given(VERDICTS)
def test_a_replay_differs_by_its_mark_alone(verdict: Verdict) -> None:
    assert verdict.as_replay().as_dict() == verdict.as_dict() | {"replayed": True}


def test_verdicts_do_not_change() -> None:
    with pytest.raises(dataclasses.FrozenInstanceError):
        Verdict(CommandStatus.APPLIED, "hold_run", UUID(int=1)).replayed = True
