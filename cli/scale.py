"""`berth scale`: how many tasks a deployment has."""

from typing import Annotated

import typer

from cli.changing import change_each, refs_of
from cli.refs import parse_targets
from cli.session import session_of
from cli.settings import HELP


def register(app: typer.Typer, name: str) -> None:
    app.command(name, epilog=HELP)(scale)


def scale(
    context: typer.Context,
    what: Annotated[list[str], typer.Argument(metavar="WHAT", help="KIND NAME ..., or KIND/NAME ....")],
    replicas: Annotated[int, typer.Option(min=0, help="How many tasks it is to have.")],
    current_replicas: Annotated[
        int, typer.Option(min=-1, help="Only if it has so many now; -1: whatever it has.")
    ] = -1,
    selector: Annotated[str, typer.Option("-l", "--selector", help="Such as app=web.")] = "",
    all_: Annotated[bool, typer.Option("--all", help="All deployments of the namespace.")] = False,
) -> None:
    """Set how many tasks a deployment has: berth scale deployment/web --replicas 5"""
    session = session_of(context)
    current = None if current_replicas < 0 else current_replicas
    with session.client() as client:
        refs = refs_of(session, client, parse_targets(what), selector, all_=all_)
        code = change_each(
            refs,
            lambda ref: client.scale(ref, replicas, current=current),
            lambda changed: "scaled" if changed.is_change else "unchanged",
        )
    raise typer.Exit(code)
