"""`berth get endpoints`: where deployments are reached."""

import sys
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

from cli.cells import NONE
from cli.output import Form, Json, Output, as_list
from cli.session import Session, note, out
from cli.tables import GrowingTable
from client.errors import BadOption, NotFound

if TYPE_CHECKING:
    from client.endpoints import EndpointsView

SHOWN = 3  # addresses in a row, as kubectl


def get_endpoints(
    session: Session,
    form: Form,
    namespace: str | None,
    names: Sequence[str],
    *,
    with_header: bool,
    watch: bool,
) -> None:
    """Print the ready addresses of deployments. Raises NotFound, BadOption."""
    if len(names) > 1 or (watch and not form.is_table):
        raise BadOption(
            "name one deployment or none, and watch in a table; for example: berth get endpoints web -w"
        )
    name = names[0] if names else ""
    with session.client() as client:
        if watch:
            _print_rows(client.watch_endpoints(namespace, name), form, namespace, with_header)
            return
        found = client.endpoints(namespace, name)
        if name and not found:
            raise NotFound(f'endpoints "{name}" not found in namespace {namespace}; see: berth get endpoints')
        if form.is_table:
            _print_rows(found, form, namespace, with_header)
            if not found:
                note(f"No resources found{f' in {namespace} namespace.' if namespace else ''}")
        elif form.output is Output.NAME:
            for view in found:
                out(f"endpoints/{view.name}")
        else:
            from cli.printers import format_form

            shown = [_document(view) for view in found]
            out(format_form(shown[0] if name else as_list(shown), form), end="")


def _print_rows(
    views: "Iterable[EndpointsView]", form: Form, namespace: str | None, with_header: bool
) -> None:
    is_wide = form.output is Output.WIDE
    header = [
        *(["NAMESPACE"] if namespace is None else []),
        "NAME",
        "ENDPOINTS",
        *(["TASKS"] if is_wide else []),
    ]
    table = GrowingTable(header, with_header=with_header)
    for view in views:
        texts = view.texts
        shown = ",".join(texts if is_wide else texts[:SHOWN]) or NONE
        more = f" + {len(texts) - SHOWN} more..." if len(texts) > SHOWN and not is_wide else ""
        tasks = [",".join(each.task for each in view.addresses) or NONE] if is_wide else []
        place = [view.namespace] if namespace is None else []
        for line in table.lines([[*place, view.name, view.error or shown + more, *tasks]]):
            out(line)
        sys.stdout.flush()


def _document(view: "EndpointsView") -> Json:
    metadata = {"name": view.name, "namespace": view.namespace}
    if view.kv is not None:
        metadata["resourceVersion"] = str(view.kv.mod_revision)
    shown = {"apiVersion": "berth/v1", "kind": "Endpoints", "metadata": metadata}
    return {**shown, "addresses": [each.to_json() for each in view.addresses]}
