"""`berth version`: of the client, of etcd, and who leads. Without etcd it still tells its own."""

import json
from typing import Annotated, Any

import typer

from cli.output import Output, format_data, parse_output
from cli.session import Session, note, out, session_of
from cli.settings import HELP
from client.connect import unanswered_message
from client.errors import BadOption, Unreachable
from client.version import berth_version
from store.errors import StoreError, Unavailable


def register(app: typer.Typer, name: str) -> None:
    app.command(name, epilog=HELP)(version)


def version(
    context: typer.Context,
    client: Annotated[bool, typer.Option("--client", help="Only the client's; asks no etcd.")] = False,
    output: Annotated[str, typer.Option("-o", "--output", help="json or yaml.")] = "",
) -> None:
    """Show the versions of the client and of etcd, and who leads."""
    session, form = session_of(context), parse_output(output)
    if form in (Output.WIDE, Output.NAME):
        raise BadOption(f"-o {form} makes no sense here; known: json, yaml")
    found: dict[str, Any] = {"client": berth_version()}
    if session.settings.context and not client:
        found["context"] = session.settings.context
    error = None if client else _ask(session, found)
    if form is Output.TABLE:
        for key, value in found.items():
            out(f"{_TITLES[key]}: {value}")
    else:
        out(format_data(json.loads(json.dumps(found)), form), end="")
    if error:
        note(f"Error: {error}")
        raise typer.Exit(1)


_TITLES = {
    "client": "Client",
    "context": "Context",
    "etcd": "etcd",
    "cluster": "Cluster",
    "leader": "Leader",
    "leaderVersion": "Leader version",
    "leaderApi": "Leader API",
}


def _ask(session: Session, found: dict[str, Any]) -> str:
    """Add what the cluster says; return why it says nothing, if so."""
    try:
        with session.client() as client:
            found["etcd"] = client.server().version
            cluster = client.cluster()
            found["cluster"] = (
                cluster.cluster_uid if cluster else "none: no controller has begun one, or etcd was wiped"
            )
            leader = client.leader()
            found["leader"] = leader.identity if leader else "none; start one with: berth controller"
            if leader and leader.version:
                found["leaderVersion"] = leader.version
            if leader and leader.api_address:
                found["leaderApi"] = leader.api_address
    except Unavailable as error:
        return unanswered_message(session.settings, str(error))
    except (Unreachable, StoreError) as error:
        return str(error)
    return ""
