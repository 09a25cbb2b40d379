"""How objects are printed, some at a time: as rows of a table, as names, as data, by a template."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Protocol

from cli.cells import frozen_words
from cli.columns import Column, RowContext
from cli.listing import Wish, table_columns
from cli.output import Form, Json, Output, format_data
from cli.refs import Target
from cli.session import Session, note, out
from cli.tables import GrowingTable
from client.views import ObjectView

if TYPE_CHECKING:
    from client.client import Client


def format_form(data: Json, form: Form) -> str:
    """Return one object, or a list of them, as JSON, YAML or by a template."""
    if form.output is not Output.JSONPATH:
        return format_data(data, form.output)
    from cli.jsonpath import fill, parse_template

    return fill(parse_template(form.argument), data)


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
