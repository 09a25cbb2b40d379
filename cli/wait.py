"""`berth wait`: until objects are in a state, or exit 1 with what was last seen."""

import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Annotated

import typer

from cli.changing import refs_of
from cli.durations import parse_timeout
from cli.refs import parse_targets
from cli.session import note, out, session_of
from cli.settings import HELP
from client.errors import BadOption, ClientError, NotFound
from client.wish import Condition, Created, Deleted, Field, Goal

if TYPE_CHECKING:
    from client.client import Client
    from schemas.keys import ObjectRef

DEFAULT_TIMEOUT = "30s"  # as kubectl


def register(app: typer.Typer, name: str) -> None:
    app.command(name, epilog=HELP)(wait)


def wait(
    context: typer.Context,
    what: Annotated[list[str], typer.Argument(metavar="WHAT", help="KIND NAME ..., KIND/NAME ..., or KIND.")],
    for_: Annotated[
        str,
        typer.Option(
            "--for",
            help="condition=Ready, condition=Ready=False, delete, create, jsonpath='{.status.state}'=Running.",
        ),
    ],
    timeout: Annotated[
        str, typer.Option(help="How long to wait for all together, such as 90s; 0: look once.")
    ] = DEFAULT_TIMEOUT,
    selector: Annotated[str, typer.Option("-l", "--selector", help="Such as app=web.")] = "",
    all_: Annotated[bool, typer.Option("--all", help="All objects of the kind in the namespace.")] = False,
) -> None:
    """Wait until objects are in a state. Exit code 1 when they are not in time, with what was last seen."""
    session, goal, timeout_s = session_of(context), parse_goal(for_), _timeout(timeout)
    targets = parse_targets(what)
    with session.client() as client:
        refs = refs_of(session, client, targets, selector, all_=all_, nothing="")
        if not refs and not isinstance(goal, Deleted):
            raise NotFound(f"there is nothing to wait for; see: berth get {what[0]}")
        code = _wait_each(client, refs, goal, timeout_s)
    raise typer.Exit(code)


def _wait_each(client: "Client", refs: list["ObjectRef"], goal: Goal, timeout_s: float) -> int:
    """Wait for one after the other; the time counts for all together."""
    deadline, code = time.monotonic() + timeout_s, 0
    for ref in refs:
        try:
            client.wait_until(ref, goal, timeout_s=max(0.0, deadline - time.monotonic()))
        except ClientError as error:
            note(f"Error: {error}")
            code = 1
        else:
            out(f"{ref} condition met")
    return code


def _timeout(text: str) -> float:
    """Return seconds; as in kubectl 0 looks once, and a negative time means a week."""
    if text.startswith("-"):
        return 7 * 86400.0
    found = parse_timeout(text)
    return 0.0 if found == float("inf") else found


def parse_goal(text: str) -> Goal:
    """Return what `--for` says. Raises BadOption."""
    kind, _, rest = text.partition("=")
    make = _GOALS.get(kind)
    if make is None or (rest and kind in ("delete", "create")):
        raise BadOption(
            f"--for {text!r} can't be read; write condition=TYPE[=STATUS], delete, create, "
            "or jsonpath='{.path}'=VALUE"
        )
    return make(rest)


def _condition(text: str) -> Goal:
    name, _, status = text.partition("=")
    if not name:
        raise BadOption("--for condition= needs a type, such as condition=Ready")
    return Condition(name, status or "True")


def _field(text: str) -> Goal:
    from cli.paths import JsonPath

    if text[:1] in ("'", '"') and text[:1] in text[1:]:  # quotes that the shell has left
        quote = text[0]
        inner, _, rest = text[1:].partition(quote)
        text = inner + rest
    end = text.rfind("}") + 1
    path, equals, value = (text[:end], text[end : end + 1], text[end + 1 :]) if end else text.partition("=")
    if not path or (text[end:] and equals != "="):
        raise BadOption(f"--for jsonpath={text} can't be read; write jsonpath='{{.status.state}}'=Running")
    return Field(path, JsonPath(path).find, value.strip("'\"") if equals else None)


_GOALS: dict[str, Callable[[str], Goal]] = {
    "condition": _condition,
    "jsonpath": _field,
    "delete": lambda rest: Deleted(),
    "create": lambda rest: Created(),
}
