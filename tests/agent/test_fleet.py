"""A fleet: whole agents that share one connection, one watch and the transactions of their reports."""

import pytest

from agent.assembly import Agent, Settings, Wakes, assemble
from agent.errors import NameTaken
from agent.facts import NodeFacts
from agent.fleet import Fleet
from agent.fleet_store import FleetStore
from agent.identity import IdentityKeeper
from agent.runtime.hollow import HollowHost, HollowRuntime
from agent.standing import Identity
from schemas.binding import Binding, Desired, StopReason
from schemas.report import Heartbeat
from schemas.state import ContainerState
from store.api import Watch
from store.errors import WatchLost
from tests.agent.builders import make_binding
from tests.agent.harness import KEYS, TICK_S, World

FACTS = NodeFacts({"cpu": 4000, "memory": 2**32}, {"cpu": 3900, "memory": 2**31})
NODES = ("sim-0001", "sim-0002", "sim-0003")


class FleetWorld(World):
    """A fleet of three nodes over the memory store, under virtual time."""

    def __init__(self) -> None:
        super().__init__()
        self.hosts = {node: HollowHost(self.clock) for node in NODES}
        self.shared = FleetStore(self.store.another_client(), KEYS, lambda: None)
        self.fleet = Fleet(self.shared, KEYS, self._agent, count=len(NODES), clock=self.clock)

    def _agent(self, number: int, wakes: Wakes) -> Agent:
        node = NODES[number]
        keeper = IdentityKeeper(Identity(f"uid-{node}"), lambda _identity: None)
        runtime = HollowRuntime(self.hosts[node], node=node, notify=wakes.core)
        settings = Settings(node=node, facts=lambda _: FACTS, keys=KEYS, results_at_once=4)
        return assemble(
            self.shared, runtime, keeper, settings, instance=f"i-{node}", now=self.clock(), wakes=wakes
        )

    def run(self, seconds: float = 1.0, *, tick_s: float = TICK_S) -> None:
        for _ in range(max(1, round(seconds / tick_s))):
            self.clock.now += tick_s
            self.store.expire_leases()
            self.fleet.step(self.clock())

    def state(self, binding: Binding) -> ContainerState | None:
        report = self.report(binding)
        return report.containers[0].state if report else None

    def revision(self, binding: Binding) -> int:
        kv = self.store.get(KEYS.task_report(binding.node, binding.task_uid)).kv
        assert kv is not None
        return kv.mod_revision


def bound(node: str) -> Binding:
    return make_binding(node=node, task_uid=f"task-of-{node}", binding_uid=f"binding-{node}")


@pytest.fixture
def world() -> FleetWorld:
    made = FleetWorld()
    made.init_cluster()
    made.run(2)
    return made


def test_every_node_has_a_heartbeat_and_a_report_of_its_own(world: FleetWorld) -> None:
    beats = world.store.list("/berth/heartbeats/").kvs
    assert [kv.key.rpartition("/")[2] for kv in beats] == list(NODES)
    assert len({kv.lease_id for kv in beats}) == len(NODES)
    assert {world.node_report(node).node_uid for node in NODES} == {f"uid-{node}" for node in NODES}


def test_tasks_of_all_nodes_run_and_are_told_of_in_one_transaction(world: FleetWorld) -> None:
    bindings = [bound(node) for node in NODES]
    for binding in bindings:
        world.bind(binding)
    world.run(0.5)
    assert {world.state(binding) for binding in bindings} == {ContainerState.RUNNING}
    assert len({world.revision(binding) for binding in bindings}) == 1


def test_a_task_that_comes_up_at_once_is_told_of_once(world: FleetWorld) -> None:
    binding = bound(NODES[0])
    world.bind(binding)
    world.run(0.5)
    kv = world.store.get(KEYS.task_report(binding.node, binding.task_uid)).kv
    assert kv is not None
    assert kv.version == 1


def test_a_node_that_lost_its_name_is_fenced_off_alone(world: FleetWorld) -> None:
    thief = Heartbeat(node_uid="another", instance="thief")
    world.delete(KEYS.heartbeat(NODES[0]))
    world.put(KEYS.heartbeat(NODES[0]), thief)
    for node in NODES:
        world.bind(bound(node))
    world.run(1)
    assert world.report(bound(NODES[0])) is None
    assert {world.state(bound(node)) for node in NODES[1:]} == {ContainerState.RUNNING}


def test_what_was_bound_while_the_watch_was_lost_runs(world: FleetWorld) -> None:
    world.store.end_watches()
    for node in NODES:
        world.bind(bound(node))
    world.run(2)
    assert {world.state(bound(node)) for node in NODES} == {ContainerState.RUNNING}


def test_a_stopped_task_ends_and_its_report_is_final(world: FleetWorld) -> None:
    binding = bound(NODES[1])
    world.bind(binding)
    world.run(1)
    stop = {"desired": Desired.STOP, "reason": StopReason.DELETED}
    world.bind(binding.model_copy(update=stop))
    world.run(1)
    report = world.report(binding)
    assert report is not None
    assert report.final
    assert not world.hosts[NODES[1]].running()


def test_leases_live_as_long_as_the_fleet_is_stepped(world: FleetWorld) -> None:
    before = [kv.create_revision for kv in world.store.list("/berth/heartbeats/").kvs]
    world.run(60, tick_s=0.5)
    assert [kv.create_revision for kv in world.store.list("/berth/heartbeats/").kvs] == before


def test_a_clean_stop_is_announced_by_all_and_gives_up_the_names(world: FleetWorld) -> None:
    world.fleet.leave(world.clock())
    assert not world.store.list("/berth/heartbeats/").kvs
    assert all(world.node_report(node).stopping for node in NODES)


def test_a_name_that_is_anothers_ends_the_start() -> None:
    world = FleetWorld()
    world.init_cluster()
    world.put(KEYS.heartbeat(NODES[2]), Heartbeat(node_uid="another", instance="x"))
    with pytest.raises(NameTaken, match="sim-0003"):
        world.run(2)


def test_a_share_of_the_watch_that_begins_late_has_what_was_dealt_out_since_its_list(
    world: FleetWorld,
) -> None:
    listed = world.store.get("/").revision
    world.bind(bound(NODES[0]))
    world.shared.pump()
    share = world.shared.watch((KEYS.bindings_range(NODES[0]),), listed + 1, lambda: None)
    events = share.poll()
    assert events is not None
    assert [event.key for event in events] == [KEYS.binding(NODES[0], f"task-of-{NODES[0]}")]
    assert share.poll() in ((), None)


def test_a_share_from_before_the_watch_began_is_refused(world: FleetWorld) -> None:
    with pytest.raises(WatchLost, match="list again"):
        world.shared.watch((KEYS.cluster,), 1, lambda: None)


def polled_to_the_end(share: Watch) -> None:
    while True:
        share.poll()


def test_a_watch_that_was_silent_for_the_life_of_a_share_is_opened_anew(world: FleetWorld) -> None:
    listed = world.store.get("/").revision
    shares = [world.shared.watch((KEYS.bindings_range(node),), listed + 1, lambda: None) for node in NODES]
    shares[0].close()
    with pytest.raises(WatchLost, match="silent"):
        polled_to_the_end(shares[1])
    world.bind(bound(NODES[0]))
    world.run(2)
    assert world.state(bound(NODES[0])) is ContainerState.RUNNING
