"""`berth shares`: what each queue holds of the cluster, what it borrows, and who is next."""

from typing import Annotated, Any

import typer

from cli.answering import ask_shares
from cli.output import Output, format_data, parse_output
from cli.session import out, session_of
from cli.settings import HELP
from cli.tables import format_table
from client.errors import BadOption
from schemas.quantity import parse_quantity, show_resources

Json = dict[str, Any]

HEADER = (
    "QUEUE",
    "SHARE",
    "OF",
    "WEIGHT",
    "SHARE/WEIGHT",
    "USED",
    "GUARANTEE",
    "LIMIT",
    "BORROWED",
    "WAITING",
)
NEXT_HEADER = ("NEXT", "QUEUE", "TASK", "NODE", "WHY")


def register(app: typer.Typer, name: str) -> None:
    app.command(name, epilog=HELP)(shares)


def shares(
    context: typer.Context,
    output: Annotated[str, typer.Option("-o", "--output", help="json or yaml.")] = "",
) -> None:
    """Show what each queue holds, and who gets the next grants and why.

    SHARE is the largest share of any resource of the cluster that a queue holds; the queue with the least share by
    weight is next, unless another one is still within its guarantee.
    """
    form = parse_output(output)
    if form not in (Output.TABLE, Output.JSON, Output.YAML):
        raise BadOption(f"-o {output} is no form of an answer; known: json, yaml")
    session = session_of(context)
    with session.client() as client:
        answer = ask_shares(client, session.now())
    if form is not Output.TABLE:
        out(format_data(answer, form), end="")
        return
    for line in (*format_table(HEADER, [_row(each) for each in answer["queues"]]), "", *_next(answer)):
        out(line)


def _row(queue: Json) -> tuple[str, ...]:
    return (
        queue["queue"],
        percent(queue["share"]),
        queue["dominantResource"] or "<none>",
        f"{queue['weight']:g}",
        percent(queue["weightedShare"]),
        *(_amounts(queue[name]) for name in ("used", "guarantee", "limit", "borrowed")),
        str(queue["waiting"]),
    )


def percent(share: float) -> str:
    return f"{share * 100:.1f}%"


def _amounts(amounts: dict[str, str]) -> str:
    shown = show_resources({name: parse_quantity(name, amount) for name, amount in amounts.items()})
    return ",".join(f"{name}={amount}" for name, amount in shown.items()) or "<none>"


def _next(answer: Json) -> list[str]:
    if not answer["next"]:
        waits = answer["waiting"]
        return [f"Nobody is next: of {waits} waiting none fits now." if waits else "Nobody waits."]
    rows = [
        (str(number), each["queue"], task_text(each["task"]), each["node"], _why(each))
        for number, each in enumerate(answer["next"], 1)
    ]
    return format_table(NEXT_HEADER, rows)


def task_text(task: Json) -> str:
    """Return a task's name; those of namespaces that one may not see have none."""
    return "(of another namespace)" if task["name"] is None else f"{task['namespace']}/{task['name']}"


def _why(grant: Json) -> str:
    if grant["withinGuarantee"]:
        return "within its queue's guarantee"
    return f"its queue has the least share by weight: {percent(grant['weightedShare'])}"
