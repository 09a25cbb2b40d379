"""Random clusters for questions that are checked against what then happens: the same seed makes the same cluster again.

Nodes with zones, taints, cordons and GPUs; queues with weights, guarantees, limits and orders; tasks that stand, and
others that wait, with all that a task may ask of nodes and of other tasks.
"""

import random
from typing import Any

from controller.scheduler.schedule import Policy
from schemas.keys import ObjectRef, task_ref
from store import objects
from tests.controller.harness import Cluster

Json = dict[str, Any]
APPS = ("web", "db", "job")
ZONES = ("a", "b")
QUEUES = ("red", "green", "blue")


def random_cluster(seed: int) -> tuple[Cluster, random.Random]:
    """Return a cluster at rest in which some tasks run and perhaps some wait, and the dice for what comes next."""
    source = random.Random(seed)
    world = Cluster(Policy(source.choice(("binpack", "spread", "balanced"))))
    world.apply("default", kind="Namespace", queues=["*"], maxPriority=10)
    for name in QUEUES:
        world.apply(name, kind="Queue", **_queue(source))
    for number in range(source.randint(1, 6)):
        _add_node(world, f"n{number}", source)
    for number in range(source.randint(0, 9)):
        write_task(world, f"old{number}", random_spec(source), app_of(source))
        if source.random() < 0.5:
            world.settle()
    world.settle()
    return world, source


def _queue(source: random.Random) -> Json:
    spec: Json = {
        "weight": source.choice((1, 1, 2, 0.5)),
        "ordering": source.choice(("fcfs", "sjf")),
        "backfill": source.choice(("easy", "easy", "none", "conservative")),
    }
    guaranteed = source.choice((0, 0, 1, 2))
    if guaranteed:
        spec["guarantee"] = {"cpu": str(guaranteed)}
    if source.random() < 0.3:
        spec["limit"] = {"cpu": str(guaranteed + source.choice((2, 4)))}
    return spec


def _add_node(world: Cluster, name: str, source: random.Random) -> None:
    amounts: Json = {"cpu": source.choice(("2", "4", "8")), "memory": source.choice(("2Gi", "4Gi"))}
    more: Json = {}
    if source.random() < 0.3:
        more = {"devices": {"gpu": ["0", "1"]}}
        amounts["gpu"] = 2
    labels = {"zone": source.choice(ZONES)} if source.random() < 0.8 else {}
    world.add_node(name, capacity=amounts, allocatable=amounts, labels=labels, **more)
    if source.random() < 0.3:
        taint = {"key": "old", "effect": source.choice(("NoSchedule", "PreferNoSchedule"))}
        world.apply(name, kind="Node", taints=[taint])
    elif source.random() < 0.1:
        world.apply(name, kind="Node", unschedulable=True)


def app_of(source: random.Random) -> str:
    return source.choice(APPS)


def random_spec(source: random.Random) -> Json:
    """Return the spec of a task: most ask for amounts alone, some for one or two things more."""
    requests: Json = {"cpu": source.choice(("250m", "1", "1500m", "3", "7")), "memory": "256Mi"}
    container: Json = {"name": "main", "image": "demo", "resources": {"requests": requests}}
    spec: Json = {"containers": [container], "priority": source.choice((0, 0, 5, 9))}
    spec["queue"] = source.choice(("default", *QUEUES))
    if source.random() < 0.3:
        spec["estimatedDuration"] = source.choice(("1m", "10m", "2h"))
    for _ in range(source.choice((0, 0, 1, 2))):
        source.choice(WISHES)(spec, requests, container, source)
    return spec


def _selector(source: random.Random) -> Json:
    return {"labelSelector": {"matchLabels": {"app": app_of(source)}}}


def _wish_zone(spec: Json, requests: Json, container: Json, source: random.Random) -> None:
    spec["nodeSelector"] = {"zone": source.choice((*ZONES, "c"))}


def _wish_node(spec: Json, requests: Json, container: Json, source: random.Random) -> None:
    operator, values = source.choice((("In", ["a"]), ("NotIn", ["b"]), ("Exists", []), ("DoesNotExist", [])))
    expression = {"key": "zone", "operator": operator, **({"values": values} if values else {})}
    affinity = spec.setdefault("affinity", {})
    affinity["nodeAffinity"] = {"required": [{"matchExpressions": [expression]}]}


def _wish_near(spec: Json, requests: Json, container: Json, source: random.Random) -> None:
    key = source.choice(("taskAffinity", "taskAntiAffinity"))
    term = {**_selector(source), "topologyKey": source.choice(("zone", "berth/node"))}
    spec.setdefault("affinity", {})[key] = {"required": [term]}


def _wish_spread(spec: Json, requests: Json, container: Json, source: random.Random) -> None:
    spec["topologySpread"] = [{**_selector(source), "topologyKey": "zone", "maxSkew": source.randint(1, 2)}]


def _wish_few(spec: Json, requests: Json, container: Json, source: random.Random) -> None:
    if source.random() < 0.5:
        spec["maxPerNode"] = 1
    else:
        spec["distinct"] = [{"label": "zone"}]


def _wish_port(spec: Json, requests: Json, container: Json, source: random.Random) -> None:
    container["ports"] = [{"containerPort": 80, "hostPort": source.choice((8080, 8081))}]


def _wish_gpu(spec: Json, requests: Json, container: Json, source: random.Random) -> None:
    requests["gpu"] = 1


def _wish_this_node(spec: Json, requests: Json, container: Json, source: random.Random) -> None:
    spec["nodeName"] = source.choice(("n0", "n1"))


def _wish_taint(spec: Json, requests: Json, container: Json, source: random.Random) -> None:
    spec["tolerations"] = [{"key": "old", "operator": "Exists"}]


WISHES = (
    _wish_zone,
    _wish_node,
    _wish_near,
    _wish_spread,
    _wish_few,
    _wish_port,
    _wish_gpu,
    _wish_this_node,
    _wish_taint,
)


def write_task(world: Cluster, name: str, spec: Json, app: str) -> None:
    """Write a task with a label, or another spec of one that is there."""
    key = world.keys.spec(task_ref("default", name))
    found = world.store.get(key).kv
    metadata = {"name": name, "namespace": "default", "labels": {"app": app}}
    raw = {"apiVersion": "berth/v1", "kind": "Task", "metadata": metadata, "spec": spec}
    revision = found.mod_revision if found else 0
    objects.write(world.store, key, raw, expect_mod_revision=revision, new_uid=lambda: f"uid-of-{name}")


def ref_of(name: str) -> ObjectRef:
    return task_ref("default", name)
