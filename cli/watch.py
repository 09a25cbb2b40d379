"""`berth get -w`: the table, and then a row for each change; nothing is redrawn. Survives lost watches."""

import sys
from typing import TYPE_CHECKING

from cli.columns import RowContext
from cli.listing import Wish, table_columns
from cli.output import Output, to_json
from cli.printers import TablePrinter, default_queues, format_form
from cli.session import Session, out
from client.errors import BadOption
from client.views import ObjectView
from schemas.keys import ObjectRef

if TYPE_CHECKING:
    from client.client import Client

_AGED = ("AGE", "RESTARTS")  # they change by themselves; that alone is no news
QUEUES_KEPT_S = 5.0  # default queues change seldom; a listing of all namespaces for each row would be much


def watch_objects(session: Session, client: "Client", wish: Wish, *, only_changes: bool) -> None:
    """Print objects until interrupted, each again when it changed."""
    if len(wish.targets) != 1:
        raise BadOption("-w watches one kind at a time; for example: berth get tasks -w")
    if wish.sort_by:
        raise BadOption("-w prints what happens in its order; leave --sort-by out")
    (target,) = wish.targets
    rows = _Rows(session, client, wish) if wish.form.is_table else _Data(wish)
    for ref, view in client.watch(target.kind.plural, wish.namespace, only_changes=only_changes):
        is_named = not target.names or ref.name in target.names
        if view is None:
            rows.forget(ref)
        elif is_named and wish.shows(view):
            rows.show(view)
            sys.stdout.flush()


class _Data:
    """Prints objects as names, data, or by a template."""

    def __init__(self, wish: Wish) -> None:
        self._form = wish.form

    def show(self, view: ObjectView) -> None:
        if self._form.output is Output.NAME:
            out(str(view.ref))
            return
        out("---\n" if self._form.output is Output.YAML else "", end="")
        out(format_form(to_json(view), self._form), end="")

    def forget(self, ref: ObjectRef) -> None:
        """Nothing is kept."""


class _Rows:
    """Prints a row when it differs from the last one of that object (its age aside)."""

    def __init__(self, session: Session, client: "Client", wish: Wish) -> None:
        self._session, self._client, self._wish = session, client, wish
        self._columns = table_columns(wish, wish.targets[0])
        self._printer = TablePrinter(self._columns, RowContext(session.now()), with_header=wish.with_header)
        self._shown: dict[ObjectRef, object] = {}
        self._queues: dict[str, str] = {}
        self._queues_until = 0.0  # by the session's time

    def forget(self, ref: ObjectRef) -> None:
        """The object is gone; one that is made in its place is news."""
        self._shown.pop(ref, None)

    def show(self, view: ObjectView) -> None:
        row = self._printer.row(view, self._context())
        headers = (column.header for column in self._columns)
        told = [cell for header, cell in zip(headers, row, strict=True) if header not in _AGED]
        state = (told, view.generation, view.uid)
        if self._shown.get(view.ref) == state:
            return
        self._shown[view.ref] = state
        self._printer.show_rows([row])

    def _context(self) -> RowContext:
        now = self._session.now()
        if now >= self._queues_until:
            self._queues = default_queues(self._client, self._wish)
            self._queues_until = now + QUEUES_KEPT_S
        return RowContext(now, self._queues)
