"""`berth apply --wait`: waiting for what was applied, and saying of what fails why, with its last lines."""

import time
from typing import TYPE_CHECKING

from cli.session import note
from client.errors import BadOption, ClientError
from client.planned import ApplyResult
from client.progress import Progress, progress_of
from schemas.meta import find_condition

if TYPE_CHECKING:
    from client.client import Client
    from client.views import ObjectView

WAITED_OWNERS = ("deployments", "daemonsets", "jobs")
STEADY_S = 1.0  # a command that fails at once runs for a moment, too
LAST_LINES = 10


def settle(client: "Client", results: list[ApplyResult], timeout_s: float) -> bool:
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
        _tell_failing_task(client, result)
        return False
    if state.verdict == "failed":
        note(f"Error: {state.text}; see: berth describe {result.ref}")
        _tell_failing_task(client, result)
    return state.verdict == "done"


def _tell_failing_task(client: "Client", result: ApplyResult) -> None:
    """Show, of the tasks of an owner, why the one that fails does, and how it ended."""
    try:
        found = failing_task(client.tasks_of(result.ref.plural, result.ref.name, result.ref.namespace))
    except ClientError:
        return
    if found is not None:
        view, why = found
        note(f"  {view.ref}: {why}")
        _print_last_lines(client, view.name, view.namespace)


def failing_task(views: "tuple[ObjectView, ...]") -> "tuple[ObjectView, str] | None":
    """Return the task that says best why a rollout does not end, and what it says.

    Failed ones come first, then those that don't run yet, then those that run and are not ready; newest first.
    """
    newest = sorted(views, key=lambda view: -(view.spec_kv.create_revision if view.spec_kv else 0))
    judged = [(view, progress_of(view, 0)) for view in newest if not view.is_terminating]
    failed = [(view, each.why) for view, each in judged if each.verdict == "failed"]
    waiting = [(view, each.why) for view, each in judged if each.verdict == "waiting"]
    unready = [(view, why) for view, _ in judged if (why := _unready(view))]
    return next(iter([*failed, *waiting, *unready]), None)


def _unready(view: "ObjectView") -> str:
    """Return why a task is not ready, "" for one that is, or that says nothing."""
    status = view.task_status
    ready = find_condition(status.conditions, "Ready") if status is not None else None
    if ready is None or ready.status == "True":
        return ""
    return ": ".join(part for part in ("it runs and is not ready", ready.reason, ready.message) if part)


def _runs(client: "Client", result: ApplyResult, deadline: float) -> bool:
    """Wait until a task runs or has ended well; say why it does not. deadline: of the steady clock."""
    left_s = max(0.0, deadline - time.monotonic())
    try:
        progress = client.wait_task(result.ref, result.generation, timeout_s=left_s)
    except ClientError as error:
        progress = Progress("failed", str(error))
    if progress.verdict == "failed":
        note(f"Error: {result.ref} does not run: {progress.why}; see: berth describe {result.ref}")
        _print_last_lines(client, result.ref.name, result.ref.namespace)
    return progress.verdict != "failed"


def _print_last_lines(client: "Client", name: str, namespace: str) -> None:
    """Show how a task ended; that there is no log is no further error."""
    from client.logs import LogOptions

    try:
        text = b"".join(client.logs(name, namespace, LogOptions(tail=LAST_LINES)))
    except ClientError:
        return
    for line in text.decode(errors="replace").splitlines():
        note(f"  {line}")
