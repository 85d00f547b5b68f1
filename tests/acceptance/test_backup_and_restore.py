"""Every way of docs/backup.md, on two servers: the plant's record comes over whole, and work goes on there."""

import json
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest
from sqlalchemy import make_url
from tests.backups import (
    PAGE,
    QUICK,
    Cluster,
    Operator,
    assert_goes_on,
    lines,
    new_cluster,
    other_release,
    owned,
    running,
    work,
)
from tests.clusters import copy_of
from tests.crew import eventually
from tests.unit.documents import rows, section

from runworker.embedded import grant_worker_role, temporary_directory
from runworker.embedded.account import server_account
from runworker.embedded.directories import DataDirectory
from runworker.embedded.postgres import SERVER
from runworker.embedded.standby import promote, start_standby
from runworker.migrations import upgrade

DUMP, PAST, LOGICAL = "## A full dump", "## A moment of the past", "## Logical replication"


@pytest.fixture(scope="module")
def old() -> Iterator[Cluster]:
    """A plant at work on an older major release."""
    folder = other_release()
    if folder is None:
        pytest.skip("this machine has no second release of PostgreSQL under /usr/lib/postgresql")
    with temporary_directory() as directory, running(directory, folder) as cluster:
        upgrade(cluster.owner)
        grant_worker_role(cluster.owner)
        work(cluster)
        yield cluster


@pytest.fixture(scope="module")
def archive() -> Iterator[Path]:
    """Where the log of `source` is kept."""
    with temporary_directory() as folder:
        server_account().own(folder)
        yield folder


@pytest.fixture(scope="module")
def source(first_migrated_cluster: Path, archive: Path) -> Iterator[Cluster]:
    """A plant at work on the embedded release."""
    (_, on), (_, command) = rows(section(PAGE, PAST))[:2]
    keeps = {"archive_mode": on.strip("`"), "archive_command": command.strip("`").replace("/archive", str(archive))}
    with copy_of(first_migrated_cluster) as directory, running(directory, wal_level="logical", **keeps) as cluster:
        work(cluster)
        yield cluster


def operator(folder: Path, old: Cluster, new: Cluster, owner: str = "") -> Operator:
    """owner: URL of the tables' owner in the new cluster, where that is no superuser."""
    owner = owner or new.owner
    return Operator(folder, old.owner, owner, database_url=new.worker, migration_url=owner)


def checked(who: Operator, *, head: str) -> tuple[int, dict[str, Any]]:
    done = who.run(f"runworker restore-check --head {head} --json")
    assert done.stdout, done.stderr
    return done.returncode, json.loads(done.stdout)


def assert_well(who: Operator, head: str) -> None:
    code, told = checked(who, head=head)
    assert (code, told["doctor"], told["verify"]["outcome"]) == (0, [], "intact"), told
    assert told["verify"]["asked_head"]
    assert told["newest_decision"]
    assert told["next"][0].startswith("Start the workers")


def knows(cluster: Cluster, key: UUID) -> bool:
    return cluster.sql("SELECT FROM commands WHERE idempotency_key = %s", key) != []


def test_a_full_dump_goes_to_another_release(old: Cluster, tmp_path: Path) -> None:
    known, head = work(old)
    with new_cluster(old) as new:
        who = operator(tmp_path, old, new)
        who.follow(DUMP)
        who.ok("runworker migrate")
        assert_well(who, head)
        assert_goes_on(new, known, head)


def test_without_roles_migrate_gives_the_rights_back(old: Cluster, tmp_path: Path) -> None:
    known, head = work(old)
    everybody = "SELECT has_function_privilege('public', 'prune_commands(interval, integer)', 'EXECUTE')"
    with new_cluster(old) as new:
        who = operator(tmp_path, old, new)
        who.ok(lines(DUMP)[1])
        restored = who.run(lines(DUMP, 1)[0])
        assert 'role "runworker_worker" does not exist' in restored.stderr
        assert new.sql(everybody) == [(True,)]
        code, told = checked(who, head=head)
        assert code == 2
        assert told["next"][0].startswith("Run `runworker migrate`")
        assert told["next"][-1] == "Run `runworker restore-check` again."

        mended = who.run("runworker migrate")
        assert "CREATE ROLE runworker_worker NOLOGIN;" in mended.stderr
        assert "REVOKE EXECUTE ON FUNCTION " in mended.stderr
        assert "then GRANT each role" in mended.stderr
        assert new.sql(everybody) == [(False,)]
        assert who.run("runworker migrate").stderr == ""
        grant_worker_role(new.owner)
        assert_well(who, head)
        assert_goes_on(new, known, head)


def test_another_owner_who_may_create_nothing_but_tables(source: Cluster, tmp_path: Path) -> None:
    known, head = work(source)
    with new_cluster(source) as new:
        new.sql("CREATE ROLE plant LOGIN PASSWORD 'plant'")
        new.sql("ALTER DATABASE runworker OWNER TO plant")
        url = make_url(new.owner).set(username="plant", password="plant")  # noqa: S106 - made above
        who = operator(tmp_path, source, new, url.render_as_string(hide_password=False))
        who.ok(lines(DUMP)[1])
        who.run(lines(DUMP, 2)[0])

        said = who.run("runworker migrate").stderr
        assert "this login may not do the rest" in said
        for line in said.partition("this login may not do the rest")[2].splitlines():
            if line.startswith("    "):
                new.sql(line)
        assert who.run("runworker migrate").stderr == ""
        grant_worker_role(new.owner)
        assert_well(who, head)
        assert_goes_on(new, known, head)


def test_data_alone_is_no_restore(source: Cluster, first_migrated_cluster: Path, tmp_path: Path) -> None:
    _, head = work(source)
    with copy_of(first_migrated_cluster) as directory, running(directory) as new:
        who = operator(tmp_path, source, new)
        who.ok('pg_dump --data-only --format=custom --file=data.dump "$OLD"')
        assert who.run('pg_restore --data-only --dbname="$NEW" data.dump').returncode == 1
        code, told = checked(who, head=head)
        assert code
        assert told["verify"]["asked_head"] is None
        assert told["verify"]["rows"]["production_runs"] == 0
        assert told["next"][0].startswith("Restore another backup")
        assert who.run("runworker verify").returncode == 1, "without a head, too"


def test_a_moment_of_the_past(source: Cluster, archive: Path, tmp_path: Path) -> None:
    operator(tmp_path, source, source).follow(PAST)
    known, head = work(source)
    source.sql("SELECT pg_create_restore_point('before the fault')")
    lost, later_head = work(source)
    ((segment,),) = source.sql("SELECT pg_walfile_name(pg_switch_wal())")
    eventually((archive / segment).is_file, "the log in the archive")

    with temporary_directory() as directory:
        home = DataDirectory(directory)
        shutil.copy(DataDirectory(source.directory).passwords(SERVER), home.passwords(SERVER))
        shutil.copytree(tmp_path / "base", home.data(SERVER))
        (home.data(SERVER) / "recovery.signal").touch()
        owned(home.data(SERVER))
        target = {"recovery_target_name": "before the fault", "recovery_target_action": "promote"}
        with running(directory, restore_command=f"cp {archive}/%f %p", **target) as new:
            eventually(lambda: new.sql("SELECT pg_is_in_recovery()") == [(False,)], "the end of the recovery")
            assert not knows(new, lost)
            who = operator(tmp_path, source, new)
            code, told = checked(who, head=later_head)
            assert code == 1
            assert [each["problem"] for each in told["verify"]["discrepancies"]] == ["no seal has this hash"]
            assert_well(who, head)
            assert_goes_on(new, known, head)


def test_a_standby_that_is_promoted(source: Cluster, tmp_path: Path) -> None:
    with temporary_directory() as directory:
        of_source = {"primary": source.directory, "primary_port": source.server.port}
        server = start_standby(directory, **of_source, name="one", durable=False, settings=QUICK)
        try:
            standby = Cluster(directory, server)
            known, head = work(source)
            ((written,),) = source.sql("SELECT pg_current_wal_lsn()::text")
            in_step = "SELECT pg_last_wal_replay_lsn() >= %s::pg_lsn"
            eventually(lambda: standby.sql(in_step, written) == [(True,)], "a standby in step")
            promote(standby.owner)
            lost, _ = work(source)
            assert not knows(standby, lost)
            assert_well(operator(tmp_path, source, standby), head)
            assert_goes_on(standby, known, head)
        finally:
            server.stop()


def test_logical_replication_and_its_sequences(source: Cluster, tmp_path: Path) -> None:
    work(source)
    with new_cluster(source) as new:
        who = operator(tmp_path, source, new)
        who.follow(LOGICAL)
        try:
            ready = "SELECT bool_and(srsubstate = 'r') FROM pg_subscription_rel"
            eventually(lambda: new.sql(ready) == [(True,)], "the first copy of all tables")
            known, head = work(source)
            sealed = "SELECT count(*) FROM audit_seals WHERE encode(sha256, 'hex') = %s"
            eventually(lambda: new.sql(sealed, head) == [(1,)], "the last seal")
        finally:
            who.ok(lines(LOGICAL, 1)[0])
            source.sql("DROP PUBLICATION plant")

        code, told = checked(who, head=head)
        assert code == 2
        [found] = [finding for finding in told["doctor"] if finding["name"] == "sequences"]
        assert "audit_events_id_seq, audit_seals_id_seq" in found["seen"]
        new.sql(found["remedy"].partition("as the owner: ")[2])
        assert_well(who, head)
        assert_goes_on(new, known, head)
