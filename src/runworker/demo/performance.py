"""The demo itself: writes lives of runs, puts them on trial and proves what became of them."""

from dataclasses import dataclass
from random import Random
from uuid import UUID, uuid4

from sqlalchemy import Engine
from sqlalchemy.orm import Session

from runworker.demo.delivery import deliveries
from runworker.demo.evidence import read_evidence
from runworker.demo.proof import CHECKS, prove
from runworker.demo.report import Report, report
from runworker.demo.scenario import Cast, write_lives
from runworker.demo.script import SOURCE, Claim, Flow, commands_of
from runworker.demo.trial import Surroundings, put_on_trial
from runworker.imports import add_user, canonical_flow, import_flow, named
from runworker.plan import read_plan
from runworker.states import FlowVersionStatus, UserRole


@dataclass(frozen=True, slots=True)
class Order:
    """What is asked of the demo. seed: the same one gives the same lives in the same order of delivery."""

    runs: int
    workers: int
    seed: int


def perform(order: Order, on: Surroundings) -> Report:
    """Perform the demo and prove what became of it. Raises what `put_on_trial` raises."""
    random, series = Random(order.seed), uuid4()  # noqa: S311 - a plan to repeat, not a secret
    cast = enter(on.database, series)
    lives = write_lives(random, order.runs, cast)
    course = put_on_trial(deliveries(random, commands_of(lives)), order.workers, series, on)
    claim = Claim(lives, {cast.flow.version_id: FlowVersionStatus.PUBLISHED}, course.copies, course.kills)
    with on.database.connect() as connection:
        evidence = read_evidence(connection, claim, queue=course.queue)
    return report(claim, evidence, prove(CHECKS, claim, evidence), gave_up=course.gave_up, began=on.began)


def enter(database: Engine, series: UUID) -> Cast:
    """Bring in a user and a published flow of this performance's own, so that nobody else's flow is superseded."""
    email, flow = f"demo-{series}@example.com", named(canonical_flow(), f"Demo {series}")
    with Session(database) as session, session.begin():
        user_id = add_user(session, email, UserRole.MANAGER, SOURCE)
        imported = import_flow(session, flow, email=email, publish=True)
    return Cast(user_id, Flow(imported.flow_version_id, read_plan(flow.graph)), series)
