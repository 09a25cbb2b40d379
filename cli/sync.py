"""`berth sync`: what people want of a GitSource: look now, stop, go on, go back."""

from collections.abc import Callable
from typing import TYPE_CHECKING, Annotated

import typer

from cli.durations import parse_timeout
from cli.session import Session, note, out, session_of
from cli.settings import HELP
from cli.sync_status import commit_words, status_lines, verdict_of

if TYPE_CHECKING:
    from client.views import ObjectView

Names = Annotated[list[str], typer.Argument(metavar="NAME", help="NAME or gitsource/NAME; repeatable.")]
Name = Annotated[str, typer.Argument(metavar="NAME", help="NAME or gitsource/NAME.")]
Timeout = Annotated[str, typer.Option(help="How long to wait, such as 90s; 0 is for ever.")]
NoWait = Annotated[bool, typer.Option("--no-wait", help="Ask, and do not wait for the answer.")]
SYNC_TIMEOUT = "5m"


def register(app: typer.Typer, name: str) -> None:
    verbs = typer.Typer(help="Sync sources now, stop, go on, go back.", no_args_is_help=True)
    for verb, function in _VERBS.items():
        verbs.command(verb, epilog=HELP)(function)
    app.add_typer(verbs, name=name)


def _bare(name: str) -> str:
    return name.removeprefix("gitsource/").removeprefix("gitsources/")


def now(
    context: typer.Context, names: Names, no_wait: NoWait = False, timeout: Timeout = SYNC_TIMEOUT
) -> None:
    """Look at the repository now, apply what it says, and put right what drifted. Exit code 1 if that failed."""
    session, code = session_of(context), 0
    with session.client() as client:
        for name in map(_bare, names):
            revision = client.sources.ask(name)
            if no_wait:
                out(f"gitsource/{name} asked to sync")
                continue
            view = client.sources.wait(name, revision, timeout_s=parse_timeout(timeout))
            code = max(code, _tell_outcome(session, view))
    raise typer.Exit(code)


def _tell_outcome(session: Session, view: "ObjectView") -> int:
    """Print what a sync came to; return the exit code."""
    failure, synced = verdict_of(view)
    if failure is not None:
        note(f"Error: gitsource/{view.name} was not synced: {failure}")
        return 1
    out(f"gitsource/{view.name} synced: {synced}")
    return 0


def suspend(context: typer.Context, names: Names) -> None:
    """Leave everything as it is: the repository is not asked, nothing is written."""
    with session_of(context).client() as client:
        for name in map(_bare, names):
            changed = client.sources.suspend(name)
            out(f"gitsource/{name} {'suspended' if changed.is_change else 'is suspended already'}")


def resume(context: typer.Context, names: Names) -> None:
    """Go on with what the source follows, after suspend or rollback."""
    with session_of(context).client() as client:
        for name in map(_bare, names):
            changed = client.sources.resume(name)
            out(f"gitsource/{name} {'resumed' if changed.is_change else 'goes on already'}")


def status(context: typer.Context, names: Names) -> None:
    """Show what is synced, how it is, and what differs. Exit code 1 if the last try failed."""
    session, code = session_of(context), 0
    with session.client() as client:
        for name in map(_bare, names):
            view = client.sources.find(name)
            out("\n".join(status_lines(view, session.now())))
            code = max(code, 0 if verdict_of(view)[0] is None else 1)
    raise typer.Exit(code)


def rollback(
    context: typer.Context,
    name: Name,
    to: Annotated[str, typer.Option(help="First digits of a commit that was synced, or any whole id.")] = "",
    no_wait: NoWait = False,
    timeout: Timeout = SYNC_TIMEOUT,
) -> None:
    """Go back to the commit that was synced before, and stay there until: berth sync resume NAME."""
    session, name = session_of(context), _bare(name)
    with session.client() as client:
        _, found, commit = client.sources.rollback(name, to)
        words = commit_words(found) if found is not None else commit
        out(f"gitsource/{name} stays at {words} until: berth sync resume {name}")
        if no_wait or client.sources.is_suspended(name):
            return
        revision = client.sources.ask(name)
        code = _tell_outcome(session, client.sources.wait(name, revision, timeout_s=parse_timeout(timeout)))
    raise typer.Exit(code)


_VERBS: dict[str, Callable[..., None]] = {
    "now": now,
    "suspend": suspend,
    "resume": resume,
    "status": status,
    "rollback": rollback,
}
