"""Records, balances and recalls of a run that was made through the engine, on real PostgreSQL."""

import csv
import io
import json
from collections.abc import Callable, Iterator
from copy import deepcopy
from decimal import Decimal
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Engine as Database
from sqlalchemy import create_engine, pool
from tests.plant import Plant
from tests.servers import Servers, fresh_database
from tests.whole_run import WholeRun, whole_run
from typer.testing import CliRunner

from runworker.batch_records import RunRecord, read_run_record, recall_csv, recall_page, record_page
from runworker.cli import app
from runworker.engine import Engine
from runworker.states import LotType
from runworker.tracing import Containing, NotFound, balance_of_run, recall
from runworker.upkeep import seal as sealing

HOLDS = [
    ("bőr", "Two crates with torn film; smell to be checked", "RELEASED", "Torn crates removed & weighed again"),
    ("warm", "CCP: 6.4 °C is above the limit of 4.0 °C of step 1; decided PASS", "REJECTED", "Above 4.0 °C for <2 h>"),
    (None, "Mixer stopped: gearbox oil on the floor", "RUNNING", "Gearbox sealed, floor and mixer cleaned"),
    (
        "frozen 15 c",
        "CCP: -11.5 °C is above the limit of -18.0 °C of step 7",
        "REJECTED",
        "Thawed twice behind the tunnel",
    ),
]


class Elements(HTMLParser):
    """Reads a page and fails where tags do not close each other."""

    VOID = frozenset({"meta", "br"})

    def __init__(self, page: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.seen: list[tuple[str, dict[str, str | None]]] = []
        self.texts: list[str] = []
        self.feed(page)
        self.close()
        assert not self.open

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.seen.append((tag, dict(attrs)))
        if tag not in self.VOID:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.texts.append(data)

    @property
    def text(self) -> str:
        return " ".join(self.texts)


@pytest.fixture(scope="module")
def finished(servers: Servers, template_database: str) -> Iterator[tuple[WholeRun, str]]:
    """A run that was taken to its end once, and the name of the database that holds it: every test's template."""
    with fresh_database(servers, template=template_database) as url:
        plant = Plant(url.render_as_string(hide_password=False))
        run = whole_run(plant, plant.engine())
        plant.close()
        yield run, url.database or ""


@pytest.fixture
def database_url(servers: Servers, finished: tuple[WholeRun, str]) -> Iterator[str]:
    with fresh_database(servers, template=finished[1]) as url:
        yield url.render_as_string(hide_password=False)


@pytest.fixture
def run(finished: tuple[WholeRun, str]) -> WholeRun:
    return finished[0]


@pytest.fixture
def database(plant: Plant) -> Database:
    return create_engine(plant.url, poolclass=pool.NullPool)


@pytest.fixture
def read(database: Database, run: WholeRun) -> Callable[..., RunRecord]:
    return lambda **options: read_run_record(database, str(run.id), **options)


def test_a_record_has_every_hold_with_reason_and_end(run: WholeRun, read: Callable[..., RunRecord]) -> None:
    record = read()
    assert len(record.holds) == len(HOLDS)
    for hold, (name, why, became, resolution) in zip(record.holds, HOLDS, strict=True):
        lot = record.genealogy.lots[run.lots[name].id].code if name else "the run"
        assert hold.begin.subject == lot
        assert (hold.begin.reason or "").startswith(why)
        assert hold.end is not None
        assert hold.end.after == became
        assert (hold.end.reason or "").startswith(resolution)
        assert hold.end.actor is not None
        assert record.people[hold.end.actor].name == "Csilla Szabó"
    assert [(stop.before, stop.after) for stop in record.stops] == [
        ("HOLD", "REJECTED"),
        ("step 3", "step 2"),
        ("HOLD", "REJECTED"),
    ]
    assert record.by_hand == ()


def test_a_record_has_every_command_and_verdict(plant: Plant, read: Callable[..., RunRecord]) -> None:
    record = read()
    assert {line.key for line in record.commands} == {
        row.idempotency_key for row in plant.sql("SELECT idempotency_key FROM commands")
    }
    (refused,) = [line for line in record.commands if line.status == "REJECTED"]
    assert (refused.command, refused.code) == ("advance_step", "QC_PENDING")
    assert refused.message == "2 lots of step 1 wait for quality control"
    assert {decision.lot_code for decision in record.decisions} == {lot.code for lot in record.genealogy.lots.values()}
    assert [decision.temperature_c for decision in record.decisions if decision.is_too_warm] == [
        Decimal("6.4"),
        Decimal("-11.5"),
    ]


def test_commands_that_the_ledger_forgot_are_told_by_the_audit_trail(
    plant: Plant, read: Callable[..., RunRecord]
) -> None:
    before = {line.key for line in read().commands if line.status == "APPLIED"}
    with_guards_off = (
        "ALTER TABLE commands DISABLE TRIGGER USER",
        "DELETE FROM commands",
        "ALTER TABLE commands ENABLE TRIGGER USER",
    )
    for statement in with_guards_off:
        plant.sql(statement)
    record = read()
    assert {line.key for line in record.commands} == before
    assert not any(line.remembered for line in record.commands)
    assert {line.command for line in record.commands} >= {"start_run", "register_lot", "reject_lot", "complete_run"}
    assert "older than the ledger keeps them" in Elements(record_page(record)).text


def test_a_change_by_hand_is_told(plant: Plant, run: WholeRun, read: Callable[..., RunRecord]) -> None:
    plant.sql("UPDATE lots SET temperature_c = 3.9, command_key = NULL WHERE id = :id", id=run.lots["bulk B"].id)
    (change,) = read().by_hand
    assert "temperature_c 3.9" in (change.after or "")
    assert change.actor is None
    assert "Database user" in Elements(record_page(read())).text


def test_kilograms_add_up(plant: Plant, database: Database, run: WholeRun, read: Callable[..., RunRecord]) -> None:
    balance = read().balance
    assert (balance.in_kg, balance.out_kg, balance.rejected_kg) == (1640, 1264, 260)
    assert (balance.left_kg, balance.lost_kg, balance.gained_kg) == (40, 96, 20)
    assert balance.error_kg == 0
    assert [step.step_index for step in balance.steps] == [1, 2, 3, 4, 5, 7, 8, 9, 10]
    with database.connect() as connection:
        assert balance_of_run(connection, run.id) == balance


def test_a_page_holds_everything_and_escapes_everything(run: WholeRun, read: Callable[..., RunRecord]) -> None:
    record = read()
    page = Elements(record_page(record))
    assert not {tag for tag, _ in page.seen} & {"script", "link", "img", "iframe", "grill", "2"}
    assert not any(name.startswith("on") or name in ("src", "href") for _, found in page.seen for name in found)
    for told in (
        record.code,
        "Béla Nagy",
        "Wien <Grill> GmbH",
        "Above 4.0 °C for <2 h> without a record",
        "Alföld Poultry & Sons (SUP-MELL)",
        "ABOVE THE LIMIT: put on hold",
        "QC_PENDING",
        "BN-20260125-1",
    ):
        assert told in page.text
    for lot in record.genealogy.lots.values():
        assert lot.code in page.text
    boxes = [found["class"] for tag, found in page.seen if tag == "g"]
    lines = [found["class"] for tag, found in page.seen if tag == "path"]
    assert (len(boxes), boxes.count("lot bad"), len(lines)) == (27, 2, len(record.genealogy.links))


def test_a_record_says_what_is_sealed(plant: Plant, database: Database, read: Callable[..., RunRecord]) -> None:
    assert read().audit.sealed == 0
    sealing.seal(database)
    audit = read(verify=True).audit
    assert audit.sealed == audit.total > 0
    assert audit.verification is not None
    assert audit.verification.head == audit.last_seal
    plant.sql("ALTER TABLE audit_events DISABLE TRIGGER USER")
    plant.sql("UPDATE audit_events SET actor = NULL WHERE id = :id", id=audit.first_id)
    assert "BROKEN at seal" in record_page(read(verify=True))


def test_a_run_that_was_only_started_has_a_record(plant: Plant, database: Database, engine: Engine) -> None:
    run = WholeRun(plant, engine)
    record = read_run_record(database, str(run.id))
    assert "The run has no lots." in Elements(record_page(record)).text
    legacy = plant.idle_run(None)
    assert "none (legacy run)" in record_page(read_run_record(database, str(legacy)))


def test_a_lot_used_by_another_run_is_drawn_and_counts_as_gone_elsewhere(
    plant: Plant, database: Database, engine: Engine, run: WholeRun, read: Callable[..., RunRecord]
) -> None:
    other = WholeRun(plant, engine, version=run.version)
    for step in (1, 2, 3, 4):
        other.advance(step)
    other.lots |= deepcopy(run.lots)
    other.scenario.lots |= {lot.id: lot for lot in other.lots.values()}
    other.make("rest", LotType.MIX, "40", of={"bulk B": "40"})
    record = read()
    assert (record.balance.to_elsewhere_kg, record.balance.left_kg, record.balance.error_kg) == (40, 0, 0)
    outside = [found for tag, found in Elements(record_page(record)).seen if "outside" in (found.get("class") or "")]
    assert len(outside) == 1
    with database.connect() as connection:
        balance = balance_of_run(connection, other.id)
    assert (balance.from_elsewhere_kg, balance.in_kg, balance.left_kg, balance.error_kg) == (40, 40, 40, 0)


def test_a_recall_names_shipments_goods_and_suppliers(plant: Plant, database: Database, run: WholeRun) -> None:
    with database.connect() as connection:
        (code,) = plant.sql("SELECT lot_code FROM lots WHERE id = :id", id=run.lots["skewer 15 b"].id)[0]
        found = recall(connection, code)
    by_id = {lot.id: name for name, lot in run.lots.items()}
    names = {kind: {by_id[lot.id] for lot in lots} for kind, lots in found.containing.items()}
    assert names[Containing.SHIPMENT] == {"shipment"}
    assert names[Containing.FINISHED_GOODS] == {"packed 15", "pallet 15"}
    assert names[Containing.IN_PROCESS] == {"skewer 15 b", "frozen 15 b", "frozen 15 c"}
    assert {by_id[lot.id] for lot in found.sources} == {"mell", "bőr", "comb"}
    assert found.companions == ()
    assert {code for code, _ in found.suppliers} == {"SUP-MELL", "SUP-BOR", "SUP-COMB"}
    page = Elements(recall_page(found))
    for told in (code, "Wien <Grill> GmbH", "Alföld Poultry & Sons", "make sure that it is destroyed"):
        assert told in page.text
    lines = list(csv.DictReader(io.StringIO(recall_csv(found).removeprefix("\ufeff"))))
    assert len(lines) == 9
    # A name like a formula is text to a spreadsheet, and kilograms are figures.
    assert "'=Combfilé Ltd." in {line["supplier_name"] for line in lines}
    assert {line["weight_kg"] for line in lines if line["part"] == "shipment"} == {"640.00"}


def test_companions_are_told_from_sources(plant: Plant, database: Database, run: WholeRun) -> None:
    (code,) = plant.sql("SELECT lot_code FROM lots WHERE id = :id", id=run.lots["mell"].id)[0]
    with database.connect() as connection:
        found = recall(connection, code)
    assert [lot.id for lot in found.sources] == [run.lots["mell"].id]
    assert {lot.id for lot in found.companions} == {run.lots["bőr"].id, run.lots["comb"].id}
    assert found.suppliers[0][0] == "SUP-MELL"


@pytest.fixture
def runworker(plant: Plant, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Any]:
    """Runs the command line on the plant's database."""
    monkeypatch.setenv("RUNWORKER_DATABASE_URL", plant.url)
    monkeypatch.setenv("RUNWORKER_LOG_LEVEL", "WARNING")
    return lambda *arguments: CliRunner().invoke(app, list(arguments))


def test_the_command_line_traces_recalls_and_records(
    plant: Plant, run: WholeRun, runworker: Callable[..., Any], tmp_path: Path
) -> None:
    codes = {
        name: plant.sql("SELECT lot_code FROM lots WHERE id = :id", id=lot.id)[0][0] for name, lot in run.lots.items()
    }
    tree = runworker("lots", "trace", codes["packed 15"], "--back").stdout
    assert f"{codes['frozen 15 b']}  FRZ15  300.00 kg, 300.00 taken, 0.00 left  FINISHED" in tree
    assert tree.count(f"360.00 kg: {codes['mix 1']}, shown above") == 1
    assert "Went into" not in tree
    assert "40.00 left  RELEASED" in tree
    assert codes["shipment"] in runworker("lots", "trace", codes["packed 15"], "--forward").stdout

    facts = json.loads(runworker("lots", "trace", codes["mix 1"], "--json", "--depth", "1").stdout)
    assert {link["child"] for link in facts["links"] if link["parent"] == codes["mix 1"]} == {
        codes["skewer 15 a"],
        codes["skewer 15 b"],
    }
    assert facts["balance"]["error_kg"] == "0.00"

    html, table = tmp_path / "recall.html", tmp_path / "recall.csv"
    assert runworker("lots", "recall", codes["mell"], "--html", str(html), "--csv", str(table)).exit_code == 0
    assert codes["second shipment"] in html.read_text("utf-8")
    assert codes["second shipment"] in table.read_text("utf-8-sig")
    assert len(json.loads(runworker("lots", "recall", codes["mell"], "--json").stdout)["shipment"]) == 2
    assert "Call back" in runworker("lots", "recall", codes["mell"]).stdout

    code = plant.sql("SELECT run_code FROM production_runs WHERE id = :id", id=run.id)[0][0]
    record = tmp_path / "record.html"
    assert runworker("runs", "record", code, "--html", str(record)).exit_code == 0
    assert f"Batch record {code}" in record.read_text("utf-8")
    assert json.loads(runworker("runs", "balance", str(run.id), "--json").stdout)["error_kg"] == "0.00"
    assert codes["bulk B"] in runworker("runs", "balance", code).stdout


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("lots", "trace", "RAW-20260125-DUNA-9999"), "No lot has the code 'RAW-20260125-DUNA-9999'"),
        (("lots", "recall", "nothing"), "No lot has the code"),
        (("runs", "balance", "RUN-20260125-DUNA-9999"), "No run has the code or id"),
        (("runs", "record", "x", "--html", "x.html"), "No run has the code or id"),
    ],
)
def test_what_does_not_exist_is_an_error(
    runworker: Callable[..., Any], arguments: tuple[str, ...], message: str
) -> None:
    result = runworker(*arguments)
    assert result.exit_code == 1
    assert message in result.stderr


def test_a_file_that_cannot_be_written_is_an_error(
    plant: Plant, engine: Engine, runworker: Callable[..., Any], tmp_path: Path
) -> None:
    run = WholeRun(plant, engine)
    result = runworker("runs", "record", str(run.id), "--html", str(tmp_path / "none" / "record.html"))
    assert result.exit_code == 1
    assert "Cannot write" in result.stderr


def test_an_unknown_run_has_no_record(plant: Plant, database: Database) -> None:
    with pytest.raises(NotFound, match="RUN-20260125-DUNA-0001"):
        read_run_record(database, "none")
