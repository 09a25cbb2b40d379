"""`berth plan`: the differences, where each task would land, what would wait and why, who would have to go."""

from collections import Counter
from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated, Any

import typer

from cli.answering import ask_plan
from cli.colour import coloured_diff, is_coloured
from cli.intent import Intended, Intent, intended
from cli.manifests import Recursive, SomeFiles, Vars, read_manifests, telling_lines
from cli.output import Output, format_data, parse_output
from cli.packing import packing_lines, parse_budget
from cli.plan_markdown import markdown
from cli.repository import Folder, Repo, Rev, read_repository, refuse_clear_secrets
from cli.session import note, out, session_of
from cli.set_options import AllowEmpty, CreateNamespace, Prune, Set, check_set_options
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

MARKDOWN = "markdown"
CHANGES = 1
CANT_BE_PLACED = 2
ALIKE = 0.0005  # shares that differ by less look the same


def register(app: typer.Typer, name: str) -> None:
    app.command(name, epilog=HELP)(plan)


def plan(
    context: typer.Context,
    filename: SomeFiles = None,
    recursive: Recursive = False,
    create_namespace: CreateNamespace = False,
    out_file: Annotated[
        str, typer.Option("--out", metavar="FILE", help="Write the plan, for: berth apply --plan FILE.")
    ] = "",
    optimal: Annotated[
        bool, typer.Option("--optimal", help="Also search for the best packing, and say how good it is.")
    ] = False,
    budget: Annotated[str, typer.Option(help="How long --optimal may search, 60s at most.")] = "5s",
    output: Annotated[
        str, typer.Option("-o", "--output", help="json, yaml, or markdown: for a pull request.")
    ] = "",
    set_name: Set = "",
    prune: Prune = False,
    allow_empty: AllowEmpty = False,
    vars_file: Vars = "",
    repo: Repo = "",
    rev: Rev = "",
    path: Folder = "",
) -> None:
    """Show what an apply would change, where each task would land, what would wait and why, and who would have to go.

    With --optimal it is compared with the best packing that is found: the most work placed, then the fewest nodes used.

    Nothing is written. Exit code: 0 nothing to do, 1 changes, 2 something can't be placed, 255 an error.
    """
    form, session = _form(output), session_of(context)
    search = {"seconds": parse_budget(budget)} if optimal else None
    _check_options(filename or [], repo, rev=rev, path=path, set_name=set_name, out_file=out_file)
    check_set_options(set_name, prune=prune, allow_empty=allow_empty)
    read = read_manifests(
        filename or (),
        recursive=recursive,
        namespace=session.namespace,
        vars_file=vars_file,
        may_be_empty=allow_empty,
        more=read_repository(repo, rev, folder=path, may_be_empty=allow_empty) if repo else (),
    )
    if repo:
        refuse_clear_secrets(read.documents)
    wanted = Intent(set_name, prune, allow_empty, create_namespace)
    with session.client() as client, telling_lines(read.sources):
        found = intended(session, client, read.documents, wanted)
        foreseen, outcome = ask_outcome(client, found.planned, session.now(), found.pruned_views, search)
        if out_file:
            _keep(client, out_file, found, outcome, create_namespace=create_namespace)
    _show(form, found, foreseen, outcome)
    if out_file:
        note(f"Note: the plan is in {out_file}; do it with: berth apply --plan {out_file}")
    raise typer.Exit(exit_code(found, outcome))


def _check_options(
    files: Sequence[str], repo: str, *, rev: str, path: str, set_name: str, out_file: str
) -> None:
    """Raise BadOption for options that make no sense together."""
    if set_name and out_file:
        raise BadOption(
            "a plan in a file has no set; leave --out away, and apply with: berth apply --set NAME"
        )
    if bool(repo) == bool(files):
        raise BadOption("give either -f FILE, what to plan, or --repo URL, a git repository")
    if (rev or path) and not repo:
        raise BadOption("--rev and --path go with --repo URL")


def _keep(
    client: "Client", path: str, found: Intended, outcome: Json | None, *, create_namespace: bool
) -> None:
    """Write the plan into a file, for `berth apply --plan`."""
    from client import planfile

    cluster = client.cluster()
    uid = cluster.cluster_uid if cluster is not None else ""
    planfile.write(path, found.planned, uid, outcome, create_namespace=create_namespace)


def _show(form: str, found: Intended, foreseen: "Foreseen", outcome: Json | None) -> None:
    if form == Output.TABLE:
        _print(found, foreseen, outcome)
    elif form == MARKDOWN:
        out(markdown(found, foreseen.expected, outcome, _summary(found, outcome)), end="")
    else:
        told = {"kind": "Plan", "objects": _objects(found), "outcome": outcome}
        out(format_data(told, Output(form)), end="")


def _form(output: str) -> str:
    """Raises BadOption."""
    if output == MARKDOWN:
        return output
    form = parse_output(output)
    if form not in (Output.TABLE, Output.JSON, Output.YAML):
        raise BadOption(f"-o {output} is no form of a plan; known: json, yaml, {MARKDOWN}")
    return form


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
    search: Json | None = None,
) -> "tuple[Foreseen, Json | None]":
    """Return what was asked, and what would become of it; None where no task comes or goes.

    search: limits within which the best packing is searched, too.
    """
    foreseen = client.foresee(planned, pruned)
    question = foreseen.question if search is None else {**foreseen.question, "optimal": search}
    if search is None and not (question["adding"] or question["leaving"] or question["queues"]):
        return foreseen, None
    return foreseen, ask_plan(client, question, foreseen.namespaces, now)


def _print(found: Intended, foreseen: "Foreseen", outcome: Json | None) -> None:
    gone = [removal_diff(each.ref, each.view.raw) for each in found.pruned if each.view is not None]
    text = "".join([*(unified_diff(each) for each in found.planned), *gone])
    out(coloured_diff(text) if is_coloured() else text, end="")
    lines = [] if outcome is None else [*_tasks(foreseen, outcome), *_others(outcome), *_shares(outcome)]
    if outcome is not None and "packing" in outcome:
        lines += ["", *packing_lines(outcome["packing"])]
    for line in ["", *lines] if lines else []:
        out(line)
    out(_summary(found, outcome) if outcome is None else f"\n{_summary(found, outcome)}")


def _summary(found: Intended, outcome: Json | None) -> str:
    """Return the plan in a sentence."""
    actions = Counter(str(each.action) for each in found.planned) + Counter({"pruned": len(found.pruned)})
    counts = ", ".join(
        f"{actions[name]} {name}"
        for name in ("created", "configured", "unchanged", "pruned")
        if actions[name]
    )
    if outcome is None:
        return f"Plan: {counts}; no task comes or goes."
    placed, waiting, victims = (len(outcome[name]) for name in ("placed", "waiting", "victims"))
    return (
        f"Plan: {counts}; {placed} tasks placed, {waiting} would wait, {victims} preempted "
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
