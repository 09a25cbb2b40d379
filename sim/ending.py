"""What must hold when everything is healed and the cluster has come to rest."""

from dataclasses import replace
from typing import TYPE_CHECKING

from agent.runtime.api import Phase
from controller.fleetkeeping import FleetKeeper
from controller.inputs import InputsOf
from controller.reconcilers.task import plan_task
from controller.records import TaskRecord
from controller.scheduler.fleet import Fleet
from controller.scheduler.node_view import Standing
from controller.scheduler.place import fitting
from controller.scheduler.schedule import Policy, schedule
from controller.scheduler.work import Work
from controller.sealing import Sealer
from controller.snapshots import Asked, frozen_from
from controller.view import View
from schemas.binding import Desired
from schemas.keys import ObjectRef
from schemas.state import FINISHED, TaskState
from schemas.versioned import Versioned
from sim.configuring import CLUSTER_PAIR
from sim.host import is_stranger
from store.reflector import Change

if TYPE_CHECKING:
    from sim.world import World


def check_end(world: "World") -> None:
    """Check the store against the hosts, with a view of its own that no controller has touched."""
    view = View(world.keys)
    for kv in world.admin.list(world.keys.root).kvs:
        view.apply(Change(kv.key, None, kv))
    for ref in sorted(view.tasks):
        _check_task(world, view, view.tasks[ref])
    _check_containers(world, view)
    _check_deleted(world, view)
    _check_caches(world)
    _check_fleets(world, view)
    world.invariants.owning.check_end()
    if world.plan.queues:
        _check_nobody_is_due(world)
        world.invariants.sharing.check_end()
        world.invariants.ganging.check_end()
    if world.plan.workloads:
        world.invariants.configuring.check_end()
        world.invariants.ganging.check_end()
        world.invariants.disrupting.check_end()


def _check_task(world: "World", view: View, record: TaskRecord) -> None:
    if view.is_frozen(record):
        return
    if not isinstance(record.spec, Versioned):
        world.fail(f"{record.ref} has no spec, yet something of it is left")
        return
    status = record.status.value if isinstance(record.status, Versioned) else None
    state = status.state if status else TaskState.PENDING
    if state is TaskState.RUNNING or state in FINISHED:
        return
    if state is not TaskState.PENDING:
        if not _lacks_config(world, record):
            world.fail(f"{record.ref} stays {state}")
        return
    if status is not None:
        world.invariants.configuring.check_waiting(record.ref, record.spec.value.spec, status)
    if world.plan.queues:
        return  # what fits may be kept from it by a limit, or its gang: see `_check_nobody_is_due`
    fitting = _nodes_that_fit(view, record.ref, world.now)
    if fitting:
        world.fail(f"{record.ref} stays pending, though it fits on {fitting[0]}")


def _check_nobody_is_due(world: "World") -> None:
    """Whoever decides anew, from the store alone, finds nothing to do."""
    listing = world.admin.list(world.keys.root)
    state = frozen_from(listing.kvs, world.keys, Policy(), Asked(), world.now, revision=listing.revision)
    decisions = schedule(state.snapshot(), state.policy, world.now, 0)
    for placed in decisions.placed:
        world.fail(f"{placed.task.ref} stays pending, though it fits on {placed.node}")
    for victim in decisions.victims:
        world.fail(f"{victim.for_uid} stays pending, though {victim.uid} would make room on {victim.node}")


def _lacks_config(world: "World", record: TaskRecord) -> bool:
    """Say whether what a bound task takes is gone, so that its containers can't be made anew."""
    spec = record.spec.value.spec if isinstance(record.spec, Versioned) else None
    return spec is not None and bool(world.invariants.configuring.missing(spec))


def _nodes_that_fit(view: View, ref: ObjectRef, now: float) -> list[str]:
    """Return the nodes that fit a waiting task, from the store alone: nothing is assumed here."""
    inputs_of, fleet = InputsOf(view, Sealer(view, CLUSTER_PAIR)), _fleet_of(view)
    for name in view.nodes:
        inputs_of.refresh_node(name, now)
    inputs = inputs_of.of_task(ref)
    plan = plan_task(inputs, now) if inputs else None
    if plan is None or plan.waiting is None:
        return []
    fits = fitting(plan.waiting.task.shape, Work.of(fleet))
    return sorted(name for name, row in fleet.row_of.items() if fits[row])


def _fleet_of(view: View) -> Fleet:
    keeper = FleetKeeper(view)
    incarnation = view.cluster.value.incarnation if isinstance(view.cluster, Versioned) else 0
    for record in view.nodes.values():
        keeper.refresh(record, incarnation)
    keeper.sync()
    return keeper.fleet


def _check_containers(world: "World", view: View) -> None:
    """What runs is what is bound, and what is bound to run runs or waits for its next attempt."""
    running: set[str] = set()
    for agent in world.agents:
        for info in agent.running():
            journal = info.journal
            if is_stranger(journal):
                continue
            running.add(journal.binding_uid)
            bound = [b.value for r in view.tasks.values() for b in r.bindings.values()]
            if not any(b.binding_uid == journal.binding_uid and b.desired is Desired.RUN for b in bound):
                world.fail(f"container of {journal.name} runs on {agent.name} without a binding that says so")
    for record in view.tasks.values():
        for versioned in record.bindings.values():
            binding = versioned.value
            if view.is_frozen(record) or binding.desired is not Desired.RUN or _lacks_config(world, record):
                continue
            if binding.binding_uid not in running and binding.spec.restart_policy == "Always":
                world.fail(f"{record.ref} is bound to {binding.node} and does not run there")


def _check_deleted(world: "World", view: View) -> None:
    present = {
        record.spec.value.metadata.uid for record in view.tasks.values() if isinstance(record.spec, Versioned)
    }
    gone = world.people.deleted - present
    names = [("default", name) for name in world.people.names if not _is_there(view, name)]
    left = world.invariants.leftovers(gone, names)
    if left:
        world.fail(f"{left[0]} is left of a deleted task")
    for agent in world.agents:
        for info in agent.host.containers():
            if info.journal.task_uid in gone and not is_stranger(info.journal):
                what = "runs" if info.phase is Phase.RUNNING else "is left"
                world.fail(f"a container of deleted task {info.journal.name} {what} on {agent.name}")


def _is_there(view: View, name: str) -> bool:
    return any(ref.name == name and record.spec is not None for ref, record in view.tasks.items())


def _check_fleets(world: "World", view: View) -> None:
    """What a leader's scheduler has kept up to date from changes is what it would make of the store now."""
    fresh = _fleet_of(view)
    for process in world.controllers:
        term = process.controller.term if process.controller is not None else None
        if term is None:
            continue
        kept = term.take_in()
        if _rows(kept) != _rows(fresh):
            world.fail(
                f"the scheduler of {process.name} sees the nodes as {_rows(kept)}, and they are {_rows(fresh)}"
            )
        is_known, there = _tasks(kept), _tasks(fresh)
        if is_known != there:
            different = {uid for uid in {*there, *is_known} if there.get(uid) != is_known.get(uid)}
            uid = min(different)
            told = f"{is_known.get(uid)}, and it is {there.get(uid)}"
            world.fail(f"the scheduler of {process.name} sees a task as {told}")


def _rows(fleet: Fleet) -> dict[str, tuple[object, ...]]:
    """Node name -> its view, and its columns as they are kept."""
    return {
        name: (
            fleet.view(row),
            {resource: int(fleet.free[index, row]) for resource, index in fleet.resources.items()},
            [int(each) for each in fleet.ports_free[:, row]],
            [bool(each) for each in fleet.flags[:, row]],
        )
        for name, row in fleet.row_of.items()
    }


def _tasks(fleet: Fleet) -> dict[str, Standing]:
    """Those that a budget protected for a moment are the same."""
    return {uid: replace(each, may_be_preempted=True) for uid, each in fleet.standing.items()}


def _check_caches(world: "World") -> None:
    """Every controller's cache equals the store."""
    stored = {kv.key: kv for kv in world.admin.list(world.keys.root).kvs}
    for process in world.controllers:
        if process.controller is None:
            continue
        cached = {kv.key: kv for kv in process.controller.informer.items(world.keys.root)}
        if cached != stored:
            different = {key for key in {*cached, *stored} if cached.get(key) != stored.get(key)}
            world.fail(f"the cache of {process.name} differs from the store at {min(different)}")
