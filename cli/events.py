"""`berth events` and `berth get events`: what happened, oldest first; with -w, and what happens from now on."""

import sys
from collections.abc import Callable, Iterable, Sequence
from typing import Annotated

import typer

from cli.columns import EVENT_HEADER, EVENT_WIDE_HEADER, event_row
from cli.output import Form, Output, as_list, format_data, parse_form
from cli.session import Session, note, out, session_of
from cli.settings import HELP
from cli.tables import GrowingTable
from client.errors import BadOption
from schemas.event import Event

Wanted = Callable[[Event], bool]
TYPES = ("Normal", "Warning")


def register(app: typer.Typer, name: str) -> None:
    app.command(name, epilog=HELP)(events)


def events(
    context: typer.Context,
    for_: Annotated[str, typer.Option("--for", help="Only those of one object: KIND/NAME.")] = "",
    types: Annotated[str, typer.Option("--types", help="Only of these types: Normal, Warning.")] = "",
    output: Annotated[str, typer.Option("-o", "--output", help="wide, json, yaml or name.")] = "",
    all_namespaces: Annotated[
        bool, typer.Option("-A", "--all-namespaces", help="In all namespaces.")
    ] = False,
    no_headers: Annotated[bool, typer.Option("--no-headers", help="Leave the header out.")] = False,
    watch: Annotated[bool, typer.Option("-w", "--watch", help="Go on with what happens.")] = False,
    watch_only: Annotated[bool, typer.Option("--watch-only", help="Only what happens from now on.")] = False,
) -> None:
    """Show what happened to objects, oldest first. Events are kept for an hour."""
    session, form = session_of(context), parse_form(output)
    namespace, wanted = _place_and_filter(session, for_, types)
    get_events(
        session,
        form,
        None if all_namespaces else namespace,
        wanted,
        with_header=not no_headers,
        watch=watch,
        watch_only=watch_only,
    )


def _place_and_filter(session: Session, for_: str, types: str) -> tuple[str, Wanted]:
    """Return where to look (objects without namespace have their own place), and what to show there."""
    names = [each.strip().capitalize() for each in types.split(",") if each.strip()]
    unknown = [each for each in names if each not in TYPES]
    if unknown:
        raise BadOption(f"--types {unknown[0]!r} is no type of event; known: {', '.join(TYPES)}")
    if not for_:
        return session.namespace, lambda event: not names or event.type in names
    from cli.refs import parse_targets
    from client.naming import make_ref

    if "/" not in for_:
        raise BadOption(f"--for {for_!r} is not of the form KIND/NAME; for example: --for task/web")
    (target,) = parse_targets([for_])
    kind, name = target.kind, target.names[0]

    def is_wanted(event: Event) -> bool:
        is_of_it = event.object_kind == kind.name and event.object_name == name
        return is_of_it and (not names or event.type in names)

    return make_ref(kind, session.namespace, name).namespace, is_wanted


def get_events(
    session: Session,
    form: Form,
    namespace: str | None,
    wanted: Wanted = lambda event: True,
    *,
    with_header: bool,
    watch: bool,
    watch_only: bool,
) -> None:
    """Print events of a namespace, or of all (None)."""
    if form.output in (Output.JSONPATH, Output.CUSTOM_COLUMNS):
        return _print_by_template(session, form, namespace, wanted)
    printer = _Printer(session, form, with_namespace=namespace is None, with_header=with_header)
    with session.client() as client:
        if watch or watch_only:
            for batch in client.watch_events(namespace, only_new=watch_only):
                printer.show_each(filter(wanted, batch))
            return None
        found = tuple(filter(wanted, client.events(namespace)))
    if form.output in (Output.JSON, Output.YAML):
        out(format_data(as_list([event.to_json() for event in found]), form.output), end="")
    elif found:
        printer.show_each(found)
    else:
        note("No resources found" if namespace is None else f"No resources found in {namespace} namespace.")
    return None


def _print_by_template(session: Session, form: Form, namespace: str | None, wanted: Wanted) -> None:
    from cli.jsonpath import fill, parse_template

    if form.output is Output.CUSTOM_COLUMNS:
        raise BadOption("events have no custom columns; use -o jsonpath=TEMPLATE or -o wide")
    template = parse_template(form.argument)
    with session.client() as client:
        found = [event.to_json() for event in client.events(namespace) if wanted(event)]
    out(fill(template, as_list(found)), end="")


class _Printer:
    """Prints events as rows, as names, or as documents."""

    def __init__(self, session: Session, form: Form, *, with_namespace: bool, with_header: bool) -> None:
        self._session, self._form, self._with_namespace = session, form, with_namespace
        wide = EVENT_WIDE_HEADER if form.output is Output.WIDE else ()
        place = ("NAMESPACE",) if with_namespace else ()
        self._table = GrowingTable((*place, *EVENT_HEADER, *wide), with_header=with_header)

    def show_each(self, events: Iterable[Event]) -> None:
        found = list(events)
        match self._form.output:
            case Output.JSON | Output.YAML:
                for event in found:
                    out("---\n" if self._form.output is Output.YAML else "", end="")
                    out(format_data(event.to_json(), self._form.output), end="")
            case Output.NAME:
                for event in found:
                    out(f"{event.object_kind.lower()}/{event.object_name}")
            case _:
                for line in self._table.lines(self._rows(found)):
                    out(line)
        sys.stdout.flush()

    def _rows(self, events: Sequence[Event]) -> list[Sequence[str]]:
        now, is_wide = self._session.now(), self._form.output is Output.WIDE
        return [
            ((event.namespace,) if self._with_namespace else ()) + event_row(event, now, is_wide=is_wide)
            for event in events
        ]
