"""Others write rows of the ledger, too. Whatever one holds, it spoils nothing but itself."""

import json
from uuid import UUID, uuid4

import pytest
from tests.plant import Plant

from runworker.batch_records import read_run_record
from runworker.codes import Code
from runworker.engine import Engine
from runworker.engine.sql import claims, ledger
from runworker.engine.sql.claims import QUEUED
from runworker.engine.sql.ledger_rows import MOST_BYTES, MOST_LEVELS
from runworker.states import CommandStatus
from runworker.upkeep import sweep

APPLIED, REJECTED, EXPIRED = CommandStatus.APPLIED, CommandStatus.REJECTED, CommandStatus.EXPIRED
NESTED = "[" * 990 + "]" * 990
LARGE = json.dumps({"notes": "x" * MOST_BYTES})


def of_before(plant: Plant, payload: str, **columns: str) -> UUID:
    """A row that the guard of today would not let in. columns: SQL."""
    key = uuid4()
    wanted = {"idempotency_key": f"'{key}'", "command": "'hold_run'", "payload": ":payload"} | columns
    with plant.transaction() as connection:
        connection.exec_driver_sql("ALTER TABLE commands DISABLE TRIGGER trg_commands_payload")
        connection.exec_driver_sql(
            f"INSERT INTO commands ({', '.join(wanted)}) VALUES ({', '.join(wanted.values())})".replace(  # noqa: S608
                ":payload", "%(payload)s::jsonb"
            ),
            {"payload": payload},
        )
        connection.exec_driver_sql("ALTER TABLE commands ENABLE TRIGGER trg_commands_payload")
    return key


PAYLOADS = {
    "an integer of 4,400 digits": ('{"to_step_index": ' + "7" * 4400 + "}", "Exceeds the limit"),
    "1e5000": ('{"to_step_index": 1e5000}', "Exceeds the limit"),
    "nested deep": (f'{{"metadata": {NESTED}}}', f"deeper than {MOST_LEVELS} levels"),
    "nothing but brackets": (NESTED, f"deeper than {MOST_LEVELS} levels"),
    "large": (LARGE, f"larger than {MOST_BYTES} bytes"),
}


@pytest.mark.parametrize("what", PAYLOADS)
def test_a_queued_one_is_refused_and_stops_nobody(plant: Plant, what: str) -> None:
    engine = plant.engine(wait_seconds=1)
    waiting = plant.command("hold_run", run_id=uuid4())
    engine.apply([waiting])
    plant.sql("SELECT pg_sleep_until(expires_at) FROM commands WHERE status = 'WAITING'")
    payload, why = PAYLOADS[what]
    key = of_before(plant, payload)
    behind = plant.queue("start_run")
    follower = plant.queue("start_run", after=[key])
    sweep(engine)
    told = engine.verdicts([key, behind, follower, waiting.idempotency_key])
    assert (told[key].status, told[key].code, why in (told[key].message or "")) == (
        REJECTED, Code.MALFORMED_MESSAGE, True,
    )  # fmt: skip
    assert [told[each].status for each in (behind, follower)] == [APPLIED, APPLIED]
    assert told[waiting.idempotency_key].status is EXPIRED
    assert plant.count("commands", f"idempotency_key = '{key}' AND payload = '{payload}'::jsonb") == 1
    (again,) = engine.apply([plant.command("start_run", idempotency_key=key)])
    assert again.code is Code.IDEMPOTENCY_KEY_REUSED


WAITS = {"status": "'WAITING'", "expires_at": "now() + interval '1 hour'"}
ROWS: dict[str, tuple[str, dict[str, str]]] = {
    "nested deep": (NESTED, WAITS),
    "waits for nothing known": ("{}", WAITS | {"waiting_for": "'[7]'", "verdict": "'7'"}),
    "waits for no key": ("{}", WAITS | {"waiting_for": """'{"after": ["x"]}'""", "verdict": "'{}'"}),
    "verdict of 4,400 digits": ("{}", WAITS | {"verdict": f"'{'7' * 4400}'"}),
}


@pytest.mark.parametrize("what", ROWS)
def test_a_waiting_one_is_woken_and_stops_nobody(plant: Plant, engine: Engine, what: str) -> None:
    payload, columns = ROWS[what]
    start = plant.command("start_run", run_id=(run := uuid4()))
    key = of_before(plant, payload, blocked_on=f"ARRAY['{run}'::uuid]", **columns)
    assert [verdict.status for verdict in engine.apply([start, plant.command("start_run")])] == [APPLIED, APPLIED]
    assert engine.verdicts([key])[key].status is REJECTED


def decided(verdict: str) -> dict[str, str]:
    return {"status": "'REJECTED'", "decided_at": "now()", "verdict": verdict, "code": "'QC_PENDING'"}


@pytest.mark.parametrize("verdict", ["'{}'", "'[]'", "'7'", "'null'", f"'{'7' * 4400}'", f"'{NESTED}'"])
def test_a_decided_one_is_told_as_far_as_it_can_be(plant: Plant, engine: Engine, verdict: str) -> None:
    key = of_before(plant, "{}", **decided(verdict))
    told = engine.verdicts([key])[key]
    assert (told.status, told.command, told.code) == (REJECTED, "hold_run", Code.QC_PENDING)
    follower = plant.command("start_run", after=[key])
    reused = plant.command("hold_run", idempotency_key=key, run_id=uuid4())
    assert [each.code for each in engine.apply([follower, reused])] == [None, Code.IDEMPOTENCY_KEY_REUSED]


@pytest.mark.parametrize("payload", [NESTED, "[]", '{"reason": ' + "7" * 4400 + "}"])
def test_a_batch_record_has_its_line(plant: Plant, engine: Engine, payload: str) -> None:
    (started,) = engine.apply([plant.command("start_run")])
    key = of_before(plant, payload, run_id=f"'{started.run_id}'", **decided(f"'{NESTED}'"))
    found = read_run_record(engine.database, started.state["run_code"])
    assert [line.command for line in found.commands if line.key == key] == ["hold_run"]


def test_payloads_of_one_batch_are_bounded(plant: Plant) -> None:
    """What is too large is not read at all; of the others so many are read together as fit."""
    huge = [of_before(plant, LARGE) for _ in range(10)]
    nearly = json.dumps({"notes": "x" * (MOST_BYTES - 100)})
    large = [plant.queue("hold_run", payload=nearly) for _ in range(5)]
    with plant.transaction() as connection:
        found = claims.claim(connection, QUEUED, 100, seen_until=None)
        assert [row.payload for row in ledger.peek(connection, huge)] == [None] * 10
    assert found == [*huge, *large[:2]]


def test_a_row_that_cannot_even_be_refused_is_passed_over(plant: Plant, engine: Engine) -> None:
    """Somebody else's trigger has the last word on this one. Those behind it are taken, and it stays as it was."""
    bad = [plant.queue("start_run") for _ in range(3)]
    plant.sql("CREATE FUNCTION never() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RAISE division_by_zero; END $$")
    plant.sql(
        "CREATE TRIGGER never BEFORE UPDATE ON commands FOR EACH ROW"
        f" WHEN (NEW.idempotency_key = ANY ('{{{','.join(map(str, bad))}}}'::uuid[])) EXECUTE FUNCTION never()"
    )
    good = [plant.queue("start_run") for _ in range(150)]
    sweep(engine)
    assert {verdict.status for verdict in engine.verdicts(good).values()} == {APPLIED}
    assert plant.count("commands", "status = 'QUEUED'") == 3
