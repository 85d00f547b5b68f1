"""The demo with a plant's day: writes it, puts it on trial and proves what became of it."""

from dataclasses import dataclass
from random import Random
from uuid import uuid4

from runworker.demo.day.cast import enter
from runworker.demo.day.evidence import read_day
from runworker.demo.day.proof import DAY_CHECKS
from runworker.demo.day.report import report_day
from runworker.demo.day.scenario import WHOLE_DAY, Size, write_day
from runworker.demo.delivery import deliveries
from runworker.demo.proof import CHECKS, prove
from runworker.demo.report import Report, report
from runworker.demo.script import Claim
from runworker.demo.trial import Surroundings, put_on_trial


@dataclass(frozen=True, slots=True)
class DayOrder:
    """What is asked of a day. seed: the same one gives the same day in the same order of delivery."""

    workers: int
    seed: int
    size: Size = WHOLE_DAY


def perform_day(order: DayOrder, on: Surroundings) -> Report:
    """Perform a day and prove what became of it. Raises what `put_on_trial` raises."""
    random, series = Random(order.seed), uuid4()  # noqa: S311 - a plan to repeat, not a secret
    day = write_day(random, enter(on.database, series), order.size)
    course = put_on_trial(deliveries(random, day.commands), order.workers, series, on)
    claim = Claim(day.lives, day.versions, course.copies, course.kills, day.others)
    with on.database.connect() as connection:
        evidence = read_day(connection, claim, day, queue=course.queue)
    checks = [*prove(CHECKS, claim, evidence.plain), *prove(DAY_CHECKS, day, evidence)]
    plain = report(claim, evidence.plain, checks, gave_up=course.gave_up, began=on.began)
    return report_day(plain, day, evidence)
