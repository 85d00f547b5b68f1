"""Whole lives of runs without lots: completed, held and resumed, aborted.

What the plan does not order is tied in: a hold to the move before it, its resume to the hold, the next move to the
resume; an abort to the move or hold before it. So every outcome is known before anything is sent.
"""

from enum import Enum, auto
from random import Random
from typing import Final

from runworker.simulation.builder import ScenarioBuilder
from runworker.simulation.master_data import PLANT_FLOW, MasterData
from runworker.simulation.run_builder import RunBuilder
from runworker.simulation.scenario import BuiltScenario


class RunLife(Enum):
    """A course that a run's life takes."""

    WHOLE = auto()  # from start to completion
    HELD = auto()  # held and resumed on the way
    ABORTED = auto()  # ended early; the rest of its commands must be rejected
    ABORTED_ON_HOLD = auto()  # likewise, from HOLD


LIVES: Final = (
    RunLife.WHOLE,
    RunLife.HELD,
    RunLife.WHOLE,
    RunLife.ABORTED,
    RunLife.WHOLE,
    RunLife.HELD,
    RunLife.WHOLE,
    RunLife.ABORTED_ON_HOLD,
    RunLife.WHOLE,
    RunLife.WHOLE,
)
"""The lives of ten runs; a seed shuffles which run has which."""


def build_lives(random: Random, runs: int, data: MasterData) -> BuiltScenario:
    """The lives of so many runs. The same random state, number and data give the same ones."""
    lives = [LIVES[number % len(LIVES)] for number in range(runs)]
    random.shuffle(lives)
    scenario = ScenarioBuilder(data)
    for life in lives:
        live(RunBuilder(scenario, data.flows[PLANT_FLOW]), random, life)
    return scenario.build()


def live(run: RunBuilder, random: Random, life: RunLife) -> None:
    """Write all moves of a run's plan, what befalls it at one of its steps, and its completion."""
    eventful_step = random.choice([step.index for step in run.flow.plan.steps])
    while True:
        if run.step == eventful_step:
            _befall(run, life)
        if run.step == run.flow.plan.last:
            break
        run.advance()
    run.complete()


def _befall(run: RunBuilder, life: RunLife) -> None:
    if life in (RunLife.HELD, RunLife.ABORTED_ON_HOLD):
        run.hold("the demo shows how a run is held")
    if life is RunLife.HELD:
        run.resume("the demo lets the run go on")
    elif life is not RunLife.WHOLE:
        run.abort("the demo shows how a run is ended early")
