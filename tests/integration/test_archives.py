"""Archives of the audit trail: written, proved, and looked at together with what came later."""

import gzip
import html
import json
import runpy
import shutil
import sys
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import NamedTuple
from uuid import UUID

import pytest
from sqlalchemy import Connection, Engine, create_engine, pool, text
from sqlalchemy.exc import IntegrityError
from tests.command_line import CommandLine
from tests.integration.archive_tampering import DATABASE, FILES
from tests.integration.tampering import REPLICA
from tests.plant import REASON, Plant
from tests.servers import Servers, fresh_database
from tests.unit.documents import DOCS, blocks, section
from tests.whole_run import whole_run

from runworker.batch_records import read_run_record, record_page
from runworker.errors import ConfigurationError
from runworker.migrations import downgrade
from runworker.upkeep import audit_archives
from runworker.upkeep.archive_files import NotArchived, events_in
from runworker.upkeep.audit_archives import archive_months
from runworker.upkeep.seal import seal
from runworker.verification import VerificationReport, examine, look_at

NOW = datetime.now(UTC)
RUN = UUID(int=1)


def of_months_ago(plant: Plant, months: int) -> None:
    """Have what no seal covers yet happen so many months ago, and seal it."""
    plant.sql("ALTER TABLE audit_events DISABLE TRIGGER USER")
    plant.sql(
        "UPDATE audit_events SET at = date_trunc('month', now(), 'UTC') - make_interval(months => :months)"
        " + id * interval '1 minute' WHERE id > (SELECT coalesce(max(last_event_id), 0) FROM audit_seals)",
        months=months,
    )
    plant.sql("ALTER TABLE audit_events ENABLE TRIGGER USER")
    database = create_engine(plant.url, poolclass=pool.NullPool)
    assert seal(database) > 0


def name(plant: Plant, months: int) -> str:
    """The name of the file of so many months ago."""
    [[month]] = plant.sql(
        "SELECT to_char(date_trunc('month', now(), 'UTC') - make_interval(months => :months), 'YYYY-MM')", months=months
    )
    return f"audit-{month}.jsonl.gz"


def found(report: VerificationReport) -> list[str]:
    return [f"{each.row}: {each.problem}; expected {each.expected}" for each in report.discrepancies]


class Archived(NamedTuple):
    """A database with two months archived, later events sealed, and newer ones. events: all there ever were."""

    plant: Plant
    database: Engine
    folder: Path
    events: int


@pytest.fixture(scope="module")
def archived(servers: Servers, template_database: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Archived]:
    folder = tmp_path_factory.mktemp("archives")
    with fresh_database(servers, template=template_database) as url:
        plant = Plant(url.render_as_string(hide_password=False))
        engine = plant.engine()
        database = create_engine(plant.url, poolclass=pool.NullPool)
        whole_run(plant, engine)
        engine.apply([plant.command("start_run", run_id=RUN)])
        of_months_ago(plant, 3)
        plant.sql("UPDATE users SET full_name = 'Dóra Tóth'")
        engine.apply([plant.command("advance_step", run_id=RUN, to_step_index=1)])
        of_months_ago(plant, 2)
        [first, second] = archive_months(database, folder, NOW)
        assert (first.file, second.file) == (name(plant, 3), name(plant, 2))
        assert first.forgotten > 80
        assert second.forgotten > 3, "what the first month left and the second makes up for goes as well"
        engine.apply([plant.command("hold_run", run_id=RUN, reason=REASON)])
        of_months_ago(plant, 0)
        engine.apply([plant.command("resume_run", run_id=RUN, resolution=REASON)])
        [[later]] = plant.sql(
            "SELECT count(*) FROM audit_events WHERE id > (SELECT max(last_event_id) FROM audit_archives)"
        )
        yield Archived(plant, database, folder, first.events + second.events + later)
        plant.close()


@pytest.fixture
def connection(archived: Archived) -> Iterator[Connection]:
    """A superuser's transaction, which is rolled back."""
    with archived.database.connect() as connection:
        connection.execute(text("SET LOCAL TIME ZONE 'UTC'"))
        yield connection
        connection.rollback()


def test_without_files_what_is_archived_is_taken_as_it_is(archived: Archived) -> None:
    report = examine(archived.database)
    assert found(report) == []
    first, second = name(archived.plant, 3), name(archived.plant, 2)
    assert report.not_looked_at == [
        f"events of 2 archived months, in {first} to {second}: --archives FOLDER looks at them as well"
    ]
    assert (report.outcome, report.chain.seals) == ("intact", 1)
    assert report.rows["audit_events"] < archived.events


def test_with_files_the_whole_history_is_looked_at(archived: Archived) -> None:
    report = examine(archived.database, archives=archived.folder)
    assert found(report) == []
    assert (report.outcome, report.not_looked_at, report.chain.seals) == ("intact", [], 3)
    assert report.chain.events + report.chain.unsealed == report.rows["audit_events"] == archived.events


def test_what_stays_is_the_last_event_of_each_row(archived: Archived) -> None:
    twice = archived.plant.sql("""
        SELECT entity, entity_id FROM audit_events
        WHERE id <= (SELECT max(last_event_id) FROM audit_archives) AND entity <> 'run_step_executions'
          AND id > (SELECT first_event_id FROM audit_seals ORDER BY id LIMIT 1)
        GROUP BY entity, entity_id HAVING count(*) > 1
    """)
    assert twice == []
    assert archived.plant.sql("SELECT FROM lots WHERE id NOT IN (SELECT entity_id FROM audit_events)") == []


def test_the_owner_deletes_no_event_that_is_needed(archived: Archived) -> None:
    for event in archived.plant.sql("SELECT id FROM audit_events"):
        with pytest.raises(IntegrityError, match=f"Event {event.id} stays"):
            archived.plant.sql("DELETE FROM audit_events WHERE id = :id", id=event.id)


def test_a_file_is_read_and_proved_without_runworker(
    archived: Archived, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    """With the few lines of docs/database.md."""
    [program] = blocks(section((DOCS / "database.md").read_text(), "## Archives"), "python")
    script = tmp_path / "check.py"
    script.write_text(program)
    for file in sorted(archived.folder.iterdir()):
        monkeypatch.setattr(sys, "argv", ["check.py", str(file)])
        runpy.run_path(str(script))
        assert capsys.readouterr().out.startswith("1 seals hold")
    changed = tmp_path / "changed.jsonl.gz"
    changed.write_bytes(gzip.compress(gzip.decompress(file.read_bytes()).replace("Tóth".encode(), b"Tooth", 1)))
    monkeypatch.setattr(sys, "argv", ["check.py", str(changed)])
    with pytest.raises(SystemExit, match="does not hold"):
        runpy.run_path(str(script))


def test_a_batch_record_names_the_files_that_have_the_rest(archived: Archived) -> None:
    [[whole, code]] = archived.plant.sql("SELECT id, run_code FROM production_runs WHERE id <> :run", run=RUN)
    record = read_run_record(archived.database, code)
    first, second = name(archived.plant, 3), name(archived.plant, 2)
    assert (record.id, record.audit.archives) == (whole, ())
    archived.plant.sql("ALTER TABLE production_runs DISABLE TRIGGER USER")
    archived.plant.sql("UPDATE production_runs SET started_at = started_at - interval '3600 hours'")
    try:
        assert read_run_record(archived.database, code).audit.archives == (first,)
        page = record_page(read_run_record(archived.database, str(RUN), verify=True))
    finally:
        archived.plant.sql("UPDATE production_runs SET started_at = started_at + interval '3600 hours'")
        archived.plant.sql("ALTER TABLE production_runs ENABLE TRIGGER USER")
    assert f"Part of this run's audit trail is archived: {first}, {second}" in html.unescape(page)
    assert "all 1 seals hold behind the last archive" in page


def test_events_of_a_file_are_those_that_were(archived: Archived) -> None:
    first = archived.folder / name(archived.plant, 3)
    events = list(events_in(first))
    kept = archived.plant.sql(
        "SELECT id, entity, entity_id::text FROM audit_events WHERE id <= :last", last=events[-1][0]
    )
    assert {(row[0], row[1], row[2]) for row in kept} < {(event[0], event[2], event[3]) for event in events}
    assert {event[4] for event in events} == {"INSERT", "UPDATE"}


@pytest.mark.parametrize("kind", DATABASE)
def test_tampering_with_an_archived_database_is_found(archived: Archived, connection: Connection, kind: str) -> None:
    change, said, without_files = DATABASE[kind]
    for statement in change.split("; "):
        assert connection.exec_driver_sql(statement).rowcount != 0, "it changed nothing"
    without = look_at(connection)
    if without_files is None:
        assert found(without) == []
    else:
        assert any(without_files in line for line in found(without)), json.dumps(found(without), indent=1)
    report = look_at(connection, archives=archived.folder)
    told = said.format(file=name(archived.plant, 3))
    assert any(told in line for line in found(report)), json.dumps(found(report), indent=1)


@pytest.mark.parametrize("kind", FILES)
def test_tampering_with_files_is_found(archived: Archived, kind: str, tmp_path: Path) -> None:
    folder = shutil.copytree(archived.folder, tmp_path / "archives")
    file = name(archived.plant, 3)
    FILES[kind].change(folder / file)
    report = examine(archived.database, archives=folder)
    [told] = found(report)
    assert told.startswith(f"{file}: {FILES[kind].said}")
    assert report.not_looked_at == [f"events of 2 archived months, in {file} to {name(archived.plant, 2)}"]


def test_a_file_that_is_listed_nowhere_is_told(archived: Archived, tmp_path: Path) -> None:
    folder = shutil.copytree(archived.folder, tmp_path / "archives")
    (folder / "audit-2001-01.jsonl.gz").write_bytes(b"")
    [told] = found(examine(archived.database, archives=folder))
    assert told.startswith("audit-2001-01.jsonl.gz: no row of audit_archives names this file")


def test_a_forged_file_that_is_listed_is_told_by_its_seals(
    archived: Archived, connection: Connection, tmp_path: Path
) -> None:
    folder = shutil.copytree(archived.folder, tmp_path / "archives")
    file = folder / name(archived.plant, 3)
    forged = "UPDATE audit_archives SET sha256 = sha256(%s) WHERE file_name = %s"
    connection.exec_driver_sql(REPLICA)
    for contents, said in (
        (gzip.decompress(file.read_bytes()).replace(b'"INSERT"', b'"DELETE"', 1), "its hash does not fit"),
        (b'{"seal": 1}\n["", 1, 1, 1]\n[1, 2]\n', "the file cannot be read: "),
        (b'{"seal": 1}\n["", 1, 1, 1]\nno JSON', "the file cannot be read: "),
    ):
        file.write_bytes(gzip.compress(contents))
        connection.exec_driver_sql(forged, (file.read_bytes(), file.name))
        with connection.begin_nested() as again:
            assert any(said in line for line in found(look_at(connection, archives=folder)))
            again.rollback()


@pytest.fixture
def used(plant: Plant) -> Plant:
    """A plant with one sealed month, three months ago."""
    plant.user()
    plant.sql("UPDATE users SET full_name = 'Dóra Tóth'")
    plant.sql("UPDATE users SET role = 'MANAGER'")
    of_months_ago(plant, 3)
    return plant


def cut_off(*_: object) -> None:
    raise KeyboardInterrupt


@pytest.mark.parametrize("step", ["check", "rename", "_list", "_forget"])
def test_what_was_cut_off_goes_on(used: Plant, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, step: str) -> None:
    database = create_engine(used.url, poolclass=pool.NullPool)
    with monkeypatch.context() as cut:
        cut.setattr(audit_archives, step, cut_off)
        with pytest.raises(KeyboardInterrupt):
            list(archive_months(database, tmp_path, NOW))
    assert found(examine(database)) == []
    list(archive_months(database, tmp_path, NOW))
    assert used.sql("SELECT id FROM audit_events WHERE is_forgettable(id)") == []
    assert used.sql("SELECT id FROM audit_events") == [(1,), (3,)]
    assert found(examine(database, archives=tmp_path)) == []
    assert [file.name for file in tmp_path.iterdir()] == [name(used, 3)]


def test_nothing_is_archived_twice(used: Plant, tmp_path: Path) -> None:
    database = create_engine(used.url, poolclass=pool.NullPool)
    [only] = archive_months(database, tmp_path, NOW)
    (tmp_path / only.file).unlink()
    assert list(archive_months(database, tmp_path, NOW)) == []
    assert list(tmp_path.iterdir()) == []


def test_a_month_that_is_not_over_or_not_sealed_stays(used: Plant, tmp_path: Path) -> None:
    database = create_engine(used.url, poolclass=pool.NullPool)
    [[month]] = used.sql("SELECT date_trunc('month', now(), 'UTC') - interval '3 months'")
    assert list(archive_months(database, tmp_path, month)) == []
    used.sql("ALTER TABLE audit_events DISABLE TRIGGER USER")
    used.sql("UPDATE users SET role = 'VIEWER'")
    used.sql("UPDATE audit_events SET at = :month WHERE id = (SELECT max(id) FROM audit_events)", month=month)
    used.sql("ALTER TABLE audit_events ENABLE TRIGGER USER")
    with pytest.raises(NotArchived, match="have no seal yet"):
        list(archive_months(database, tmp_path, NOW))
    assert list(tmp_path.iterdir()) == []
    assert seal(database) == 1
    assert [month.seals for month in archive_months(database, tmp_path, NOW)] == [2]


def test_what_was_sealed_late_goes_to_a_later_month(used: Plant, tmp_path: Path) -> None:
    database = create_engine(used.url, poolclass=pool.NullPool)
    list(archive_months(database, tmp_path, NOW))
    used.sql("UPDATE users SET role = 'VIEWER'")
    of_months_ago(used, 3)
    [late] = archive_months(database, tmp_path, NOW)
    assert late.file == name(used, 2)
    assert found(examine(database, archives=tmp_path)) == []


def test_an_event_that_is_not_what_was_sealed_is_not_archived(used: Plant, tmp_path: Path) -> None:
    database = create_engine(used.url, poolclass=pool.NullPool)
    used.sql("ALTER TABLE audit_events DISABLE TRIGGER USER")
    used.sql("UPDATE audit_events SET actor = gen_random_uuid() WHERE id = 2")
    used.sql("ALTER TABLE audit_events ENABLE TRIGGER USER")
    with pytest.raises(NotArchived, match="an event or a seal was changed"):
        list(archive_months(database, tmp_path, NOW))
    assert list(tmp_path.iterdir()) == []
    assert used.sql("SELECT count(*) FROM audit_events") == [(3,)]


def test_a_schema_without_archives_is_refused_once_there_is_one(used: Plant, tmp_path: Path) -> None:
    list(archive_months(create_engine(used.url, poolclass=pool.NullPool), tmp_path, NOW))
    with pytest.raises(ConfigurationError, match="1 months of the audit trail are archived"):
        downgrade(used.url, "20261202_1_constraint_names")


def test_on_the_command_line(command_line: CommandLine, used: Plant) -> None:
    folder = command_line.folder / "archives"
    file = folder / name(used, 3)
    today = f"{NOW:%Y-%m-%d}"
    assert "Give a folder that is there" in command_line.refused("seals", "archive", str(folder), "--before", today)
    folder.mkdir()
    file.write_bytes(b"of somebody else")
    assert "is not overwritten" in command_line.refused("seals", "archive", str(folder), "--before", today)
    assert file.read_bytes() == b"of somebody else"
    file.unlink()
    [month] = command_line.json("seals", "archive", str(folder), "--before", today)
    assert month | {"file": file.name, "seals": 1, "events": 3, "forgotten": 1} == month
    assert command_line.run("seals", "archive", str(folder), "--before", "2999-01-01").exit_code == 2
    assert command_line.ok("seals", "archive", str(folder), "--before", today) == ""
    assert command_line.json("verify")["not_looked_at"] != []
    told = command_line.json("verify", "--archives", str(folder))
    assert (told["outcome"], told["not_looked_at"], told["events_sealed"]) == ("intact", [], 3)
    assert command_line.run("verify", "--archives", str(folder / "none")).exit_code == 2
    file.unlink()
    result = command_line.run("verify", "--archives", str(folder))
    assert result.exit_code == 1
    assert f"audit_archives {file.name}: the file is missing" in result.stderr
