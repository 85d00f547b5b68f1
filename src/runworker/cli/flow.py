"""`runworker flow`."""

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated
from uuid import UUID

import typer

from runworker.cli import on_demand
from runworker.cli.reporting import show, tell

if TYPE_CHECKING:
    from runworker.imports import FlowFile

STDIN = "-"

app = typer.Typer(
    no_args_is_help=True, help="Flows: descriptions of the process, whose published versions runs follow."
)


@app.command("import")
def import_(
    *,
    email: Annotated[str, typer.Option("--as", metavar="EMAIL", help="The user who imports.")],
    file: Annotated[
        str | None,
        typer.Argument(
            metavar="FILE",
            help="JSON: a graph as React Flow saves it, or name, description and graph. - reads standard input.",
        ),
    ] = None,
    canonical: Annotated[
        bool, typer.Option("--canonical", help="The plant's own eleven steps, in place of FILE.")
    ] = False,
    publish: Annotated[
        bool, typer.Option("--publish", help="Put it in force, in place of the version before.")
    ] = False,
    name: Annotated[
        str | None, typer.Option(help="The flow's name, in place of the file's own or its file name.")
    ] = None,
    as_json: Annotated[
        bool,
        typer.Option("--json", help='Print {"flow_definition_id": ..., "flow_version_id": ..., "version_num": ...}.'),
    ] = False,
) -> None:
    """Write a flow as a new version: of the flow of the same name, or of a new one.

    The graph has to give a valid plan; everything that is wrong with it is listed, and nothing is written then.
    """
    if (file is None) != canonical:
        raise typer.BadParameter("give a FILE, or --canonical, and not both")
    content = on_demand.imports.canonical_flow() if file is None else _read(file)
    if name is not None:
        content = on_demand.imports.named(content, name)
    with on_demand.database.owner_session() as session:
        imported = on_demand.imports.import_flow(session, content, email=email, publish=publish)
    if imported.superseded is not None:
        tell(f"version {imported.superseded} of this flow is DEPRECATED now; its runs go on")
    ids = {
        "flow_definition_id": str(imported.flow_definition_id),
        "flow_version_id": str(imported.flow_version_id),
        "version_num": imported.version_num,
    }
    show(ids if as_json else {**ids, "status": imported.status}, as_json=as_json)


@app.command()
def discard(
    flow_version_id: Annotated[UUID, typer.Argument(metavar="FLOW_VERSION_ID", help="A version that is a DRAFT.")],
    *,
    email: Annotated[str, typer.Option("--as", metavar="EMAIL", help="The user who discards.")],
    as_json: Annotated[
        bool, typer.Option("--json", help='Print {"flow_version_id": ..., "version_num": ...}.')
    ] = False,
) -> None:
    """Delete a draft. What was published stays for ever."""
    with on_demand.database.owner_session() as session:
        number = on_demand.imports.discard_draft(session, flow_version_id, email=email)
    show({"flow_version_id": str(flow_version_id), "version_num": number}, as_json=as_json)


def _read(file: str) -> "FlowFile":
    """The flow in a file or on standard input. A bare graph takes its name from the file's."""
    imports = on_demand.imports
    try:
        if file == STDIN:
            return imports.read_flow_file(sys.stdin.buffer.read(imports.MOST_BYTES + 1))
        with Path(file).open("rb") as stream:
            content = imports.read_flow_file(stream.read(imports.MOST_BYTES + 1))
    except OSError as error:
        raise imports.ImportRefused(f"Cannot read {file}: {error.strerror}.") from error
    return imports.named(content, Path(file).stem) if content.name is None else content
