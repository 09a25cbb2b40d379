"""`berth get -w`: the table, and then a row for each change; nothing is redrawn."""

import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING

from cli.columns import RowContext, columns_of
from cli.get import header_of, row_context, row_of
from cli.output import Output, format_data, to_json
from cli.refs import Target
from cli.session import Session, out
from cli.tables import column_widths, format_row
from client.errors import BadOption
from client.selector import matches, parse_selector
from client.views import ObjectView

if TYPE_CHECKING:
    from client.client import Client


def watch_table(
    session: Session,
    client: "Client",
    targets: Sequence[Target],
    namespace: str | None,
    form: Output,
    selector: str,
    *,
    with_header: bool,
) -> None:
    """Print rows until interrupted."""
    if len(targets) != 1:
        raise BadOption("-w watches one kind at a time; for example: berth get tasks -w")
    (target,), wanted = targets, parse_selector(selector)
    printer = _Printer(session, client, target, namespace, form, with_header=with_header)
    for ref, view in client.watch(target.kind.plural, namespace):
        if target.names and ref.name not in target.names:
            continue
        if view is not None and matches(wanted, view.labels):
            printer.show(view)


class _Printer:
    """Prints a row when it differs from the last one of that object (its age aside)."""

    def __init__(
        self,
        session: Session,
        client: "Client",
        target: Target,
        namespace: str | None,
        form: Output,
        *,
        with_header: bool,
    ) -> None:
        self._session, self._client, self._target = session, client, target
        self._with_namespace = namespace is None and target.kind.namespaced
        self._columns = columns_of(target.kind.plural, is_wide=form is Output.WIDE)
        self._form = form
        self._needs_header = with_header
        self._widths = [0] * (len(self._columns) + self._with_namespace)
        self._shown: dict[object, object] = {}

    def show(self, view: ObjectView) -> None:
        if self._form in (Output.JSON, Output.YAML):
            out(
                ("---\n" if self._form is Output.YAML else "") + format_data(to_json(view), self._form),
                end="",
            )
        elif self._form is Output.NAME:
            out(str(view.ref))
        else:
            self._show_row(view)
        sys.stdout.flush()

    def _row_context(self) -> RowContext:
        return row_context(self._session, self._client, (self._target,), self._form)

    def _show_row(self, view: ObjectView) -> None:
        row = row_of(view, self._columns, self._row_context(), with_namespace=self._with_namespace)
        aged = [column.header in ("AGE", "RESTARTS") for column in self._columns]
        visible = [
            cell for cell, is_aged in zip(row[self._with_namespace :], aged, strict=True) if not is_aged
        ]
        state = (visible, view.generation)
        if self._shown.get(view.ref) == state:
            return
        self._shown[view.ref] = state
        header = header_of(self._columns, with_namespace=self._with_namespace)
        shown = [header, row] if self._needs_header else [row]
        self._widths = [max(pair) for pair in zip(self._widths, column_widths(shown[0], shown), strict=True)]
        self._needs_header = False
        for line in shown:
            out(format_row(line, self._widths))
