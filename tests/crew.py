"""A crew: worker processes on a plant, the broker between them and a sender, and a look into all three.

The sender is a plain Celery application; raw items are pushed past it, as a broken or hostile client would.
"""

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final, TypeVar

import pytest
from celery import Celery
from celery.backends.redis import RedisBackend
from celery.result import AsyncResult
from kombu import pools
from kombu.utils.collections import eqhash
from redis import Redis
from sqlalchemy import make_url
from tests.plant import LONG, Plant
from tests.servers import Servers, fresh_broker, fresh_database

from runworker.config import Settings
from runworker.workers import WorkerProcess
from runworker.workers.forked import ForkedWorkers
from runworker.workers.processes import SOLO

PATIENCE: Final = 90.0
"""Seconds after which what should have happened is not going to happen."""

ALONE: Final = ("--without-gossip", "--without-mingle")
PREFORK: Final = ("--pool", "prefork", "--concurrency", "2", *ALONE)
THREADS: Final = ("--pool", "threads", "--concurrency", "2", *ALONE)

Found = TypeVar("Found")


def eventually(look: Callable[[], Found], what: str, seconds: float = PATIENCE) -> Found:
    """What `look` finds, as soon as it finds something true."""
    deadline = time.monotonic() + seconds
    while not (found := look()):
        assert time.monotonic() < deadline, f"not within {seconds} s: {what}"
        time.sleep(0.02)
    return found


class Crew:
    """Workers on one plant. settings: of the workers. log: a file for what they write."""

    def __init__(self, plant: Plant, settings: Settings, log: Path) -> None:
        assert settings.broker_url is not None
        self.plant = plant
        self.settings = settings
        self.log = log
        self.broker_url = settings.broker_url.get_secret_value()
        self.redis = Redis.from_url(self.broker_url)
        # Without a backend: with one, every task that is sent holds a subscription that outlives the servers.
        self.upstream = Celery("upstream", broker=self.broker_url, set_as_current=False)
        self._results = RedisBackend(app=self.upstream, url=self.broker_url)
        self.workers: list[WorkerProcess] = []
        self._teams: list[ForkedWorkers] = []

    def hire(self, options: Sequence[str] = SOLO, **settings: Any) -> WorkerProcess:
        """Start one worker, with settings of its own on top of the crew's, and wait until it takes messages."""
        team = self._team(options, settings)
        team.start()
        self.workers += team.running
        return self.workers[-1]

    def launch(self, options: Sequence[str] = SOLO, **settings: Any) -> WorkerProcess:
        """As `hire`, and do not wait: where its servers are away, it waits for them itself."""
        self.workers.append(self._team(options, settings).launch())
        return self.workers[-1]

    def _team(self, options: Sequence[str], settings: dict[str, Any]) -> ForkedWorkers:
        team = ForkedWorkers(self.settings.model_copy(update=settings), log=self.log, options=options)
        self._teams.append(team)
        return team

    def send(self, name: str, **fields: Any) -> AsyncResult:
        """Send a command; its key is the task id."""
        fields = self.plant.fields(name, **fields)
        return self.upstream.send_task(f"runworker.{name}", kwargs=fields, task_id=fields["idempotency_key"])

    def push(self, item: bytes) -> None:
        """Put an item into the queue, whatever it is."""
        self.redis.lpush(self.settings.queue, item)

    def verdict(self, result: AsyncResult) -> Any:
        """What a worker answers. Fails at once when none is left to answer."""

        def answer() -> Any:
            assert any(worker.exit_code is None for worker in self.workers), "all workers have ended"
            return self._success(result.id)

        return eventually(answer, f"an answer to {result.id}")["result"]

    def stored_result(self, task_id: str) -> Any:
        """What stands as the task's result at this moment, None where nothing does."""
        return (self._success(task_id) or {"result": None})["result"]

    def _success(self, task_id: str) -> Any:
        meta = self._results.get_task_meta(task_id, cache=False)
        assert meta["status"] in ("PENDING", "SUCCESS"), meta
        return meta if meta["status"] == "SUCCESS" else None

    def held(self) -> int:
        """How many messages workers have taken and not acknowledged."""
        return int(self.redis.hlen("unacked"))

    def queued(self) -> int:
        """How many messages wait for a worker."""
        return int(self.redis.llen(self.settings.queue))

    def in_broker(self) -> int:
        """How many messages are queued, unreadable or unacked, all counted at one moment."""
        with self.redis.pipeline(transaction=True) as look:
            look.llen(self.settings.queue).llen(f"{self.settings.queue}.unreadable").hlen("unacked")
            return sum(look.execute())

    def idle(self) -> bool:
        """Whether the broker has no message at all.

        Says nothing of one that stock Celery has popped and not yet recorded: first wait for what comes of it.
        """
        return not self.in_broker()

    def wait_until_idle(self) -> None:
        """Wait until everything that was dealt with is acknowledged as well."""
        eventually(self.idle, "every message acknowledged")

    def applied(self, key: str) -> None:
        """Wait until a command stands as APPLIED in the ledger."""
        found = "SELECT FROM commands WHERE idempotency_key = :key AND status = 'APPLIED'"
        eventually(lambda: self.plant.sql(found, key=key), f"{key} applied")

    def letter(self, raw_body: bytes, *, times: int = 1) -> Any:
        """The dead letter with this body, once it is there and has come so often. The newest, where two have it."""
        found = "SELECT * FROM dead_letters WHERE raw_body = :body ORDER BY id DESC LIMIT 1"

        def letter() -> Any:
            letters = self.plant.sql(found, body=raw_body)
            return letters[0] if letters and letters[0].times >= times else None

        return eventually(letter, f"a dead letter with {raw_body[:60]!r}")

    def written(self) -> str:
        """What the workers have written to their log."""
        return self.log.read_text("utf-8", errors="replace") if self.log.exists() else ""

    def dismiss(self) -> None:
        """End the workers."""
        while self._teams:
            self._teams.pop().stop()

    def close(self) -> None:
        """End the workers and close all connections. What the workers wrote last is shown where a test failed."""
        self.dismiss()
        self._forget_connections()
        self.upstream.close()
        self._results.client.close()
        self.redis.close()
        print(self.written()[-5_000:])  # noqa: T201 - pytest shows it with a failure only

    def _forget_connections(self) -> None:
        """Drop what kombu keeps for whoever comes with the same URL: connections, also such as a test has cut.

        The pools go as a whole: one whose connections were closed has none to give, and whoever asks waits for ever.
        """
        key = eqhash(self.upstream.connection_for_write())
        for group in (pools.producers, pools.connections):
            if pool := group.pop(key, None):
                pool.force_close_all()


@contextmanager
def crew_on(servers: Servers, template_database: str, worker_login: tuple[str, str], folder: Path) -> Iterator[Crew]:
    """A crew with a database and a broker of its own, in which nobody works yet. Dead workers are noticed soon."""
    user, password = worker_login
    with fresh_database(servers, template=template_database) as url, fresh_broker(servers) as broker:
        plant = Plant(url.render_as_string(hide_password=False))
        settings = plant.settings(
            database_url=make_url(url).set(username=user, password=password).render_as_string(hide_password=False),
            broker_url=broker,
            visibility_timeout_seconds=5,
            lock_timeout_seconds=LONG,
            sweep_seconds=0.1,
            log_level="WARNING",
        )
        crew = Crew(plant, settings, folder / "workers.log")
        try:
            yield crew
        finally:
            crew.close()
            plant.close()


@pytest.fixture
def crew(servers: Servers, template_database: str, worker_login: tuple[str, str], tmp_path: Path) -> Iterator[Crew]:
    """A crew of the test's own."""
    with crew_on(servers, template_database, worker_login, tmp_path) as crew:
        yield crew


@pytest.fixture(scope="module")
def shared_crew(
    servers: Servers,
    template_database: str,
    worker_login: tuple[str, str],
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[Crew]:
    """A crew that all tests of a module share, with one worker in it."""
    with crew_on(servers, template_database, worker_login, tmp_path_factory.mktemp("crew")) as crew:
        crew.hire()
        yield crew
