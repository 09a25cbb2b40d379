"""`make demo`: a whole cluster on this machine, from YAML to a running container, and all of it gone at the end.

Starts etcd, a Docker Engine, a controller and an agent; applies manifests/demo; shows what runs, reads a page over
HTTP from the host port that was allotted, shows logs; deletes everything, stops everything, and looks whether
anything was left: containers, processes, files outside of the clone.
"""

import http.client
import json
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tools import BUILD, CLONE
from tools.docker_http import LABEL_PREFIX, container_labels, remove_container
from tools.errors import ToolError
from tools.leftovers import machine_entries, suspicious
from tools.private import private_etcd, stop_on_sigterm
from tools.processes import kill_marked, marked_processes, start_server, stop_server, tail
from tools.with_backends import engine_with_image

DEMO = BUILD / "demo"
BERTH = CLONE / ".venv/bin/berth"
MANIFESTS = Path("manifests/demo")
NODE = "demo-node"
WEB, HELLO = "web", "hello"  # the tasks of manifests/demo
WEB_PORT = 8080
READY_WITHIN_S = 60.0  # a few seconds as a rule; the slowest is a cold start of Python on 2 cores
POLL_S = 0.25
LOG_LINES = 15


class DemoFailed(ToolError):
    """Something of the demo did not happen; the logs of the components follow."""


@dataclass(frozen=True, slots=True)
class Cluster:
    """A running one-machine cluster."""

    etcd: str
    docker_host: str
    components: Mapping[str, subprocess.Popen[bytes]]  # name -> its process

    def check_alive(self) -> None:
        """Raise if a component ended by itself."""
        for name, process in self.components.items():
            if process.poll() is not None:
                raise DemoFailed(f"berth {name} ended by itself with code {process.returncode}")


def main() -> int:
    """Run the demo; 0 when it worked and left nothing behind."""
    stop_on_sigterm()
    kill_marked(DEMO)
    shutil.rmtree(DEMO, ignore_errors=True)
    (DEMO / "tmp").mkdir(parents=True)
    os.environ["TMPDIR"] = str(DEMO / "tmp")
    before = machine_entries()
    try:
        with engine_with_image() as host:
            _show_and_check(host)
    except (ToolError, subprocess.SubprocessError, OSError) as error:
        _show_failure(error)
        return 1
    finally:
        left = _left_behind(before)
    return _report(left)


def _show_and_check(host: str) -> None:
    """Run the cluster on an engine, and make sure that no container of ours is left there."""
    try:
        with _cluster(host) as cluster:
            _show(cluster)
        if left := containers_of_demo(container_labels(host)):
            raise DemoFailed(f"containers left behind: {', '.join(left)}")
        say("no container left")
    finally:
        for container_id in containers_of_demo(container_labels(host)):
            remove_container(host, container_id)


def containers_of_demo(labels: Mapping[str, Mapping[str, str]]) -> list[str]:
    """Return which containers carry a label of Berth with the demo's node: others may be of a real cluster. Pure.

    labels: container id -> its labels
    """
    return sorted(
        container_id
        for container_id, of_container in labels.items()
        if any(name.startswith(LABEL_PREFIX) and value == NODE for name, value in of_container.items())
    )


@contextmanager
def _cluster(host: str) -> Iterator[Cluster]:
    """Start etcd, controller and agent; stop them in the opposite order."""
    with ExitStack() as stack:
        say("starting etcd, a controller and an agent")
        etcd = stack.enter_context(private_etcd(DEMO / "etcd"))
        os.environ["BERTH_ETCD"] = etcd
        common = ["--etcd", etcd, "--listen", "127.0.0.1:0"]
        of_agent = [
            "--node",
            NODE,
            "--address",
            "127.0.0.1",
            "--docker-host",
            host,
            "--state-dir",
            str(DEMO / "agent"),
        ]
        controller = stack.enter_context(_component("controller", common))
        agent = stack.enter_context(_component("agent", [*common, *of_agent]))
        yield Cluster(etcd, host, {"controller": controller, "agent": agent})
        say("stopping the agent, the controller and etcd")


@contextmanager
def _component(name: str, options: list[str]) -> Iterator[subprocess.Popen[bytes]]:
    """Run `berth NAME` in the background."""
    command = [str(BERTH), name, *options]
    print(f"$ berth {' '.join(command[1:])} &", flush=True)
    server = start_server(command, DEMO, log=_log(name))
    try:
        yield server
    finally:
        stop_server(server)


def _show(cluster: Cluster) -> None:
    """Do what a user does, with every command shown before its output."""

    def wait_for(what: str, holds: Callable[[], bool]) -> None:
        wait_until(what, holds, check=cluster.check_alive)

    wait_for("the node is Ready", lambda: any(map(is_ready, listed("nodes"))))
    berth("apply", "-f", str(MANIFESTS))
    wait_for(f"the tasks {WEB} and {HELLO} run", _demo_tasks_run)
    berth("get", "tasks,nodes", "-o", "wide")
    address = task_address(fetched("task", WEB), WEB_PORT)
    wait_for(f"http://{address}/ answers", lambda: _page(address) is not None)
    print(f"$ curl http://{address}/\n{_page(address)}", flush=True)
    berth("logs", f"task/{HELLO}")
    berth("delete", "-f", str(MANIFESTS))
    wait_for("no task is left", lambda: not listed("tasks"))
    cluster.check_alive()


def berth(*arguments: str) -> None:
    """Run one command of the CLI, shown as the user would type it."""
    print(f"\n$ berth {' '.join(arguments)}", flush=True)
    code = subprocess.run([BERTH, *arguments], cwd=CLONE, check=False).returncode
    if code != 0:
        raise DemoFailed(f"`berth {' '.join(arguments)}` ended with code {code}")


def listed(plural: str) -> list[dict[str, Any]]:
    """Return the objects of a kind as `berth get -o json` prints them; none while it can't."""
    answer = _get_json(plural)
    return list(answer.get("items", [])) if answer else []


def fetched(kind: str, name: str) -> dict[str, Any]:
    """Return one object."""
    answer = _get_json(kind, name)
    if answer is None:
        raise DemoFailed(f"`berth get {kind} {name} -o json` printed no object")
    return answer


def _get_json(*what: str) -> dict[str, Any] | None:
    done = subprocess.run(
        [BERTH, "get", *what, "-o", "json"], cwd=CLONE, capture_output=True, text=True, check=False
    )
    try:
        answer: dict[str, Any] = json.loads(done.stdout)
    except ValueError:
        return None
    return answer if done.returncode == 0 else None


def is_ready(node: dict[str, Any]) -> bool:
    """The node's condition Ready is True. Pure."""
    conditions = (node.get("status") or {}).get("conditions", [])
    return any(condition["type"] == "Ready" and condition["status"] == "True" for condition in conditions)


def _demo_tasks_run() -> bool:
    states = {task["metadata"]["name"]: (task.get("status") or {}).get("state") for task in listed("tasks")}
    return states.get(WEB) == "Running" and states.get(HELLO) in ("Running", "Succeeded")


def task_address(task: dict[str, Any], container_port: int) -> str:
    """Return `host:port` at which a container port of a running task is reached. Pure."""
    status = task["status"]
    ports = {port["containerPort"]: port["hostPort"] for port in status["ports"]}
    return f"{status['hostIP']}:{ports[container_port]}"


def _page(address: str) -> str | None:
    """Return the page at the address, None while it doesn't answer. No proxy, no redirect."""
    connection = http.client.HTTPConnection(address, timeout=5)
    try:
        connection.request("GET", "/")
        answer = connection.getresponse()
        return answer.read().decode() if answer.status == 200 else None
    except (OSError, http.client.HTTPException):
        return None
    finally:
        connection.close()


def wait_until(what: str, holds: Callable[[], bool], *, check: Callable[[], None]) -> None:
    """Wait until something holds, or fail with what it was, or with what `check` raises."""
    start = time.monotonic()
    while not holds():
        check()
        if time.monotonic() - start > READY_WITHIN_S:
            raise DemoFailed(f"not so after {READY_WITHIN_S:.0f} s: {what}")
        time.sleep(POLL_S)
    say(f"{what} (after {time.monotonic() - start:.1f} s)")


def say(text: str) -> None:
    """Tell the reader what goes on, apart from what commands print."""
    print(f"\n# {text}", flush=True)


def _show_failure(error: Exception) -> None:
    print(f"\ndemo failed: {error}", file=sys.stderr)
    for log in (_log("controller"), _log("agent"), DEMO / "etcd/etcd.log"):
        print(f"\n--- end of {log}\n{tail(log, lines=LOG_LINES)}", file=sys.stderr)


def _log(component: str) -> Path:
    return DEMO / f"{component}.log"


def _left_behind(before: set[str]) -> list[str]:
    """Return what is left of the demo on this machine: processes, and entries outside of the clone."""
    processes = [f"process {pid}: {command}" for pid, command in marked_processes(BUILD).items()]
    kill_marked(DEMO)
    shutil.rmtree(DEMO / "tmp", ignore_errors=True)
    return processes + [f"file {entry}" for entry in suspicious(machine_entries() - before)]


def _report(left: list[str]) -> int:
    if left:
        print("\ndemo failed: left behind\n" + "\n".join(left), file=sys.stderr)
        return 1
    say("no process left, no file outside of the clone: the demo worked")
    return 0


if __name__ == "__main__":
    try:
        sys.exit(main())
    except KeyboardInterrupt:
        sys.exit(130)
