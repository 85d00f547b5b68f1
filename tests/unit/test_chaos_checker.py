"""The checker of chaos: silent on what went right, loud on each way in which the promise can be broken."""

import json
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from runworker.simulation.chaos.checker import (
    Evidence,
    LedgerEntry,
    OverdrawnLot,
    RepeatedChange,
    doubled,
    lost,
    told_wrongly,
)
from runworker.simulation.chaos.history import History, Way

KEY, OTHER, DAMAGED = "0b5f1a52-0000-4000-8000-000000000001", "0b5f1a52-0000-4000-8000-000000000002", "damaged"
RUN = "0b5f1a52-0000-4000-8000-00000000000a"
ADVANCE = "advance_step"


def wire(status: str, key: str = KEY, command: str = ADVANCE, **more: Any) -> dict[str, Any]:
    return {"status": status, "command": command, "idempotency_key": key, "replayed": False, **more}


def entry(status: str = "APPLIED", key: str = KEY, command: str = ADVANCE, step: int | None = 2) -> LedgerEntry:
    return LedgerEntry(key, command, status, RUN, step, wire(status, key, command))


APPLIED = Evidence(ledger=(entry(),), letters=frozenset())
NOTHING = Evidence(ledger=(), letters=frozenset())
WAITING = replace(NOTHING, ledger=(entry("WAITING"),))


@pytest.fixture
def history(tmp_path: Path) -> Iterator[History]:
    """A client that has sent one command, which was taken."""
    history = History(tmp_path / "history.jsonl")
    history.plan(KEY, ADVANCE)
    history.sent([KEY], Way.ALONE, time.time())
    yield history
    history.close()


def violations(history: History, evidence: Evidence) -> dict[str, list[str]]:
    found = {
        "lost": list(lost(history, evidence)),
        "doubled": list(doubled(evidence)),
        "told_wrongly": list(told_wrongly(history, evidence)),
    }
    return {name: [violation.said for violation in found[name]] for name in found if found[name]}


def test_nothing_speaks_against_what_went_right(history: History) -> None:
    history.told(KEY, wire("WAITING", waiting_for={"run_id": RUN}))
    history.told(KEY, wire("APPLIED") | {"replayed": True})
    history.plan(DAMAGED, None)
    history.sent([DAMAGED], Way.DAMAGED, time.time())
    history.told(DAMAGED, wire("REJECTED", key="", code="MALFORMED_MESSAGE"))
    assert violations(history, replace(APPLIED, letters=frozenset({DAMAGED}))) == {}


def test_a_command_that_is_nowhere_is_lost(history: History) -> None:
    assert violations(history, NOTHING) == {
        "lost": [f"{ADVANCE} {KEY} was accepted and is not in the ledger; nothing was told"]
    }


@pytest.mark.parametrize("status", ["WAITING", "QUEUED"])
def test_a_command_that_is_never_decided_is_lost(history: History, status: str) -> None:
    history.told(KEY, wire("WAITING"))
    [said] = violations(history, replace(NOTHING, ledger=(entry(status),)))["lost"]
    assert said.endswith(f"is {status} in the ledger; the last told was WAITING")


def test_a_dead_letter_is_not_lost(history: History) -> None:
    assert violations(history, replace(NOTHING, letters=frozenset({KEY}))) == {}


def test_what_the_broker_never_took_is_not_lost(history: History) -> None:
    history.plan(OTHER, ADVANCE)
    history.refused([OTHER], OSError("away"))
    assert violations(history, APPLIED) == {}


def test_what_went_with_the_data_of_the_broker_is_not_lost_until_it_was_sent_again(history: History) -> None:
    history.lost()
    assert violations(history, NOTHING) == {}
    history.sent([KEY], Way.ALONE, time.time())
    assert list(violations(history, NOTHING)) == ["lost"]


def test_what_is_in_postgresql_does_not_go_with_the_data_of_the_broker(history: History) -> None:
    history.sent([KEY], Way.ENQUEUED, time.time())
    history.lost()
    assert list(violations(history, NOTHING)) == ["lost"]


def test_a_damaged_message_that_is_told_and_not_kept_is_lost(history: History) -> None:
    history.plan(DAMAGED, None)
    history.sent([DAMAGED], Way.DAMAGED, time.time())
    history.told(DAMAGED, wire("REJECTED", key="", code="MALFORMED_MESSAGE"))
    [said] = violations(history, APPLIED)["lost"]
    assert said.endswith("is no dead letter; the last told was REJECTED (MALFORMED_MESSAGE)")


def test_two_rows_of_one_key_are_doubled(history: History) -> None:
    evidence = replace(APPLIED, ledger=(entry("REJECTED"), entry()))
    assert violations(history, evidence)["doubled"] == [f"the ledger has 2 rows of the key {KEY}; it had to have one"]


def test_a_command_that_changed_its_run_twice_is_doubled(history: History) -> None:
    evidence = replace(APPLIED, repeated=(RepeatedChange(KEY, "production_runs", RUN, 2),))
    assert violations(history, evidence) == {
        "doubled": [f"command {KEY} changed production_runs {RUN} 2 times; it had to once"]
    }


def test_kilograms_that_were_taken_twice_are_doubled(history: History) -> None:
    evidence = replace(APPLIED, overdrawn=(OverdrawnLot("lot", "100.00", "120.00"),))
    assert violations(history, evidence) == {"doubled": ["120.00 kg were taken from lot lot of 100.00 kg"]}


def test_the_same_move_under_two_keys_is_doubled(history: History) -> None:
    evidence = replace(APPLIED, ledger=(entry(), entry(key=OTHER)))
    assert violations(history, evidence) == {"doubled": [f"2 {ADVANCE} to step 2 of run {RUN} are APPLIED; 1 may be"]}


def test_the_same_move_after_a_roll_back_is_not_doubled(history: History) -> None:
    rolled_back = entry(key="third", command="rollback_step", step=1)
    evidence = replace(APPLIED, ledger=(entry(), rolled_back, entry(key=OTHER)))
    assert violations(history, evidence) == {}


def test_a_refused_rival_is_not_doubled(history: History) -> None:
    assert violations(history, replace(APPLIED, ledger=(entry(), entry("REJECTED", key=OTHER)))) == {}


def test_a_run_ends_once(history: History) -> None:
    ends = tuple(entry(key=key, command="complete_run", step=None) for key in (KEY, OTHER))
    assert violations(history, replace(APPLIED, ledger=ends))["doubled"] == [
        f"2 complete_run of run {RUN} are APPLIED; 1 may be"
    ]


@pytest.mark.parametrize(
    ("told", "evidence", "said"),
    [
        (wire("APPLIED"), NOTHING, "was told APPLIED, and is not in the ledger"),
        (
            wire("APPLIED"),
            replace(NOTHING, ledger=(entry("WAITING"),)),
            "was told APPLIED, and the ledger says WAITING",
        ),
        (wire("REJECTED", code="X"), APPLIED, "was told REJECTED (X), and the ledger says APPLIED"),
        (wire("EXPIRED"), APPLIED, "was told EXPIRED, and the ledger says APPLIED"),
        (wire("APPLIED", current_step_index=3), APPLIED, "was told APPLIED, and the ledger says APPLIED"),
        (wire("APPLIED", key=OTHER), APPLIED, f"was told the verdict on {ADVANCE} {OTHER}"),
        (wire("APPLIED", command="start_run"), APPLIED, f"was told the verdict on start_run {KEY}"),
        ({"status": "FAILURE", "result": "KeyError()"}, APPLIED, "was told FAILURE, which is no verdict: KeyError()"),
        ({"status": "REVOKED", "result": ""}, APPLIED, "was told REVOKED, which is no verdict: "),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_a_verdict_that_is_not_the_ledgers_is_told_wrongly(
    history: History, told: dict[str, Any], evidence: Evidence, said: str
) -> None:
    history.told(KEY, told)
    assert f"{ADVANCE} {KEY} {said}" in violations(history, evidence)["told_wrongly"]


def test_an_earlier_wrong_word_counts_although_the_right_one_followed(history: History) -> None:
    history.told(KEY, wire("REJECTED", code="INTERNAL_ERROR"))
    history.told(KEY, wire("APPLIED"))
    assert len(violations(history, APPLIED)["told_wrongly"]) == 1


def test_what_is_applied_of_a_damaged_message_is_told_wrongly(history: History) -> None:
    history.plan(DAMAGED, None)
    history.told(DAMAGED, wire("APPLIED"))
    assert violations(history, APPLIED)["told_wrongly"] == ["the damaged message damaged was told APPLIED"]


def test_the_file_has_what_the_client_knows(history: History, tmp_path: Path) -> None:
    history.told(KEY, wire("APPLIED"))
    history.told(KEY, wire("APPLIED") | {"replayed": True})
    lines = [json.loads(line) for line in (tmp_path / "history.jsonl").read_text("utf-8").splitlines()]
    assert [line["event"] for line in lines] == ["sent", "told"]
    assert lines[1]["verdict"] == wire("APPLIED")


def test_only_a_final_verdict_closes_a_key(history: History) -> None:
    assert history.open_keys() == [KEY]
    history.told(KEY, wire("WAITING"))
    assert history.open_keys() == [KEY]
    history.told(KEY, wire("APPLIED"))
    assert history.open_keys() == []
