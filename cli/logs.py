"""`berth logs`: the output of tasks, from the agents that ran them."""

import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated

import typer

from cli.choosing import say_container
from cli.refs import parse_targets
from cli.session import note, session_of
from cli.settings import HELP
from client.agent_target import container_names
from client.errors import BadOption
from client.log_events import Failure, LogTarget, Notice, Piece, as_they_come, whole_lines
from client.log_targets import ALL_CONTAINERS, containers_of
from client.logs import LogOptions
from client.many_logs import MAX_FOLLOWED
from client.selector import parse_selector
from schemas.errors import SchemaError
from schemas.quantity import parse_duration
from schemas.timestamps import parse_time

if TYPE_CHECKING:
    from client.client import Client
    from client.views import ObjectView
    from schemas.keys import ObjectRef

SELECTOR_TAIL = 10  # lines of each, as kubectl has it


def register(app: typer.Typer, name: str) -> None:
    app.command(name, epilog=HELP)(logs)


def logs(
    context: typer.Context,
    what: Annotated[
        list[str] | None,
        typer.Argument(metavar="[WHAT...]", help="NAME ..., KIND/NAME ..., or none with -l."),
    ] = None,
    follow: Annotated[
        bool, typer.Option("-f", "--follow", help="Go on as it is written, also after a restart.")
    ] = False,
    tail: Annotated[
        int | None, typer.Option(min=-1, help="Number of last lines; -1: all. [default: all, 10 with -l]")
    ] = None,
    previous: Annotated[
        bool, typer.Option("-p", "--previous", help="Of the attempt before this one.")
    ] = False,
    since: Annotated[str, typer.Option("--since", help="Not older than a duration, such as 10m.")] = "",
    since_time: Annotated[
        str, typer.Option("--since-time", help="Not older than a time, such as 2030-01-31T12:00:00Z.")
    ] = "",
    timestamps: Annotated[bool, typer.Option("--timestamps", help="Put the time before each line.")] = False,
    prefix: Annotated[
        bool, typer.Option("--prefix", help="Put [task/NAME/CONTAINER] before each line.")
    ] = False,
    container: Annotated[
        str, typer.Option("-c", "--container", help="Which container. [default: the first]")
    ] = "",
    all_containers: Annotated[
        bool, typer.Option("--all-containers", help="Of all containers of each task.")
    ] = False,
    selector: Annotated[str, typer.Option("-l", "--selector", help="Of the tasks with such labels.")] = "",
    max_log_requests: Annotated[
        int, typer.Option(min=1, help="How many logs may be followed at once.")
    ] = MAX_FOLLOWED,
) -> None:
    """Print the output of tasks."""
    if container and all_containers:
        raise BadOption("give -c or --all-containers, not both")
    session = session_of(context)
    default_tail = SELECTOR_TAIL if selector else -1
    wanted_tail = default_tail if tail is None else tail
    options = LogOptions(
        follow, None if wanted_tail < 0 else wanted_tail, previous, timestamps, _since(since, since_time)
    )
    with session.client() as client:
        views = _tasks(client, what or [], selector, session.namespace)
        targets = containers_of(views, ALL_CONTAINERS if all_containers else container)
        if not targets:
            note(f"No resources found in {session.namespace} namespace.")
            return
        if not (container or all_containers):
            _say_which_container(targets)
        cut = whole_lines if prefix or len(targets) > 1 else as_they_come
        events = client.many_logs(targets, options, cut=cut, at_most=max_log_requests)
        failures = sum(_print(event, prefix=prefix, flush=follow) for event in events)
    raise typer.Exit(1 if failures else 0)


def _since(duration: str, time: str) -> str:
    """Return what the node is asked for. Raises BadOption."""
    if duration and time:
        raise BadOption("give --since or --since-time, not both")
    try:
        if duration:
            parse_duration(duration)
        if time:
            parse_time(time)
    except SchemaError as error:
        raise BadOption(f"--since {duration}: {error}") from None
    except ValueError:
        raise BadOption(
            f"--since-time {time} is not a time in RFC 3339; write for example 2030-01-31T12:00:00Z"
        ) from None
    return duration or time


def _tasks(client: "Client", words: Sequence[str], selector: str, namespace: str) -> "Sequence[ObjectView]":
    """Return the tasks that are meant. Raises NotFound, BadOption."""
    if bool(words) == bool(selector):
        raise BadOption(
            "say whose logs: NAME ..., KIND/NAME ..., or -l SELECTOR; for example: berth logs web"
        )
    if selector:
        return client.list("tasks", namespace=namespace, selector=parse_selector(selector)).objects["tasks"]
    found: dict[ObjectRef, ObjectView] = {}
    for word in words:
        kind, name = _split(word)
        found |= {view.ref: view for view in client.tasks_of(kind, name, namespace)}
    return tuple(found.values())


def _split(word: str) -> tuple[str, str]:
    if "/" not in word:
        return "task", word
    (target,) = parse_targets([word])
    return target.kind.name, target.names[0]


def _say_which_container(targets: Sequence[LogTarget]) -> None:
    for target in targets:
        say_container(str(target.view.ref), target.container, container_names(target.view))


def _print(event: Piece | Notice | Failure, *, prefix: bool, flush: bool) -> int:
    """Print one event; return the number of failures."""
    match event:
        case Piece(target, data):
            mark = f"[{target.label}] ".encode() if prefix else b""
            sys.stdout.buffer.write(
                mark + data[:-1].replace(b"\n", b"\n" + mark) + data[-1:] if mark else data
            )
            if flush:
                sys.stdout.buffer.flush()
            return 0
        case Notice(text):
            note(text)
            return 0
        case Failure(_, text):
            note(f"Error: {text}")
            return 1
