"""`berth delete`: ask the leader to stop and remove objects, and wait until they are gone."""

from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated

import typer

from cli.durations import parse_timeout
from cli.manifests import Recursive, read_manifests
from cli.refs import parse_targets
from cli.session import Session, note, out, session_of
from cli.settings import HELP
from client.client import not_found
from client.errors import BadOption, ClientError, NotFound
from client.selector import parse_selector
from client.views import ObjectView

if TYPE_CHECKING:
    from client.client import Client
    from client.delete import Cascade


@dataclass(frozen=True, slots=True)
class Meant:
    """How the objects that are to go were named: by words, with what follows them, or by files."""

    what: list[str]
    files: list[str]
    recursive: bool
    selector: str
    all_of_kind: bool


def register(app: typer.Typer, name: str) -> None:
    app.command(name, epilog=HELP)(delete)


def delete(
    context: typer.Context,
    what: Annotated[
        list[str] | None, typer.Argument(metavar="WHAT", help="KIND NAME ..., or KIND/NAME ....")
    ] = None,
    filename: Annotated[
        list[str] | None, typer.Option("-f", "--filename", help="Delete what these manifests name.")
    ] = None,
    recursive: Recursive = False,
    selector: Annotated[str, typer.Option("-l", "--selector", help="Such as app=web.")] = "",
    all_: Annotated[bool, typer.Option("--all", help="All objects of the kind in the namespace.")] = False,
    wait: Annotated[bool, typer.Option(help="Wait until they are gone.")] = True,
    timeout: Annotated[str, typer.Option(help="How long to wait, such as 90s; 0 is for ever.")] = "0",
    grace_period: Annotated[
        int, typer.Option(min=-1, help="Seconds from the stop signal to the kill; -1: the task's own.")
    ] = -1,
    now: Annotated[bool, typer.Option("--now", help="The same as --grace-period 1.")] = False,
    force: Annotated[
        bool, typer.Option("--force", help="Kill at once; also remove what can't be read.")
    ] = False,
    cascade: Annotated[
        str,
        typer.Option(
            "--cascade",
            help="What an owner made: background deletes it too; foreground waits for its end; orphan keeps it.",
        ),
    ] = "",
    ignore_not_found: Annotated[
        bool, typer.Option("--ignore-not-found", help="What does not exist is no error.")
    ] = False,
    dry_run: Annotated[bool, typer.Option(help="Say what would be deleted; delete nothing.")] = False,
) -> None:
    """Delete objects, and wait until they are gone."""
    session = session_of(context)
    how = parse_cascade(cascade)
    grace_s = _grace(grace_period, now=now, force=force)
    timeout_s = parse_timeout(timeout)
    with session.client() as client:
        meant = Meant(what or [], filename or [], recursive, selector, all_)
        views, errors = _find(session, client, meant)
        if dry_run:
            for view in views:
                out(f'{view.kind.singular} "{view.name}" deleted (dry run)')
        else:
            requested = _request(client, views, errors, grace_s, force=force, cascade=how)
            _finish(client, requested, timeout_s if wait else None, force=force)
        if not views and not errors:
            note(
                f"no {' '.join(what or [])} match{f' -l {selector}' if selector else ''}; nothing was deleted"
            )
    hidden = (NotFound,) if ignore_not_found else ()
    shown = [each for each in errors if not isinstance(each, hidden)]
    for each in shown:
        note(f"Error: {each}")
    raise typer.Exit(1 if shown else 0)


def parse_cascade(text: str) -> "Cascade | None":
    """Return what `--cascade` says, None for nothing. Raises BadOption."""
    match text:
        case "":
            return None
        case "background" | "foreground" | "orphan":
            return text
        case _:
            raise BadOption(f"--cascade {text!r} can't be read; write background, foreground or orphan")


def _request(
    client: "Client",
    views: list[ObjectView],
    errors: list[ClientError],
    grace_s: float | None,
    *,
    force: bool,
    cascade: "Cascade | None",
) -> list[ObjectView]:
    """Ask for all deletions; return those that were asked for, and add why the others were not to `errors`."""
    requested: list[ObjectView] = []
    for view in views:
        try:
            client.delete(view, grace_s=grace_s, force=force, cascade=cascade, wait=False)
            requested.append(view)
        except ClientError as error:
            errors.append(error)
    return requested


def _finish(client: "Client", requested: list[ObjectView], timeout_s: float | None, *, force: bool) -> None:
    """Wait until each is gone (timeout_s None: do not wait), and say so."""
    for view in requested:
        if timeout_s is not None:
            client.wait_deleted(view, timeout_s=timeout_s)
        out(f'{view.kind.singular} "{view.name}" {"force deleted" if force else "deleted"}')


def _grace(grace_period: int, *, now: bool, force: bool) -> float | None:
    """Return seconds, None for the task's own."""
    if (now and force) or ((now or force) and grace_period >= 0):
        raise BadOption("give one of --grace-period, --now and --force")
    if force:
        return 0.0
    if now:
        return 1.0
    return None if grace_period < 0 else float(grace_period)


def _find(session: Session, client: "Client", meant: Meant) -> tuple[list[ObjectView], list[ClientError]]:
    """Return what is to go, the tasks first, and what was not found."""
    wanted = _wanted(session, client, meant)
    found = [(each, client.find(*each)) for each in dict.fromkeys(wanted)]
    errors: list[ClientError] = [
        not_found(client.kind(plural), name, namespace)
        for (plural, name, namespace), view in found
        if view is None
    ]
    return [view for _, view in found if view is not None], errors


def _wanted(session: Session, client: "Client", meant: Meant) -> list[tuple[str, str, str]]:
    """Return (plural, name, namespace) of each object meant; of files the last first, as others need the first."""
    if bool(meant.what) == bool(meant.files):
        raise BadOption("say what to delete: KIND NAME, KIND/NAME, KIND with -l or --all, or -f FILE")
    if meant.files:
        read = read_manifests(meant.files, recursive=meant.recursive, namespace=session.namespace)
        return [(each.ref.plural, each.ref.name, each.ref.namespace) for each in reversed(read.documents)]
    targets = parse_targets(meant.what)
    if all(target.names for target in targets):
        if meant.selector or meant.all_of_kind:
            raise BadOption("names can't be combined with -l or --all")
        return [(target.kind.plural, name, session.namespace) for target in targets for name in target.names]
    if not meant.selector and not meant.all_of_kind:
        raise BadOption("name what to delete, or say -l SELECTOR or --all")
    listed = client.list(
        *(target.kind.plural for target in targets),
        namespace=session.namespace,
        selector=parse_selector(meant.selector),
    )
    views = [view for each in listed.objects.values() for view in each if view.spec_kv is not None]
    return [(view.ref.plural, view.name, view.namespace) for view in views]
