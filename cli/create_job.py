"""`berth create job`: a job from a CronJob's template, now, or from an image and a command."""

from typing import TYPE_CHECKING, Annotated, Any

import typer

from cli.refs import parse_targets
from cli.session import out, session_of
from client.errors import BadOption, NotFound, Refused

if TYPE_CHECKING:
    from client.client import Client

MANUAL = {"berth/instantiate": "manual"}  # as cronjob.kubernetes.io/instantiate
Json = dict[str, Any]  # Any: JSON of any shape


def job(
    context: typer.Context,
    name: Annotated[str, typer.Argument(metavar="NAME", help="Name of the job.")],
    command: Annotated[
        list[str] | None, typer.Argument(metavar="[-- COMMAND ...]", help="What it runs, with --image.")
    ] = None,
    from_: Annotated[str, typer.Option("--from", help="The CronJob it is made from: cronjob/NAME.")] = "",
    image: Annotated[str, typer.Option("--image", help="The image it runs.")] = "",
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Say what would happen; write nothing.")] = False,
    output: Annotated[str, typer.Option("-o", "--output", help="yaml or json: print it.")] = "",
) -> None:
    """Create a job: a run of a CronJob right now, or one of an image."""
    from cli.output import format_data, parse_output
    from client.program import documents

    if bool(from_) == bool(image):
        raise BadOption("give either --from=cronjob/NAME or --image=IMAGE")
    if from_ and command:
        raise BadOption("--from takes the command of the CronJob; leave yours out, or use --image")
    form = parse_output(output) if output else None
    session = session_of(context)
    with session.client() as client:
        raw = _from_cronjob(client, from_, session.namespace) if from_ else _from_image(name, image, command)
        raw["metadata"]["name"] = name
        (planned,) = client.plan(documents(raw, namespace=session.namespace))
        if planned.action != "created":
            where = f"in namespace {session.namespace}"
            raise Refused(
                f'job "{name}" already exists {where}; choose another name, or: berth delete job/{name}'
            )
        if not dry_run:
            tuple(client.apply_planned((planned,)))
    if form is not None:
        out(format_data(planned.merged, form), end="")
    else:
        out(f"job/{name} created{' (dry run)' if dry_run else ''}")


def _from_cronjob(client: "Client", source: str, namespace: str) -> Json:
    """Return a job as the CronJob would make it. Raises BadOption, NotFound, ObjectUnreadable."""
    (target,) = parse_targets([source])
    if target.kind.name != "CronJob" or len(target.names) != 1:
        raise BadOption(f"--from={source}: write --from=cronjob/NAME")
    view = client.find("cronjobs", target.names[0], namespace)
    if view is None:
        raise NotFound(
            f'cronjobs "{target.names[0]}" not found in namespace {namespace}; see: berth get cronjobs'
        )
    assert view.parsed is not None  # raises where it can't be read
    template = view.raw["spec"]["jobTemplate"]
    metadata = template.get("metadata") or {}
    annotations = {**(metadata.get("annotations") or {}), **MANUAL}
    return {
        "apiVersion": "berth/v1",
        "kind": "Job",
        "metadata": {"labels": metadata.get("labels") or {}, "annotations": annotations},
        "spec": template["spec"],
    }


def _from_image(name: str, image: str, command: list[str] | None) -> Json:
    container: Json = {"name": name[:63].rstrip("-").replace(".", "-"), "image": image}
    if command:
        container["command"] = list(command)
    template = {"spec": {"containers": [container], "restartPolicy": "Never"}}
    return {"apiVersion": "berth/v1", "kind": "Job", "metadata": {}, "spec": {"template": template}}
