"""`runworker user`."""

from typing import Annotated

import typer

from runworker.cli import on_demand
from runworker.cli.reporting import show
from runworker.states import UserRole

app = typer.Typer(no_args_is_help=True, help="People and systems that issue commands.")


@app.callback()
def _users() -> None:
    """Keep `add` a subcommand although it is the only one."""


@app.command()
def add(
    email: Annotated[str, typer.Argument(metavar="EMAIL", help="Address; nobody else may have it.")],
    role: Annotated[UserRole, typer.Option(case_sensitive=False, help="What the user may do.")],
    name: Annotated[str | None, typer.Option(help="Full name.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help='Print {"user_id": ...}.')] = False,
) -> None:
    """Add a user and print the id, which commands carry as issued_by."""
    with on_demand.database.owner_session() as session:
        user_id = on_demand.imports.add_user(session, email, role, name)
    show({"user_id": str(user_id)}, as_json=as_json)
