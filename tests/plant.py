"""A plant in a test's own database: people, flows and commands, made in one place.

People and flows are written in SQL, as other systems write them; runs only ever come to be through the engine.
"""

import itertools
import json
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from typing import Any
from uuid import UUID, uuid4

import pytest
from sqlalchemy import Connection, Row, create_engine, text

from runworker.commands import Command, parse
from runworker.config import Settings
from runworker.engine import Engine
from runworker.errors import Unavailable
from runworker.states import FlowVersionStatus, UserRole
from runworker.verdicts import Verdict
from runworker.verification import examine

REASON = "because the test says so"
STEPS = (0, 1, 3, 10)
"""A short plan, with a gap of one index and a gap of several."""

LONG = 10
"""Seconds for which tests may hold a lock without a worker's going on with other things."""

Graph = dict[str, Any]


def linear_graph(indices: Sequence[int]) -> Graph:
    """A graph as React Flow saves it, with a step at each index, joined in a row."""
    types = ["start", *["process"] * (len(indices) - 2), "end"]
    nodes = [
        {
            "id": f"node-{index}",
            "type": type_,
            "position": {"x": 100 * index, "y": 0},
            "data": {"label": {"hu": f"{index}. lépés", "en": f"step {index}"}, "nodeType": type_, "stepIndex": index},
        }
        for index, type_ in zip(indices, types, strict=True)
    ]
    edges = [
        {"id": f"edge-{source}-{target}", "source": f"node-{source}", "target": f"node-{target}"}
        for source, target in itertools.pairwise(indices)
    ]
    return {"nodes": nodes, "edges": edges, "viewport": {"x": 0, "y": 0, "zoom": 1}}


def race(*works: Callable[[], Any]) -> list[Any]:
    """Begin all at the same moment, each in a thread of its own, and return what each gives."""
    barrier = threading.Barrier(len(works))

    def run(work: Callable[[], Any]) -> Any:
        barrier.wait()
        return work()

    with ThreadPoolExecutor(len(works)) as threads:
        return list(threads.map(run, works))


class Plant:
    """People, flows and commands of one database.

    url: SQLAlchemy URL as the tables' owner. Engines that it opens close with it.
    """

    def __init__(self, url: str) -> None:
        self.url = url
        self._database = create_engine(url, pool_pre_ping=True)
        self._threads = ThreadPoolExecutor()
        self._users: dict[UserRole, UUID] = {}
        self._version: UUID | None = None
        self._engines: list[Engine] = []

    def engine(self, **settings: Any) -> Engine:
        """An engine on this database. Settings not given are the defaults, whatever the environment says.

        But for locks, which a test may hold for a while where its machine is busy.
        """
        tell_late = settings.pop("tell_late", None)
        own = self.settings(**{"lock_timeout_seconds": LONG} | settings)
        engine = Engine(own, tell_late) if tell_late else Engine(own)
        self._engines.append(engine)
        return engine

    def settings(self, **settings: Any) -> Settings:
        """Settings of a worker of this database."""
        defaults = {name: field.default for name, field in Settings.model_fields.items()}
        return Settings(_env_file=None, **(defaults | {"database_url": self.url} | settings))

    def is_engines(self, connection: Connection) -> bool:
        """Whether a connection is one on which an engine applies commands."""
        return any(connection.engine is engine.database for engine in self._engines)

    def close(self) -> None:
        """Close all connections."""
        self._threads.shutdown()
        for engine in self._engines:
            engine.close()
        self._database.dispose()

    def sql(self, statement: str, **parameters: Any) -> list[Row[Any]]:
        """Run one statement as the owner and return its rows, if it gives any."""
        with self._database.begin() as connection:
            result = connection.execute(text(statement), parameters)
            return list(result) if result.returns_rows else []

    @contextmanager
    def transaction(self) -> Iterator[Connection]:
        """A transaction of somebody else, as the owner; commits at the end of the block."""
        with self._database.begin() as connection:
            yield connection

    def set_default(self, name: str, value: str) -> None:
        """Set a parameter of PostgreSQL for all who connect to this database from now on."""
        with self._database.begin() as connection:
            connection.execute(text(f"ALTER DATABASE {connection.engine.url.database} SET {name} = {value}"))

    def in_background(self, work: Callable[[], Any]) -> Future[Any]:
        """Begin `work` in a thread; `result()` waits for what it gives or raises."""
        return self._threads.submit(work)

    @staticmethod
    def applied_at_last(engine: Engine, commands: Sequence[Command], timeout: float = 20) -> list[Verdict]:
        """Apply commands as often as they come back, as a queue does, and return their verdicts."""
        deadline = time.monotonic() + timeout
        while True:
            try:
                return engine.apply(commands)
            except Unavailable:
                assert time.monotonic() < deadline, f"not within {timeout} s"
                time.sleep(0.05)

    def wait_for(self, condition: str, timeout: float = 20, **parameters: Any) -> None:
        """Ask the database until the condition, a SELECT of one truth value, holds."""
        deadline = time.monotonic() + timeout
        while not self.sql(condition, **parameters)[0][0]:
            if time.monotonic() > deadline:
                raise AssertionError(f"not within {timeout} s: {condition}")
            time.sleep(0.01)

    def user(self, role: str = UserRole.ADMIN) -> UUID:
        """The plant's one user with this role."""
        role = UserRole(role)
        if role not in self._users:
            self._users[role] = self.another_user(role)
        return self._users[role]

    def another_user(self, role: str) -> UUID:
        """A new user."""
        user = uuid4()
        self.sql("INSERT INTO users (id, email, role) VALUES (:id, :email, :role)", id=user, email=str(user), role=role)
        return user

    def version(
        self,
        graph: Graph | Sequence[int] = STEPS,
        status: str = FlowVersionStatus.PUBLISHED,
        version_id: UUID | None = None,
    ) -> UUID:
        """A new flow with one version: of this graph, or of a row of steps with these indices."""
        flow, version = uuid4(), version_id or uuid4()
        self.sql('INSERT INTO flow_definitions (id, name) VALUES (:id, \'{"en": "Flow"}\')', id=flow)
        self.sql(
            "INSERT INTO flow_versions (id, flow_definition_id, version_num, status, graph_schema)"
            " VALUES (:id, :flow, 1, :status, CAST(:graph AS jsonb))",
            id=version,
            flow=flow,
            status=str(status),
            graph=json.dumps(graph if isinstance(graph, dict) else linear_graph(graph)),
        )
        return version

    def idle_run(self, version: UUID | None) -> UUID:
        """A run that another system created and nobody has started. Without a version: one of before they existed."""
        run = uuid4()
        # A legacy run has no pin, which the guard lets nobody insert any more.
        guard = "ALTER TABLE production_runs {} TRIGGER trg_production_runs_insert"
        with self._database.begin() as connection:
            if version is None:
                connection.execute(text(guard.format("DISABLE")))
            connection.execute(
                text("INSERT INTO production_runs (id, run_code, flow_version_id) VALUES (:id, :code, :version)"),
                {"id": run, "code": f"OLD-{run}", "version": version},
            )
            if version is None:
                connection.execute(text(guard.format("ENABLE")))
        return run

    def legacy_run(self, status: str = "RUNNING", code: str | None = None) -> UUID:
        """A run that an older system began eight hours ago, as migrations take it over: without pin and steps."""
        run = uuid4()
        guards = "ALTER TABLE production_runs {} TRIGGER USER"
        with self._database.begin() as connection:
            connection.execute(text(guards.format("DISABLE")))
            connection.execute(
                text(
                    "INSERT INTO production_runs (id, run_code, status, started_at)"
                    " VALUES (:id, :code, :status, now() - interval '8 hours')"
                ),
                {"id": run, "code": code or f"OLD-{run}", "status": status},
            )
            connection.execute(text(guards.format("ENABLE")))
        return run

    def fields(self, name: str, **fields: Any) -> dict[str, Any]:
        """Keyword arguments of one command as JSON types; what a command needs and is not given is filled in."""
        wanted: dict[str, Any] = {"idempotency_key": uuid4(), "issued_by": self.user()}
        if name == "start_run" and "flow_version_id" not in fields:
            self._version = self._version or self.version()
            wanted["flow_version_id"] = self._version
        if name in ("hold_run", "abort_run", "adopt_run", "adopt_lot"):
            wanted["reason"] = REASON
        if name == "resume_run":
            wanted["resolution"] = REASON
        return json.loads(json.dumps(wanted | fields, default=str))

    def command(self, name: str, **fields: Any) -> Command:
        """One command, read as from a message."""
        return parse(name, self.fields(name, **fields))

    def life(self, run_id: UUID, steps: Sequence[int] = STEPS, **start: Any) -> list[Command]:
        """The whole life of a run in order: start, advances, completion."""
        if tuple(steps) != STEPS and "flow_version_id" not in start:
            start["flow_version_id"] = self.version(steps)
        return [
            self.command("start_run", run_id=run_id, **start),
            *(self.command("advance_step", run_id=run_id, to_step_index=index) for index in steps[1:]),
            self.command("complete_run", run_id=run_id),
        ]

    def queue(self, name: str, payload: Any = None, **fields: Any) -> UUID:
        """Put a command into the ledger as an upstream does in its own transaction. Returns its key.

        payload: written as it is, in place of fields.
        """
        fields = self.fields(name, **fields)
        key = UUID(fields.pop("idempotency_key"))
        self.sql(
            "INSERT INTO commands (idempotency_key, command, payload) VALUES (:key, :name, CAST(:payload AS jsonb))",
            key=key,
            name=name,
            payload=json.dumps(fields) if payload is None else payload,
        )
        return key

    def run(self, run_id: UUID) -> tuple[str, int, dict[int, str]]:
        """Status, current step and steps of a run, as the database has them."""
        (run,) = self.sql("SELECT status, current_step_index FROM production_runs WHERE id = :id", id=run_id)
        steps = self.sql("SELECT step_index, status FROM run_step_executions WHERE run_id = :id ORDER BY 1", id=run_id)
        return run.status, run.current_step_index, {step.step_index: step.status for step in steps}

    def ledger(self, key: UUID) -> Row[Any]:
        """The ledger's row of a command."""
        (row,) = self.sql("SELECT * FROM commands WHERE idempotency_key = :key", key=key)
        return row

    def count(self, table: str, condition: str = "true") -> int:
        """How many rows of a table fulfil a condition."""
        return int(self.sql(f"SELECT count(*) FROM {table} WHERE {condition}")[0][0])  # noqa: S608 - tests' own words

    def discrepancies(self) -> list[str]:
        """What `runworker verify` finds in the database, and what it does not look at."""
        report = examine(self._database)
        return [*report.not_looked_at, *map(str, report.discrepancies)]

    def picture(self, run_id: UUID | None = None) -> list[Row[Any]]:
        """All of a run (or of all runs) and its steps, but for when things happened and which number a run got."""
        return self.sql(
            """
            SELECT run.id, run.status, run.flow_version_id, run.current_step_index, run.operator_id, run.started_by,
                   run.status_reason, run.command_key, run.idempotency_key, run.completed_at IS NULL,
                   run.ended_at IS NULL, step.step_index, step.node_id, step.status, step.operator_id, step.command_key,
                   step.started_at IS NULL, step.completed_at IS NULL
            FROM production_runs AS run LEFT JOIN run_step_executions AS step ON step.run_id = run.id
            WHERE run.id = coalesce(:run_id, run.id)
            ORDER BY run.id, step.step_index
            """,
            run_id=run_id,
        )


@pytest.fixture
def plant(database_url: str) -> Iterator[Plant]:
    """A plant with nothing in it yet."""
    plant = Plant(database_url)
    yield plant
    plant.close()


@pytest.fixture
def engine(plant: Plant) -> Engine:
    """An engine with default settings on the plant's database."""
    return plant.engine()
