"""The simulation's proof against a plant of the tests, and master data for scenarios on it."""

from collections.abc import Mapping
from uuid import uuid4

from tests.plant import Plant

from runworker.simulation.database_state import read_state
from runworker.simulation.master_data import ONE_FLOW, MasterData, MasterDataPlan, bring_in
from runworker.simulation.proof import RUN_CHECKS, Expectation, Finder, prove


def data_on(plant: Plant, plan: MasterDataPlan = ONE_FLOW) -> MasterData:
    """People, flows and suppliers of a scenario's own."""
    return bring_in(plant.engine(database_role=None).database, uuid4(), plan)


def violations(
    plant: Plant, wanted: Expectation, checks: Mapping[str, Finder[Expectation]] = RUN_CHECKS, *, queue: str = "celery"
) -> list[str]:
    """All in which the database is not as it has to be. queue: the one that the messages went through."""
    with plant.transaction() as connection:
        state = read_state(connection, wanted.scenario, queue=queue)
    return [violation for check in prove(checks, wanted, state) for violation in check.violations]
