"""`berth describe`: one object in detail, with its events, in kubectl's order."""

from importlib import import_module
from typing import TYPE_CHECKING, Annotated

import typer

from cli.blocks import render
from cli.describe_node import describe_node
from cli.describe_object import describe_object
from cli.describe_task import describe_task
from cli.refs import Target, parse_targets
from cli.related import related_to
from cli.session import Session, note, out, session_of
from cli.settings import HELP
from client.client import not_found
from client.reading import Reading, at_one_revision, read_objects
from client.selector import parse_selector
from client.views import TASK, ObjectView
from schemas.event import Event

if TYPE_CHECKING:
    from client.client import Client


DESCRIBERS = {
    "Deployment": "cli.describe_workload",
    "DaemonSet": "cli.describe_workload",
    "Job": "cli.describe_job",
    "CronJob": "cli.describe_cronjob",
    "ConfigMap": "cli.describe_configmap",
    "DisruptionBudget": "cli.describe_budget",
    "GitSource": "cli.sync_status",
}
"""Kind -> module with `describe(view, related, events, now) -> Block`, imported when one is shown."""


def register(app: typer.Typer, name: str) -> None:
    app.command(name, epilog=HELP)(describe)


def describe(
    context: typer.Context,
    what: Annotated[list[str], typer.Argument(metavar="WHAT", help="KIND [NAME ...] or KIND/NAME ....")],
    selector: Annotated[str, typer.Option("-l", "--selector", help="Such as app=web.")] = "",
) -> None:
    """Show one object in detail, with its events."""
    session = session_of(context)
    with session.client() as client:
        texts, missing = [], []
        for target in parse_targets(what):
            for name, view in _views(session, client, target, selector):
                if view is None:
                    missing.append(not_found(target.kind, name, session.namespace))
                else:
                    texts.append("\n".join(_describe(session, client, view)))
    if texts:
        out("\n\n\n".join(texts))
    for error in missing:
        note(f"Error: {error}")
    raise typer.Exit(1 if missing else 0)


def _views(
    session: Session, client: "Client", target: Target, selector: str
) -> list[tuple[str, ObjectView | None]]:
    plural, namespace = target.kind.plural, session.namespace
    if target.names:
        return [(name, client.find(plural, name, namespace)) for name in target.names]
    found = client.list(plural, namespace=namespace, selector=parse_selector(selector)).objects[plural]
    if not found:
        where = f" in {namespace} namespace." if target.kind.namespaced else ""
        note(f"No resources found{where}")
    return [(view.name, view) for view in found]


def _describe(session: Session, client: "Client", view: ObjectView) -> list[str]:
    now = session.now()
    match view.kind.name:
        case "Task":
            events = client.events(view.namespace, view.uid) if view.uid else ()
            return render(describe_task(view, client.effective_spec(view), events, now))
        case "Node":
            return render(describe_node(view, _tasks_on(client, view.name), _events_of(client, view), now))
        case "Secret":
            from cli.describe_secret import describe_secret

            return render(describe_secret(view, _events_of(client, view), now))
        case kind if kind in DESCRIBERS:
            describer = import_module(DESCRIBERS[kind])
            return render(describer.describe(view, related_to(client, view), _events_of(client, view), now))
        case _:
            return render(describe_object(view, _events_of(client, view), now))


def _tasks_on(client: "Client", node: str) -> tuple[ObjectView, ...]:
    def read(reading: Reading) -> tuple[ObjectView, ...]:
        return read_objects(reading, TASK, client.keys, None)

    views = at_one_revision(client.store, read)
    return tuple(view for view in views if view.task_status is not None and view.task_status.node == node)


def _events_of(client: "Client", view: ObjectView) -> tuple[Event, ...]:
    """A node's events stand at the uid of its object, and at that of its agent while it had no object."""
    node_uid = view.report.node_uid if view.report else ""
    place = view.ref.namespace
    return tuple(event for uid in (view.uid, node_uid) if uid for event in client.events(place, uid))
