"""`berth apply`: create or change objects from manifests; everything is checked before anything is written."""

import time
from typing import TYPE_CHECKING, Annotated

import typer

from cli.manifests import read_sources, telling_lines
from cli.session import note, out, session_of
from cli.settings import HELP
from client.errors import BadOption, ClientError
from client.planned import ApplyResult, Planned
from client.progress import Progress
from schemas.manifest import load

if TYPE_CHECKING:
    from client.client import Client

Files = Annotated[
    list[str], typer.Option("-f", "--filename", help="File, folder, or - for stdin; repeatable.")
]
Recursive = Annotated[bool, typer.Option("-R", "--recursive", help="Also read the folders below.")]
CreateNamespace = Annotated[bool, typer.Option(help="Create namespaces that do not exist.")]
WAITED_OWNERS = ("deployments", "daemonsets", "jobs")
STEADY_S = 1.0  # a command that fails at once runs for a moment, too


def register(app: typer.Typer, name: str) -> None:
    app.command(name, epilog=HELP)(apply)


def apply(
    context: typer.Context,
    filename: Annotated[
        list[str] | None,
        typer.Option("-f", "--filename", help="File, folder, or - for stdin; repeatable."),
    ] = None,
    recursive: Recursive = False,
    create_namespace: CreateNamespace = False,
    dry_run: Annotated[bool, typer.Option(help="Check and say what would happen; write nothing.")] = False,
    wait: Annotated[
        bool, typer.Option(help="Wait until tasks run, rollouts are complete, jobs have succeeded.")
    ] = False,
    timeout: Annotated[str, typer.Option(help="How long to wait, such as 90s or 5m.")] = "5m",
    plan: Annotated[
        str,
        typer.Option("--plan", metavar="FILE", help="Do what berth plan --out FILE has shown, or nothing."),
    ] = "",
) -> None:
    """Create or change objects from manifests. All are checked before any is written."""
    session = session_of(context)
    timeout_s = parse_timeout(timeout)
    if bool(plan) == bool(filename):
        raise BadOption(
            "give either -f FILE, what to apply, or --plan FILE, as berth plan --out FILE wrote it"
        )
    sources = read_sources(filename or (), recursive=recursive)
    documents = load(sources, default_namespace=session.namespace)
    with session.client() as client, telling_lines(sources):
        if plan:
            planned = _as_planned(client, plan, session.now())
        else:
            planned = client.plan(documents, create_namespace=create_namespace)
        if dry_run:
            for each in planned:
                _print(ApplyResult(each.document.ref, each.action, each.replaces), " (dry run)")
            return
        results = _write(client, planned, timeout_s)
        if wait and not _wait(client, results, timeout_s):
            raise typer.Exit(1)


def _as_planned(client: "Client", path: str, now: float) -> tuple[Planned, ...]:
    """Plan the documents of a plan again. Raises Refused if the cluster has moved in a way that matters."""
    from cli.plan import ask_outcome
    from client import planfile
    from client.errors import Refused

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


def _write(client: "Client", planned: tuple[Planned, ...], timeout_s: float) -> list[ApplyResult]:
    """Write in order. When one fails, the ones before it are written and have been printed."""
    results: list[ApplyResult] = []
    for result in client.apply_planned(planned, timeout_s=timeout_s):
        _print(result, "")
        results.append(result)
    return results


def _print(result: ApplyResult, suffix: str) -> None:
    out(f"{result.ref} {result.action}{suffix}")
    if result.replaces:
        fields = ", ".join(result.replaces)
        note(f"  {result.ref} is replaced (stopped and started anew), as these fields change: {fields}")


def _wait(client: "Client", results: list[ApplyResult], timeout_s: float) -> bool:
    """Wait for every task, and look again a little later; say whether all run. The timeout is for all together."""
    deadline = time.monotonic() + timeout_s
    tasks = [each for each in results if each.ref.plural == "tasks"]
    running = [each for each in tasks if _runs(client, each, deadline)]
    if running:
        time.sleep(STEADY_S)
    steady = [each for each in running if _runs(client, each, deadline)]
    owners = [each for each in results if each.ref.plural in WAITED_OWNERS]
    settled = [each for each in owners if _settles(client, each, deadline)]
    return len(steady) == len(tasks) and len(settled) == len(owners)


def _settles(client: "Client", result: ApplyResult, deadline: float) -> bool:
    """Wait until a rollout is complete, or a job has succeeded; say why not."""
    from client.rollout_state import settled_state

    left_s = max(0.0, deadline - time.monotonic())
    try:
        state = client.rollout.follow(result.ref, note, timeout_s=left_s, judge=settled_state)
    except BadOption:  # of strategy OnDelete: there is nothing to wait for
        return True
    except ClientError as error:
        note(f"Error: {error}")
        return False
    if state.verdict == "failed":
        note(f"Error: {state.text}; see: berth describe {result.ref}")
    return state.verdict == "done"


def _runs(client: "Client", result: ApplyResult, deadline: float) -> bool:
    """Wait until a task runs or has ended well; say why it does not. deadline: of the steady clock."""
    left_s = max(0.0, deadline - time.monotonic())
    try:
        progress = client.wait_task(result.ref, result.generation, timeout_s=left_s)
    except ClientError as error:
        progress = Progress("failed", str(error))
    if progress.verdict == "failed":
        note(f"Error: {result.ref} does not run: {progress.why}; see: berth describe {result.ref}")
        _print_last_lines(client, result)
    return progress.verdict != "failed"


def _print_last_lines(client: "Client", result: ApplyResult) -> None:
    """Show how it ended; that there is no log is no further error."""
    from client.logs import LogOptions

    try:
        text = b"".join(client.logs(result.ref.name, result.ref.namespace, LogOptions(tail=10)))
    except ClientError:
        return
    for line in text.decode(errors="replace").splitlines():
        note(f"  {line}")


def parse_timeout(text: str) -> float:
    """Return seconds; 0 means for ever, as in kubectl. Raises BadOption."""
    from schemas.errors import InvalidQuantity
    from schemas.quantity import parse_duration

    try:
        return parse_duration(text) or float("inf")
    except InvalidQuantity as error:
        raise BadOption(f"--timeout: {error}") from None
