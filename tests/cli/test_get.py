import json
from typing import Any

import pytest
import yaml

from schemas.keys import Keys, task_ref
from store.memory import MemoryStore
from tests.cli.helpers import Shell
from tests.client.helpers import KEYS, NOW, World, make_object, make_task
from tests.store.faulty import FaultyStore

CREATED = "2027-01-15T07:55:00Z"  # five minutes before the world's time


def stored(world: World, raw: dict[str, Any], namespace: str = "default") -> None:
    """Store an object with a known uid and time."""
    plural = {"Task": "tasks", "Queue": "queues", "Node": "nodes", "Namespace": "namespaces"}[raw["kind"]]
    name = raw["metadata"]["name"]
    metadata = {**raw["metadata"], "uid": f"uid-{name}", "creationTimestamp": CREATED}
    place = namespace if plural == "tasks" else "_cluster"
    world.put(f"/berth/spec/{place}/{plural}/{name}", {**raw, "metadata": metadata})


def a_small_cluster(world: World) -> None:
    stored(world, make_task("web"))
    stored(world, make_task("worker", queue="batch"))
    world.put(KEYS.spec(task_ref("default", "broken")), b"garbage")
    world.add_node("n1")
    world.set_status(
        "web",
        state="Running",
        node="n1",
        hostIP="10.0.0.5",
        containers=[{"name": "main", "state": "Running"}],
        ports=[{"container": "main", "containerPort": 8080, "hostPort": 31000}],
    )
    world.set_status("worker", state="Pending", reason="Unschedulable", message="cpu short by 2 on 1 node")


def test_tasks(world: World, berth: Shell) -> None:
    a_small_cluster(world)
    result = berth("get", "tasks")
    assert (result.code, result.err) == (0, "")
    assert result.lines == [
        "NAME     READY   STATUS       RESTARTS   AGE",
        "broken   0/0     Unreadable   0          <unknown>",
        "web      1/1     Running      0          5m",
        "worker   0/1     Pending      0          5m",
    ]


def test_tasks_wide(world: World, berth: Shell) -> None:
    a_small_cluster(world)
    world.leader.remove(task_ref("default", "broken"))
    assert berth("get", "po", "-o", "wide").lines == [
        "NAME     READY   STATUS    RESTARTS   AGE   NODE     IP         PORTS         QUEUE     REASON",
        "web      1/1     Running   0          5m    n1       10.0.0.5   8080->31000   default   <none>",
        "worker   0/1     Pending   0          5m    <none>   <none>     <none>        batch     "
        "cpu short by 2 on 1 node",
    ]


def test_nodes(world: World, berth: Shell) -> None:
    world.add_node("n1")
    stored(world, make_object("Node", "n2", unschedulable=True))
    assert berth("get", "nodes").lines == [
        "NAME   STATUS                       ROLES    AGE         VERSION",
        "n1     Ready                        <none>   <unknown>   0.1.0",
        "n2     Unknown,SchedulingDisabled   <none>   5m          <unknown>",
    ]


def test_nodes_wide(world: World, berth: Shell) -> None:
    world.add_node("n1")
    assert berth("get", "node/n1", "-o", "wide").lines == [
        "NAME   STATUS   ROLES    AGE         VERSION   INTERNAL-IP   OS-IMAGE              KERNEL-VERSION   "
        "CONTAINER-RUNTIME   CPU     MEMORY",
        "n1     Ready    <none>   <unknown>   0.1.0     127.0.0.1     Debian GNU/Linux 12   6.1.0            "
        "docker://20.10.24   3500m   7Gi",
    ]


def test_other_kinds(world: World, berth: Shell) -> None:
    stored(world, make_object("Queue", "q", weight=2, limit={"cpu": 4}))
    world.apply(make_object("PriorityClass", "high", value=5))
    assert berth("get", "queues", "-o", "wide").lines == [
        "NAME      STATUS   WEIGHT   AGE      GUARANTEE   LIMIT    ORDERING   BACKFILL   PLACEMENT",
        "default   Active   1.0      <none>   <none>      <none>   fcfs       easy       <none>",
        "q         Active   2.0      5m       <none>      cpu=4    fcfs       easy       <none>",
    ]
    assert berth("get", "ns").lines == ["NAME      STATUS   AGE", "default   Active   <none>"]
    assert berth("get", "pc", "--no-headers").out.split()[:3] == ["high", "Active", "5"]


def test_several_kinds_name_the_kind_of_each_row(world: World, berth: Shell) -> None:
    stored(world, make_task("web"))
    world.add_node("n1")
    assert berth("get", "tasks,nodes").lines == [
        "NAME       READY   STATUS    RESTARTS   AGE",
        "task/web   0/1     Pending   0          5m",
        "",
        "NAME      STATUS   ROLES    AGE         VERSION",
        "node/n1   Ready    <none>   <unknown>   0.1.0",
    ]


def test_all_namespaces(world: World, berth: Shell) -> None:
    world.apply(make_object("Namespace", "team"))
    stored(world, make_task("web"))
    stored(world, make_task("api", "team"), "team")
    assert berth("get", "tasks", "-A").lines == [
        "NAMESPACE   NAME   READY   STATUS    RESTARTS   AGE",
        "default     web    0/1     Pending   0          5m",
        "team        api    0/1     Pending   0          5m",
    ]
    assert berth("-n", "team", "get", "all").lines[1].startswith("task/api ")
    assert berth("get", "all", environment={"BERTH_NAMESPACE": "team"}).lines[1].startswith("task/api ")


def test_selector_and_names(world: World, berth: Shell) -> None:
    labelled = make_task("b")
    labelled["metadata"]["labels"] = {"app": "x"}
    world.apply(make_task("a"), labelled, make_task("c"))
    assert berth("get", "tasks", "-l", "app=x", "-o", "name").lines == ["task/b"]
    assert berth("get", "tasks", "-l", "!app", "-o", "name").lines == ["task/a", "task/c"]
    assert berth("get", "tasks", "c", "a", "-o", "name").lines == ["task/c", "task/a"]
    assert berth("get", "task/c", "queue/default", "-o", "name").lines == ["task/c", "queue/default"]


def test_nothing_found_is_told_on_stderr_and_is_no_error(berth: Shell) -> None:
    result = berth("get", "tasks")
    assert (result.code, result.out, result.err) == (0, "", "No resources found in default namespace.\n")
    assert berth("get", "nodes").err.startswith("No resources found\n")
    assert berth("get", "tasks", "-A").err == "No resources found\n"
    assert berth("get", "events").err == "No resources found in default namespace.\n"


def test_missing_name_is_an_error_and_the_others_are_shown(world: World, berth: Shell) -> None:
    world.apply(make_task("a"))
    result = berth("get", "tasks", "x", "a", "-o", "name")
    assert (result.code, result.lines) == (1, ["task/a"])
    assert result.err == 'Error: task "x" not found in namespace default; see: berth get tasks\n'


def test_json_is_the_stored_object_with_what_is_known_of_it(world: World, berth: Shell) -> None:
    a_small_cluster(world)
    found = berth("get", "task", "web", "-o", "json").json
    assert found["spec"] == make_task()["spec"]
    assert found["metadata"]["generation"] == 1
    assert found["metadata"]["resourceVersion"] == "2"
    assert found["metadata"]["uid"] == "uid-web"
    assert found["status"]["state"] == "Running"
    assert berth("get", "task", "web", "-o", "yaml").out == yaml.safe_dump(found, sort_keys=False)


def test_list_in_json_has_items_also_the_unreadable(world: World, berth: Shell) -> None:
    a_small_cluster(world)
    found = berth("get", "tasks", "-o", "json").json
    assert (found["kind"], len(found["items"])) == ("List", 3)
    assert found["items"][0]["status"]["reason"] == "Unreadable"
    assert "not JSON" in found["items"][0]["status"]["message"]


def test_terminating_object_shows_when_that_was_asked_for(world: World, berth: Shell) -> None:
    world.apply(make_task())
    world.client.delete(world.client.get("task", "web"), grace_s=1.0, wait=False)
    metadata = berth("get", "task/web", "-o", "json").json["metadata"]
    assert metadata["deletionTimestamp"] == "2027-01-15T08:00:00.000Z"
    assert metadata["deletionGracePeriodSeconds"] == 1.0


def test_node_in_json_has_its_report_as_status(world: World, berth: Shell) -> None:
    world.add_node(
        "n1", conditions=[{"type": "Ready", "status": "False"}, {"type": "DiskPressure", "status": "False"}]
    )
    status = berth("get", "node/n1", "-o", "json").json["status"]
    assert status["allocatable"] == {"cpu": "3500m", "memory": "7Gi"}
    assert [(each["type"], each["status"]) for each in status["conditions"]] == [
        ("Ready", "True"),
        ("DiskPressure", "False"),
    ]


def put_event(world: World, name: str, **fields: Any) -> None:
    event = {
        "kind": "Event", "namespace": "default", "objectKind": "Task", "objectName": name, "objectUid": f"uid-{name}",
        "type": "Normal", "reason": "Bound", "message": "bound to n1", "source": "leader",
        "firstTimestamp": "2027-01-15T07:50:00Z", "lastTimestamp": "2027-01-15T07:58:00Z",
    }  # fmt: skip
    digest = str(len(world.keys_under("/berth-events/")))
    world.put(Keys().event("default", f"uid-{name}", "leader", digest), {**event, **fields})


def test_events(world: World, berth: Shell) -> None:
    put_event(world, "web")
    put_event(
        world, "web", type="Warning", reason="Failed", message="exit 1", lastTimestamp="2027-01-15T07:57:00Z"
    )
    world.put("/berth-events/default/u/s/broken", b"garbage")
    assert berth("get", "events").lines == [
        "LAST SEEN   TYPE      REASON   OBJECT     MESSAGE",
        "3m          Warning   Failed   task/web   exit 1",
        "2m          Normal    Bound    task/web   bound to n1",
    ]


def test_describe_task(world: World, berth: Shell) -> None:
    task = make_task("web")
    task["metadata"]["labels"] = {"app": "web"}
    task["spec"]["containers"][0] |= {
        "ports": [{"containerPort": 8080, "name": "http"}],
        "command": ["httpd", "-f"],
    }
    stored(world, task)
    last = {"exitCode": 1, "reason": "Error", "startedAt": CREATED, "finishedAt": CREATED}
    world.set_status(
        "web",
        state="Running",
        node="n1",
        hostIP="10.0.0.5",
        startedAt=CREATED,
        containers=[
            {"name": "main", "state": "Running", "attempt": 1, "startedAt": CREATED, "lastExit": last}
        ],
        ports=[{"container": "main", "containerPort": 8080, "hostPort": 31000}],
        conditions=[{"type": "Ready", "status": "True", "lastTransitionTime": CREATED}],
    )
    put_event(world, "web", count=5)
    assert berth("describe", "task", "web").out == DESCRIBED


DESCRIBED = """\
Name:            web
Namespace:       default
Priority:        0
Queue:           default
Node:            n1/10.0.0.5
Start Time:      Fri, 15 Jan 2027 07:55:00 +0000
Labels:          app=web
Annotations:     <none>
Status:          Running
IP:              10.0.0.5
Restart Policy:  Always
Containers:
  main:
    Image:              berth/demo:1
    Image Pull Policy:  IfNotPresent
    Ports:              8080/TCP (http) -> 31000 on the node
    Command:            httpd
                        -f
    State:              Running
    Started:            Fri, 15 Jan 2027 07:55:00 +0000
    Last State:
      Reason:     Error
      Exit Code:  1
      Started:    Fri, 15 Jan 2027 07:55:00 +0000
      Finished:   Fri, 15 Jan 2027 07:55:00 +0000
    Ready:              True
    Restart Count:      1
    Limits:             <none>
    Requests:
      cpu:     100m
      memory:  64Mi
    Environment:        <none>
    Mounts:             <none>
Conditions:
  Type   Status  LastTransitionTime               Reason  Message
  ----   ------  ------------------               ------  -------
  Ready  True    Fri, 15 Jan 2027 07:55:00 +0000  <none>  <none>
Volumes:         <none>
Node-Selectors:  <none>
Tolerations:     <none>
Events:
  Type    Reason  Age               From    Message
  ----    ------  ---               ----    -------
  Normal  Bound   2m (x5 over 10m)  leader  bound to n1
"""


def test_describe_terminating_and_unreadable(world: World, berth: Shell) -> None:
    world.apply(make_task())
    world.client.delete(world.client.get("task", "web"), wait=False)
    world.clock.seconds = NOW + 120
    described = berth("describe", "task/web").out
    assert "Status:                    Terminating (lasts 2m)\n" in described
    assert "Termination Grace Period:  30s\n" in described
    world.put(KEYS.spec(task_ref("default", "bad")), b"garbage")
    described = berth("describe", "task/bad").out
    assert "Status:     Unreadable\n" in described
    assert "berth delete task/bad --force" in described


def test_describe_node(world: World, berth: Shell) -> None:
    world.add_node("n1")
    limited = make_task("web")
    limited["spec"]["containers"][0]["resources"] = {"limits": {"cpu": "700m", "memory": "1Gi"}}
    stored(world, limited)
    granted = {"cpu": "700m", "memory": "1Gi"}
    world.set_status("web", state="Running", node="n1", resources=granted)
    described = berth("describe", "node", "n1").out
    assert "Non-terminated Tasks (1 in total):\n" in described
    assert "  default    web   700m (20%)    700m (20%)  1Gi (14%)        1Gi (14%)      5m\n" in described
    assert "  cpu       700m (20%)  700m (20%)\n" in described
    assert "OS Image:           Debian GNU/Linux 12\n" in described


def test_describe_other_kinds_and_missing_ones(world: World, berth: Shell) -> None:
    assert "Default Queue:      default\n" in berth("describe", "ns", "default").out
    result = berth("describe", "task", "x")
    assert (result.code, result.out) == (1, "")
    assert 'task "x" not found in namespace default' in result.err


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (("get",), "Missing argument"),
        (("get", "widgets"), 'there is no kind "widgets"'),
        (("get", "tasks", "-o", "xml"), "known: wide, json, yaml, name"),
        (("get", "tasks", "-l", "a b"), "selector term 'a b' can't be read"),
        (("get", "tasks", "x", "-A"), "ambiguous"),
        (("get", "tasks", "x", "-l", "a"), "not both"),
        (("get", "task/x", "y"), "not of the form KIND/NAME"),
        (("get", "tasks,nodes", "-w"), "one kind at a time"),
        (("get", "tasks", "--colour"), "No such option"),
        (("gte", "tasks"), 'there is no command "gte"; did you mean get?'),
        (("--etcd",), "needs a value"),
    ],
)
def test_bad_command_line_is_told_with_exit_code_1(
    berth: Shell, arguments: tuple[str, ...], told: str
) -> None:
    result = berth(*arguments)
    assert (result.code, result.out) == (1, "")
    assert told in result.err
    assert "Traceback" not in result.err


class Enough(KeyboardInterrupt):
    """Somebody presses Ctrl-C."""


def test_watch_adds_rows_and_redraws_nothing(world: World, berth: Shell) -> None:
    stored(world, make_task("web"))

    world.while_waiting = [
        lambda: world.set_status("web", state="Running", containers=[{"name": "main", "state": "Running"}]),
        lambda: stored(world, make_task("a-longer-name")),
        stop,
    ]
    result = berth("get", "tasks", "-w")
    assert result.code == 130
    assert result.lines == [
        "NAME   READY   STATUS    RESTARTS   AGE",
        "web    0/1     Pending   0          5m",
        "web    1/1     Running   0          5m1s",
        "a-longer-name   0/1     Pending   0          5m2s",
    ]


def stop() -> None:
    raise Enough


def test_watched_object_that_is_made_anew_is_news(world: World, berth: Shell) -> None:
    def remove() -> None:
        world.leader.remove(task_ref("default", "web"))

    def make() -> None:
        world.apply(make_task("web"))

    def replace() -> None:
        remove()
        make()

    make()
    world.while_waiting = [replace, remove, make, stop]
    rows = [line.split()[:3] for line in berth("get", "tasks", "-w", "--no-headers").lines]
    assert rows == [["web", "0/1", "Pending"]] * 3


def test_wide_watch_asks_for_default_queues_once_for_many_rows(berth: Shell) -> None:
    store = FaultyStore(MemoryStore(berth.world.clock))
    berth.world = many = World(store)
    counts = []
    for count in (1, 30):
        many.apply(*(make_task(f"web-{number}") for number in range(count)))
        store.calls.clear()
        many.while_waiting = [stop]
        assert len(berth("get", "tasks", "-w", "-o", "wide", "--no-headers").lines) == count
        counts.append(len(store.calls))
    assert counts[0] == counts[1]


def test_json_and_names_are_watched_too(world: World, berth: Shell) -> None:
    stored(world, make_task("web"))

    world.while_waiting = [stop]
    assert berth("get", "tasks", "-w", "-o", "name").lines == ["task/web"]
    world.while_waiting = [stop]
    assert json.loads(berth("get", "tasks", "-w", "-o", "json").out)["metadata"]["name"] == "web"


def test_store_without_a_cluster_is_told_with_the_nodes(world: World, berth: Shell) -> None:
    world.add_node("n1")
    result = berth("get", "nodes")
    assert (result.code, len(result.lines)) == (0, 2)
    assert "etcd holds no cluster: no controller has begun one there, or its data was wiped" in result.err
    world.put(KEYS.cluster, {"kind": "Cluster", "clusterUid": "c-1"})
    assert berth("get", "nodes").err == ""
