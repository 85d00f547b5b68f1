"""`runworker dead-letters`."""

from collections.abc import Callable, Iterator, Sequence
from itertools import islice
from typing import TYPE_CHECKING, Annotated, Any
from uuid import UUID

import typer

from runworker.cli import on_demand
from runworker.cli.letter_options import LetterId, LetterIds, Reason, RequiredReason, selects_letters
from runworker.cli.reporting import confirm, show, tell
from runworker.states import DeadLetterState

if TYPE_CHECKING:
    from sqlalchemy import Engine

    from runworker.config import Settings
    from runworker.dead_letters import Marked, Promise, Selection
    from runworker.models import DeadLetter

COLUMNS = ("id", "seen", "code", "task", "times", "state", "reason")
NOT_DISCARDED = [DeadLetterState.OPEN, DeadLetterState.REPLAYED]

Email = Annotated[str, typer.Option("--as", metavar="EMAIL", help="Who does it: an ADMIN or MANAGER.")]
Yes = Annotated[bool, typer.Option("--yes", help="Do not ask. Needed where no terminal can be asked.")]
DryRun = Annotated[
    bool, typer.Option("--dry-run", help="Do it, but send and keep nothing; same counts, same exit code.")
]
AsJson = Annotated[bool, typer.Option("--json", help="Print one JSON object.")]

app = typer.Typer(no_args_is_help=True, help="Messages that could not be read, and commands that kept failing.")


@app.command("list")
@selects_letters
def list_(
    *,
    limit: Annotated[int, typer.Option(min=1, max=10_000, help="At most so many.")] = 50,
    as_json: Annotated[bool, typer.Option("--json", help="Print a JSON list, with each letter whole.")] = False,
    **parts: Any,
) -> None:
    """List dead letters, a line each, those seen last first. Discarded ones are left out unless --state asks for them.

    A letter that comes again after it was replayed or discarded is OPEN again. In a pipe: tabs and no heads.
    """
    selection = _selection(parts, unless_said=NOT_DISCARDED)
    with on_demand.database.owner_session() as session:
        found = list(islice(on_demand.dead_letters.letters(session, selection), limit + 1))
        rows = [_whole(*each) if as_json else _line(*each) for each in found[:limit]]
    if as_json:
        show(rows, as_json=True)
    else:
        on_demand.output.show_lines(rows, COLUMNS)
    if len(found) > limit:
        tell(f"there are more than {limit}; --limit shows more, and --code, --task, --sender and --since show fewer")


@app.command("show")
def show_(letter_id: LetterId, as_json: AsJson = False) -> None:
    """Show one dead letter whole, with its raw body."""
    with on_demand.database.owner_session() as session:
        show(_whole(*on_demand.dead_letters.find_letter(session, letter_id)), as_json=as_json)


@app.command("replay")
@selects_letters
def replay_(
    *,
    ids: LetterIds = None,
    email: Email,
    reason: Reason = None,
    dry_run: DryRun = False,
    yes: Yes = False,
    as_json: AsJson = False,
    **parts: Any,
) -> None:
    """Send dead letters' messages to the queue again, under their own keys: these IDs, or all that are selected.

    Selected are those that are OPEN, unless --state says otherwise. How many is asked first; letters that come in
    meanwhile are not among them. A letter that would be refused again is named and stays. Exit code 1 where one did.
    """
    selection = _acted_upon(ids, parts)

    def send(database: "Engine", settings: "Settings", promises: Sequence["Promise"], user: UUID) -> Iterator["Marked"]:
        return on_demand.dead_letters.replay(database, settings, promises, by=user, reason=reason, dry_run=dry_run)

    _act("replay", selection, email, send, ask=not (ids or yes), dry_run=dry_run, as_json=as_json)


@app.command("discard")
@selects_letters
def discard_(
    *,
    ids: LetterIds = None,
    email: Email,
    reason: RequiredReason,
    dry_run: DryRun = False,
    yes: Yes = False,
    as_json: AsJson = False,
    **parts: Any,
) -> None:
    """Mark dead letters as needing nothing more: these IDs, or all that are selected.

    Nothing is erased: they are left out of `list`, and are OPEN again when their message comes again. Selected are
    those that are OPEN, unless --state says otherwise. How many is asked first.
    """
    selection = _acted_upon(ids, parts)

    def set_aside(
        database: "Engine", _settings: "Settings", promises: Sequence["Promise"], user: UUID
    ) -> Iterator["Marked"]:
        return on_demand.dead_letters.discard(database, promises, by=user, reason=reason, dry_run=dry_run)

    _act("discard", selection, email, set_aside, ask=not (ids or yes), dry_run=dry_run, as_json=as_json)


def _act(
    verb: str,
    selection: "Selection",
    email: str,
    act: Callable[["Engine", "Settings", Sequence["Promise"], UUID], Iterator["Marked"]],
    *,
    ask: bool,
    dry_run: bool,
    as_json: bool,
) -> None:
    """Promise, ask, act, and say what was done: also where the broker, the database or ctrl-C ends it in between."""
    settings = on_demand.opening.find_servers()
    with on_demand.database.owner_database(settings) as database:
        promises, user = on_demand.letter_report.promise(database, selection, email, replay=verb == "replay")
        report = on_demand.letter_report.LetterReport(verb, promises, dry_run=dry_run, as_json=as_json)
        if ask and report.possible and not dry_run:
            confirm(f"{report.sentence()}, as {email}?", "--yes")
        with report:
            for marked in act(database, settings, promises, user):
                report.add(marked)
    if report.fell_short:
        raise typer.Exit(1)


def _acted_upon(ids: list[int] | None, parts: dict[str, Any]) -> "Selection":
    """The selection of a command that acts: by ids or by at least one other part, and of open letters unless said."""
    narrowed = any(parts.values())
    if ids and narrowed:
        raise typer.BadParameter("give IDs, or options that select letters, and not both")
    if not ids and not narrowed:
        raise typer.BadParameter("give IDs, or an option that selects letters; --state OPEN selects all that are open")
    return _selection({"ids": ids}) if ids else _selection(parts, unless_said=[DeadLetterState.OPEN])


def _selection(parts: dict[str, Any], unless_said: list[DeadLetterState] | None = None) -> "Selection":
    given = {"states": unless_said} | {name: value for name, value in parts.items() if value}
    return on_demand.dead_letters.Selection(**{name: value for name, value in given.items() if value})


def _line(letter: "DeadLetter", state: DeadLetterState) -> dict[str, Any]:
    return {
        "id": letter.id,
        "seen": f"{letter.last_seen_at:%Y-%m-%d %H:%M}",
        "code": letter.code,
        "task": (letter.task_name or "").removeprefix("runworker."),
        "times": letter.times,
        "state": state,
        "reason": letter.error,
    }


def _whole(letter: "DeadLetter", state: DeadLetterState) -> dict[str, Any]:
    sender = on_demand.dead_letters.sender_of(letter)
    return {
        "id": letter.id,
        "state": state,
        "code": letter.code,
        "error": letter.error,
        "task_name": letter.task_name,
        "task_id": letter.task_id,
        "issued_by": sender.issued_by,
        "source": sender.source,
        "origin": sender.origin,
        "times": letter.times,
        "first_seen_at": letter.first_seen_at,
        "last_seen_at": letter.last_seen_at,
        "replayed_at": letter.replayed_at,
        "replayed_by": letter.replayed_by,
        "replay_reason": letter.replay_reason,
        "discarded_at": letter.discarded_at,
        "discarded_by": letter.discarded_by,
        "discard_reason": letter.discard_reason,
        "headers": letter.headers,
        "raw_body": letter.raw_body.decode("utf-8", "backslashreplace"),
    }
