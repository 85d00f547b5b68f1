"""`runworker dead-letters`."""

from typing import TYPE_CHECKING, Annotated, Any

import typer

from runworker.cli import on_demand
from runworker.cli.reporting import show

if TYPE_CHECKING:
    from runworker.models import DeadLetter

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
    with on_demand.database.owner_session() as session:
        letters = [_facts(letter) for letter in on_demand.replaying.newest_letters(session, limit)]
    if as_json:
        show(letters, as_json=True)
    else:
        on_demand.output.show_table(letters, COLUMNS)


@app.command("show")
def show_(
    letter_id: LetterId,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False,
) -> None:
    """Show one dead letter whole, with its raw body."""
    with on_demand.database.owner_session() as session:
        letter = on_demand.replaying.find_letter(session, letter_id)
        body = letter.raw_body.decode("utf-8", "backslashreplace")
        show({**_facts(letter), "headers": letter.headers, "raw_body": body}, as_json=as_json)


@app.command("replay")
def replay_(
    letter_id: LetterId,
    email: Annotated[str, typer.Option("--as", metavar="EMAIL", help="The user who replays: an ADMIN or MANAGER.")],
) -> None:
    """Send a dead letter's command to the queue again, under its own key."""
    settings = on_demand.opening.find_servers()
    with on_demand.database.owner_database(settings) as database:
        command = on_demand.replaying.replay(database, settings, letter_id, email=email)
    show({"command": command.name, "idempotency_key": command.idempotency_key}, as_json=False)


def _facts(letter: "DeadLetter") -> dict[str, Any]:
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
