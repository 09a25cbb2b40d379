"""`berth get`: objects in a table, or as JSON, YAML, names or a template. One answer is of one revision."""

import sys
from collections.abc import Collection, Sequence
from typing import TYPE_CHECKING, Annotated, Protocol

import typer

from cli.cells import frozen_words
from cli.columns import Column, RowContext
from cli.listing import Found, Wish, check, nothing_found, read, table_columns
from cli.output import Form, Json, Output, as_list, format_data, parse_form, to_json
from cli.refs import ENDPOINTS, EVENTS, Target, parse_targets
from cli.session import Session, note, out, session_of
from cli.settings import HELP
from cli.tables import GrowingTable
from client.naming import not_found
from client.selector import parse_selector
from client.views import ObjectView

if TYPE_CHECKING:
    from cli.customcolumns import FieldTerm
    from client.client import Client


NO_CLUSTER = (
    "etcd holds no cluster: no controller has begun one there, or its data was wiped; "
    "see: berth version, and start one with: berth controller"
)


def register(app: typer.Typer, name: str) -> None:
    app.command(name, epilog=HELP)(get)


def get(
    context: typer.Context,
    what: Annotated[
        list[str],
        typer.Argument(metavar="WHAT", help="KIND[,KIND] [NAME ...], KIND/NAME ..., events, or all."),
    ],
    output: Annotated[
        str,
        typer.Option("-o", "--output", help="wide, json, yaml, name, jsonpath=..., custom-columns=...."),
    ] = "",
    all_namespaces: Annotated[
        bool, typer.Option("-A", "--all-namespaces", help="In all namespaces.")
    ] = False,
    selector: Annotated[str, typer.Option("-l", "--selector", help="Such as app=web,tier!=test.")] = "",
    field_selector: Annotated[
        str, typer.Option("--field-selector", help="Such as status.node=n1,status.state!=Running.")
    ] = "",
    sort_by: Annotated[
        str, typer.Option("--sort-by", help="Order by a path, such as .metadata.creationTimestamp.")
    ] = "",
    no_headers: Annotated[bool, typer.Option("--no-headers", help="Leave the header out.")] = False,
    show_labels: Annotated[bool, typer.Option("--show-labels", help="Add a column of all labels.")] = False,
    label_columns: Annotated[
        list[str] | None,
        typer.Option(
            "-L", "--label-columns", help="Add a column of these labels; comma-separated, repeatable."
        ),
    ] = None,
    watch: Annotated[
        bool, typer.Option("-w", "--watch/--no-watch", help="Go on, and add a row for each change.")
    ] = False,
    watch_only: Annotated[
        bool, typer.Option("--watch-only", help="Only the changes, not what there is now.")
    ] = False,
    at: Annotated[
        str, typer.Option("--at", help="As it was: 10m ago, or at a time, such as 2026-11-29T10:00:00Z.")
    ] = "",
    at_rev: Annotated[
        str, typer.Option("--at-rev", help="As it was at this revision; see: berth history.")
    ] = "",
) -> None:
    """Show objects in a table, as JSON or YAML, or as a template has it."""
    session, form = session_of(context), parse_form(output)
    if at or at_rev:
        from cli.past import check_past

        check_past(at, at_rev, is_watching=watch or watch_only, first=what[0])
    namespace = None if all_namespaces else session.namespace
    if what[0] in EVENTS:
        from cli.events import get_events

        get_events(session, form, namespace, with_header=not no_headers, watch=watch, watch_only=watch_only)
        return
    if what[0].partition("/")[0] in ENDPOINTS:
        from cli.endpoints import get_endpoints

        names = [each.partition("/")[2] for each in what if "/" in each] or what[1:]
        get_endpoints(session, form, namespace, names, with_header=not no_headers, watch=watch or watch_only)
        return
    targets = parse_targets(what)
    wish = Wish(
        targets,
        namespace,
        form,
        parse_selector(selector),
        _parse_fields(field_selector),
        sort_by,
        not no_headers,
        show_labels,
        tuple(key.strip() for keys in label_columns or () for key in keys.split(",") if key.strip()),
        len(targets) > 1,
    )
    check(wish)
    _check_form(wish)
    with session.client() as client:
        if at or at_rev:
            from cli.past import get_past, parse_when

            raise typer.Exit(get_past(session, client, wish, parse_when(at, at_rev)))
        if watch or watch_only:
            from cli.watch import watch_objects

            watch_objects(session, client, wish, only_changes=watch_only)
            return
        code = _show(session, client, wish)
    raise typer.Exit(code)


def _show(session: Session, client: "Client", wish: Wish) -> int:
    """Print what there is now; return the exit code."""
    code = 0
    if wish.can_stream:
        _stream(session, client, wish)
    else:
        code = _show_all(session, client, wish)
    _tell_wiped(client, wish)
    return code


def _check_form(wish: Wish) -> None:
    """Raise BadOption for a template, columns or a path that can't be read, before anything is asked."""
    if wish.form.output is Output.JSONPATH:
        from cli.jsonpath import parse_template

        parse_template(wish.form.argument)
    if wish.form.output is Output.CUSTOM_COLUMNS or wish.sort_by:
        from cli import customcolumns

        customcolumns.sorted_by((), wish.sort_by or ".")
        table_columns(wish, wish.targets[0])


def _parse_fields(text: str) -> "tuple[FieldTerm, ...]":
    if not text:
        return ()
    from cli.customcolumns import parse_field_selector

    return parse_field_selector(text)


def _stream(session: Session, client: "Client", wish: Wish) -> None:
    """Print the rows as they come, one table a kind."""
    targets = {target.kind.plural: target for target in wish.targets}
    printers: dict[str, RowPrinter] = {}
    for plural, page in client.pages_of(targets, wish.namespace):
        views = tuple(filter(wish.shows, page))
        if views and plural not in printers:
            _part_tables(wish, printers)
            printers[plural] = row_printer(session, client, wish, targets[plural])
        if views:
            printers[plural].show(views)
        sys.stdout.flush()
    if not printers:
        note(nothing_found(wish))


def _part_tables(wish: Wish, before: Collection[object]) -> None:
    if before and wish.form.is_table:
        out("")


def _tell_wiped(client: "Client", wish: Wish) -> None:
    """Nodes may still report into an etcd that has lost its cluster."""
    if any(target.kind.name == "Node" for target in wish.targets) and client.cluster() is None:
        note(NO_CLUSTER)


def _show_all(session: Session, client: "Client", wish: Wish) -> int:
    """Print what is read at once; return the exit code."""
    found, missing = read(client, wish)
    views = [view for target in wish.targets for view in found[target.kind.plural]]
    if wish.form.is_table or wish.form.output is Output.NAME:
        _print_rows(session, client, wish, found)
        if not views and not wish.names:
            note(nothing_found(wish))
    elif views or not wish.names:
        shown = [to_json(view) for view in views]
        data = shown[0] if len(wish.names) == 1 else as_list(shown)
        out(format_form(data, wish.form), end="")
    for target, name in missing:
        note(f"Error: {not_found(target.kind, name, session.namespace)}")
    return 1 if missing else 0


def format_form(data: Json, form: Form) -> str:
    """Return one object, or a list of them, as JSON, YAML or by a template."""
    if form.output is not Output.JSONPATH:
        return format_data(data, form.output)
    from cli.jsonpath import fill, parse_template

    return fill(parse_template(form.argument), data)


def _print_rows(session: Session, client: "Client", wish: Wish, found: Found) -> None:
    """One table a kind, with an empty line between two."""
    printed: list[Target] = []
    for target in wish.targets:
        views = found[target.kind.plural]
        if views:
            _part_tables(wish, printed)
            printed.append(target)
            row_printer(session, client, wish, target).show(views)


class RowPrinter(Protocol):
    """Prints objects, some at a time."""

    def show(self, views: Sequence[ObjectView]) -> None: ...


class NamePrinter:
    def show(self, views: Sequence[ObjectView]) -> None:
        for view in views:
            out(str(view.ref))


class TablePrinter:
    """Prints a row for each object."""

    def __init__(self, columns: Sequence[Column], context: RowContext, *, with_header: bool) -> None:
        self._columns = columns
        self._context = context
        self._table = GrowingTable([column.header for column in columns], with_header=with_header)

    def show(self, views: Sequence[ObjectView]) -> None:
        self.show_rows([self.row(view, self._context) for view in views])
        for view in views:
            if words := frozen_words(view):
                note(f"Warning: {view.ref} is frozen: {words}")

    def row(self, view: ObjectView, context: RowContext) -> list[str]:
        return [column.cell(view, context) for column in self._columns]

    def show_rows(self, rows: Sequence[Sequence[str]]) -> None:
        for line in self._table.lines(rows):
            out(line)


def row_printer(session: Session, client: "Client", wish: Wish, target: Target) -> RowPrinter:
    if wish.form.output is Output.NAME:
        return NamePrinter()
    columns = table_columns(wish, target)
    return TablePrinter(columns, row_context(session, client, wish), with_header=wish.with_header)


def row_context(session: Session, client: "Client", wish: Wish) -> RowContext:
    return RowContext(session.now(), default_queues(client, wish))


def default_queues(client: "Client", wish: Wish) -> dict[str, str]:
    """Return namespace -> default queue, for the wide table of tasks, which shows queues; empty for others."""
    if wish.form.output is not Output.WIDE or not any(target.kind.name == "Task" for target in wish.targets):
        return {}
    namespaces = client.list("namespaces").objects["namespaces"]
    return {view.name: (view.raw.get("spec") or {}).get("defaultQueue", "default") for view in namespaces}
