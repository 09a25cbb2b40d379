"""`berth plan`: the differences, where each task would land, what would wait and why, who would have to go."""

from collections import Counter
from typing import TYPE_CHECKING, Annotated, Any

import typer

from cli.answering import ask_plan
from cli.apply import AllowEmpty, CreateNamespace, Prune, Set, check_set_options
from cli.colour import coloured_diff, is_coloured
from cli.intent import Intended, Intent, intended
from cli.manifests import Files, Recursive, Vars, read_manifests, telling_lines
from cli.output import Output, format_data, parse_output
from cli.session import note, out, session_of
from cli.settings import HELP
from cli.shares import percent, task_text
from client.diff import removal_diff, unified_diff
from client.errors import BadOption

if TYPE_CHECKING:
    from client.client import Client
    from client.foreseeing import Foreseen
    from client.planned import Planned
    from client.views import ObjectView

Json = dict[str, Any]

CHANGES = 1
CANT_BE_PLACED = 2
ALIKE = 0.0005  # shares that differ by less look the same


def register(app: typer.Typer, name: str) -> None:
    app.command(name, epilog=HELP)(plan)


def plan(
    context: typer.Context,
    filename: Files,
    recursive: Recursive = False,
    create_namespace: CreateNamespace = False,
    out_file: Annotated[
        str, typer.Option("--out", metavar="FILE", help="Write the plan, for: berth apply --plan FILE.")
    ] = "",
    output: Annotated[str, typer.Option("-o", "--output", help="json or yaml.")] = "",
    set_name: Set = "",
    prune: Prune = False,
    allow_empty: AllowEmpty = False,
    vars_file: Vars = "",
) -> None:
    """Show what an apply would change, where each task would land, what would wait and why, and who would have to go.

    Nothing is written. Exit code: 0 nothing to do, 1 changes, 2 something can't be placed, 255 an error.
    """
    form = parse_output(output)
    if form not in (Output.TABLE, Output.JSON, Output.YAML):
        raise BadOption(f"-o {output} is no form of a plan; known: json, yaml")
    session = session_of(context)
    check_set_options(set_name, prune=prune, allow_empty=allow_empty)
    if set_name and out_file:
        raise BadOption(
            "a plan in a file has no set; leave --out away, and apply with: berth apply --set NAME"
        )
    read = read_manifests(
        filename,
        recursive=recursive,
        namespace=session.namespace,
        vars_file=vars_file,
        may_be_empty=allow_empty,
    )
    wanted = Intent(set_name, prune, allow_empty, create_namespace)
    with session.client() as client, telling_lines(read.sources):
        found = intended(session, client, read.documents, wanted)
        foreseen, outcome = ask_outcome(client, found.planned, session.now(), found.pruned_views)
        if out_file:
            from client import planfile

            cluster = client.cluster()
            uid = cluster.cluster_uid if cluster is not None else ""
            planfile.write(out_file, found.planned, uid, outcome, create_namespace=create_namespace)
    if form is Output.TABLE:
        _print(found, foreseen, outcome)
    else:
        out(format_data({"kind": "Plan", "objects": _objects(found), "outcome": outcome}, form), end="")
    if out_file:
        note(f"Note: the plan is in {out_file}; do it with: berth apply --plan {out_file}")
    raise typer.Exit(exit_code(found, outcome))


def exit_code(found: Intended, outcome: Json | None) -> int:
    if outcome is not None and outcome["waiting"]:
        return CANT_BE_PLACED
    return CHANGES if found.pruned or any(each.action != "unchanged" for each in found.planned) else 0


def _objects(found: Intended) -> list[Json]:
    """Return what would become of each object, for a program."""
    written = [
        {
            "object": f"{each.document.ref.namespace}/{each.document.ref}",
            "action": each.action,
            **({"conflicts": [str(one) for one in each.conflicts]} if each.conflicts else {}),
        }
        for each in found.planned
    ]
    pruned = [{"object": f"{each.ref.namespace}/{each.ref}", "action": "pruned"} for each in found.pruned]
    return [*written, *pruned]


def ask_outcome(
    client: "Client",
    planned: "tuple[Planned, ...]",
    now: float,
    pruned: "tuple[ObjectView, ...]" = (),
) -> "tuple[Foreseen, Json | None]":
    """Return what was asked, and what would become of it; None where no task comes or goes."""
    foreseen = client.foresee(planned, pruned)
    question = foreseen.question
    if not (question["adding"] or question["leaving"] or question["queues"]):
        return foreseen, None
    return foreseen, ask_plan(client, question, foreseen.namespaces, now)


def _print(found: Intended, foreseen: "Foreseen", outcome: Json | None) -> None:
    gone = [removal_diff(each.ref, each.view.raw) for each in found.pruned if each.view is not None]
    text = "".join([*(unified_diff(each) for each in found.planned), *gone])
    out(coloured_diff(text) if is_coloured() else text, end="")
    actions = Counter(str(each.action) for each in found.planned) + Counter({"pruned": len(found.pruned)})
    if outcome is not None:
        lines = [*_tasks(foreseen, outcome), *_others(outcome), *_shares(outcome)]
        for line in ["", *lines] if lines else []:
            out(line)
    counts = ", ".join(
        f"{actions[name]} {name}"
        for name in ("created", "configured", "unchanged", "pruned")
        if actions[name]
    )
    if outcome is None:
        out(f"Plan: {counts}; no task comes or goes.")
        return
    placed, waiting, victims = (len(outcome[name]) for name in ("placed", "waiting", "victims"))
    out(
        f"\nPlan: {counts}; {placed} tasks placed, {waiting} would wait, {victims} preempted "
        f"(at revision {outcome['revision']})."
    )


def _tasks(foreseen: "Foreseen", outcome: Json) -> list[str]:
    """Return for each object where its tasks land, and why some wait."""
    lines = []
    for each in foreseen.expected:
        of = f"{each.ref.namespace}/{each.ref}"
        nodes = Counter(one["node"] for one in outcome["placed"] if one["of"] == of)
        waits = Counter(one["reason"] for one in outcome["waiting"] if one["of"] == of)
        if not (nodes or waits or each.leaving):
            continue
        gone = f", {each.leaving} stopped" if each.leaving else ""
        lines.append(f"{of}: {sum(nodes.values())} placed, {sum(waits.values())} would wait{gone}")
        lines += [f"  {count} on node {node}" for node, count in sorted(nodes.items())]
        lines += [f"  {count} would wait: {reason}" for reason, count in sorted(waits.items())]
    return lines


def _others(outcome: Json) -> list[str]:
    lines = [
        f"preempted: {task_text(each['task'])} on node {each['node']} "
        f"(queue {each['queue']}, priority {each['priority']})"
        for each in outcome["victims"]
    ]
    return lines + [
        f"delayed: {task_text(each)}, which would be placed now otherwise" for each in outcome["delayed"]
    ]


def _shares(outcome: Json) -> list[str]:
    return [
        f"queue {each['queue']}: share {percent(each['before'])} -> {percent(each['after'])}"
        for each in outcome["shares"]
        if abs(each["before"] - each["after"]) >= ALIKE
    ]
