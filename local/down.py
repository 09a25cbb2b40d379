"""`berth down`: stop the cluster of a data folder, whether its `berth up` lives or crashed. Idempotent."""

import signal
import subprocess
import time
from collections.abc import Callable

from local.errors import LocalError
from local.folder import Folder, Record
from local.plan import clean_environment, package_folder, stop_tasks_command
from local.processes import POLL_S, ProcessId, end, is_alive, send, wait_gone

PATIENCE_S = 90.0  # longer than `berth up` itself takes until it kills
CRASHED_PATIENCE_S = 15.0  # for each process that a crashed `berth up` left
Say = Callable[[str], None]


def down(folder: Folder, say: Say, *, stops_tasks: bool = False) -> None:
    """Stop what runs, and return when it is gone. stops_tasks: `stop_tasks` comes next. Raises LocalError."""
    record = folder.read()
    if folder.is_held():
        _stop_up(folder, record, say)
        say("stopped; containers of tasks go on" if record.nodes and not stops_tasks else "stopped")
    elif not end_leftovers(record, say):
        say(f"nothing runs in {folder.path}")


def _stop_up(folder: Folder, record: Record, say: Say) -> None:
    up = record.up
    if up is None or not is_alive(up):
        raise LocalError(f"another berth command holds {folder.path} at this moment; try again")
    say(f"stopping the cluster in {folder.path} (berth up with pid {up.pid})")
    send(up, signal.SIGTERM)
    deadline = time.monotonic() + PATIENCE_S
    while folder.is_held() and time.monotonic() < deadline:
        time.sleep(POLL_S)
    if folder.is_held():
        say(f"berth up with pid {up.pid} does not end; killing it")
        send(up, signal.SIGKILL)
        wait_gone((up,), CRASHED_PATIENCE_S)
    end_leftovers(folder.read(), say)


def end_leftovers(record: Record, say: Say) -> bool:
    """End, in order, what a `berth up` that was killed has left; say whether there was anything."""
    left = {name: each for name, each in record.processes.items() if is_alive(each)}
    for names in _turns(left):
        for name in names:
            say(f"ending {name} (pid {left[name].pid}), left over from a berth up that was killed")
        end([left[name] for name in names], CRASHED_PATIENCE_S)
    return bool(left)


def _turns(left: dict[str, ProcessId]) -> tuple[list[str], ...]:
    last = ("controller", "etcd")
    agents = [name for name in left if name not in last]
    return (agents, *([name] for name in last if name in left))


def stop_tasks(folder: Folder, environment: dict[str, str], say: Say) -> None:
    """Stop and remove the containers of this cluster's nodes, each with its grace. Raises LocalError."""
    if folder.is_held():
        raise LocalError(
            f"a cluster runs in {folder.path} and would start its tasks again; first: berth down"
        )
    record = folder.read()
    failed = [node for node in _nodes(folder) if not _stop_tasks_of(folder, node, record, environment, say)]
    if failed:
        raise LocalError(f"containers of node {', '.join(failed)} may still run; see above, then try again")
    say(
        "the tasks are still desired: the next berth up runs them again; to end one for good: berth delete task NAME"
    )


def _nodes(folder: Folder) -> list[str]:
    """Return all nodes that ever ran here: those of an earlier, larger cluster, too."""
    try:
        return sorted(each.name for each in folder.agents.iterdir() if (each / "identity.json").exists())
    except FileNotFoundError:
        return []


def _stop_tasks_of(folder: Folder, node: str, record: Record, environment: dict[str, str], say: Say) -> bool:
    command = stop_tasks_command(node, record.docker_host, folder)
    with subprocess.Popen(
        command,
        stdin=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        env=clean_environment(environment),
        cwd=package_folder(),
        text=True,
    ) as process:
        assert process.stderr is not None
        for line in process.stderr:
            say(line.rstrip())
    return process.returncode == 0
