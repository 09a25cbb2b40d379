"""Retry what could have changed: each reason for which a task waits has an event that ends it; others try nobody."""

from collections.abc import Callable
from concurrent.futures import Future
from dataclasses import dataclass
from typing import Any

import pytest

from controller import answers
from controller.scheduler.reasons import CURES, Code, Cure
from controller.snapshots import Asked, Frozen
from schemas.binding import Desired
from schemas.keys import cluster_ref, task_ref
from store import objects
from tests.controller.harness import Cluster

Json = dict[str, Any]
ZONE_A = {"zone": "a"}


def cpu(amount: str, **more: Any) -> Json:
    return {"container": {"resources": {"requests": {"cpu": amount}}}, **more}


@dataclass(frozen=True)
class Case:
    """blocks: makes a cluster in which task `it` waits for that reason. cures: what has to happen, and no more."""

    code: Code
    blocks: Callable[[Cluster], None]
    cures: Callable[[Cluster], None]


def labelled(world: Cluster, name: str, app: str, **spec: Any) -> None:
    raw = {
        "apiVersion": "berth/v1",
        "kind": "Task",
        "metadata": {"name": name, "namespace": "default", "labels": {"app": app}},
        "spec": {"containers": [{"name": "main", "image": "demo"}], **spec},
    }
    objects.write(world.store, world.keys.spec(task_ref("default", name)), raw, expect_mod_revision=0)
    world.settle()


def end(*names: str) -> Callable[[Cluster], None]:
    def ends(world: Cluster) -> None:
        for name in names:
            world.delete(task_ref("default", name))

    return ends


def node(name: str = "n1", **spec: Any) -> Callable[[Cluster], None]:
    return lambda world: world.apply(name, kind="Node", **spec)


def reports(name: str = "n1", **changes: Any) -> Callable[[Cluster], None]:
    return lambda world: world.agents[name].report_node(**changes)


def first(*steps: Callable[[Cluster], None]) -> Callable[[Cluster], None]:
    """Do one after the other, each to its end."""

    def does(world: Cluster) -> None:
        for step in steps:
            step(world)
            world.settle()

    return does


def task(name: str = "it", **spec: Any) -> Callable[[Cluster], None]:
    return lambda world: world.apply(name, **(spec or cpu("1")))


def app(name: str, label: str, **spec: Any) -> Callable[[Cluster], None]:
    return lambda world: labelled(world, name, label, **spec)


def queue(name: str, **spec: Any) -> Callable[[Cluster], None]:
    return lambda world: world.apply(name, kind="Queue", **spec)


def host(name: str = "n1", **more: Any) -> Callable[[Cluster], None]:
    def adds(world: Cluster) -> None:
        world.add_node(name, **more)

    return adds


def garble(world: Cluster) -> None:
    world.raw_put(world.keys.spec(cluster_ref("nodes", "n1")), b"garbage")


def mend(world: Cluster) -> None:
    world.remove(world.keys.spec(cluster_ref("nodes", "n1")))


def goes_silent(world: Cluster) -> None:
    world.agents["n1"].die()
    world.advance(20)


def is_back(world: Cluster) -> None:
    world.agents["n1"].start()


def old_copy_ends_slowly(world: Cluster) -> None:
    """It ran on n1, which was silent; then on n2, which is now; and n1 does not tell of the end there."""
    world.apply("it", **cpu("1"), nodeSelector=ZONE_A)
    world.settle()
    host("n2", labels=ZONE_A)(world)
    goes_silent(world)
    world.until(lambda: nodes_of(world).get("it") == "n2")
    world.agents["n1"].finals = False
    is_back(world)
    world.settle()
    world.agents["n2"].host_dies()
    world.advance(60)


def tells_of_the_end(world: Cluster) -> None:
    world.agents["n1"].finals = True


def port(number: int | None = None) -> Json:
    asked: Json = {"containerPort": 80, **({"hostPort": number} if number else {})}
    return {"container": {"ports": [asked]}}


def selecting(label: str) -> Json:
    return {"labelSelector": {"matchLabels": {"app": label}}}


CASES = (
    Case(Code.NO_NODES, task(), host()),
    Case(Code.NODE_UNREADABLE, first(host(), garble, task()), mend),
    Case(Code.NODE_NOT_READY, first(host(), goes_silent, task()), is_back),
    Case(Code.NODE_CORDONED, first(host(), node(unschedulable=True), task()), node(unschedulable=False)),
    Case(
        Code.OTHER_NODE,
        first(host(), host("n2"), node(unschedulable=True), task(**cpu("1", nodeName="n1"))),
        node(unschedulable=False),
    ),
    Case(Code.NO_SUCH_NODE, first(host(), task(**cpu("1", nodeName="n9"))), host("n9")),
    Case(
        Code.TAINT_NOT_TOLERATED,
        first(host(), node(taints=[{"key": "old", "effect": "NoSchedule"}]), task()),
        node(taints=[]),
    ),
    Case(
        Code.SELECTOR_MISMATCH, first(host(), task(**cpu("1", nodeSelector=ZONE_A))), reports(labels=ZONE_A)
    ),
    Case(
        Code.AFFINITY_MISMATCH,
        first(
            host(),
            task(
                **cpu(
                    "1",
                    affinity={
                        "nodeAffinity": {
                            "required": [{"matchExpressions": [{"key": "zone", "operator": "Exists"}]}]
                        }
                    },
                )
            ),
        ),
        reports(labels=ZONE_A),
    ),
    Case(Code.OLD_COPY_ENDING, first(host(labels=ZONE_A), old_copy_ends_slowly), tells_of_the_end),
    Case(Code.PORT_TAKEN, first(host(), task("other", **port(8080)), task(**port(8080))), end("other")),
    Case(
        Code.NO_FREE_PORT,
        first(host(hostPorts=[31000, 31000]), task("other", **port()), task(**port())),
        end("other"),
    ),
    Case(Code.INSUFFICIENT, first(host(), task("other", **cpu("4")), task()), end("other")),
    Case(
        Code.LABEL_MISSING,
        first(host(), app("it", "web", distinct=[{"label": "zone"}])),
        reports(labels=ZONE_A),
    ),
    Case(
        Code.TOO_MANY_THERE,
        first(host(), app("a", "web", maxPerNode=1), app("it", "web", maxPerNode=1)),
        end("a"),
    ),
    Case(
        Code.ANTI_AFFINITY,
        first(
            host(),
            app("a", "web"),
            app("it", "db", affinity={"taskAntiAffinity": {"required": [selecting("web")]}}),
        ),
        end("a"),
    ),
    Case(
        Code.REPELLED,
        first(
            host(),
            app("a", "web", affinity={"taskAntiAffinity": {"required": [selecting("db")]}}),
            app("it", "db"),
        ),
        end("a"),
    ),
    Case(
        Code.NOBODY_NEAR,
        first(host(), app("it", "web", affinity={"taskAffinity": {"required": [selecting("db")]}})),
        app("db", "db"),
    ),
    Case(
        Code.SKEWED,
        first(
            host(labels=ZONE_A),
            host("n2", labels={"zone": "b"}),
            app("a", "web", nodeSelector=ZONE_A),
            task("there", **cpu("4", nodeName="n2")),
            app("it", "web", topologySpread=[{**selecting("web"), "topologyKey": "zone"}]),
        ),
        end("a"),
    ),
    Case(
        Code.QUEUE_LIMIT,
        first(host(), queue("small", limit={"cpu": "1"}), task(**cpu("2", queue="small"))),
        queue("small", limit={"cpu": "2"}),
    ),
    Case(
        Code.BEHIND_HEAD,
        first(
            host(),
            queue("strict", backfill="none"),
            task("there", **cpu("1")),
            task("head", **cpu("4", queue="strict")),
            task(**cpu("1", queue="strict")),
        ),
        end("head"),
    ),
    Case(
        Code.GANG_INCOMPLETE,
        first(host(), task(**cpu("1", gang={"name": "ring", "minMember": 2}))),
        task("mate", **cpu("1", gang={"name": "ring", "minMember": 2})),
    ),
    Case(
        Code.KEPT_FOR_OTHERS,
        first(
            host(),
            task("there", **cpu("2", estimatedDuration="10m")),
            task("head", **cpu("4")),
            task(**cpu("1", estimatedDuration="1h")),
        ),
        end("head"),
    ),
)


def nodes_of(world: Cluster) -> dict[str, str]:
    return {each.name: each.node for each in world.bindings() if each.desired is Desired.RUN}


def answer_of(world: Cluster) -> Json:
    future: Future[Frozen | None] = world.leader.questions.ask(Asked())
    world.step(0.1)
    state = future.result(0)
    assert state is not None
    return answers.why(state, task_ref("default", "it"))


def codes_of(answer: Json) -> set[str]:
    if answer["queueReason"] is not None:
        return {answer["queueReason"]["code"]}
    return {each["code"] for each in answer["reasons"]} or {"NoNodes"}


def tried(world: Cluster) -> int:
    """How often a task was found to fit nowhere."""
    assert world.leader.term is not None
    return world.leader.term.counters.unschedulable


def begun(case: Case) -> Cluster:
    world = Cluster()
    world.apply("default", kind="Namespace", queues=["*"])
    world.settle()
    case.blocks(world)
    world.settle()
    assert answer_of(world)["state"] == "Waiting"
    return world


def test_each_reason_has_a_case() -> None:
    assert {case.code for case in CASES} == set(Code)


@pytest.mark.parametrize("case", CASES, ids=lambda case: str(case.code))
def test_what_cures_a_reason_places_the_task(case: Case) -> None:
    world = begun(case)
    assert case.code in codes_of(answer_of(world))
    before = nodes_of(world).get("it")  # of an old copy on a node that is gone
    case.cures(world)
    world.until(lambda: nodes_of(world).get("it", before) != before, within=30)


def _small_task_ends(world: Cluster) -> None:
    """Room is freed on a node of its own, where nothing else could go."""
    world.add_node("aside", cpu="1", labels={"zone": "aside"})
    world.apply("aside", kind="Node", taints=[{"key": "aside", "effect": "NoSchedule"}])
    toleration = {"key": "aside", "operator": "Exists"}
    world.apply("small", **cpu("1", nodeName="aside", tolerations=[toleration]))
    world.settle()


@pytest.mark.parametrize(
    "case", [case for case in CASES if case.code is not Code.NO_NODES], ids=lambda case: str(case.code)
)
def test_what_cures_nothing_tries_nobody(case: Case) -> None:
    """The end of a task where this one could not go; and, if no queue is the reason, other rules of one."""
    world = begun(case)
    _small_task_ends(world)
    before = tried(world)
    end("small")(world)
    world.settle()
    is_held = case.code in (Code.BEHIND_HEAD, Code.KEPT_FOR_OTHERS)  # the one before it goes with every cycle
    assert tried(world) == before or is_held
    if not CURES[case.code] & {Cure.QUEUE_CHANGED, Cure.LINE_MOVED}:
        queue("other", weight=7)(world)
        world.settle()
        assert tried(world) == before


def test_room_that_a_queue_gives_back_lets_its_next_task_reclaim_the_rest() -> None:
    """Its guarantee has room for the larger one only now; what is free is not enough, the rest is borrowed."""
    world = Cluster()
    world.apply("default", kind="Namespace", queues=["*"])
    queue("mine", guarantee={"cpu": "2"})(world)
    world.add_node("n1")
    world.settle()
    for name, amount, of in (("first", "1", "mine"), ("b1", "1", "default"), ("b2", "1", "default")):
        world.apply(name, **cpu(amount, queue=of))
    world.apply("b3", **cpu("1"))
    world.settle()
    world.apply("second", **cpu("2", queue="mine"))
    world.settle()
    assert set(nodes_of(world)) == {"first", "b1", "b2", "b3"}
    end("first")(world)
    world.until(lambda: "second" in nodes_of(world), within=60)


def test_a_guarantee_that_is_given_lets_those_take_back_who_wait() -> None:
    """Nothing else changes: they wait for room, and others have borrowed it from now on."""
    world = Cluster()
    world.apply("default", kind="Namespace", queues=["*"])
    queue("mine")(world)
    first(host(), task("b", **cpu("4")), task(**cpu("1", queue="mine")))(world)
    assert answer_of(world)["state"] == "Waiting"
    queue("mine", guarantee={"cpu": "1"})(world)
    world.until(lambda: "it" in nodes_of(world), within=60)
