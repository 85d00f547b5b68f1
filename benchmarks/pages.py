"""Puts figures where people read them: benchmarks/results.json, the drawings, the tables of docs/performance.md.

A part that was measured again takes the place of its older figures; the others stay. So the full run can be made in
parts, and the page says when each was measured.
"""

import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

from benchmarks.charts import Bar, bars, shown
from benchmarks.figures import TARGETS

BEGIN: Final = "<!-- figures: written by `runworker bench` -->"
END: Final = "<!-- end of figures -->"

LABELS: Final = {
    "noop_1": "stock Celery no-op, 1 solo",
    "noop": "stock Celery no-op, 2 solo",
    "noop_prefork": "stock Celery no-op, prefork 2",
    "noop_no_events": "stock Celery no-op, 2 solo, no events",
    "noop_no_results": "stock Celery no-op, 2 solo, no results",
    "orm": "ORM task, 2 solo",
    "single_1": "runworker single, 1 solo",
    "single": "runworker single, 2 solo",
    "single_4": "runworker single, 4 solo",
    "single_prefork": "runworker single, prefork 2",
    "single_no_events": "runworker single, 2 solo, no events",
    "single_no_results": "runworker single, 2 solo, no results",
    "bulk": "runworker bulk, 2 solo",
    "engine_1": "engine without broker, 1 process",
    "engine": "engine without broker, 2 processes",
    "pgbench": "pgbench, 2 clients",
    "dbos": "DBOS, 2 processes",
    "procrastinate": "Procrastinate, 2 processes",
    "start_run": "start_run, engine, 1 process",
}
KINDS: Final = ("workers", "postgres", "broker", "bench")


def write(measured: Mapping[str, Any], root: Path) -> dict[str, Any]:
    """Take new figures in and write all files anew. Returns all figures there are now."""
    file = root / "benchmarks" / "results.json"
    before = json.loads(file.read_text("utf-8")) if file.exists() else {}
    figures = merged(before, measured)
    file.write_text(json.dumps(figures, indent=1, ensure_ascii=False) + "\n", "utf-8")
    docs = root / "docs"
    drawn = drawings(figures)
    for name, drawing in drawn.items():
        (docs / name).write_text(drawing, "utf-8")
    page = docs / "performance.md"
    page.write_text(with_figures(page.read_text("utf-8"), section(figures, list(drawn))), "utf-8")
    return figures


def merged(before: Mapping[str, Any], measured: Mapping[str, Any]) -> dict[str, Any]:
    """Old figures, with the new ones in their places. What was not measured now is None or absent in the new ones."""
    figures = dict(before)
    for part, new in measured.items():
        if isinstance(new, dict) and part not in ("machine", "profile"):
            figures[part] = {
                **figures.get(part, {}),
                **{name: value for name, value in new.items() if value is not None},
            }
        elif new is not None:
            figures[part] = new
    return figures


def with_figures(page: str, tables: str) -> str:
    """The page with what stands between the marks replaced."""
    marks = re.compile(f"{re.escape(BEGIN)}.*{re.escape(END)}", re.DOTALL)
    if not marks.search(page):
        raise ValueError(f"no place for figures: expected {BEGIN} and {END}")
    return marks.sub(lambda _: f"{BEGIN}\n\n{tables}\n{END}", page)


def section(figures: Mapping[str, Any], drawn: list[str]) -> str:
    """Tables and pictures in Markdown."""
    machine = figures["machine"]
    about = (
        f"Measured {figures['measured_at']} on {machine['cores']} cores ({machine['processor']}, "
        f"{machine['memory_gib']} GiB), Python {machine['python']}, PostgreSQL {machine['postgres']['server_version']} "
        f"(fsync {machine['postgres']['fsync']}, synchronous_commit {machine['postgres']['synchronous_commit']}), "
        f"{machine['broker']['name']} {machine['broker']['version']} (appendonly {machine['broker']['appendonly']})."
    )
    parts = [about, _targets(figures["ratios"]), _rates(figures), _latency(figures.get("latency_ms", {}))]
    parts.append(_profile(figures.get("profile", {})))
    parts += [f"![{name.removesuffix('.svg').replace('-', ' ')}]({name})" for name in drawn]
    return "\n\n".join(part for part in parts if part) + "\n"


def drawings(figures: Mapping[str, Any]) -> dict[str, str]:
    """SVG by file name, of what was measured."""
    rates = {name: figures["rates"][name] for name in LABELS if figures["rates"].get(name)}
    drawn = {
        "performance-rates.svg": bars("Commands a second", "median of all rounds, side by side", _bars(rates)),
    }
    if workers := {name: rates[name] for name in ("single_1", "single", "single_4") if name in rates}:
        drawn["performance-workers.svg"] = bars("Single messages by workers", "commands a second", _bars(workers))
    if latency := figures.get("latency_ms"):
        values = [
            Bar(f"{candidate}, {load}, {share}", figures_of[share], candidate != "noop")
            for candidate, loads in latency.items()
            for load, figures_of in loads.items()
            for share in ("p50", "p99")
        ]
        drawn["performance-latency.svg"] = bars("From sent to told", "milliseconds", values)
    if history := figures.get("history"):
        values = [Bar(past.replace("_", " "), rate, True) for past, rate in history.items()]
        drawn["performance-history.svg"] = bars("Single messages by what lies behind", "commands a second", values)
    if memory := figures.get("memory"):
        values = [Bar(f"after {commands:,} commands", mib, True) for commands, mib in memory["resident_mib"]]
        drawn["performance-memory.svg"] = bars("Resident memory of two workers", "MiB", values)
    return drawn


def _bars(rates: Mapping[str, float]) -> list[Bar]:
    return [Bar(LABELS[name], rate, name.startswith(("single", "bulk", "engine"))) for name, rate in rates.items()]


def _targets(ratios: Mapping[str, float | None]) -> str:
    lines = ["| ratio | target | measured | |", "|---|---|---|---|"]
    for name, target in TARGETS.items():
        measured = ratios.get(name)
        sign = "≥" if target.at_least else "≤"
        said = "not measured" if measured is None else shown(measured)
        verdict = "" if measured is None else "reached" if target.reached(measured) else "missed"
        lines.append(f"| {target.what} | {sign} {target.value} | {said} | {verdict} |")
    return "\n".join(lines)


def _rates(figures: Mapping[str, Any]) -> str:
    lines = ["| what | commands/s | processor ms a command: workers | postgres | broker | sender | resident MiB |"]
    lines.append("|---|---|---|---|---|---|---|")
    for name, label in LABELS.items():
        if (rate := figures["rates"].get(name)) is None:
            continue
        details = figures.get("details", {}).get(name, {})
        spent = details.get("processor_seconds_per_1000", {})
        cells = [f"{spent[kind]:.2f}" if kind in spent else "" for kind in KINDS]
        lines.append(f"| {label} | {rate:,.0f} | {' | '.join(cells)} | {details.get('resident_mib') or ''} |")
    return "\n".join(lines)


def _latency(latency: Mapping[str, Any]) -> str:
    if not latency:
        return ""
    lines = ["| latency in ms | load | messages/s | p50 | p95 | p99 |", "|---|---|---|---|---|---|"]
    for candidate, loads in latency.items():
        for load, each in loads.items():
            cells = (f"{each['messages_per_second']:,.0f}", each["p50"], each["p95"], each["p99"])
            lines.append(f"| {candidate} | {load} | {' | '.join(map(str, cells))} |")
    return "\n".join(lines)


def _profile(shares: Mapping[str, float]) -> str:
    if not shares:
        return ""
    lines = ["| where an engine's time goes, under the profiler | share |", "|---|---|"]
    return "\n".join([*lines, *(f"| {package} | {share:.0%} |" for package, share in shares.items())])
