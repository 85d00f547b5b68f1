"""What a failover of PostgreSQL costs: `python -m benchmarks.failover`, on servers of its own.

Two parts. The primary dies under load and a standby is promoted: which of the commands that were told APPLIED does the
promoted server have? And: the primary dies, a standby is promoted five seconds later, and workers find it by a URL that
names all servers, or by a load balancer: is every command decided in the end?
"""

import json
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from threading import Event, Thread
from typing import Any, Final
from uuid import UUID, uuid4

from pydantic import SecretStr
from sqlalchemy import create_engine, make_url

from runworker.client import Client, Sent
from runworker.simulation.chaos.cluster import ClusterNode
from runworker.simulation.chaos.proxy import HOST, Proxy
from runworker.simulation.chaos.site import ChaosSite
from runworker.simulation.master_data import PLANT_FLOW, bring_in
from runworker.states import UserRole
from runworker.workers import WorkerProcesses

LOAD_SECONDS: Final = 8.0
BEHIND_SECONDS: Final = 4.0
AWAY_SECONDS: Final = 5.0
PAUSE_SECONDS: Final = 0.015
ON_THE_WAY_SECONDS: Final = 0.5
"""After which what was committed is told, too."""
PATIENCE_SECONDS: Final = 60.0


class Load:
    """Starts runs, one after the other, from a thread, for as long as its block lasts. sent: those that got away."""

    def __init__(self, client: Client, version: UUID) -> None:
        self.sent: list[Sent] = []
        self._client = client
        self._version = version
        self._over = Event()
        self._thread = Thread(target=self._send)

    @property
    def keys(self) -> list[UUID]:
        """Of all that were sent."""
        return [one.idempotency_key for one in self.sent]

    def _send(self) -> None:
        while not self._over.wait(PAUSE_SECONDS):
            self.sent.append(self._client.start_run(flow_version_id=self._version))

    def __enter__(self) -> "Load":
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        self._thread.join()


class Plant:
    """A site whose primary has two standbys, with a client. log: takes what workers write."""

    def __init__(self, site: ChaosSite, log: Path) -> None:
        self.site = site
        self.log = log
        database = create_engine(site.owner_url)
        master_data = bring_in(database, uuid4())
        database.dispose()
        self._version = master_data.flows[PLANT_FLOW].version_id
        self._client = Client(site.broker_url, issued_by=master_data.people[UserRole.ADMIN])

    @contextmanager
    def workers(self, database_url: str | None = None) -> Iterator[None]:
        """Two workers. database_url: in place of the site's, which names all servers."""
        given = {} if database_url is None else {"database_url": SecretStr(database_url)}
        settings = self.site.settings.model_copy(update=given)
        with WorkerProcesses(settings, name=f"failover-{uuid4().hex[:8]}-", log=self.log) as workers:
            workers.start(2)
            yield
            if workers.wait(0) is not None:
                raise SystemExit(f"a worker has ended: {self.log.read_text()[-5_000:]}")

    def load(self) -> Load:
        """A client that sends."""
        return Load(self._client, self._version)

    def send_again(self, commands: list[Sent]) -> None:
        """Send commands once more under their keys, and wait until the ledger has them."""
        for one in commands:
            self._client.post(one.command)
        self.wait_until_idle()

    def told(self, keys: list[UUID]) -> dict[UUID, dict[str, Any]]:
        """The verdicts that a sender reads at this moment, or what Celery says in place of one."""
        metas = self.site.broker.mget([f"celery-task-meta-{key}" for key in keys]) if keys else []
        found = {key: json.loads(meta) for key, meta in zip(keys, metas, strict=True) if meta}
        return {key: meta["result"] if meta["status"] == "SUCCESS" else meta for key, meta in found.items()}

    def in_ledger(self, keys: list[UUID]) -> dict[UUID, dict[str, Any]]:
        """The verdicts that the primary of the moment has."""
        found = (
            "SELECT idempotency_key, verdict FROM commands WHERE idempotency_key = ANY(%s) AND decided_at IS NOT NULL"
        )
        return dict(self.site.cluster.primary.execute(found, keys))

    def count(self, table: str) -> int:
        """How many rows the primary of the moment has in a table."""
        ((count,),) = self.site.cluster.primary.execute(f"SELECT count(*) FROM {table}")  # noqa: S608 - our own names
        return count

    def wait_until_idle(self) -> None:
        """Wait until the broker has no message any more, or is not going to be rid of them."""
        broker, deadline = self.site.broker, time.monotonic() + PATIENCE_SECONDS
        while broker.llen(self.site.settings.queue) + broker.hlen("unacked") and time.monotonic() < deadline:
            time.sleep(0.1)


@dataclass(frozen=True)
class Case:
    """What commits of the primary wait for, and which of its two standbys is promoted.

    Of the standbys, 0 is in step, and 1 has heard nothing for seconds when the primary dies. waits_for: the one that
    `synchronous_standby_names` names, if any. commit: `synchronous_commit`.
    """

    waits_for: int | None
    promoted: int
    commit: str = "on"


CASES: Final = (Case(0, 0), Case(0, 1), Case(None, 0), Case(None, 1), Case(1, 1), Case(1, 1, "local"))


def told_and_missing(plant: Plant, case: Case) -> dict[str, Any]:
    """The primary dies under load, a standby is promoted, and what it does not have is sent again."""
    cluster = plant.site.cluster
    plant.site.restore()
    standbys = cluster.standbys
    cluster.primary.execute(f"ALTER DATABASE runworker SET synchronous_commit = {case.commit}")
    with Proxy(cluster.primary.port) as replication:
        cluster.stop(standbys[1])
        cluster.follow(standbys[1], through=replication)
        cluster.acknowledge_by("" if case.waits_for is None else standbys[case.waits_for].name)
        runs_before = plant.count("production_runs")
        with plant.workers():
            with plant.load() as load:
                time.sleep(LOAD_SECONDS - BEHIND_SECONDS)
                replication.fall_silent()
                time.sleep(BEHIND_SECONDS)
                cluster.crash()
            time.sleep(ON_THE_WAY_SECONDS)
            told = {key: verdict for key, verdict in plant.told(load.keys).items() if verdict["status"] == "APPLIED"}
            replication.go_away()
            cluster.fail_over(standbys[case.promoted])
            plant.wait_until_idle()
            missing = told.keys() - plant.in_ledger(load.keys).keys()
            plant.send_again([one for one in load.sent if one.idempotency_key in missing])
    ledger, told_last = plant.in_ledger(load.keys), plant.told(load.keys)
    numbers = {(verdict["run_code"], key) for key, verdict in told.items()}
    numbers |= {(verdict["run_code"], key) for key, verdict in ledger.items() if verdict["status"] == "APPLIED"}
    return {
        "sent": len(load.sent),
        "told APPLIED before": len(told),
        "of these missing": len(missing),
        "APPLIED when sent again": sum(ledger[key]["status"] == "APPLIED" for key in missing & ledger.keys()),
        "numbers of two runs": sum(runs > 1 for runs in Counter(number for number, _ in numbers).values()),
        "told otherwise than the ledger says": sum(
            told_last.get(key, {}).get("run_code") != verdict.get("run_code") for key, verdict in ledger.items()
        ),
        "runs - commands": plant.count("production_runs") - runs_before - len(load.sent),
    }


def decided(plant: Plant, *, load_balancer: bool) -> dict[str, Any]:
    """The primary dies under load, and a standby, which is there and read-only, is promoted a little later."""
    cluster = plant.site.cluster
    plant.site.restore()
    standby: ClusterNode = cluster.standbys[0]
    letters = plant.count("dead_letters")
    with Proxy(cluster.primary.port) as balancer:
        url = make_url(cluster.url("runworker_app", direct=False))
        single = url.set(host=HOST, port=balancer.port, query={}).render_as_string(hide_password=False)
        with plant.workers(single if load_balancer else None):
            with plant.load() as load:
                time.sleep(LOAD_SECONDS / 2)
                cluster.crash()
                balancer.lead_to(standby.port)
                time.sleep(AWAY_SECONDS)
                promoted_at = time.time()
                cluster.fail_over(standby)
                time.sleep(LOAD_SECONDS / 2)
            plant.wait_until_idle()
    told = {key: verdict["status"] for key, verdict in plant.told(load.keys).items()}
    ledger = {key: verdict["status"] for key, verdict in plant.in_ledger(load.keys).items()}
    first = "SELECT extract(epoch FROM min(decided_at)) FROM commands WHERE decided_at > to_timestamp(%s)"
    ((first_at,),) = cluster.primary.execute(first, promoted_at)
    return {
        "sent": len(load.sent),
        "told": dict(Counter(told.values())),
        "in the ledger": dict(Counter(ledger.values())),
        "neither told nor in the ledger": len(set(load.keys) - told.keys() - ledger.keys()),
        "told APPLIED and not in the ledger": sum(
            status == "APPLIED" and ledger.get(key) != "APPLIED" for key, status in told.items()
        ),
        "dead letters": plant.count("dead_letters") - letters,
        "first decision, seconds after the promotion": round(float(first_at) - promoted_at, 1) if first_at else None,
    }


def main() -> None:
    """Measure all of it, and print a line of each."""
    with TemporaryDirectory() as folder, ChaosSite(standbys=2) as site:
        plant = Plant(site, Path(folder) / "workers.log")
        for case in CASES:
            _tell(str(case), told_and_missing(plant, case))
        _tell("found by a URL of all servers", decided(plant, load_balancer=False))
        _tell("found by a load balancer", decided(plant, load_balancer=True))


def _tell(title: str, figures: dict[str, Any]) -> None:
    print(f"{title}: {json.dumps(figures)}", flush=True)  # noqa: T201 - what the program is for


if __name__ == "__main__":
    main()
