"""Figures of the benchmark: medians and ratios, drawings, and what a page makes of them."""

from typing import Any
from xml.etree import ElementTree as ET

import pytest
from benchmarks import pages
from benchmarks.charts import Bar, bars, shown
from benchmarks.figures import OF_RATES, TARGETS, median, percentile, ratio, ratios_of
from benchmarks.profiles import shares
from benchmarks.rounds import Measurement
from benchmarks.workload import LEAST_RUNS, STEPS, shape
from tests.unit.documents import DOCS

SVG = "{http://www.w3.org/2000/svg}"
MACHINE = {
    "cores": 2,
    "processor": "P",
    "memory_gib": 8.0,
    "python": "3.12",
    "postgres": {"server_version": "18.1", "fsync": "on", "synchronous_commit": "on"},
    "broker": {"name": "valkey", "version": "9", "appendonly": "yes"},
}
MEASURED: dict[str, Any] = {
    "ratios": {"single_to_noop": 3.0, "bulk_to_noop": 3.9, "latency_p50_to_noop": 1.5, "single_to_dbos": None},
    "rates": {"noop": 2000.0, "single": 6000.0, "dbos": None},
    "machine": MACHINE,
    "measured_at": "2026-01-25 06:00+00:00",
    "details": {"single": {"processor_seconds_per_1000": {"workers": 0.25}, "resident_mib": 151.5}},
    "latency_ms": {"single": {"50/s": {"messages_per_second": 50.0, "p50": 2.5, "p95": 3.0, "p99": 4.0}}},
    "memory": {"resident_mib": [[20_000, 150.0], [200_000, 151.0]], "memory_200k_to_20k": 1.01},
    "history": {"empty": 6000.0, "5_million": 5900.0},
}


def drawn_as(text: str) -> ET.Element:
    return ET.fromstring(text)  # noqa: S314 - our own drawing


def test_median_and_percentiles() -> None:
    assert median([5, 1, 3]) == 3
    hundred = list(range(100, 0, -1))
    assert [percentile(hundred, share) for share in (0.01, 0.5, 0.95, 0.99, 1.0)] == [1, 50, 95, 99, 100]
    assert percentile([7.0], 0.5) == percentile([7.0], 0.99) == 7.0
    assert percentile([1, 2, 3], 0.99) == 3


def test_a_ratio_needs_both_and_keeps_three_places() -> None:
    assert ratio(2, 3) == 0.667
    assert ratio(12_345, 10) == 1230
    assert [ratio(None, 1), ratio(1, None), ratio(1, 0)] == [None] * 3


def test_ratios_of_what_was_measured() -> None:
    found = ratios_of({"single": 6000, "noop": 2000, "bulk": 9000, "engine": 12_000, "dbos": None})
    assert found == {
        "single_to_noop": 3.0,
        "bulk_to_noop": 4.5,
        "single_to_dbos": None,
        "single_to_procrastinate": None,
        "bulk_to_engine": 0.75,
    }
    assert OF_RATES.keys() < TARGETS.keys()


def test_targets_have_a_direction() -> None:
    assert TARGETS["single_to_noop"].reached(2.0)
    assert not TARGETS["single_to_noop"].reached(1.99)
    assert TARGETS["latency_p99_to_noop"].reached(2.0)
    assert not TARGETS["latency_p99_to_noop"].reached(2.01)


@pytest.mark.parametrize("wanted", [1, 150, 400, 1000, 4000, 4001, 40_000, 59_999])
def test_work_is_as_large_as_wanted_where_runs_allow_it(wanted: int) -> None:
    runs, steps = shape(wanted)
    assert runs >= min(LEAST_RUNS, wanted)
    assert runs % 4 == 0
    assert 1 <= steps <= STEPS
    assert abs(runs * steps - wanted) <= max(runs / 2, 4 * STEPS)


def test_a_result_is_the_median_of_its_rounds() -> None:
    result = Measurement(
        [100.0, 300.0, 200.0], [1000, 3000, 2000], [{"workers": 1.0}, {"workers": 2.0}, {"workers": 3.0}]
    )
    assert result.rate == 200.0
    assert result.as_dict()["processor_seconds_per_1000"] == {"workers": 1.0}
    result.failed = True
    assert result.rate is None


def test_bars_are_as_long_as_their_values() -> None:
    drawing = drawn_as(bars("Rates & <more>", "commands/s", [Bar("a", 50), Bar("b", 200, True), Bar("c", 0)]))
    _, *drawn = drawing.findall(f"{SVG}rect")
    lengths = [float(bar.attrib["width"]) for bar in drawn]
    assert lengths[0] * 4 == pytest.approx(lengths[1], rel=0.01)
    assert lengths[2] == 0
    assert drawn[0].attrib["fill"] != drawn[1].attrib["fill"]
    assert drawing.findtext(f"{SVG}title") == "Rates & <more>"
    right = max(float(text.attrib["x"]) for text in drawing.findall(f"{SVG}text"))
    assert right < float(drawing.attrib["viewBox"].split()[2])


def test_a_drawing_of_nothing_is_a_drawing() -> None:
    assert drawn_as(bars("Nothing", "", [])).tag == f"{SVG}svg"


@pytest.mark.parametrize(("value", "told"), [(12_345.6, "12,346"), (100, "100"), (99.96, "100"), (1.2345, "1.23")])
def test_figures_for_people(value: float, told: str) -> None:
    assert shown(value) == told


def test_a_part_that_was_measured_again_takes_its_place_and_others_stay() -> None:
    later = {"ratios": {"single_to_noop": 2.5, "bulk_to_noop": None}, "rates": {"noop": 1.0}, "measured_at": "later"}
    figures = pages.merged(MEASURED, later)
    assert figures["ratios"]["single_to_noop"] == 2.5
    assert figures["ratios"]["bulk_to_noop"] == 3.9
    assert figures["rates"] == {**MEASURED["rates"], "noop": 1.0}
    assert (figures["measured_at"], figures["memory"]) == ("later", MEASURED["memory"])


def test_the_page_tells_what_was_reached_and_what_was_not() -> None:
    told = pages.section(MEASURED, ["performance-rates.svg"])
    lines = {line.split(" | ")[0].strip("| "): line for line in told.splitlines() if line.startswith("|")}
    assert lines[TARGETS["single_to_noop"].what].endswith("| 3 | reached |")
    assert lines[TARGETS["bulk_to_noop"].what].endswith("| 3.9 | missed |")
    assert lines[TARGETS["single_to_dbos"].what].endswith("| not measured |  |")
    assert "| 6,000 | 0.25 |" in lines[pages.LABELS["single"]]
    assert pages.LABELS["dbos"] not in lines
    assert "![performance rates](performance-rates.svg)" in told


def test_everything_that_was_measured_is_drawn() -> None:
    drawn = pages.drawings(MEASURED)
    assert {name.removeprefix("performance-").removesuffix(".svg") for name in drawn} == {
        "rates",
        "workers",
        "latency",
        "history",
        "memory",
    }
    for drawing in drawn.values():
        drawn_as(drawing)
    assert pages.drawings({"rates": {"noop": 1.0}}).keys() == {"performance-rates.svg"}


def test_figures_have_their_place_in_the_document() -> None:
    page = (DOCS / "performance.md").read_text("utf-8")
    again = pages.with_figures(page, "new \\1 figures")
    assert "new \\1 figures" in again
    assert again.split(pages.BEGIN)[0] == page.split(pages.BEGIN)[0]
    assert again.split(pages.END)[1] == page.split(pages.END)[1]
    with pytest.raises(ValueError, match="no place"):
        pages.with_figures("nothing", "")


def test_a_profile_is_told_by_package() -> None:
    library, place = "/v/lib/python3.12/site-packages", "/checkout/src/runworker"
    stats = {
        ("~", 0, "<method 'poll' of 'select.epoll' objects>"): (1, 1, 4.0, 4.0, {}),
        (f"{library}/psycopg/waiting.py", 9, "wait_c"): (1, 1, 1.0, 5.0, {}),
        (f"{library}/psycopg_binary/_psycopg.py", 9, "send"): (1, 1, 1.0, 1.0, {}),
        (f"{library}/sqlalchemy/engine/base.py", 9, "execute"): (1, 1, 2.0, 2.0, {}),
        (f"{place}/engine/apply.py", 9, "apply"): (1, 1, 1.5, 9.0, {}),
        (f"{place}/states.py", 9, "moves"): (1, 1, 0.45, 0.45, {}),
        ("/usr/lib/python3.12/json/encoder.py", 9, "encode"): (1, 1, 0.05, 0.05, {}),
    }
    assert shares(stats) == {
        "waiting for PostgreSQL": 0.5,
        "sqlalchemy": 0.2,
        "runworker.engine": 0.15,
        "psycopg": 0.1,
        "runworker.states": 0.045,
        "all others": 0.005,
    }
    assert shares({}) == {"all others": 0.0}
