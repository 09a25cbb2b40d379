"""`berth apply`: create or change objects from manifests; everything is checked before anything is written."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated

import typer

from cli import pruning
from cli.durations import parse_timeout
from cli.manifests import Manifests, Recursive, SomeFiles, Vars, read_manifests, telling_lines
from cli.session import Session, note, out, session_of
from cli.set_options import AllowEmpty, CreateNamespace, Prune, Set, check_set_options
from cli.settings import HELP
from cli.settling import settle
from client.conflicts import OnConflict, manager_text
from client.errors import BadOption, Refused
from client.planned import ApplyResult, Planned

if TYPE_CHECKING:
    from client.applyset import SetPlan
    from client.client import Client


@dataclass(frozen=True, slots=True)
class Wish:
    """What is to be done with the documents. timeout_s: None: do not wait."""

    set_name: str
    prune: bool
    yes: bool
    dry_run: bool
    create_namespace: bool
    on_conflict: OnConflict
    adopt: bool
    timeout_s: float
    wait: bool


Wait = Annotated[bool, typer.Option(help="Wait until tasks run, rollouts are complete, jobs have succeeded.")]
Timeout = Annotated[str, typer.Option(help="How long to wait, such as 90s or 5m.")]
Plan = Annotated[
    str, typer.Option("--plan", metavar="FILE", help="Do what berth plan --out FILE has shown, or nothing.")
]
ForceConflicts = Annotated[
    bool, typer.Option("--force-conflicts", help="Take over fields that others have set.")
]
Adopt = Annotated[
    bool,
    typer.Option(
        "--adopt", help="With --set: objects that were applied without a set become the set's alone."
    ),
]


def register(app: typer.Typer, name: str) -> None:
    app.command(name, epilog=HELP)(apply)


def apply(
    context: typer.Context,
    filename: SomeFiles = None,
    recursive: Recursive = False,
    create_namespace: CreateNamespace = False,
    dry_run: Annotated[bool, typer.Option(help="Check and say what would happen; write nothing.")] = False,
    wait: Wait = False,
    timeout: Timeout = "5m",
    plan: Plan = "",
    set_name: Set = "",
    prune: Prune = False,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="With --prune: do not ask.")] = False,
    allow_empty: AllowEmpty = False,
    force_conflicts: ForceConflicts = False,
    adopt: Adopt = False,
    vars_file: Vars = "",
) -> None:
    """Create or change objects from manifests. All are checked before any is written."""
    session = session_of(context)
    _check_plan(plan, filename or [], others=(set_name, vars_file))
    check_set_options(set_name, prune=prune, allow_empty=allow_empty)
    if adopt and not set_name:
        raise BadOption("--adopt takes objects into a set, so it needs the set's name: --set NAME")
    conflict = OnConflict.TAKE_OVER if force_conflicts else OnConflict.REFUSE
    wait_s = parse_timeout(timeout)
    wish = Wish(set_name, prune, yes, dry_run, create_namespace, conflict, adopt, wait_s, wait)
    read = read_manifests(
        filename or (),
        recursive=recursive,
        namespace=session.namespace,
        vars_file=vars_file,
        may_be_empty=allow_empty,
    )
    with session.client() as client, telling_lines(read.sources):
        if plan:
            _carry_out(client, _as_planned(client, plan, session.now()), wish)
        elif set_name:
            _apply_set(session, client, read, wish, allow_empty=allow_empty)
        else:
            planned = client.plan(
                read.documents, create_namespace=create_namespace, on_conflict=wish.on_conflict
            )
            _carry_out(client, planned, wish)


def _check_plan(plan: str, files: Sequence[str], *, others: Iterable[str]) -> None:
    """Raise BadOption unless either files or a plan are given, and a plan alone. others: --set and --vars."""
    if bool(plan) == bool(files):
        raise BadOption(
            "give either -f FILE, what to apply, or --plan FILE, as berth plan --out FILE wrote it"
        )
    if plan and any(others):
        raise BadOption(
            "--plan has all documents in it, as they are; it can't be combined with --set or --vars"
        )


def _carry_out(client: "Client", planned: tuple[Planned, ...], wish: Wish) -> None:
    if wish.dry_run:
        _print_dry(client, planned, wish)
        return
    results = _print_all(
        client.apply_planned(planned, timeout_s=wish.timeout_s, on_conflict=wish.on_conflict)
    )
    if wish.wait and not settle(client, results, wish.timeout_s):
        raise typer.Exit(1)


def _apply_set(session: Session, client: "Client", read: Manifests, wish: Wish, *, allow_empty: bool) -> None:
    """Apply a set, wait, and prune what left it: a rollout that fails prunes nothing."""
    from client.applyset import refuse_empty

    if not allow_empty:
        refuse_empty(read.documents, f"set {wish.set_name}")
    one = client.apply_set(
        wish.set_name,
        session.namespace,
        on_conflict=wish.on_conflict,
        timeout_s=wish.timeout_s,
        adopt=wish.adopt,
    )
    plan = one.plan(client.ready(read.documents, create_namespace=wish.create_namespace))
    if wish.prune:
        pruning.tell_unread(plan)
    if wish.dry_run:
        _print_dry(client, plan.planned, wish, plan)
        return
    one.refuse_conflicts(plan)
    if wish.prune:
        pruning.confirm(wish.set_name, plan, yes=wish.yes)
    else:
        pruning.tell_left(wish.set_name, plan)
    results = _print_all(one.apply(plan))
    if wish.wait and not settle(client, results, wish.timeout_s):
        if wish.prune and plan.removals:
            note("Note: nothing was pruned, as not all that was applied runs; apply again when it does")
        raise typer.Exit(1)
    if wish.prune:
        pruning.prune(client, one, plan, timeout_s=wish.timeout_s if wish.wait else None)


def _print_dry(
    client: "Client", planned: tuple[Planned, ...], wish: Wish, plan: "SetPlan | None" = None
) -> None:
    """Say what would happen, what is named and nowhere to be found, and which fields belong to others."""
    for each in planned:
        _print(ApplyResult(each.document.ref, each.action, each.replaces, 0, each.kept), " (dry run)")
    if plan is not None and wish.prune:
        pruning.show_removals(plan, " (dry run)")
    for problem in client.missing_references(each.document for each in planned):
        note(f"Warning: {problem}")
    if wish.on_conflict is OnConflict.REFUSE:
        from client.apply import refuse_conflicts

        refuse_conflicts(planned)


def _as_planned(client: "Client", path: str, now: float) -> tuple[Planned, ...]:
    """Plan the documents of a plan again. Raises Refused if the cluster has moved in a way that matters."""
    from cli.plan import ask_outcome
    from client import planfile

    file, cluster = planfile.read(path), client.cluster()
    again = f"look at it again with: berth plan -f FILE --out {path}"
    if cluster is None or cluster.cluster_uid != file.cluster_uid:
        raise Refused(f"{path} is the plan of another cluster ({file.cluster_uid}); {again}")
    planned = client.plan(file.documents, create_namespace=file.create_namespace)
    _, outcome = ask_outcome(client, planned, now)
    moved = planfile.differences(file, planned, outcome)
    if moved:
        listed = "".join(f"\n  {each}" for each in moved)
        raise Refused(
            f"the cluster has moved since {path} was made (revision {file.revision}):{listed}\n{again}"
        )
    return planned


def _print_all(results: Iterable[ApplyResult]) -> list[ApplyResult]:
    """Print results as they come. When one fails, the ones before it are written and have been printed."""
    printed: list[ApplyResult] = []
    for result in results:
        _print(result, "")
        printed.append(result)
    return printed


def _print(result: ApplyResult, suffix: str) -> None:
    out(f"{result.ref} {result.action}{suffix}")
    if result.replaces:
        fields = ", ".join(result.replaces)
        note(f"  {result.ref} is replaced (stopped and started anew), as these fields change: {fields}")
    for kept in result.kept:
        note(
            f"  {result.ref} keeps {kept.field}, which the manifest leaves out, as {manager_text(kept.manager)} has it"
        )
