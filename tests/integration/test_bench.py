"""The benchmark in small: it measures, it checks, and it says so when something was lost."""

import base64
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
from benchmarks import program
from benchmarks.bench_result import BenchResult
from benchmarks.messages import MessageWriter
from benchmarks.rounds import RoundLimits
from benchmarks.testbed import PlantDatabase
from benchmarks.workload import Workload
from celery import Celery
from redis import Redis
from tests.command_line import CommandLine
from tests.plant import Plant

from runworker.config import Settings
from runworker.embedded import ServerUrls
from runworker.errors import ConfigurationError

SMALL = RoundLimits(rounds=1, seconds=0.1, least=400, most=400, latency_seconds=0.5)


class Display:
    def __init__(self) -> None:
        self.said: list[str] = []

    def say(self, line: str) -> None:
        self.said.append(line)

    def show(self, what: str, done: int, total: int) -> None:
        assert 0 < done <= total, what


@pytest.fixture
def settings(servers: ServerUrls, broker_url: str) -> Settings:
    """Servers that are named, on which the benchmark makes databases of its own."""
    return Settings(_env_file=None, database_url=servers.admin_database_url, broker_url=broker_url)


@pytest.mark.timeout(280)
def test_two_candidates_side_by_side(settings: Settings, tmp_path: Path) -> None:
    assert settings.broker_url is not None
    display = Display()
    result = program.run_benchmark(
        settings, tmp_path, display, quick=True, only=["noop", "single", "latency"], limits=SMALL
    ).as_dict()

    assert result["failures"] == []
    rates, ratios = result["rates"], result["ratios"]
    assert rates.keys() == {"noop", "single", "start_run"}
    assert ratios["single_to_noop"] == pytest.approx(rates["single"] / rates["noop"], rel=0.01)
    assert ratios["bulk_to_noop"] is None
    assert ratios["latency_p99_to_noop"] >= 0
    assert result["latency_ms"]["single"]["50/s"]["samples"] == 28
    assert {"workers", "bench"} <= result["details"]["single"]["processor_seconds_per_1000"].keys()
    assert result["details"]["single"]["resident_mib"] > 50
    assert result["machine"]["postgres"]["fsync"] in ("on", "off")
    assert [line.partition(":")[0] for line in display.said] == ["round 1"] * 2
    with Redis.from_url(settings.broker_url.get_secret_value()) as broker:
        left = {key.decode() for key in broker.scan_iter("*runworker_bench*")}
    assert left == set(), "nothing stays in a broker that others use"


@pytest.fixture
def workload(plant: Plant) -> Iterator[Workload]:
    url = plant.url
    database = PlantDatabase(plant.settings(), url, str(plant.user("MANAGER")), str(plant.version(range(11))))
    workload = Workload(database)
    yield workload
    workload.close()


def test_work_that_was_not_done_is_told(workload: Workload, plant: Plant) -> None:
    work = workload.work(400)
    nothing = workload.shortcomings(work, patience=0)
    assert nothing[0] == f"commands APPLIED: 0 and not {len(work.commands)}"
    assert len(nothing) == 5

    engine = plant.engine()
    *most, last = [plant.command("advance_step", **fields) for fields in work.commands]
    engine.apply(most)
    assert [wrong.split(": ")[1] for wrong in workload.shortcomings(work, patience=0)] == [
        f"{len(most)} and not {len(work.commands)}"
    ] * 5
    engine.apply([last])
    assert workload.shortcomings(work, patience=0) == []


def test_messages_are_those_of_a_stock_client(broker_url: str) -> None:
    fields, task_id = {"run_id": str(uuid4()), "to_step_index": 3}, str(uuid4())
    writer = MessageWriter(broker_url, "bench", "runworker.advance_step")
    client = Celery("stock", broker=broker_url, set_as_current=False)
    client.send_task("runworker.advance_step", kwargs=fields, task_id=task_id, queue="bench")
    client.close()
    with Redis.from_url(broker_url) as broker:
        sent = read(broker.rpop("bench"))
    written = read(writer.written(task_id, fields))

    for message in (sent, written):
        del message["properties"]["delivery_tag"]
        del message["headers"]["origin"]
        del message["properties"]["reply_to"]
    assert written == sent


def read(item: bytes) -> dict[str, Any]:
    message = json.loads(item)
    return {**message, "body": json.loads(base64.b64decode(message["body"]))}


def test_a_name_that_there_is_not(settings: Settings, tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="sinlge: no such part; expected noop, single"):
        program.run_benchmark(settings, tmp_path, Display(), quick=True, only=["sinlge"])


@pytest.mark.usefixtures("logging_left_alone")
@pytest.mark.parametrize(("failures", "code"), [([], 0), (["single: results: 3 and not 4"], 1)])
def test_lost_work_is_exit_code_1_and_figures_come_last(
    command_line: CommandLine, monkeypatch: pytest.MonkeyPatch, failures: list[str], code: int
) -> None:
    asked = {}

    def run_benchmark(*_: Any, **options: Any) -> BenchResult:
        asked.update(options)
        return BenchResult({"cores": 2}, "now", ratios={"single_to_noop": 3.0}, failures=failures)

    monkeypatch.setattr(program, "run_benchmark", run_benchmark)
    done = command_line.run("bench", "--quick", "--json", "--only", "noop", "--only", "single")
    assert done.exit_code == code
    assert json.loads(done.stdout.splitlines()[-1])["ratios"] == {"single_to_noop": 3.0}
    assert all(failure in done.stderr for failure in failures)
    assert asked == {"quick": True, "only": ["noop", "single"]}


def test_without_a_checkout_the_command_says_so(
    command_line: CommandLine, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr("runworker.cli.bench.__file__", str(tmp_path / "site-packages" / "runworker" / "cli" / "x.py"))
    assert "in a checkout" in command_line.refused("bench", "--quick")
