"""`berth rollout`: how a deployment or daemonset goes from one template to the next."""

from collections.abc import Callable
from typing import TYPE_CHECKING, Annotated

import typer

from cli.durations import parse_timeout
from cli.output import Output, format_data, parse_output
from cli.refs import parse_targets
from cli.session import Session, note, out, session_of
from cli.settings import HELP
from cli.tables import format_table
from client.errors import BadOption, ClientError, NotFound
from client.naming import make_ref

if TYPE_CHECKING:
    from client.change import Changed
    from client.client import Client
    from schemas.keys import ObjectRef
    from schemas.owned import Revision

What = Annotated[list[str], typer.Argument(metavar="WHAT", help="KIND/NAME, or KIND NAME.")]


def register(app: typer.Typer, name: str) -> None:
    verbs = typer.Typer(help="Show, undo, restart or pause rollouts.", no_args_is_help=True)
    for verb, function in _VERBS.items():
        verbs.command(verb, epilog=HELP)(function)
    app.add_typer(verbs, name=name)


def _refs(session: Session, what: list[str]) -> "list[ObjectRef]":
    refs = [
        make_ref(target.kind, session.namespace, name)
        for target in parse_targets(what)
        for name in target.names
    ]
    if not refs:
        raise BadOption("name a deployment or daemonset, such as deployment/web")
    return refs


def status(
    context: typer.Context,
    what: What,
    watch: Annotated[bool, typer.Option("-w/-W", "--watch/--no-watch", help="Wait until it is done.")] = True,
    revision: Annotated[int, typer.Option(min=0, help="Give up when another one is the newest.")] = 0,
    timeout: Annotated[str, typer.Option(help="How long to wait, such as 90s; 0 is for ever.")] = "0",
) -> None:
    """Show how far a rollout has come, until it is done. Exit code 1 when it failed, or was not done in time."""
    session, timeout_s, code = session_of(context), parse_timeout(timeout), 0
    with session.client() as client:
        for ref in _refs(session, what):
            if watch:
                state = client.rollout.follow(ref, _tell, timeout_s=timeout_s, revision=revision)
            else:
                state = client.rollout.state(ref)
            if state.verdict == "failed":
                note(f"Error: {state.text}; see: berth describe {ref}")
                code = 1
            else:
                out(state.text)
    raise typer.Exit(code)


def _tell(text: str) -> None:
    import sys

    out(text)
    sys.stdout.flush()


def history(
    context: typer.Context,
    what: What,
    revision: Annotated[int, typer.Option(min=0, help="Show the template of this one.")] = 0,
    output: Annotated[str, typer.Option("-o", "--output", help="json or yaml.")] = "",
) -> None:
    """Show the kept revisions of a template, the oldest first."""
    session, form = session_of(context), parse_output(output)
    with session.client() as client:
        for ref in _refs(session, what):
            kept = client.rollout.history(ref)
            if revision:
                kept = tuple(each for each in kept if each.number == revision)
                if not kept:
                    raise NotFound(f"{ref} has no revision {revision}; see: berth rollout history {ref}")
            _print_history(ref, kept, form, is_one=bool(revision))


def _print_history(ref: "ObjectRef", kept: "tuple[Revision, ...]", form: Output, *, is_one: bool) -> None:
    if form in (Output.JSON, Output.YAML):
        shown = [each.to_json() for each in kept]
        out(format_data(shown[0] if is_one else {"kind": "List", "items": shown}, form), end="")
        return
    if is_one:
        from cli.blocks import render
        from cli.describe_template import template_block
        from schemas.workload import TaskTemplate

        out(f"{ref} with revision #{kept[0].number}")
        out("\n".join(render(template_block(TaskTemplate.parse_stored(kept[0].template)))))
        return
    out(str(ref))
    rows = [(str(each.number), each.cause or "<none>") for each in kept]
    for line in format_table(["REVISION", "CHANGE-CAUSE"], rows, with_header=True):
        out(line)


def _each(context: typer.Context, what: list[str], word: str, verb: str, to_revision: int = 0) -> None:
    """Change each object and say so; an error of one keeps the others from nothing."""
    session, code = session_of(context), 0
    with session.client() as client:
        for ref in _refs(session, what):
            try:
                changed = _change(client, ref, verb, to_revision)
            except ClientError as error:
                note(f"Error: {error}")
                code = 1
            else:
                out(f"{ref} {word if changed.is_change else 'unchanged'}")
    raise typer.Exit(code)


def _change(client: "Client", ref: "ObjectRef", verb: str, to_revision: int) -> "Changed":
    rollout = client.rollout
    match verb:
        case "undo":
            return rollout.undo(ref, to_revision)
        case "restart":
            return rollout.restart(ref)
        case "pause":
            return rollout.pause(ref)
        case _:
            return rollout.resume(ref)


def undo(
    context: typer.Context,
    what: What,
    to_revision: Annotated[int, typer.Option(min=0, help="Which one; 0: the one before.")] = 0,
) -> None:
    """Go back to an older template: it is written into the spec again."""
    _each(context, what, "rolled back", "undo", to_revision)


def restart(context: typer.Context, what: What) -> None:
    """Replace all tasks, as far at a time as the strategy allows."""
    _each(context, what, "restarted", "restart")


def pause(context: typer.Context, what: What) -> None:
    """Keep a deployment as it is; changes of its template wait until it is resumed."""
    _each(context, what, "paused", "pause")


def resume(context: typer.Context, what: What) -> None:
    """Let a paused deployment go on."""
    _each(context, what, "resumed", "resume")


_VERBS: dict[str, Callable[..., None]] = {
    "status": status,
    "history": history,
    "undo": undo,
    "restart": restart,
    "pause": pause,
    "resume": resume,
}
