"""`berth consolidate`: which nodes could be emptied, where their tasks would go, and what keeps the others."""

from typing import Annotated, Any

import typer

from cli.answering import ask_consolidate
from cli.output import Output, format_data, parse_output
from cli.packing import certificate_line, parse_budget
from cli.rebalance import gain_line
from cli.session import out, session_of
from cli.settings import HELP
from cli.shares import task_text
from cli.tables import format_table
from client.errors import BadOption

Json = dict[str, Any]

HEADER = ("NODE", "STATE", "TASKS LEAVING", "TASKS ARRIVING", "KEPT BY")
MOVES_HEADER = ("TASK", "FROM", "TO")


def register(app: typer.Typer, name: str) -> None:
    app.command(name, epilog=HELP)(consolidate)


def consolidate(
    context: typer.Context,
    plan: Annotated[bool, typer.Option("--plan", help="Only show it, which is all there is.")] = False,
    budget: Annotated[str, typer.Option(help="How long may be searched, 60s at most.")] = "5s",
    output: Annotated[str, typer.Option("-o", "--output", help="json or yaml.")] = "",
) -> None:
    """Show which nodes could be emptied, where their tasks would go, and what keeps each of the others.

    Emptied: its tasks find room elsewhere. Blocked: something on it may not be moved. Needed: its tasks find no room
    elsewhere, or what would be moved for them has to stay. Empty: it is so already. Filled: it is empty, and has room
    for the tasks of several others. Nothing is moved: do that with `berth rebalance --apply`, or empty a node with
    `berth drain`.
    """
    form = parse_output(output)
    if form not in (Output.TABLE, Output.JSON, Output.YAML):
        raise BadOption(f"-o {output} is no form of an answer; known: json, yaml")
    session = session_of(context)
    with session.client() as client:
        answer = ask_consolidate(client, {"seconds": f"{parse_budget(budget):g}"}, session.now())
    if form is not Output.TABLE:
        out(format_data(answer, form), end="")
        return
    for line in lines_of(answer):
        out(line)


def lines_of(answer: Json) -> list[str]:
    """Return the answer as people read it."""
    rows = [_row(each) for each in answer["nodes"]]
    moves = [(task_text(each["task"]), each["from"], each["to"]) for each in answer["moves"]]
    emptied = sum(each["state"] == "Emptied" for each in answer["nodes"])
    return [
        *format_table(HEADER, rows),
        "",
        *([*format_table(MOVES_HEADER, moves), ""] if moves else []),
        f"{emptied} nodes could be emptied by {len(moves)} moves; {gain_line(answer)}",
        certificate_line(answer, f"objective {answer['objective']:g} nodes"),
    ]


def _row(node: Json) -> tuple[str, ...]:
    held = [f"{task_text(each['task'])} ({each['reason']})" for each in node["heldBy"]]
    more = node["held"] - len(held)
    kept_by = ", ".join([*held, *([f"{more} more"] if more > 0 else [])]) or "<none>"
    return node["node"], node["state"], str(node["leaving"]), str(node["arriving"]), kept_by
