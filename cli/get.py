"""`berth get`: objects in a table, or as JSON, YAML or names. One answer is of one revision."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated

import typer

from cli.columns import EVENT_HEADER, EVENT_WIDE_HEADER, Column, RowContext, columns_of, event_row
from cli.output import Json, Output, as_list, format_data, parse_output, to_json
from cli.refs import EVENTS, Target, parse_targets
from cli.session import Session, note, out, session_of
from cli.settings import HELP
from cli.tables import format_table
from client.client import not_found
from client.errors import BadOption
from client.selector import parse_selector
from client.views import ObjectView

if TYPE_CHECKING:
    from client.client import Client


def register(app: typer.Typer, name: str) -> None:
    app.command(name, epilog=HELP)(get)


def get(
    context: typer.Context,
    what: Annotated[
        list[str],
        typer.Argument(metavar="WHAT", help="KIND[,KIND] [NAME ...], KIND/NAME ..., events, or all."),
    ],
    output: Annotated[str, typer.Option("-o", "--output", help="wide, json, yaml or name.")] = "",
    all_namespaces: Annotated[
        bool, typer.Option("-A", "--all-namespaces", help="In all namespaces.")
    ] = False,
    selector: Annotated[str, typer.Option("-l", "--selector", help="Such as app=web,tier!=test.")] = "",
    no_headers: Annotated[bool, typer.Option("--no-headers", help="Leave the header out.")] = False,
    watch: Annotated[
        bool, typer.Option("-w", "--watch", help="Go on, and add a row for each change.")
    ] = False,
) -> None:
    """Show objects in a table, or as JSON or YAML."""
    session, form = session_of(context), parse_output(output)
    namespace = None if all_namespaces else session.namespace
    with session.client() as client:
        if what[0] in EVENTS:
            _get_events(session, client, namespace, form, with_header=not no_headers)
            return
        targets = parse_targets(what)
        if watch:
            from cli.watch import watch_table

            watch_table(session, client, targets, namespace, form, selector, with_header=not no_headers)
            return
        views, missing = _read(client, targets, namespace, selector)
        _print(session, client, targets, views, form, namespace, with_header=not no_headers)
    for target, name in missing:
        note(f"Error: {not_found(target.kind, name, session.namespace)}")
    raise typer.Exit(1 if missing else 0)


Found = dict[str, tuple[ObjectView, ...]]  # plural -> views
Missing = list[tuple[Target, str]]


def _read(
    client: "Client", targets: Sequence[Target], namespace: str | None, selector: str
) -> tuple[Found, Missing]:
    """Read what is meant; a single name costs one small read."""
    named = [target for target in targets if target.names]
    if named and namespace is None:
        raise BadOption("a name together with -A is ambiguous; say -n NAMESPACE")
    if named and selector:
        raise BadOption("give names or -l, not both")
    if len(targets) == 1 and len(targets[0].names) == 1:
        view = client.find(targets[0].kind.plural, targets[0].names[0], namespace or "")
        found: Found = {targets[0].kind.plural: () if view is None else (view,)}
    else:
        kinds = [target.kind.plural for target in targets]
        found = client.list(*kinds, namespace=namespace, selector=parse_selector(selector)).objects
    return _pick(found, targets)


def _pick(found: Found, targets: Sequence[Target]) -> tuple[Found, Missing]:
    """Keep those that are named, in the order of the names."""
    picked: Found = {}
    missing: Missing = []
    for target in targets:
        views = found[target.kind.plural]
        by_name = {view.name: view for view in views}
        missing += [(target, name) for name in target.names if name not in by_name]
        named = tuple(by_name[name] for name in target.names if name in by_name)
        picked[target.kind.plural] = named if target.names else views
    return picked, missing


def _print(
    session: Session,
    client: "Client",
    targets: Sequence[Target],
    found: Found,
    form: Output,
    namespace: str | None,
    *,
    with_header: bool,
) -> None:
    views = [view for target in targets for view in found[target.kind.plural]]
    names = [name for target in targets for name in target.names]
    match form:
        case Output.NAME:
            for view in views:
                out(str(view.ref))
        case Output.JSON | Output.YAML:
            if views or not names:
                out(format_data(_as_data(views, is_single=len(names) == 1), form), end="")
        case Output.TABLE | Output.WIDE:
            context = row_context(session, client, targets, form)
            _print_tables(targets, found, form, namespace, context, with_header=with_header)
            if not views and not names:
                note(nothing_found(targets, namespace))


def _as_data(views: Sequence[ObjectView], *, is_single: bool) -> Json:
    shown = [to_json(view) for view in views]
    return shown[0] if is_single else as_list(shown)


def row_context(session: Session, client: "Client", targets: Sequence[Target], form: Output) -> RowContext:
    """The wide table of tasks shows queues, and the default one is the namespace's matter."""
    if form is not Output.WIDE or not any(target.kind.name == "Task" for target in targets):
        return RowContext(session.now())
    namespaces = client.list("namespaces").objects["namespaces"]
    queues = {view.name: (view.raw.get("spec") or {}).get("defaultQueue", "default") for view in namespaces}
    return RowContext(session.now(), queues)


def _print_tables(
    targets: Sequence[Target],
    found: Found,
    form: Output,
    namespace: str | None,
    context: RowContext,
    *,
    with_header: bool,
) -> None:
    """One table a kind; with several kinds the names say which, as in kubectl."""
    is_first = True
    for target in targets:
        views = found[target.kind.plural]
        if not views:
            continue
        if not is_first:
            out("")
        is_first = False
        columns = columns_of(target.kind.plural, is_wide=form is Output.WIDE)
        with_namespace = namespace is None and target.kind.namespaced
        rows = [row_of(view, columns, context, with_namespace=with_namespace) for view in views]
        if len(targets) > 1:
            index = 1 if with_namespace else 0
            rows = [[*row[:index], f"{target.kind.singular}/{row[index]}", *row[index + 1 :]] for row in rows]
        header = header_of(columns, with_namespace=with_namespace)
        out("\n".join(format_table(header, rows, with_header=with_header)))


def header_of(columns: Sequence[Column], *, with_namespace: bool) -> list[str]:
    return [*(["NAMESPACE"] if with_namespace else []), *(column.header for column in columns)]


def row_of(
    view: ObjectView, columns: Sequence[Column], context: RowContext, *, with_namespace: bool
) -> list[str]:
    cells = (column.cell(view, context) for column in columns)
    return [*([view.namespace] if with_namespace else []), *cells]


def nothing_found(targets: Sequence[Target], namespace: str | None) -> str:
    if namespace is None or not any(target.kind.namespaced for target in targets):
        return "No resources found"
    return f"No resources found in {namespace} namespace."


def _get_events(
    session: Session, client: "Client", namespace: str | None, form: Output, *, with_header: bool
) -> None:
    events = client.events(namespace)
    if form in (Output.JSON, Output.YAML):
        out(format_data(as_list([event.to_json() for event in events]), form), end="")
        return
    if not events:
        note("No resources found" if namespace is None else f"No resources found in {namespace} namespace.")
        return
    is_wide, with_namespace = form is Output.WIDE, namespace is None
    header = [
        *(["NAMESPACE"] if with_namespace else []),
        *EVENT_HEADER,
        *(EVENT_WIDE_HEADER if is_wide else ()),
    ]
    rows = [
        [*([event.namespace] if with_namespace else []), *event_row(event, session.now(), is_wide=is_wide)]
        for event in events
    ]
    out("\n".join(format_table(header, rows, with_header=with_header)))
