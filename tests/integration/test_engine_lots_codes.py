"""Lot codes, verdicts of lots, and what the audit trail says of them."""

from functools import partial
from uuid import uuid4

import pytest
from tests.integration.test_engine_lots_life import Life
from tests.plant import REASON, Plant, race

from runworker.codes import Code
from runworker.commands import Command
from runworker.engine import Engine


@pytest.fixture
def life(plant: Plant, engine: Engine) -> Life:
    """A run at Receipt."""
    life = Life(plant)
    engine.apply([life.start(), life.advance(1)])
    return life


def raw(life: Life, **fields: object) -> Command:
    known = {"run_id": life.run, "lot_type": "RAW", "step_index": 1, "weight_kg": "10"}
    return life.plant.command("register_lot", **(known | fields))


def apply_all(engine: Engine, batches: list[list[Command]]) -> None:
    for batch in batches:
        engine.apply(batch)


def prefix(plant: Plant) -> str:
    return str(plant.sql("SELECT to_char(now() AT TIME ZONE 'UTC', '\"RAW-\"YYYYMMDD\"-MAIN-\"')")[0][0])


@pytest.mark.usefixtures("first_try")
def test_four_workers_give_no_code_twice(plant: Plant, life: Life) -> None:
    works = []
    for _ in range(4):
        batches = [[raw(life) for _ in range(size)] for size in (1, 2, 3, 4, 5, 10)]
        works.append(
            partial(lambda engine, batches: [engine.apply(batch) for batch in batches], plant.engine(), batches)
        )
    race(*works)
    codes = [row[0] for row in plant.sql("SELECT lot_code FROM lots ORDER BY lot_code")]
    assert codes == [f"{prefix(plant)}{number:04}" for number in range(1, 101)]


def test_numbers_begin_above_callers_own_codes(plant: Plant, engine: Engine, life: Life) -> None:
    begins = prefix(plant)
    engine.apply([raw(life, lot_code=f"{begins}0002"), raw(life, lot_code=f"{begins}0003")])
    verdicts = engine.apply([raw(life) for _ in range(3)])
    assert [verdict.state["lot_code"][-4:] for verdict in verdicts] == ["0004", "0005", "0006"]


def test_a_callers_own_code_in_the_batch_of_a_generated_one(plant: Plant, engine: Engine, life: Life) -> None:
    verdicts = engine.apply([raw(life, lot_code=f"{prefix(plant)}0001"), raw(life), raw(life)])
    assert [verdict.code for verdict in verdicts] == [None] * 3
    assert len({verdict.state["lot_code"] for verdict in verdicts}) == 3


def test_a_code_is_given_once(plant: Plant, engine: Engine, life: Life) -> None:
    code = f"{prefix(plant)}0007"
    first, second, other = engine.apply([raw(life, lot_code=code), raw(life, lot_code=code), raw(life)])
    assert (first.code, second.code, other.code) == (None, Code.LOT_CODE_TAKEN, None)
    assert code in (second.message or "")


def test_every_type_counts_for_itself(plant: Plant, engine: Engine, life: Life) -> None:
    engine.apply([*life.step(1), life.advance(2), *life.step(2), life.advance(3), *life.step(3), life.advance(4)])
    (verdict,) = engine.apply([life.register("mix")])
    assert verdict.state["lot_code"] == f"{prefix(plant).replace('RAW', 'MIXLOT')}0001"


def test_suppliers_and_gates_have_to_exist(engine: Engine, life: Life) -> None:
    (verdict, _) = engine.apply([raw(life, supplier_id=uuid4()), life.register("mell")])
    assert verdict.code == Code.UNKNOWN_SUPPLIER
    (verdict,) = engine.apply([life.decide("mell", qc_gate_id=uuid4())])
    assert verdict.code == Code.UNKNOWN_QC_GATE
    assert life.status("mell") == "QUARANTINE"


def test_verdicts_tell_what_a_lot_became(plant: Plant, engine: Engine, life: Life) -> None:
    asked = life.register("mell")
    registered, passed = engine.apply([asked, life.decide("mell", temperature_c="3.0")])
    lot = {"lot_code": f"{prefix(plant)}0001", "lot_type": "RAW", "sku_type": None, "left_kg": "700"}
    about = {"status": "APPLIED", "replayed": False, "run_id": str(life.run), "lot_id": str(life.lots["mell"])}
    key = {
        "command": "register_lot",
        "idempotency_key": str(asked.idempotency_key),
        "payload_sha256": asked.fingerprint.hex(),
    }
    assert registered.as_dict() == about | key | lot | {"lot_status": "QUARANTINE"}
    assert passed.state == lot | {"lot_status": "RELEASED", "ccp_violation": False}

    engine.apply([life.advance(2)])
    boned = life.register("boned")
    (made,) = engine.apply([boned])
    assert (made.lot_id, made.state["lot_status"], made.state["gained_kg"]) == (
        life.lots["boned"],
        "QUARANTINE",
        "-50",
    )
    assert engine.verdicts([boned.idempotency_key]) == {boned.idempotency_key: made}


def test_too_warm_is_held_and_the_audit_trail_says_so(plant: Plant, engine: Engine, life: Life) -> None:
    inspector = plant.user("AUDITOR")
    asked = life.decide("mell", temperature_c="4.1", issued_by=inspector)
    _, held = engine.apply([life.register("mell"), asked])
    assert (held.state["lot_status"], held.state["ccp_violation"]) == ("HOLD", True)
    (event,) = plant.sql(
        "SELECT command, actor, command_key, after FROM audit_events"
        " WHERE entity = 'lots' AND entity_id = :lot AND operation = 'UPDATE'",
        lot=life.lots["mell"],
    )
    assert (event.command, event.actor, event.command_key) == ("record_qc_decision", inspector, asked.idempotency_key)
    assert event.after["status_reason"].startswith("CCP: 4.1 °C is above the limit of 4.0 °C of step 1")


def test_every_change_of_a_lot_names_its_command(plant: Plant, engine: Engine, life: Life) -> None:
    engine.apply(
        [
            life.register("mell"),
            life.decide("mell", "HOLD", notes=REASON),
            life.of_lot("resolve_hold", "mell", resolution=REASON),
            life.advance(2),
            life.register("boned"),
        ]
    )
    events = plant.sql(
        "SELECT command, after ->> 'status' AS status FROM audit_events WHERE entity_id = :lot ORDER BY id",
        lot=life.lots["mell"],
    )
    assert [tuple(event) for event in events] == [
        ("register_lot", "QUARANTINE"),
        ("record_qc_decision", "HOLD"),
        ("resolve_hold", "RELEASED"),
        ("register_lot", "CONSUMED"),
    ]
    written_once = plant.sql(
        "SELECT entity, command, actor FROM audit_events WHERE entity IN ('lot_genealogy', 'qc_decisions') ORDER BY id"
    )
    assert [tuple(event) for event in written_once] == [
        ("qc_decisions", "record_qc_decision", plant.user()),
        ("lot_genealogy", "register_lot", plant.user()),
    ]
    assert plant.count("audit_events", "entity = 'lots' AND actor IS NULL") == 0
