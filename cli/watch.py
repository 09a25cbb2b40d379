"""`berth get -w`: the table, and then a row for each change; nothing is redrawn. Survives lost watches."""

import sys
from typing import TYPE_CHECKING

from cli.columns import RowContext
from cli.get import TablePrinter, format_form, row_context
from cli.listing import Wish, table_columns
from cli.output import Output, to_json
from cli.session import Session, out
from client.errors import BadOption
from client.views import ObjectView

if TYPE_CHECKING:
    from client.client import Client

_AGED = ("AGE", "RESTARTS")  # they change by themselves; that alone is no news


def watch_objects(session: Session, client: "Client", wish: Wish, *, only_changes: bool) -> None:
    """Print objects until interrupted, each again when it changed."""
    if len(wish.targets) != 1:
        raise BadOption("-w watches one kind at a time; for example: berth get tasks -w")
    if wish.sort_by:
        raise BadOption("-w prints what happens in its order; leave --sort-by out")
    (target,) = wish.targets
    show = _Rows(session, client, wish).show if wish.form.is_table else lambda view: _show_data(view, wish)
    for ref, view in client.watch(target.kind.plural, wish.namespace, only_changes=only_changes):
        is_named = not target.names or ref.name in target.names
        if is_named and view is not None and wish.shows(view):
            show(view)
            sys.stdout.flush()


def _show_data(view: ObjectView, wish: Wish) -> None:
    if wish.form.output is Output.NAME:
        out(str(view.ref))
        return
    out("---\n" if wish.form.output is Output.YAML else "", end="")
    out(format_form(to_json(view), wish.form), end="")


class _Rows:
    """Prints a row when it differs from the last one of that object (its age aside)."""

    def __init__(self, session: Session, client: "Client", wish: Wish) -> None:
        self._session, self._client, self._wish = session, client, wish
        self._columns = table_columns(wish, wish.targets[0])
        self._printer = TablePrinter(self._columns, RowContext(session.now()), with_header=wish.with_header)
        self._shown: dict[object, object] = {}

    def show(self, view: ObjectView) -> None:
        row = self._printer.row(view, row_context(self._session, self._client, self._wish))
        headers = (column.header for column in self._columns)
        told = [cell for header, cell in zip(headers, row, strict=True) if header not in _AGED]
        state = (told, view.generation)
        if self._shown.get(view.ref) == state:
            return
        self._shown[view.ref] = state
        self._printer.show_rows([row])
