"""`runworker verify`."""

from dataclasses import asdict
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Final

import typer

from runworker.cli import on_demand
from runworker.cli.moments import moment
from runworker.cli.reporting import show, tell

if TYPE_CHECKING:
    from runworker.verification import VerificationReport

NOTHING_LOOKED_AT: Final = 3
"""Exit code for a database that is empty, or at another release's revision."""

STATEMENT_SECONDS: Final = 6 * 3600
"""A look at ten years of a plant takes as long as it takes."""


def _head(value: str) -> str:
    if len(value) != 64 or not set(value.lower()) <= set("0123456789abcdef"):  # noqa: PLR2004 - a SHA-256
        raise typer.BadParameter(f"expected 64 hexadecimal digits, as `runworker verify` prints, got {value!a:.80}")
    return value.lower()


Head = Annotated[
    str | None,
    typer.Option("--head", parser=_head, metavar="HEX", help="Is this seal, whose hash was kept, in the chain?"),
]
Anchor = Annotated[
    Path | None,
    typer.Option("--anchor", metavar="FILE", help="As --head, by what `runworker seals anchor` has written."),
]

Archives = Annotated[
    Path | None,
    typer.Option(
        "--archives",
        metavar="FOLDER",
        exists=True,
        file_okay=False,
        help="Look at archived events too, in what `runworker seals archive` has written.",
    ),
]


def verify(
    since: Annotated[
        datetime | None,
        typer.Option(
            "--since", parser=moment, metavar="TIME", help="Take seals made before, and what they cover, as they are."
        ),
    ] = None,
    head: Head = None,
    anchor: Anchor = None,
    archives: Archives = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False,
) -> None:
    """Look at the whole database: seals, state and ledger against the audit trail, the plant's rules, the schema.

    Nothing is changed. Exit code 0: intact; 1: something was found; 3: empty, or not looked at. The chain of seals
    cannot tell that its end was cut off: keep the head that is printed in another place, and ask for it with --head.
    """
    report = examined(since=since, head=head, anchor=anchor, archives=archives)
    show(facts_as_json(report) if as_json else facts_as_text(report), as_json=as_json)
    for left_out in report.not_looked_at:
        tell(f"not looked at: {left_out}")
    for discrepancy in report.discrepancies:
        tell(str(discrepancy))
    if (more := report.found - len(report.discrepancies)) > 0:
        tell(f"and {more} more of the same kinds")
    if not report.found and report.outcome != "intact":
        tell(f"the database is {report.outcome}: that is no proof of anything")
    if code := exit_code(report):
        raise typer.Exit(code)


def examined(
    *,
    since: datetime | None = None,
    head: str | None = None,
    anchor: Path | None = None,
    archives: Path | None = None,
) -> "VerificationReport":
    """Look at the database that settings name. head, anchor: options, of which one at most may be given."""
    if anchor is not None:
        if head is not None:
            raise typer.BadParameter("leave one of --head and --anchor out")
        head = on_demand.verification.Anchor.from_text(_read(anchor)).head
    with (
        on_demand.database.owner_database(
            on_demand.opening.find_servers(), statement_seconds=STATEMENT_SECONDS
        ) as database,
        on_demand.progress.Progress(bars=True) as progress,
    ):
        return on_demand.verification.examine(database, since=since, head=head, archives=archives, tell=progress.show)


def exit_code(report: "VerificationReport") -> int:
    """0: intact; 1: something was found; 3: empty, or not looked at."""
    if report.found:
        return 1
    return 0 if report.outcome == "intact" else NOTHING_LOOKED_AT


def _read(file: Path) -> str:
    try:
        return file.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise typer.BadParameter(f"{file} cannot be read: {getattr(error, 'strerror', None) or error}") from None


def _facts(report: "VerificationReport") -> dict[str, Any]:
    return {
        "outcome": report.outcome,
        "seals": report.chain.seals,
        "events_sealed": report.chain.events,
        "events_unsealed": report.chain.unsealed,
        "head": report.chain.head,
        "broken_seal": report.chain.broken.seal_id if report.chain.broken else None,
        "found": report.found,
    }


def facts_as_json(report: "VerificationReport") -> dict[str, Any]:
    """All that was found."""
    return {
        **_facts(report),
        "asked_head": report.head._asdict() if report.head else None,
        "rows": report.rows,
        "rows_older_than_the_trail": report.older,
        "discrepancies": [asdict(discrepancy) for discrepancy in report.discrepancies],
        "not_looked_at": report.not_looked_at,
    }


def facts_as_text(report: "VerificationReport") -> dict[str, Any]:
    """What was looked at, for a person."""
    facts = _facts(report) | {"rows": _counts(report.rows)}
    if report.older:
        facts["older_than_the_trail"] = _counts(report.older)
    if (head := report.head) is not None:
        facts["asked_head"] = (
            f"seal {head.seal_id} of {head.sealed_at:%Y-%m-%d %H:%M:%S}; since then {head.seals_since} seals,"
            f" {head.events_since} events"
        )
    return facts


def _counts(rows: dict[str, int]) -> str:
    return ", ".join(f"{many} {table}" for table, many in rows.items()) or "none"
