"""`berth why`: why a task waits, what would help, or why it is where it is."""

import time
from typing import TYPE_CHECKING, Annotated, Any

import typer

from cli.answering import ask_why
from cli.output import Output, format_data, parse_output
from cli.session import out, session_of
from cli.settings import HELP
from cli.tables import format_table
from client.errors import BadOption
from schemas.quantity import parse_quantity, show_quantity, show_shortfall

if TYPE_CHECKING:
    from client.client import Client
    from client.views import ObjectView

Json = dict[str, Any]

SHOWN_NODES = 20  # rows; more fill the screen, and -o json has them all
TRIES = 8
PAUSE_S = 0.25  # the leader sees a task within some tenths of a second after it was written


def register(app: typer.Typer, name: str) -> None:
    app.command(name, epilog=HELP)(why)


def why(
    context: typer.Context,
    task: Annotated[str, typer.Argument(help="NAME or task/NAME.")],
    node: Annotated[str, typer.Option("--node", help="All about this one node.")] = "",
    output: Annotated[str, typer.Option("-o", "--output", help="json or yaml.")] = "",
) -> None:
    """Say why a task waits: what is in the way on each node, its place in line, and which single changes would help.

    Of a task that has a node: why that one.
    """
    form = parse_output(output)
    if form not in (Output.TABLE, Output.JSON, Output.YAML):
        raise BadOption(f"-o {output} is no form of an answer; known: json, yaml")
    session = session_of(context)
    name = _task_name(task)
    with session.client() as client:
        view = client.get("tasks", name, session.namespace)
        answer = _ask(client, view, node.removeprefix("node/"), session.now())
        answer["status"] = _status(client.get("tasks", name, session.namespace))
    if form is not Output.TABLE:
        out(format_data(answer, form), end="")
        return
    for line in lines_of(answer, node):
        out(line)


def _task_name(written: str) -> str:
    kind, slash, name = written.rpartition("/")
    if slash and kind not in ("task", "tasks"):
        raise BadOption(f'berth why is about tasks, not about "{written}"; write it as: berth why task/NAME')
    return name


def _ask(client: "Client", view: "ObjectView", node: str, now: float) -> Json:
    """Ask; a task that was written just now is not known to the scheduler yet."""
    answer: Json = {}
    for attempt in range(TRIES):
        answer = ask_why(client, view.ref, node, now)
        is_final = answer["computedBy"] != "leader" or _is_told(view)
        if is_final or answer["state"] not in ("Unknown", "Placeable"):
            break
        if attempt < TRIES - 1:
            time.sleep(PAUSE_S)
            view = client.get("tasks", view.name, view.namespace)
    return answer


def _is_told(view: "ObjectView") -> bool:
    """Say whether the leader has said something of it, so that waiting for more is in vain."""
    return view.task_status is not None


def _status(view: "ObjectView") -> Json | None:
    status = view.task_status
    if status is None:
        return None
    denied = next((each.message for each in status.conditions if each.type == "Admitted"), "")
    decision = status.decision.to_json() if status.decision is not None else None
    return {
        "state": str(status.state),
        "reason": status.reason,
        "message": denied or status.message,
        "decision": decision,
    }


# Text


def lines_of(answer: Json, node: str) -> list[str]:
    """Return an answer as people read it."""
    name = f"task/{answer['name']}"
    match answer["state"]:
        case "Waiting":
            return [*_waiting(name, answer), *_nodes(answer, node), *_help(answer)]
        case "Placeable":
            return [f"{name} is about to be placed on node {answer['node']}."]
        case "Bound":
            return [*_bound(name, answer), *(_nodes(answer, node) if node else [])]
        case _:
            return _unknown(name, answer)


def _waiting(name: str, answer: Json) -> list[str]:
    place = f"number {answer['position']} of {answer['waiting']} that wait in queue {answer['queue']}"
    lines = [f"{name} waits, {place}: {answer['summary']}"]
    if answer["nominated"]:
        lines.append(f"Room is being made for it on node {answer['nominated']}.")
    return lines + _kept(answer.get("kept", []))  # an older leader does not say


def _kept(kept: list[Json]) -> list[str]:
    """Return which nodes nobody else of its queue may take; from when on is the same for all of a gang's."""
    if not kept:
        return []
    names = [str(each["node"]) for each in kept]
    shown = ", ".join(names[:SHOWN_NODES]) + (
        f" and {len(names) - SHOWN_NODES} more" if names[SHOWN_NODES:] else ""
    )
    when = max(str(each["at"]) for each in kept)
    until = (
        f"enough is free there at {when}, as estimates have it"
        if when
        else "nobody knows when enough is free there"
    )
    return [f"Kept for it: {shown}; {until}."]


def _nodes(answer: Json, node: str) -> list[str]:
    if node:
        return [line for each in answer["nodes"] for line in _one_node(each)]
    rows = [(each["node"], _first(each)) for each in answer["nodes"]]
    if not rows:
        return []
    lines = ["", *format_table(("NODE", "IN THE WAY"), rows[:SHOWN_NODES])]
    if len(rows) > SHOWN_NODES:
        lines.append(f"... and {len(rows) - SHOWN_NODES} more nodes; all with: -o json")
    return lines


def _first(node: Json) -> str:
    texts = [str(each["text"]) for each in node["reasons"]]
    if not texts:
        return "nothing: it fits"
    more = f" (and {len(texts) - 1} more)" if len(texts) > 1 else ""
    return texts[0] + more


def _one_node(node: Json) -> list[str]:
    texts = [f"  {each['text']} [{each['code']}]" for each in node["reasons"]] or ["  nothing: it fits"]
    rows = [_amounts(each) for each in node["amounts"]]
    table = format_table(("RESOURCE", "NEED", "ALLOCATABLE", "FREE", "SHORT BY"), rows) if rows else []
    return ["", f"Node {node['node']}, in the way:", *texts, "", *table]


def _amounts(found: Json) -> tuple[str, ...]:
    resource = found["resource"]
    need, allocatable, free, short_by = (
        parse_quantity(resource, found[name]) for name in ("need", "allocatable", "free", "shortBy")
    )
    shown = (show_quantity(resource, each) for each in (need, allocatable, free))
    return (resource, *shown, show_shortfall(resource, short_by))


def _help(answer: Json) -> list[str]:
    found = answer["proposals"]
    if not found:
        return ["", "No single change of the task would place it now."]
    rows = [(_change(each), each["node"]) for each in found]
    return [
        "",
        "It would be placed now after any one of these changes:",
        *format_table(("CHANGE", "ON NODE"), rows),
    ]


def _change(proposal: Json) -> str:
    field, before, to = proposal["field"], proposal["from"], proposal["to"]
    if to is None:
        return f"remove {field}" + (f" ({before})" if before not in ("", "set") else "")
    return f"{field}: {before} -> {to}" if before else f"add to {field}: {to}"


def _bound(name: str, answer: Json) -> list[str]:
    status = answer["status"] or {}
    decision = status.get("decision")
    lines = [f"{name} is on node {answer['node']} (queue {answer['queue']})."]
    if decision:
        rejected = ", ".join(
            f"{count} {code}" for code, count in sorted((decision.get("rejected") or {}).items())
        )
        lines += [
            "",
            f"When it was bound ({decision.get('at', '')}), of {decision.get('considered', 0)} nodes",
        ]
        lines[-1] += f" these were out: {rejected}." if rejected else " all fitted."
        lines += _scores(decision.get("top") or [])
    rank = f"number {answer['rank']} of {answer['fitting']}" if answer["rank"] else "none of those"
    lines += [
        "",
        f"Placed anew now it would have {answer['fitting']} of {answer['nodeCount']} nodes to choose from;",
    ]
    lines[-1] += f" node {answer['node']} is {rank}:"
    return lines + _scores(answer["top"])


def _scores(top: list[Json]) -> list[str]:
    rows = [
        (
            each["node"],
            f"{each['score']:.3f}",
            ", ".join(f"{name} {value:.3f}" for name, value in each["terms"].items()),
        )
        for each in top
    ]
    return format_table(("NODE", "SCORE", "OF WHICH"), rows)


def _unknown(name: str, answer: Json) -> list[str]:
    status = answer["status"]
    if status is None:
        return [f"{name} has not been looked at by a leader yet; see: berth version"]
    told = (
        f": {status['message']}"
        if status["message"]
        else f" ({status['reason']})"
        if status["reason"]
        else ""
    )
    return [f"{name} is {status['state']}{told}", f"It does not ask for a node; see: berth describe {name}"]
