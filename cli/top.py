"""`berth top`: what nodes and tasks use right now, from their agents."""

from collections.abc import Sequence
from enum import StrEnum
from typing import TYPE_CHECKING, Annotated

import typer

from cli.ages import UNKNOWN
from cli.session import Session, note, out, session_of
from cli.settings import HELP
from cli.tables import format_table
from client.client import find_kind
from client.errors import BadOption, NotFound
from client.selector import parse_selector
from client.views import ObjectView

if TYPE_CHECKING:
    from client.usage import Silence, TaskUsage, Used

MIB = 2**20
NODE_HEADER = ("NAME", "CPU(cores)", "CPU(%)", "MEMORY(bytes)", "MEMORY(%)")
TASK_HEADER = ("NAME", "CPU(cores)", "MEMORY(bytes)")
CONTAINER_HEADER = ("TASK", "NAME", "CPU(cores)", "MEMORY(bytes)")


class SortBy(StrEnum):
    NAME = "name"
    CPU = "cpu"
    MEMORY = "memory"


def register(app: typer.Typer, name: str) -> None:
    app.command(name, epilog=HELP)(top)


def top(
    context: typer.Context,
    what: Annotated[
        list[str], typer.Argument(metavar="nodes|tasks [NAME...]", help="Of what; all of them without names.")
    ],
    selector: Annotated[str, typer.Option("-l", "--selector", help="Such as app=web,tier!=test.")] = "",
    all_namespaces: Annotated[
        bool, typer.Option("-A", "--all-namespaces", help="Tasks of all namespaces.")
    ] = False,
    containers: Annotated[bool, typer.Option("--containers", help="A row for each container.")] = False,
    sort_by: Annotated[
        SortBy, typer.Option(help="What is highest comes first, but for names.")
    ] = SortBy.NAME,
    no_headers: Annotated[bool, typer.Option("--no-headers", help="Leave the header out.")] = False,
) -> None:
    """Show what nodes or tasks use right now."""
    session = session_of(context)
    kind, names = _parse(what)
    namespace = None if all_namespaces else session.namespace
    if kind == "Node":
        rows, silences = _node_rows(session, names, selector, sort_by)
        header: Sequence[str] = NODE_HEADER
    else:
        rows, silences = _task_rows(session, names, selector, sort_by, namespace, by_container=containers)
        header = (
            *(["NAMESPACE"] if all_namespaces else []),
            *(CONTAINER_HEADER if containers else TASK_HEADER),
        )
    if rows:
        out("\n".join(format_table(header, rows, with_header=not no_headers)))
    elif not silences:
        where = f" in {namespace} namespace." if kind == "Task" and namespace else ""
        note(f"No resources found{where}")
    for silence in silences:
        note(f"{silence.text}")
    raise typer.Exit(1 if silences and not rows else 0)


def _parse(words: Sequence[str]) -> tuple[str, tuple[str, ...]]:
    """Return the kind, and the names. Raises BadOption, NotFound."""
    if any("/" in word for word in words):
        pairs = [word.partition("/") for word in words]
        kinds = {find_kind(kind).name for kind, _, _ in pairs}
        kind, names = kinds.pop() if len(kinds) == 1 else "", tuple(name for _, _, name in pairs)
    else:
        kind, names = find_kind(words[0]).name, tuple(words[1:])
    if kind not in ("Node", "Task"):
        raise BadOption("only nodes and tasks use anything: berth top nodes, or: berth top tasks")
    return kind, names


def _pick(views: Sequence[ObjectView], names: Sequence[str], kind: str) -> list[ObjectView]:
    """Return the views of `names`, or all. Raises NotFound."""
    known = {view.name for view in views}
    for name in names:
        if name not in known:
            raise NotFound(f'{kind} "{name}" not found; see: berth get {kind}s')
    return [view for view in views if not names or view.name in names]


def _node_rows(
    session: Session, names: Sequence[str], selector: str, sort_by: SortBy
) -> tuple[list[list[str]], "tuple[Silence, ...]"]:
    with session.client() as client:
        views = client.list("nodes", selector=parse_selector(selector)).objects["nodes"]
        found, silences = client.nodes_usage(_pick(views, names, "node"))
    return [
        [
            each.name,
            cores(each.used.cpu_millis),
            percent(each.used.cpu_millis, each.offered.get("cpu", 0)),
            mebibytes(each.used.memory_bytes),
            percent(each.used.memory_bytes, each.offered.get("memory", 0)),
        ]
        for each in sorted(found, key=lambda each: _order(each.used, sort_by))
    ], silences


def _task_rows(
    session: Session,
    names: Sequence[str],
    selector: str,
    sort_by: SortBy,
    namespace: str | None,
    *,
    by_container: bool,
) -> tuple[list[list[str]], "tuple[Silence, ...]"]:
    with session.client() as client:
        views = client.list("tasks", namespace=namespace, selector=parse_selector(selector)).objects["tasks"]
        found, silences = client.tasks_usage(_pick(views, names, "task"))
    found = tuple(sorted(found, key=lambda each: _order(each.used, sort_by)))
    rows = [row for each in found for row in _rows_of(each, by_container=by_container)]
    return [row if namespace is None else row[1:] for row in rows], silences


def _rows_of(usage: "TaskUsage", *, by_container: bool) -> list[list[str]]:
    view = usage.view
    if not by_container:
        return [[view.namespace, view.name, *_cells(usage.used)]]
    return [[view.namespace, view.name, name, *_cells(used)] for name, used in usage.containers.items()]


def _cells(used: "Used") -> list[str]:
    return [cores(used.cpu_millis), mebibytes(used.memory_bytes)]


def _order(used: "Used", sort_by: SortBy) -> float:
    """Highest first, unknown last; names keep the order in which they came."""
    figure = {SortBy.NAME: 0, SortBy.CPU: used.cpu_millis, SortBy.MEMORY: used.memory_bytes}[sort_by]
    return float("inf") if figure is None else -figure


def cores(millis: int | None) -> str:
    """Return `250m`, as kubectl does also for whole cores."""
    return UNKNOWN if millis is None else f"{millis}m"


def mebibytes(size: int | None) -> str:
    return UNKNOWN if size is None else f"{size // MIB}Mi"


def percent(figure: int | None, whole: int) -> str:
    return UNKNOWN if figure is None or not whole else f"{figure * 100 // whole}%"
