"""PostgreSQL fails over to a streaming standby: workers find the new primary by themselves, and no command is lost."""

from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from random import Random
from uuid import UUID

import pytest
from pydantic import SecretStr
from sqlalchemy import make_url
from tests.crew import PREFORK, Crew, eventually
from tests.plant import Plant
from tests.unit.documents import DOCS, blocks

from runworker.client import Client
from runworker.embedded.postgres import WORKER_LOGIN
from runworker.simulation.chaos.cluster import ClusterNode
from runworker.simulation.chaos.faults import FAULTS
from runworker.simulation.chaos.proxy import HOST, Proxy
from runworker.simulation.chaos.site import ChaosSite

pytestmark = [pytest.mark.chaos, pytest.mark.timeout(120)]

COMMANDS = 10


@pytest.fixture(scope="module")
def shared_site() -> Iterator[ChaosSite]:
    with ChaosSite(standbys=2) as site:
        yield site


@pytest.fixture
def site(shared_site: ChaosSite) -> ChaosSite:
    """The module's servers, whole again whatever the test before did to them."""
    shared_site.restore()
    return shared_site


@contextmanager
def crew_on(site: ChaosSite, log: Path, **settings: object) -> Iterator[Crew]:
    """A crew on the site's servers, with settings of its own, whose worker has applied commands."""
    plant = Plant(site.owner_url)
    quick = {"retry_seconds": 1, "sweep_seconds": 0.1, "connect_timeout_seconds": 2, "log_level": "WARNING"}
    crew = Crew(plant, site.settings.model_copy(update=quick | settings), log)
    try:
        crew.hire(PREFORK)
        assert_applied(crew, *start(crew))
        yield crew
    finally:
        crew.close()
        plant.close()


def start(crew: Crew) -> list[str]:
    """Send commands, and return their keys."""
    return [crew.send("start_run").id for _ in range(COMMANDS)]


def assert_applied(crew: Crew, *keys: str) -> None:
    for key in keys:
        eventually(partial(crew.stored_result, key), f"a verdict on {key}")
        assert crew.stored_result(key)["status"] == "APPLIED"
    runs = crew.plant.count("production_runs", f"command_key IN ({', '.join(map(repr, keys))})")
    assert runs == len(keys)


def worker_sessions_on(node: ClusterNode) -> int:
    ((count,),) = node.execute("SELECT count(*) FROM pg_stat_activity WHERE usename = %s", WORKER_LOGIN)
    return int(count)


def test_workers_find_the_promoted_server_by_a_url_of_all(site: ChaosSite, tmp_path: Path) -> None:
    before = site.cluster.primary
    with crew_on(site, tmp_path / "workers.log") as crew:
        with FAULTS["postgres-failed-over"].disturb(site, Random(1)):  # noqa: S311 - which standby
            sent = start(crew)
            eventually(crew.written, "a worker that says what is wrong")
        assert_applied(crew, *sent)
        site.restore()
        assert site.cluster.follows(before)
        assert_applied(crew, *start(crew))
        assert worker_sessions_on(site.cluster.primary)
        assert not worker_sessions_on(before)
        assert crew.workers[0].exit_code is None


def test_sessions_on_a_server_that_stays_a_standby_end(site: ChaosSite, tmp_path: Path) -> None:
    cluster = site.cluster
    first, second = cluster.standbys
    with Proxy(cluster.primary.port) as balancer:
        url = make_url(cluster.url(WORKER_LOGIN, direct=False)).set(host=HOST, port=balancer.port, query={})
        single = SecretStr(url.render_as_string(hide_password=False))
        with crew_on(site, tmp_path / "workers.log", database_url=single) as crew:
            cluster.crash()
            balancer.lead_to(first.port)
            sent = start(crew)
            eventually(lambda: worker_sessions_on(first), "workers on a server that is read-only")
            eventually(lambda: "postgresql-standby" in crew.written(), "a worker that says where it is")

            cluster.fail_over(second)
            balancer.lead_to(second.port)
            assert_applied(crew, *sent)
            eventually(lambda: not worker_sessions_on(first), "no session left on the standby")
            assert not crew.plant.count("dead_letters")
            assert crew.workers[0].exit_code is None


def test_commands_that_a_standby_never_had_come_from_the_old_server(site: ChaosSite, tmp_path: Path) -> None:
    cluster = site.cluster
    find_missing, move_counters, take_out, bring_in = blocks((DOCS / "failover.md").read_text(), "sql")
    find_missing = find_missing.replace(":keys", "%s").rstrip(";\n")
    create, copy, insert, _ = bring_in.split(";")
    old, behind = cluster.primary, cluster.standbys[0]
    with Proxy(old.port) as replication, crew_on(site, tmp_path / "workers.log") as crew:
        cluster.stop(behind)
        cluster.follow(behind, through=replication)
        cluster.acknowledge_by("")
        replication.fall_silent()
        repeated = crew.plant.fields("start_run")
        first = crew.upstream.send_task("runworker.start_run", kwargs=repeated, task_id=repeated["idempotency_key"])
        lost = [first.id, *start(crew)]
        assert_applied(crew, *lost)
        cluster.crash()
        old.proxy.go_away()
        replication.go_away()
        cluster.fail_over(behind)
        behind.execute(move_counters)
        with Client(crew.broker_url) as client:
            assert set(client.verdicts(*map(UUID, lost)).values()) == {None}
        assert {str(key) for (key,) in behind.execute(find_missing, lost)} == set(lost)

        again = crew.upstream.send_task("runworker.start_run", kwargs=repeated, task_id=first.id)
        crew.applied(again.id)
        stored = "SELECT verdict ->> 'run_code' FROM commands WHERE idempotency_key = %s"
        ((number,),) = behind.execute(stored, again.id)
        eventually(lambda: crew.stored_result(again.id)["run_code"] == number, "the sender told the new number")

        cluster.start(old)
        with old.connect() as source, behind.connect() as target:
            target.execute(create)
            with source.cursor().copy(take_out.rstrip(";\n")) as rows, target.cursor().copy(copy) as into:
                for row in rows:
                    into.write(row)
            assert target.execute(insert).rowcount == len(lost) - 1
        for key in lost:
            crew.applied(key)
        assert_applied(crew, *lost)
        again = crew.upstream.send_task("runworker.start_run", kwargs=repeated, task_id=f"again {lost[0]}")
        assert crew.verdict(again)["replayed"]
        cluster.stop(old)
        old.proxy.come_back()
