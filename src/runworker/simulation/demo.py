"""The demo itself: builds a scenario, delivers it and proves what became of it."""

from dataclasses import dataclass
from random import Random
from uuid import uuid4

from runworker.simulation.database_state import read_state
from runworker.simulation.day import DAY_DATA, DaySize, build_day
from runworker.simulation.delivery import in_disorder
from runworker.simulation.execution import DemoContext, deliver
from runworker.simulation.lot_proof import LOT_CHECKS
from runworker.simulation.master_data import bring_in
from runworker.simulation.proof import RUN_CHECKS, Expectation, prove
from runworker.simulation.report import Report, lot_figures, run_figures
from runworker.simulation.run_lives import build_lives


@dataclass(frozen=True, slots=True)
class DemoRequest:
    """The options of the demo.

    seed: the same one gives the same scenario in the same order of delivery. runs: whole lives of so many runs without
    lots, or a plant's day of such a size.
    """

    runs: int | DaySize
    workers: int
    seed: int


def run_demo(request: DemoRequest, on: DemoContext) -> Report:
    """Run the demo and prove what became of it. Raises what `deliver` raises."""
    random, series = Random(request.seed), uuid4()  # noqa: S311 - a plan to repeat, not a secret
    if isinstance(request.runs, int):
        scenario = build_lives(random, request.runs, bring_in(on.database, series))
        claims = RUN_CHECKS
    else:
        scenario = build_day(random, bring_in(on.database, series, DAY_DATA), request.runs)
        claims = {**RUN_CHECKS, **LOT_CHECKS}
    result = deliver(in_disorder(random, scenario.commands), request.workers, series, on)
    wanted = Expectation(scenario, result.copies, result.kills)
    with on.database.connect() as connection:
        state = read_state(connection, scenario, queue=result.queue)
    checks = prove(claims, wanted, state)
    figures = run_figures(wanted, state, checks, on.began)
    figures["violations"] += bool(result.gave_up)
    if scenario.lots:
        figures |= lot_figures(scenario, state)
    return Report(figures, checks, result.gave_up)
