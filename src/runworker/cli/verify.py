"""`runworker verify`."""

from typing import Annotated

import typer

from runworker.cli import on_demand
from runworker.cli.reporting import show, tell


def verify(
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False,
) -> None:
    """Recompute the seals of the audit trail and report the first one that does not fit.

    The chain cannot tell that its end was cut off: keep the head that is printed in another place and compare.
    """
    with on_demand.database.owner_database(on_demand.opening.find_servers()) as database:
        found = on_demand.seal.verify(database)
    broken = found.broken
    result = {
        "intact": broken is None,
        "seals": found.seals,
        "events_sealed": found.events,
        "events_unsealed": found.unsealed,
        "head": found.head,
        "broken_seal": broken.seal_id if broken else None,
    }
    show(result, as_json=as_json)
    if broken is not None:
        events = f"events {broken.first_event_id} to {broken.last_event_id}"
        tell(f"seal {broken.seal_id} over {events} is broken: {broken.reason}")
        raise typer.Exit(1)
