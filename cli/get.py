"""`berth get`: objects in a table, or as JSON, YAML, names or a template. One answer is of one revision."""

import sys
from collections.abc import Collection, Iterable
from typing import TYPE_CHECKING, Annotated

import typer

from cli.listing import Found, Wish, check, nothing_found, read, table_columns
from cli.output import Output, as_list, parse_form, to_json
from cli.printers import RowPrinter, format_form, row_printer
from cli.refs import ENDPOINTS, EVENTS, Target, parse_targets
from cli.session import Session, note, out, session_of
from cli.settings import HELP
from client.naming import not_found
from client.selector import parse_selector

if TYPE_CHECKING:
    from cli.customcolumns import FieldTerm
    from client.client import Client


NO_CLUSTER = (
    "etcd holds no cluster: no controller has begun one there, or its data was wiped; "
    "see: berth version, and start one with: berth controller"
)


What = Annotated[
    list[str], typer.Argument(metavar="WHAT", help="KIND[,KIND] [NAME ...], KIND/NAME ..., events, or all.")
]
FormText = Annotated[
    str, typer.Option("-o", "--output", help="wide, json, yaml, name, jsonpath=..., custom-columns=....")
]
AllNamespaces = Annotated[bool, typer.Option("-A", "--all-namespaces", help="In all namespaces.")]
Labels = Annotated[str, typer.Option("-l", "--selector", help="Such as app=web,tier!=test.")]
Fields = Annotated[
    str, typer.Option("--field-selector", help="Such as status.node=n1,status.state!=Running.")
]
SortBy = Annotated[
    str, typer.Option("--sort-by", help="Order by a path, such as .metadata.creationTimestamp.")
]
NoHeaders = Annotated[bool, typer.Option("--no-headers", help="Leave the header out.")]
ShowLabels = Annotated[bool, typer.Option("--show-labels", help="Add a column of all labels.")]
LabelColumns = Annotated[
    list[str] | None,
    typer.Option("-L", "--label-columns", help="Add a column of these labels; comma-separated, repeatable."),
]
Watch = Annotated[
    bool, typer.Option("-w", "--watch/--no-watch", help="Go on, and add a row for each change.")
]
WatchOnly = Annotated[bool, typer.Option("--watch-only", help="Only the changes, not what there is now.")]
At = Annotated[
    str, typer.Option("--at", help="As it was: 10m ago, or at a time, such as 2026-11-29T10:00:00Z.")
]
AtRev = Annotated[str, typer.Option("--at-rev", help="As it was at this revision; see: berth history.")]


def register(app: typer.Typer, name: str) -> None:
    app.command(name, epilog=HELP)(get)


def get(
    context: typer.Context,
    what: What,
    output: FormText = "",
    all_namespaces: AllNamespaces = False,
    selector: Labels = "",
    field_selector: Fields = "",
    sort_by: SortBy = "",
    no_headers: NoHeaders = False,
    show_labels: ShowLabels = False,
    label_columns: LabelColumns = None,
    watch: Watch = False,
    watch_only: WatchOnly = False,
    at: At = "",
    at_rev: AtRev = "",
) -> None:
    """Show objects in a table, as JSON or YAML, or as a template has it."""
    session, form = session_of(context), parse_form(output)
    follows, is_past = watch or watch_only, bool(at or at_rev)
    if is_past:
        from cli.past import check_past

        check_past(at, at_rev, is_watching=follows, first=what[0])
    namespace = None if all_namespaces else session.namespace
    if what[0] in EVENTS:
        from cli.events import get_events

        get_events(session, form, namespace, with_header=not no_headers, watch=watch, watch_only=watch_only)
        return
    if what[0].partition("/")[0] in ENDPOINTS:
        from cli.endpoints import get_endpoints

        names = [each.partition("/")[2] for each in what if "/" in each] or what[1:]
        get_endpoints(session, form, namespace, names, with_header=not no_headers, watch=follows)
        return
    targets = parse_targets(what)
    wish = Wish(
        targets,
        namespace,
        form,
        parse_selector(selector),
        _parse_fields(field_selector),
        sort_by,
        with_header=not no_headers,
        show_labels=show_labels,
        label_keys=_parse_keys(label_columns or ()),
        names_kind=len(targets) > 1,
    )
    check(wish)
    _check_form(wish)
    with session.client() as client:
        if is_past:
            code = _show_past(session, client, wish, at, at_rev)
        elif follows:
            code = _follow(session, client, wish, only_changes=watch_only)
        else:
            code = _show(session, client, wish)
    raise typer.Exit(code)


def _show_past(session: Session, client: "Client", wish: Wish, at: str, at_rev: str) -> int:
    from cli.past import get_past, parse_when

    return get_past(session, client, wish, parse_when(at, at_rev))


def _follow(session: Session, client: "Client", wish: Wish, *, only_changes: bool) -> int:
    from cli.watch import watch_objects

    watch_objects(session, client, wish, only_changes=only_changes)
    return 0


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


def _parse_keys(texts: Iterable[str]) -> tuple[str, ...]:
    return tuple(key.strip() for text in texts for key in text.split(",") if key.strip())


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


def _print_rows(session: Session, client: "Client", wish: Wish, found: Found) -> None:
    """One table a kind, with an empty line between two."""
    printed: list[Target] = []
    for target in wish.targets:
        views = found[target.kind.plural]
        if views:
            _part_tables(wish, printed)
            printed.append(target)
            row_printer(session, client, wish, target).show(views)
