"""How budgets stand: kept up to date by what changes, and never otherwise than a look at everything would say."""

from collections import Counter
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from controller import standings
from controller.reconcilers.eviction import Guarded, Standing
from controller.reconcilers.rollup import NodeHealth
from controller.records import TaskRecord
from controller.standings import Standings
from schemas.keys import ObjectRef, task_ref
from schemas.owned import Owned
from schemas.workload_status import DisruptionBudgetStatus
from store import objects
from store.codec import decode
from tests.controller.harness import Cluster

APPS = ("a0", "a1", "a2", "a3", "a4", "a5")


def write(world: Cluster, ref: ObjectRef, kind: str, spec: dict[str, Any]) -> None:
    key = world.keys.spec(ref)
    found = world.store.get(key).kv
    before = decode(found) if found else {}
    assert isinstance(before, dict)
    metadata = before.get("metadata", {"name": ref.name, "namespace": ref.namespace})
    raw = {"apiVersion": "berth/v1", "kind": kind, "metadata": metadata, "spec": spec}
    objects.write(world.store, key, raw, expect_mod_revision=found.mod_revision if found else 0)


def deploy(world: Cluster, app: str, replicas: int) -> None:
    template = {
        "metadata": {"labels": {"app": app}},
        "spec": {"containers": [{"name": "m", "image": "demo"}]},
    }
    write(
        world,
        ObjectRef("deployments", "default", app),
        "Deployment",
        {"replicas": replicas, "template": template},
    )


def budget_ref(app: str) -> ObjectRef:
    return ObjectRef("disruptionbudgets", "default", app)


def guard(world: Cluster, app: str, selector: dict[str, Any] | None = None, **bound: int | str) -> None:
    selector = {"matchLabels": {"app": app}} if selector is None else selector
    write(world, budget_ref(app), "DisruptionBudget", {"selector": selector, **bound})


def guarded_apps(*apps: str, replicas: int) -> Cluster:
    world = Cluster()
    for name in ("n1", "n2"):
        world.add_node(name, cpu="100", memory="400Gi")
    world.settle()
    for app in apps:
        deploy(world, app, replicas)
        guard(world, app, minAvailable=1)
    world.settle()
    return world


def delete_owned(world: Cluster, name: str) -> None:
    kv = world.store.get(world.keys.owned(task_ref("default", name))).kv
    if kv is not None:
        uid = Owned.model_validate_json(kv.value).metadata.uid
        world.put(
            world.keys.request(task_ref("default", name), "delete"), {"kind": "DeleteRequest", "uid": uid}
        )


def told(world: Cluster, app: str) -> Standing | None:
    kv = world.store.get(world.keys.status(budget_ref(app))).kv
    if kv is None:
        return None
    status = DisruptionBudgetStatus.model_validate_json(kv.value)
    return Standing(status.expected, status.healthy, status.desired_healthy)


def looked_at_afresh(world: Cluster, app: str) -> Standing | None:
    health = {name: NodeHealth(name, None if agent.alive else 0.0) for name, agent in world.agents.items()}
    return Standings(world.leader.view, health).standing(budget_ref(app), lambda _: False)


@pytest.fixture
def looked_at(monkeypatch: pytest.MonkeyPatch) -> Counter[ObjectRef]:
    """Task -> how often it was looked at."""
    counts: Counter[ObjectRef] = Counter()
    original: Callable[..., Guarded | None] = standings.guarded_of

    def counted(record: TaskRecord, health: Any) -> Guarded | None:
        counts[record.ref] += 1
        return original(record, health)

    monkeypatch.setattr(standings, "guarded_of", counted)
    return counts


def test_change_of_one_task_looks_at_no_other_and_plans_no_other_budget(
    looked_at: Counter[ObjectRef],
) -> None:
    world = guarded_apps(*APPS, replicas=5)
    world.advance(5)
    looked_at.clear()
    before = {app: world.store.get(world.keys.status(budget_ref(app))).kv for app in APPS}
    term = world.leader.term
    assert term is not None
    planned = term.counters.planned
    task = world.bindings()[0].name
    delete_owned(world, task)
    world.settle()
    assert looked_at
    assert {ref for ref in looked_at if ref.name.split("-")[0] != task.split("-")[0]} == set()
    after = {app: world.store.get(world.keys.status(budget_ref(app))).kv for app in APPS}
    assert [app for app in APPS if after[app] != before[app]] == [task.split("-")[0]]
    # Of the task, its deployment, its budget and its successor: some each, and none of the 5 other budgets.
    assert term.counters.planned - planned < 40


def test_report_that_moves_no_budget_plans_none(looked_at: Counter[ObjectRef]) -> None:
    world = guarded_apps("a0", "a1", replicas=2)
    term = world.leader.term
    assert term is not None
    asked: list[ObjectRef] = []
    news = standings.Standings.news

    def heard(self: Standings, is_gone: Callable[[ObjectRef], bool]) -> list[ObjectRef]:
        found = news(self, is_gone)
        asked.extend(found)
        return found

    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(standings.Standings, "news", heard)
        binding = world.bindings()[0]
        world.agents[binding.node].reasons[binding.name] = "Odd"
        world.settle()
    assert looked_at[task_ref("default", binding.name)] > 0
    assert asked == []


@pytest.mark.parametrize("most", [standings.MOST_PUT_OFF, 3])
def test_without_a_budget_tasks_are_looked_at_when_one_comes_or_too_many_wait(
    looked_at: Counter[ObjectRef], monkeypatch: pytest.MonkeyPatch, most: int
) -> None:
    monkeypatch.setattr(standings, "MOST_PUT_OFF", most)
    world = guarded_apps(replicas=0)
    deploy(world, "a0", 3)
    world.settle()
    world.advance(5)
    assert bool(looked_at) == (most == 3)
    guard(world, "a0", minAvailable=1)
    world.settle()
    assert told(world, "a0") == looked_at_afresh(world, "a0") == Standing(3, 3, 1)
    world.remove(world.keys.spec(budget_ref("a0")))
    world.settle()
    looked_at.clear()
    delete_owned(world, world.bindings()[0].name)
    world.settle()
    assert bool(looked_at) == (most == 3)


def test_node_that_goes_and_comes_moves_the_budgets_of_what_runs_there() -> None:
    world = guarded_apps("a0", replicas=4)
    node = world.bindings()[0].node
    gone = len(world.agents[node].running)
    world.agents[node].die()
    world.advance(18)  # its lease has run out, and nothing is bound elsewhere yet
    assert told(world, "a0") == Standing(4, 4 - gone, 1)
    world.agents[node].start()
    world.settle()
    assert told(world, "a0") == Standing(4, 4, 1)


ACTIONS = st.one_of(
    st.tuples(st.just("scale"), st.sampled_from(APPS[:3]), st.integers(0, 4)),
    st.tuples(st.just("guard"), st.sampled_from(APPS[:3]), st.integers(0, 3)),
    st.tuples(st.just("guard all"), st.sampled_from(APPS[:3]), st.integers(0, 3)),
    st.tuples(st.just("unguard"), st.sampled_from(APPS[:3]), st.just(0)),
    st.tuples(st.just("delete"), st.sampled_from(APPS[:3]), st.integers(0, 3)),
    st.tuples(st.just("lonely"), st.sampled_from(APPS[:3]), st.integers(0, 3)),
)


def act(world: Cluster, what: str, app: str, number: int) -> None:
    ref = budget_ref(app)
    match what:
        case "scale":
            deploy(world, app, number)
        case "guard":
            guard(world, app, minAvailable=number)
        case "guard all":
            guard(world, app, {}, maxUnavailable=f"{number}0%")
        case "unguard" if world.exists(world.keys.spec(ref)):
            world.remove(world.keys.spec(ref))
        case "delete":
            delete_owned(world, f"{app}-1-{number}")
        case "lonely":
            world.apply(f"{app}-alone-{number}")


@settings(max_examples=15, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.lists(st.tuples(ACTIONS, st.booleans()), min_size=1, max_size=8))
def test_what_is_told_is_what_a_look_at_everything_says(
    actions: list[tuple[tuple[str, str, int], bool]],
) -> None:
    world = guarded_apps("a0", "a1", "a2", replicas=2)
    for action, waits in actions:
        act(world, *action)
        world.settle() if waits else world.step(0.5)
    world.settle()
    world.advance(2)
    for app in APPS[:3]:
        assert told(world, app) == looked_at_afresh(world, app)
