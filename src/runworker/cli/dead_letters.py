"""`runworker dead-letters`."""

from typing import Annotated, Any

import typer
from sqlalchemy import select
from sqlalchemy.orm import Session

from runworker.cli.opening import find_servers, owner_database
from runworker.cli.reporting import show, show_table
from runworker.models import DeadLetter
from runworker.replaying import find_letter, replay

HIGHEST_ID = 2**63 - 1
COLUMNS = ("id", "code", "task_name", "times", "last_seen_at", "replayed_at", "error")

app = typer.Typer(no_args_is_help=True, help="Messages that could not be read, and commands that kept failing.")

LetterId = Annotated[int, typer.Argument(metavar="ID", min=1, max=HIGHEST_ID, help="As `list` shows it.")]


@app.command("list")
def list_(
    limit: Annotated[int, typer.Option(min=1, max=10_000, help="At most so many.")] = 50,
    as_json: Annotated[bool, typer.Option("--json", help="Print a JSON list.")] = False,
) -> None:
    """List dead letters, those seen last first."""
    with owner_database(find_servers()) as database, Session(database) as session:
        newest = select(DeadLetter).order_by(DeadLetter.last_seen_at.desc(), DeadLetter.id.desc()).limit(limit)
        letters = [_facts(letter) for letter in session.scalars(newest)]
    if as_json:
        show(letters, as_json=True)
    else:
        show_table(letters, COLUMNS)


@app.command("show")
def show_(
    letter_id: LetterId,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False,
) -> None:
    """Show one dead letter whole, with its raw body."""
    with owner_database(find_servers()) as database, Session(database) as session:
        letter = find_letter(session, letter_id)
        body = letter.raw_body.decode("utf-8", "backslashreplace")
        show({**_facts(letter), "headers": letter.headers, "raw_body": body}, as_json=as_json)


@app.command("replay")
def replay_(
    letter_id: LetterId,
    email: Annotated[str, typer.Option("--as", metavar="EMAIL", help="The user who replays: an ADMIN or MANAGER.")],
) -> None:
    """Send a dead letter's command to the queue again, under its own key."""
    settings = find_servers()
    with owner_database(settings) as database:
        command = replay(database, settings, letter_id, email=email)
    show({"command": command.name, "idempotency_key": command.idempotency_key}, as_json=False)


def _facts(letter: DeadLetter) -> dict[str, Any]:
    return {
        "id": letter.id,
        "code": letter.code,
        "task_name": letter.task_name,
        "task_id": letter.task_id,
        "error": letter.error,
        "times": letter.times,
        "first_seen_at": letter.first_seen_at,
        "last_seen_at": letter.last_seen_at,
        "replayed_at": letter.replayed_at,
        "replayed_by": letter.replayed_by,
    }
