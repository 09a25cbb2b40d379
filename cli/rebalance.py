"""`berth rebalance`: which running tasks would move where to use the nodes better; and have them moved."""

import sys
from collections.abc import Mapping
from enum import StrEnum
from typing import TYPE_CHECKING, Annotated, Any

import typer

from cli.answering import ask_rebalance
from cli.durations import parse_timeout
from cli.output import Output, format_data, parse_output
from cli.packing import certificate_line, parse_budget
from cli.session import Session, note, out, session_of
from cli.settings import HELP
from cli.shares import task_text
from cli.tables import format_table
from client.errors import BadOption

if TYPE_CHECKING:
    from client.rebalancing import Moved

Json = dict[str, Any]

HEADER = ("WAVE", "TASK", "FROM", "TO", "WORK LOST")
HAS_MOVES = 1
NOT_ALL_ARRIVED = 1
SHOWN_REASONS = 10  # of tasks that stay; -o json has them all


class Aim(StrEnum):
    NODES = "nodes"
    BALANCE = "balance"


def register(app: typer.Typer, name: str) -> None:
    app.command(name, epilog=HELP)(rebalance)


def rebalance(
    context: typer.Context,
    plan: Annotated[bool, typer.Option("--plan", help="Only show the moves, as without --apply.")] = False,
    apply: Annotated[bool, typer.Option("--apply", help="Show the moves, ask, and carry them out.")] = False,
    aim: Annotated[Aim, typer.Option(help="Use few nodes, or all that have no taint evenly.")] = Aim.NODES,
    max_moves: Annotated[int, typer.Option(min=0, help="At most so many tasks move.")] = 10,
    min_gain: Annotated[
        float,
        typer.Option(min=0.0, help="Move only for so many nodes fewer, or points of imbalance (in percent)."),
    ] = 0.0,
    budget: Annotated[str, typer.Option(help="How long may be searched, 60s at most.")] = "5s",
    timeout: Annotated[str, typer.Option(help="Until when each wave of moves must be ready.")] = "10m",
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")] = False,
    output: Annotated[str, typer.Option("-o", "--output", help="json or yaml, of a plan.")] = "",
) -> None:
    """Show which running tasks would move where, so that fewer nodes are used or load is even; with --apply do it.

    Tasks that say rebalance: never stay, and those of DaemonSets and gangs, exactlyOne, what runs once, what uses a
    folder of its node, and what a budget keeps. A move is an eviction: the task is stopped, and started where it was
    meant to if it still fits there. They go in waves of a few, each when the one before is ready.

    Exit code of a plan: 0 nothing to gain, 1 there are moves. Of --apply: 0 all arrived, 1 not all. 255 an error.
    """
    if plan and apply:
        raise BadOption("give either --plan or --apply")
    form = parse_output(output)
    if form not in (Output.TABLE, Output.JSON, Output.YAML) or (apply and form is not Output.TABLE):
        raise BadOption(f"-o {output} is no form of it; known: json, yaml, and only of a plan")
    if apply and not yes and not sys.stdin.isatty():
        raise BadOption("--apply asks before it moves anything; where there is no terminal say --yes")
    session = session_of(context)
    question = {
        "aim": str(aim),
        "maxMoves": str(max_moves),
        "minGain": str(min_gain if aim is Aim.NODES else min_gain / 100),
        "seconds": f"{parse_budget(budget):g}",
    }
    answer = _asked(session, question)
    if form is not Output.TABLE:
        out(format_data(answer, form), end="")
        raise typer.Exit(HAS_MOVES if answer["moves"] else 0)
    for line in lines_of(answer):
        out(line)
    if not apply or not answer["moves"]:
        raise typer.Exit(HAS_MOVES if answer["moves"] else 0)
    raise typer.Exit(_apply(session, answer, parse_timeout(timeout), asks=not yes))


def _asked(session: Session, question: Mapping[str, str]) -> Json:
    with session.client() as client:
        return ask_rebalance(client, question, session.now())


def lines_of(answer: Json) -> list[str]:
    """Return the plan as people read it."""
    rows = [
        (str(each["wave"]), task_text(each["task"]), each["from"], each["to"], f"{each['lostSeconds']}s")
        for each in answer["moves"]
    ]
    table = [*format_table(HEADER, rows), ""] if rows else ["Nothing is to be moved.", *_why_not(answer)]
    return [*table, gain_line(answer), certificate_line(answer, _objective(answer))]


def gain_line(answer: Json) -> str:
    before, after = answer["before"], answer["after"]
    return (
        f"nodes used: {before['nodesUsed']} -> {after['nodesUsed']}; "
        f"imbalance: {before['imbalance'] * 100:.1f}% -> {after['imbalance'] * 100:.1f}%"
    )


def _objective(answer: Json) -> str:
    if answer["aim"] == Aim.NODES:
        return f"objective {answer['objective']:g} nodes"
    return f"objective {answer['objective']:g} of imbalance"


def _why_not(answer: Json) -> list[str]:
    if answer["gain"] > 0:
        return [f"What could be gained is less than --min-gain: {answer['gain']:g}."]
    stays = answer["stays"]
    lines = [f"  {task_text(each['task'])} stays: {each['reason']}" for each in stays[:SHOWN_REASONS]]
    more = len(stays) - len(lines)
    return [*lines, *([f"  and {more} more; see -o json"] if more > 0 else [])]


def _apply(session: Session, answer: Json, timeout_s: float, *, asks: bool) -> int:
    from client.rebalancing import Move

    moves = [
        Move(
            each["task"]["namespace"],
            each["task"]["name"],
            each["bindingUid"],
            each["from"],
            each["to"],
            each["wave"],
        )
        for each in answer["moves"]
    ]
    if asks and not typer.confirm(f"Move {len(moves)} tasks?", err=True):
        note("Nothing was moved.")
        return NOT_ALL_ARRIVED
    with session.client() as client:
        arrived = client.move(moves, _tell, timeout_s=timeout_s)
    out(f"{arrived} of {len(moves)} moves arrived where they were meant to.")
    return 0 if arrived == len(moves) else NOT_ALL_ARRIVED


def _tell(moved: "Moved") -> None:
    move = moved.move
    match moved.kind:
        case "arrived":
            out(f"{move.text} moved: {move.source} -> {move.target}")
        case "elsewhere":
            out(
                f"{move.text} left {move.source}, and is on {moved.node}: it did not fit on {move.target} any more"
            )
        case "gone":
            out(f"{move.text} was gone or changed before it could be moved")
    sys.stdout.flush()
