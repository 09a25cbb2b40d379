"""Whatever happens in whatever order: bounds are kept, a plan says all that is to be done now, and all ends well."""

from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from controller.reconcilers.deployment import plan_deployment
from controller.reconcilers.rollout import Bounds, bounds_of
from schemas.workload import Deployment
from tests.controller.reconcilers.world import World, template_of

SHARES = st.one_of(st.integers(0, 3), st.sampled_from(["0%", "25%", "50%", "100%"]))


def _strategy(unavailable: int | str, surge: int | str) -> dict[str, Any]:
    if unavailable in (0, "0%") and surge in (0, "0%"):
        surge = 1
    return {"type": "RollingUpdate", "rollingUpdate": {"maxUnavailable": unavailable, "maxSurge": surge}}


ROLLING = st.builds(_strategy, SHARES, SHARES)
STRATEGIES = st.one_of(ROLLING, st.just({"type": "Recreate"}))
EDITS = st.one_of(
    st.tuples(st.just("replicas"), st.integers(0, 7)),
    st.tuples(st.just("template"), st.sampled_from(["a", "b", "c"]).map(template_of)),
    st.tuples(st.just("strategy"), STRATEGIES),
    st.tuples(st.just("paused"), st.booleans()),
    st.tuples(st.just("minReadySeconds"), st.sampled_from([0, 5])),
    st.tuples(st.just("autoRollback"), st.booleans()),
)
GOOD = ("start", "ready", "end", "plan", "plan", "plan", "wait")
FAULTS = (*GOOD, "unready", "lose", "delete", "etcdctl")
WHICH = st.integers(0, 30)


def steps(kinds: tuple[str, ...]) -> Any:
    events = st.tuples(st.sampled_from(kinds), WHICH)
    return st.lists(st.one_of(events, st.tuples(st.just("edit"), EDITS)), max_size=25)


def _world(replicas: int, strategy: dict[str, Any]) -> World:
    spec = {
        "replicas": replicas,
        "strategy": strategy,
        "template": template_of("a"),
        "progressDeadlineSeconds": 40,
        "revisionHistoryLimit": 2,
    }
    return World(Deployment, "deployments", spec)


def _happen(world: World, kind: str, what: Any) -> None:
    if kind == "edit":
        world.edit(**{what[0]: what[1]})
    elif kind == "wait":
        world.now += what
    elif kind == "plan":
        _plan(world)
    elif world.tasks:
        _befall(world, kind, sorted(world.tasks)[what % len(world.tasks)])


def _befall(world: World, kind: str, name: str) -> None:
    task = world.tasks[name]
    match kind:
        case "start":
            task.is_running = task.is_running or (task.owned and not task.is_deleted and not task.is_lost)
        case "ready":
            world.make_ready(name)
        case "end":
            world.end(name)
        case "unready":
            task.ready_at = None
        case "lose" if task.owned:
            task.is_lost, task.is_running, task.ready_at = True, False, None
        case "delete" if task.owned:
            task.is_deleted, task.is_told_to_stop, task.ready_at = True, task.is_running, None
        case "etcdctl" if task.owned:
            del world.tasks[name]


def _plan(world: World) -> None:
    """Plan and apply, and check what holds for every plan."""
    bounds, min_ready_s = _bounds(world), float(world.spec.get("minReadySeconds", 0))
    before = world.available(min_ready_s)
    world.apply(plan_deployment(world.inputs(), world.now))
    promised = bounds.min_available
    if world.spec["strategy"]["type"] == "RollingUpdate":
        assert world.available(min_ready_s) >= min(before, promised), "fewer are available than was promised"
    assert len(world.live) <= bounds.max_total, "there are more than replicas + surge"
    again = plan_deployment(world.inputs(), world.now)
    if world.spec["strategy"]["type"] == "RollingUpdate":
        assert again.intents == (), "the plan did not say all that is to be done"


def _bounds(world: World) -> Bounds:
    spec = world.inputs().spec
    assert spec is not None
    return bounds_of(spec.value.spec)


def _check_end(world: World) -> None:
    spec = world.spec
    assert len(world.live) == spec["replicas"]
    assert world.available() == spec["replicas"]
    assert set(world.tasks) == {task.name for task in world.live}, "something is left over"
    assert len({task.hash for task in world.live}) <= 1
    status = world.status
    assert (status.replicas, status.available_replicas) == (spec["replicas"], spec["replicas"])
    listed = {each.task for each in world.endpoints.addresses} if world.endpoints else set()
    assert listed == {task.name for task in world.live}
    assert plan_deployment(world.inputs(), world.now).intents == ()


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 7), STRATEGIES, steps(FAULTS))
def test_any_order_of_failures_and_edits_converges(
    replicas: int, strategy: dict[str, Any], story: list[tuple[str, Any]]
) -> None:
    world = _world(replicas, strategy)
    for kind, what in story:
        _happen(world, kind, what)
    world.edit(paused=False, autoRollback=False, template=template_of("last"))
    world.settle(plan_deployment)
    _check_end(world)
    assert world.status.updated_replicas == world.spec["replicas"]


@settings(max_examples=60, deadline=None)
@given(st.integers(1, 7), ROLLING, steps(GOOD))
def test_rollouts_without_failures_keep_what_is_promised_all_the_time(
    replicas: int, strategy: dict[str, Any], story: list[tuple[str, Any]]
) -> None:
    world = _world(replicas, strategy)
    world.settle(plan_deployment)
    for kind, what in story:
        if kind != "edit" or what[0] == "template":
            _happen(world, kind, what)
        assert world.available() >= _bounds(world).min_available
        assert len(world.live) <= _bounds(world).max_total
    world.settle(plan_deployment)
    _check_end(world)


@settings(max_examples=40, deadline=None)
@given(
    st.integers(0, 7), STRATEGIES, steps(FAULTS), st.sampled_from(["background", "foreground", "orphan", ""])
)
def test_deletion_at_any_moment_ends_clean(
    replicas: int, strategy: dict[str, Any], story: list[tuple[str, Any]], cascade: str
) -> None:
    world = _world(replicas, strategy)
    for kind, what in story:
        _happen(world, kind, what)
    if cascade:
        world.ask_delete(cascade=cascade)
    else:
        world.is_there = False
    world.settle(plan_deployment)
    assert (world.is_there, world.tasks, world.revisions) == (False, {}, {})
    assert (world.status, world.endpoints) == (None, None)
