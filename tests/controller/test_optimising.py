"""Tasks with `placement: optimal`: they wait for a packing, and no longer than its budget."""

from typing import Any

import pytest

from controller.manager import ControllerSettings
from controller.packing import Answer, Job, PackNow
from controller.scheduler.program import Limits
from controller.source import Random
from schemas.binding import Desired
from tests.controller.harness import Cluster, NamedController
from tests.support.wait import eventually

BUDGET_S = 5.0


class Held(PackNow):
    """Computes at once, and answers only when the test lets it."""

    def __init__(self) -> None:
        super().__init__()
        self.jobs: list[Job] = []
        self.is_silent = True
        self.fails = False

    def submit(self, job: Job) -> int:
        self.jobs.append(job)
        return super().submit(job)

    def poll(self) -> tuple[Answer, ...]:
        if self.is_silent:
            return ()
        found = super().poll()
        return tuple(Answer(each.ticket, None) for each in found) if self.fails else found


@pytest.fixture
def packer() -> Held:
    return Held()


@pytest.fixture
def world(packer: Held) -> Cluster:
    cluster = Cluster()
    source = Random(lambda: f"u-{next(cluster._ids)}", lambda: "token", 7)
    settings = ControllerSettings("c1", packing=Limits(BUDGET_S, 1000))
    store = cluster.store.another_client()
    cluster.controllers[:] = [NamedController(store, settings, source, packer=packer)]
    cluster.apply("default", kind="Namespace", queues=["*"])
    for number in range(4):
        cluster.add_node(f"n{number}")
    cluster.settle()
    return cluster


def apply(world: Cluster, name: str, cpu: str, **spec: Any) -> None:
    world.apply(name, container={"resources": {"requests": {"cpu": cpu}}}, **spec)


def apply_those(world: Cluster) -> None:
    """Nodes have 4 cpus. Best fit puts 2 and 1.33 together first, and needs three nodes; two are enough."""
    for number, cpu in enumerate(("2", "1333m", "2", "1333m", "1333m")):
        apply(world, f"t{number}", cpu, placement="optimal")


def nodes_used(world: Cluster) -> int:
    return len({each.node for each in world.bindings() if each.desired is Desired.RUN})


def test_answer_of_the_optimiser_is_bound(world: Cluster, packer: Held) -> None:
    packer.is_silent = False
    apply_those(world)
    world.settle()
    assert len(world.bindings()) == 5
    assert nodes_used(world) == 2
    assert len(packer.jobs) == 1, "what arrives together is packed together"


def test_without_an_answer_the_scheduler_decides_when_the_budget_ends(world: Cluster, packer: Held) -> None:
    apply_those(world)
    world.until(lambda: packer.jobs)
    world.advance(BUDGET_S)
    assert world.bindings() == []
    world.advance(4)
    assert len(world.bindings()) == 5
    assert nodes_used(world) == 3


def test_when_the_optimiser_fails_the_scheduler_decides(world: Cluster, packer: Held) -> None:
    packer.is_silent, packer.fails = False, True
    apply_those(world)
    world.settle()
    assert nodes_used(world) == 3


def test_others_do_not_wait_for_it(world: Cluster, packer: Held) -> None:
    apply_those(world)
    world.until(lambda: packer.jobs)
    apply(world, "plain", "1")
    world.advance(2)
    assert [each.name for each in world.bindings()] == ["plain"]


def test_queue_may_ask_for_it_for_its_tasks(world: Cluster, packer: Held) -> None:
    packer.is_silent = False
    world.apply("packed", kind="Queue", placement="optimal")
    apply(world, "a", "1", queue="packed")
    apply(world, "b", "1", queue="packed", placement="spread")
    world.settle()
    (job,) = packer.jobs
    assert [task.ref.name for task in job.frozen.pending] == ["a"]


def test_answer_that_is_overtaken_by_events_is_not_bound(world: Cluster, packer: Held) -> None:
    """The nodes that the packing names are taken while it is computed."""
    apply_those(world)
    world.until(lambda: packer.jobs)
    for number in range(4):
        apply(world, f"late{number}", "2500m")
    world.advance(2)
    assert nodes_used(world) == 4
    packer.is_silent = False
    world.settle()
    assert len(world.bindings()) == 4 + 3
    for name in ("n0", "n1", "n2", "n3"):
        millis = sum(int(each.grants.resources["cpu"]) for each in world.bindings() if each.node == name)
        assert millis <= 4000


def test_who_fits_nowhere_is_told_so_and_goes_when_there_is_room(world: Cluster, packer: Held) -> None:
    packer.is_silent = False
    apply(world, "big", "9", placement="optimal")
    world.settle()
    status = world.task_status("big")
    assert status is not None
    assert status.reason == "Unschedulable"
    jobs = len(packer.jobs)
    world.advance(60)
    assert len(packer.jobs) == jobs, "nothing changed, so that nobody asks again"
    world.add_node("large", allocatable={"cpu": "16", "memory": "8Gi"})
    world.settle()
    assert [each.node for each in world.bindings()] == ["large"]


def test_thread_answers_and_wakes_whoever_asked(world: Cluster, packer: Held) -> None:
    from controller.packing import PackBeside

    apply_those(world)
    world.until(lambda: packer.jobs)
    (job,) = packer.jobs
    woken: list[bool] = []
    beside = PackBeside(lambda: woken.append(True))
    ticket = beside.submit(job)
    found: list[Answer] = []

    def answered() -> None:
        found.extend(beside.poll())
        assert found
        assert woken

    eventually(lambda: answered() is None)
    beside.close(10)
    assert found[0].ticket == ticket
    assert found[0].packing is not None
    assert found[0].packing.objective == 2
