"""`runworker config`."""

from typing import TYPE_CHECKING, Annotated, Any

import typer

from runworker.cli import on_demand
from runworker.cli.reporting import show

if TYPE_CHECKING:
    from runworker.config import Settings

FOLLOWED = {"migration_url": "database_url", "result_backend_url": "broker_url"}
"""Settings that are another's value unless they are given."""


def config(
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object, a member for each setting.")] = False,
) -> None:
    """Show every setting in force and where it comes from, passwords masked. In a pipe: a line a setting, with tabs."""
    rows = in_force(on_demand.opening.read_settings())
    if as_json:
        show({row.pop("setting"): row for row in rows}, as_json=True)
    else:
        on_demand.output.show_table(rows, ("setting", "value", "from"))


def in_force(given: "Settings") -> list[dict[str, Any]]:
    """A row for each setting: its name, its value as a process uses it, and where that comes from."""
    found = on_demand.servers.resolved(given)
    directory = given.data_dir or on_demand.embedded.default_directory()
    values = found.shown()
    sources = {
        name: "given"
        if name in given.model_fields_set
        else f"embedded servers in {directory}"
        if getattr(found, name) != getattr(given, name)
        else "default"
        for name in values
    }
    for name, followed in FOLLOWED.items():
        if values[name] is None and values[followed] is not None:
            values[name], sources[name] = values[followed], followed
    values["data_dir"] = str(directory)
    for name in ("database_url", "broker_url"):
        if values[name] is None:
            sources[name] = "not given, and no embedded servers run"
    return [{"setting": name, "value": value, "from": sources[name]} for name, value in values.items()]
