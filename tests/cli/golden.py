"""Every printed form of the CLI, kept as text in `golden/*.txt`.

    python -m tests.cli.golden      # writes the files anew; look at the difference before you commit it

Each file is a session at a cluster in memory whose time, uids and revisions are always the same.
"""

import io
import os
import re
import shlex
import sys
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager, redirect_stderr, redirect_stdout
from pathlib import Path
from typing import Any

from cli.main import VERBS, run
from cli.session import Say, Session
from client.applyset import set_manager
from client.client import Client
from client.connect import Settings
from schemas.keys import ObjectRef, cluster_ref, task_ref
from tests.cli.helpers import LentClient
from tests.cli.past import Archived, deployment
from tests.cli.test_answers import bind
from tests.client.helpers import KEYS, World, make_object, make_task

FOLDER = Path(__file__).parent / "golden"
WIDTH = 100  # columns of the terminal that help is written for
CREATED = "2027-01-15T07:30:00Z"  # half an hour before the world's time
UID = "00000000-0000-4000-8000-{:012d}"


class GoldenWorld(World):
    """A world whose objects have known uids and times."""

    def __init__(self) -> None:
        super().__init__()
        self._count = 0

    def store_object(self, raw: dict[str, Any], namespace: str = "_cluster") -> None:
        self._count += 1
        plural = {"PriorityClass": "priorityclasses"}.get(raw["kind"], f"{raw['kind'].lower()}s")
        place = {"namespace": namespace} if namespace != "_cluster" else {}
        stamped = {"uid": UID.format(self._count), "creationTimestamp": CREATED}
        raw = {**raw, "metadata": {**place, **raw["metadata"], **stamped}}
        family = f"secrets/{namespace}" if plural == "secrets" else f"spec/{namespace}/{plural}"
        self.put(f"/berth/{family}/{raw['metadata']['name']}", raw)

    def add_task(self, name: str, status: dict[str, Any] | None = None, **spec: Any) -> None:
        task = make_task(name, **spec)
        task["metadata"]["labels"] = {"app": name}
        self.store_object(task, "default")
        if status is not None:
            self.set_status(name, **status)

    def add_event(self, name: str, number: int, reason: str, message: str, **fields: Any) -> None:
        uid = self.json_at(KEYS.spec(task_ref("default", name)))["metadata"]["uid"]
        event = {
            "kind": "Event", "namespace": "default", "objectKind": "Task", "objectName": name, "objectUid": uid,
            "type": "Normal", "reason": reason, "message": message, "source": "controller", "count": 1,
            "firstTimestamp": "2027-01-15T07:40:00Z", "lastTimestamp": f"2027-01-15T07:{50 + number}:00Z", **fields,
        }  # fmt: skip
        self.put(KEYS.event("default", uid, "controller", reason), event)


def container(state: str, **fields: Any) -> dict[str, Any]:
    return {"name": "main", "state": state, "image": "berth/demo:1", **fields}


def placed(state: str, *containers: dict[str, Any], **fields: Any) -> dict[str, Any]:
    """The status of a task on node n1."""
    where = {
        "node": "n1",
        "hostIP": "10.0.0.5",
        "epoch": 1,
        "bindingUid": "b1",
        "startedAt": "2027-01-15T07:31:00Z",
    }
    return {"state": state, "observedGeneration": 1, **where, "containers": list(containers), **fields}


def condition(type_: str, status: str, reason: str, message: str = "") -> dict[str, Any]:
    since = {"lastTransitionTime": "2027-01-15T07:31:00Z"}
    return {"type": type_, "status": status, "reason": reason, "message": message, **since}


RUN = container("Running", containerId="c0ffee", startedAt="2027-01-15T07:31:00Z")
LAST = {
    "exitCode": 1,
    "reason": "Error",
    "startedAt": "2027-01-15T07:50:00Z",
    "finishedAt": "2027-01-15T07:55:00Z",
}


def build_world() -> GoldenWorld:
    """Objects of every kind, tasks in every state that a person may meet."""
    world = GoldenWorld()
    world.put(KEYS.cluster, {"kind": "Cluster", "clusterUid": UID.format(0)})
    _add_cluster_objects(world)
    _add_tasks(world)
    world.put(KEYS.spec(task_ref("default", "broken")), b"garbage")
    world.add_event("crash", 2, "BackOff", "restart in 40s", type="Warning", count=5)
    world.add_event("web", 0, "Bound", "bound to node n1")
    world.add_event("web", 1, "Started", "container main started")
    return world


def _add_cluster_objects(world: GoldenWorld) -> None:
    world.store_object(make_object("Namespace", "team", queues=["default", "batch"], maxPriority=100))
    world.store_object(make_object("Queue", "batch", weight=2, limit={"cpu": "4", "memory": "8Gi"}))
    world.store_object(make_object("PriorityClass", "high", value=100, description="goes first"))
    sealed = {"to": "0" * 16, "keys": ["password", "user"], "box": "Ym94", "digest": "d"}
    secret = {"apiVersion": "berth/v1", "kind": "Secret", "metadata": {"name": "login"}}
    world.store_object({**secret, "type": "Opaque", "sealed": sealed}, "default")
    world.add_node(
        "n1", labels={"disk": "ssd", "node-role/gpu": ""}, allocatable={"cpu": "3500m", "memory": 7364512153}
    )
    world.add_node("n2", ready="False", beating=False)
    taint = {"key": "gpu", "value": "yes", "effect": "NoSchedule"}
    world.store_object(make_object("Node", "n2", unschedulable=True, taints=[taint]))


def _add_tasks(world: GoldenWorld) -> None:
    ports = [{"containerPort": 8080, "name": "http"}]
    granted = [{"container": "main", "containerPort": 8080, "hostPort": 31000}]
    ready = condition("Ready", "True", "ContainersReady")
    scheduled = condition("Scheduled", "True", "Bound", "bound to node n1")
    full = make_task("web")["spec"]["containers"][0] | {
        "command": ["serve"], "args": ["--port", "8080"], "env": [{"name": "MODE", "value": "fast"}], "ports": ports,
        "resources": {"requests": {"cpu": "500m", "memory": "64Mi"}, "limits": {"memory": "128Mi"}},
        "volumeMounts": [{"name": "data", "mountPath": "/data"}],
    }  # fmt: skip
    web = placed("Running", RUN, conditions=[scheduled, ready], ports=granted, resources={"cpu": "500m"})
    world.add_task(
        "web", web, containers=[full], volumes=[{"name": "data", "emptyDir": {"sizeLimit": "1Gi"}}]
    )
    crash = container(
        "Waiting", attempt=5, reason="CrashLoopBackOff", message="restart in 40s", lastExit=LAST
    )
    world.add_task(
        "crash", placed("Running", crash, conditions=[condition("Ready", "False", "CrashLoopBackOff")])
    )
    again = container("Starting", attempt=1, lastExit=LAST)
    world.add_task("again", placed("Running", again))
    pull = container("Waiting", reason="ImagePullBackOff", message="there is no image nope:1")
    world.add_task("pull", placed("Preparing", pull))
    unplaced = condition("Scheduled", "False", "Unschedulable", "cpu short by 2 on 1 node")
    pending = {"state": "Pending", "reason": "Unschedulable", "message": "cpu short by 2 on 1 node"}
    world.add_task("pending", {**pending, "conditions": [unplaced]}, queue="batch")
    denied = condition("Admitted", "False", "Denied", "spec.queue: queue 'nope' does not exist")
    world.add_task("denied", {"state": "Pending", "conditions": [denied]}, queue="nope")
    done = container("Exited", exitCode=0, reason="Completed", finishedAt="2027-01-15T07:32:00Z")
    world.add_task("done", placed("Succeeded", done), restartPolicy="Never")
    failed = container("Exited", exitCode=3, reason="Error", finishedAt="2027-01-15T07:32:00Z")
    world.add_task("failed", placed("Failed", failed), restartPolicy="Never")
    world.add_task(
        "oom", placed("Failed", container("Exited", exitCode=137, oom=True)), restartPolicy="Never"
    )
    world.add_task(
        "gone", placed("Running", RUN, conditions=[condition("Ready", "Unknown", "NodeUnreachable")])
    )
    world.add_task("leaving", placed("Running", RUN))
    world.client.delete(world.client.get("task", "leaving"), grace_s=5, wait=False)
    world.add_task("new")


def _add_sources(world: GoldenWorld) -> None:
    """Sources that are synced, drifted and rewritten, broken, suspended, and new."""
    url = "https://git.example.com/team/deploy.git"
    secret = {"namespace": "team", "name": "git"}
    for name, more in {
        "app": {"path": "app", "prune": True, "namespaces": ["default", "team"]},
        "broken": {"interval": "5m"},
        "moved": {"commit": "c" * 40, "kinds": ["Deployment"], "credentials": secret},
        "paused": {"suspend": True},
        "new": {"tag": "v1", "branch": None},
    }.items():
        world.store_object(make_object("GitSource", name, **{"url": url, "branch": "main", **more}))
    first, second = _commit("a", "Serve faster", "07:40"), _commit("b", "First version", "07:35")
    good = {"synced": first, "history": [first, second], "syncedGeneration": 1, "observedGeneration": 1}
    fine = [
        {"object": "configmap/settings", "namespace": "team", "health": "Healthy"},
        {
            "object": "deployment/web",
            "namespace": "default",
            "health": "Progressing",
            "message": "1 of 2 are available",
        },
    ]
    healthy = condition("Healthy", "Unknown", "Progressing", "deployment/web: 1 of 2 are available")
    synced = condition("Synced", "True", "Synced")
    _set_source_status(world, "app", objects=fine, objectCount=2, conditions=[synced, healthy], **good)
    failure = {
        "reason": "BadManifests", "commit": "d" * 40, "since": "2027-01-15T07:50:00Z", "failures": 7,
        "message": "nothing of it was applied: web.yaml:3: is not valid YAML", "retryAfterSeconds": 180,
    }  # fmt: skip
    told = condition("Synced", "False", "BadManifests", failure["message"])
    _set_source_status(
        world, "broken", objects=fine[:1], objectCount=1, failure=failure, conditions=[told], **good
    )
    drift = [{"object": "deployment/web", "namespace": "default", "fields": ["spec.replicas"]}]
    rewrite = {"old": "e" * 40, "new": "a" * 40, "seenAt": "2027-01-15T07:40:00Z"}
    orphaned = {
        "orphaned": ["team/configmap/old"],
        "orphanedCount": 60,
        "rewrite": rewrite,
        "released": ["default/deployment/shared"],
    }
    _set_source_status(
        world, "moved", drift=drift, driftCount=1, objectCount=300, objects=fine[:1], **orphaned, **good
    )


def _commit(digit: str, message: str, at: str) -> dict[str, Any]:
    made, synced = "2027-01-15T08:00:00+01:00", f"2027-01-15T{at}:00Z"
    return {
        "commit": digit * 40,
        "author": "Ada",
        "message": message,
        "committedAt": made,
        "syncedAt": synced,
    }


def _set_source_status(world: GoldenWorld, name: str, **fields: Any) -> None:
    ref = cluster_ref("gitsources", name)
    uid = world.json_at(KEYS.spec(ref))["metadata"]["uid"]
    world.put(KEYS.status(ref), {"kind": "GitSourceStatus", "uid": uid, **fields})


SOURCES = [
    "get gitsources", "get gs -o wide", "get gitsource app -o yaml", "describe gitsource app", "describe gs broken",
    "describe gitsource moved", "sync status app", "sync status broken moved new", "sync now paused", "sync now nope",
    "sync suspend app", "sync suspend gitsource/app", "sync now app", "sync resume app", "sync resume app",
    "sync now app --no-wait", "sync now app --timeout 1s", "sync rollback app --no-wait", "get gitsource app",
    "sync resume app", "sync rollback app --to c", "sync rollback app --to aaaa --no-wait", "sync rollback new",
    f"sync rollback new --no-wait --to {'f' * 40}", "delete gitsource app", "new gitsource app",
]  # fmt: skip


def build_set_world() -> GoldenWorld:
    """A set `shop` with two tasks that are in its folder no more but for one, and what may not be pruned."""
    world = GoldenWorld()
    world.put(KEYS.cluster, {"kind": "Cluster", "clusterUid": UID.format(0)})
    world.store_object(make_object("Queue", "batch"))
    manager = set_manager("default", "shop")
    for name, fields, managers in (
        ("web", {"priority": 3}, (manager,)),
        ("old", {}, (manager,)),
        ("shared", {}, (manager, "berth")),
        ("spared", {}, (manager,)),
    ):
        task = make_task(name, **fields)
        if name == "spared":
            task["metadata"]["annotations"] = {"berth/prune": "disabled"}
        world.store_object(task, "default")
        for each in managers:
            world.put(KEYS.applied(task_ref("default", name), each), task)
    return world


def build_packing_world() -> GoldenWorld:
    """Four nodes with a few tasks each, of which some may not be moved."""
    world = GoldenWorld()
    world.put(KEYS.cluster, {"kind": "Cluster", "clusterUid": UID.format(0), "incarnation": 1})
    for number in range(1, 5):
        world.add_node(f"n{number}", allocatable={"cpu": "4", "memory": "8Gi"})
    _stand(world, "api", "n1", "2", rebalance="never")
    _stand(world, "batch", "n2", "1", restartPolicy="Never")
    _stand(world, "web", "n3", "1")
    return world


def _stand(world: GoldenWorld, name: str, node: str, cpu: str, **spec: Any) -> None:
    made = make_task(name, **spec)
    made["spec"]["containers"][0]["resources"] = {"requests": {"cpu": cpu}}
    world.store_object(made, "default")
    bind(world, name, node, cpu)


TABLES = [
    "get tasks", "get tasks -o wide", "get tasks -A", "get tasks --no-headers", "get tasks -o name",
    "get tasks -l app=web --show-labels -L app", "get tasks --sort-by .status.state -o name",
    "get tasks --field-selector status.node=n1 -o name", "get tasks,nodes", "get all",
    "get nodes", "get nodes -o wide", "get namespaces", "get namespaces -o wide", "get queues", "get queues -o wide",
    "get priorityclasses", "get priorityclasses -o wide", "get secrets", "get secrets -o wide",
    "get events", "get events -o wide", "get events -A",
    "get tasks -o custom-columns=NAME:.metadata.name,STATE:.status.state",
    """get tasks -o 'jsonpath={range .items[*]}{.metadata.name}{"\\t"}{.status.state}{"\\n"}{end}'""",
    "get tasks -l app=nothing", "api-resources", "api-resources -o wide", "api-resources -o name",
    "version",
]  # fmt: skip
DATA = [
    f"get {what} -o {form}"
    for what in ("task/web", "task/leaving", "task/broken", "node/n1", "node/n2", "namespace/team", "queue/batch",
                 "priorityclass/high", "secret/login", "namespaces", "task web new")
    for form in ("json", "yaml")
]  # fmt: skip
TASKS = (
    "web",
    "crash",
    "again",
    "pull",
    "pending",
    "denied",
    "done",
    "failed",
    "oom",
    "gone",
    "leaving",
    "new",
    "broken",
)
DESCRIBE = [f"describe task {name}" for name in TASKS] + [
    "describe node n1", "describe node n2", "describe namespace team", "describe namespace default",
    "describe queue batch", "describe priorityclass high", "describe secret login",
]  # fmt: skip
EVENTS = [
    "events", "events --for task/web", "events --types Warning", "events -A -o wide", "events -o yaml",
    "events --for task/new",
]  # fmt: skip
CHANGES = [
    "label task/new tier=front", "label task/new tier=front", "label task/new tier=back", "label task/new --list",
    "label task/new tier-", "annotate task/new note=x", "annotate task/new note-", "label tasks -l app=nothing a=b",
    "patch task/new -p '{spec: {grace: 5s}}'", "patch task/new -p '{spec: {grace: 5s}}'",
    "patch task/new -p '{spec: {restartPolicy: Never}}' --dry-run", "cordon n1", "cordon n1", "uncordon node/n1",
    "wait task/web --for=condition=Ready", "wait task/pending --for=condition=Scheduled --timeout=0",
    "wait task/pending --for='jsonpath={.status.state}=Running' --timeout=0", "wait tasks -l app=nothing --for=create",
    "delete tasks -l app=nothing", "delete tasks --all --dry-run",
    "delete task new", "delete task new --ignore-not-found",
]  # fmt: skip
ERRORS = [
    "gte tasks", "get tsks", "get task nope", "get tasks -o nope", "get tasks -o jsonpath={.items[",
    "get tasks -o jsonpath",
    "get tasks -o custom-columns=NAME", "get tasks --sort-by .a[", "get tasks -l 'a b'", "get tasks,nodes -w",
    "get task web -A", "get", "describe task nope", "delete tasks", "delete task nope", "delete task broken",
    "label task/web", "label task/web a=1 a-", "label task/broken a=1", "patch task/web -p '{spec: {grce: 5s}}'",
    "patch task/web -p '{metadata: {name: x}}'", "patch task/web --type json -p '[{op: remove, path: /spec/nope}]'",
    "wait task/web --for=x", "wait task/nope --for=condition=Ready", "events --for web", "events --types x",
    "explain task.spec.contaners", "explain nope", "completion tcsh", "apply -f /nonexistent/file.yaml", "logs new",
    "cordon nope", "node fence n1", "get tasks --nope",
]  # fmt: skip
EXPLAIN = [
    "explain task", "explain task.spec", "explain task.spec.containers.resources.requests", "explain queue.spec",
    "explain task.spec.unreachable.stopAfter", "explain node --recursive",
]  # fmt: skip
ANSWERS = [
    "why new", "patch task/new -p '{spec: {nodeSelector: {zone: a}}}'", "why new", "why task/new --node n1",
    "why denied", "why done", "why nope", "why node/n1", "why new -o yaml", "shares", "shares -o yaml",
    "plan -f /nonexistent/file.yaml", "drain n1 --plan", "apply", "apply --plan /nonexistent/plan.json",
]  # fmt: skip
PAST = [
    "history deployment/web", "history deployment/web -o wide", "history deployment web -o yaml",
    "history deployment/gone", "history deployment/nope", "history secret/login", "history web", "history tasks",
    "history queue/batch", "history deployment/web -o name",
    "get deployments --at-rev {second}", "get deployments -A --at-rev {second} --no-headers",
    "get deployment/web --at-rev {second} -o yaml", "get deployment/web --at-rev {second} -o json",
    "get deployments --at-rev {second} -o name", "get deployments,configmaps --at-rev {second}",
    "get deployment/gone --at-rev {second}", "get deployment/gone --at 1s", "get deployment/web --at 4m",
    "get deployment/web --at 2027-01-15T08:00:30Z", "get deployment/web --at-rev {unseen}",
    "get deployments --at-rev {unseen}", "get deployment/still --at-rev {unseen}",
    "get deployment/nope --at-rev {unseen}", "get tasks --at 1m -o name", "get tasks --at 1m",
    "get tasks/broken --at 1m -o yaml",
    "get deployment/web --at-rev 999999", "get deployment/web --at-rev 1", "get deployment/web --at-rev x",
    "get deployment/web --at yesterday", "get deployment/web --at 1m --at-rev 3", "get secrets --at 1m",
    "get deployments --at 1m -w", "get events --at 1m", "get deployments --at 1m --sort-by .metadata.name",
    "diff --at-rev {first}..{second} deployment/web", "diff --at-rev {first}..{first}",
    "diff --at-rev {second}.. deployments",
    "diff --at-rev {second}..", "diff --at-rev {second}..{unseen} deployment/web", "diff --at-rev {second}..{unseen}",
    "diff --at-rev {second}", "diff --at-rev a..b", "diff", "diff --at-rev {first}..{second} -f x.yaml",
    "diff --at-rev {first}..{second} secrets",
    "blame deployment/web", "blame deployment/web -o yaml", "blame deployment/still", "blame deployment/nope",
    "blame secret/login",
    "restore deployment/web", "restore deployment/web --at-rev {first}",
    "restore deployment/web --at-rev {first} --dry-run",
    "restore deployment/web --at-rev {first} --yes", "restore deployment/web --at-rev {first} --yes",
    "history deployment/web", "blame deployment/web",
    "restore deployment/gone --at-rev {second} --dry-run", "restore deployment/web --at-rev {unseen}",
    "restore deployment/nope --at-rev {first}", "restore secret/login --at-rev {first}",
    "restore deployments --at-rev 3",
]  # fmt: skip
_SETS = "tests/cli/sets"
_SHOP = f"-f {_SETS}/shop --set shop"
SETS = [
    f"diff {_SHOP} --prune", f"diff {_SHOP}", f"apply {_SHOP} --prune --dry-run", f"apply {_SHOP} --prune",
    f"apply -f {_SETS}/conflict", f"diff -f {_SETS}/conflict", f"apply {_SHOP}", f"apply {_SHOP} --prune --yes",
    f"apply {_SHOP} --prune --yes", f"diff {_SHOP} --prune", f"apply -f {_SETS}/conflict --force-conflicts",
    f"apply {_SHOP}", f"apply -f {_SETS}/shop --prune", f"apply {_SHOP} --allow-empty",
    f"apply -f {_SETS}/empty --set shop --prune --yes",
    f"apply -f {_SETS}/empty --set shop --prune --yes --allow-empty",
    f"apply -f {_SETS}/shop --set NO", f"apply -f {_SETS}/broken -R --set shop --prune --yes",
    f"render -f {_SETS}/vars --vars {_SETS}/vars/prod.env", f"render -f {_SETS}/vars --vars {_SETS}/vars/half.env",
    f"render -f {_SETS}/vars --vars {_SETS}/vars/page.yaml", f"render -f {_SETS}/vars --vars /nonexistent/x.env",
    f"validate -f {_SETS}/shop", f"validate -f {_SETS}/named", f"validate -f {_SETS}/vars --vars {_SETS}/vars/prod.env",
    f"validate -f {_SETS}/vars", f"validate -f {_SETS}/broken -R",
]  # fmt: skip
PACKING = [
    "rebalance", "rebalance --max-moves 1", "rebalance --min-gain 2", "rebalance --aim balance", "rebalance --apply",
    "rebalance --plan --apply", "rebalance --budget 2h", "consolidate --plan", "plan -f manifests/demo --optimal",
]  # fmt: skip
SESSIONS: dict[str, list[str]] = {
    "tables": TABLES,
    "data": DATA,
    "describe": DESCRIBE,
    "events": EVENTS,
    "changes": CHANGES,
    "errors": ERRORS,
    "explain": EXPLAIN,
    "answers": ANSWERS,
    "history": PAST,
    "sources": SOURCES,
    "sets": SETS,
    "packing": PACKING,
    "help": ["--help", *(f"{verb} --help" for verb in sorted(VERBS))],
}


def build_past(world: GoldenWorld) -> tuple[Archived, dict[str, int]]:
    """Return a history with a manager, changes by hand, a gap and a deletion; and its revisions by name."""
    past = Archived(world)
    past.write(deployment("still", "still:1"), by="ci", uid=901)
    past.write(deployment("gone", "gone:1"), by="berth", uid=902)
    first = past.write(deployment("web", "web:1", replicas=2), by="ci")
    past.look()
    second = past.write(deployment("web", "web:2", replicas=2), by="ci")
    past.look()
    past.write(deployment("web", "web:2", replicas=3))
    past.look()
    past.remove(ObjectRef("deployments", "default", "gone"))
    past.look()
    past.keeper.close()
    past.write(deployment("web", "web:3", replicas=3), by="berth")
    unseen = past.write(deployment("web", "web:3", replicas=4))
    past.write(deployment("web", "web:3", replicas=5))
    past.restart()
    world.clock.seconds += 60
    return past, {"first": first, "second": second, "unseen": unseen}


def build_source_world() -> GoldenWorld:
    """The usual world with repositories that the leader syncs."""
    world = build_world()
    _add_sources(world)
    return world


WORLDS: dict[str, Callable[[], GoldenWorld]] = {
    "packing": build_packing_world,
    "sets": build_set_world,
    "sources": build_source_world,
}
"""Sessions at another cluster."""


def render(name: str) -> str:
    """Return the text of one file: every command with its output; what is not data is marked with `! `."""
    world = WORLDS.get(name, build_world)()
    with _terminal():
        if name != "history":
            return "\n".join(_render_one(world, command) for command in SESSIONS[name])
        past, revisions = build_past(world)
        with closing(past):
            written = [command.format_map(revisions) for command in SESSIONS[name]]
            return "\n".join(_render_one(world, command, past.client) for command in written)


def _render_one(world: World, command: str, make_client: Callable[..., Client] | None = None) -> str:
    code, out, err = _run(world, shlex.split(command), make_client)
    lines = [f"$ berth {command}", *out.splitlines(), *(f"! {line}".rstrip() for line in err.splitlines())]
    return "\n".join([*lines, *([f"exit code {code}"] if code else [])]) + "\n"


def _run(
    world: World, arguments: list[str], make_client: Callable[..., Client] | None
) -> tuple[int, str, str]:
    def open_client(settings: Settings, say: Say) -> Client:
        if make_client is not None:
            return make_client(say=say)
        return LentClient(
            world.store, world.keys, now=world.clock, clock=world.clock, pause=world.pause, say=say
        )

    def make_session(settings: Settings) -> Session:
        return Session(settings, open_client, world.clock)

    out, err = (io.TextIOWrapper(io.BytesIO(), encoding="utf-8", write_through=True) for _ in range(2))
    with redirect_stdout(out), redirect_stderr(err), _no_terminal():
        code = run(
            arguments, environment={"BERTH_CONFIG": "/nonexistent/config.yaml"}, make_session=make_session
        )
    return code, _text(out), _text(err)


@contextmanager
def _no_terminal() -> Iterator[None]:
    """Nobody is there to be asked."""
    before, sys.stdin = sys.stdin, io.StringIO()
    try:
        yield
    finally:
        sys.stdin = before


def _text(stream: io.TextIOWrapper) -> str:
    stream.seek(0)
    text = re.sub(r"[ \t]+$", "", stream.read(), flags=re.MULTILINE)
    return re.sub(r"\(\d+\.\d\ds, ", "(0.00s, ", text)  # how long was searched


@contextmanager
def _terminal() -> Iterator[None]:
    """The same width and language everywhere."""
    wanted = {"COLUMNS": str(WIDTH), "TERMINAL_WIDTH": str(WIDTH), "NO_COLOR": "1"}
    before = {key: os.environ.get(key) for key in wanted}
    os.environ.update(wanted)
    try:
        yield
    finally:
        for key, value in before.items():
            _restore(key, value)


def _restore(key: str, value: str | None) -> None:
    if value is None:
        os.environ.pop(key, None)
    else:
        os.environ[key] = value


def write_all(say: Callable[[str], object] = print) -> None:
    FOLDER.mkdir(exist_ok=True)
    for name in SESSIONS:
        path = FOLDER / f"{name}.txt"
        text = render(name)
        if not path.exists() or path.read_text(encoding="utf-8") != text:
            path.write_text(text, encoding="utf-8")
            say(f"wrote {path}")


if __name__ == "__main__":
    write_all()
    sys.exit(0)
