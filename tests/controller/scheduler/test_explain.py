"""Answers are true: counts add up, and what is proposed, when it is done, does place the task."""

from dataclasses import replace

from hypothesis import event, given, settings
from hypothesis import strategies as st

from controller.scheduler.explain import next_grants, nodes_for, ranking, shares, why_pending
from controller.scheduler.fairness import QueueRule
from controller.scheduler.fleet import Fleet
from controller.scheduler.node_view import NodeView, Standing
from controller.scheduler.schedule import Policy, schedule
from controller.scheduler.scores import score
from controller.scheduler.shape import Company, Shape
from controller.scheduler.snapshot import Snapshot, TaskView
from controller.scheduler.whatif import Change, changed_by, what_if
from controller.scheduler.work import Work
from schemas.keys import task_ref
from tests.controller.scheduler.test_engine import nodes, pending, standing, those

POLICY = Policy()


def snapshot_of(there: list[NodeView], those: object, waiting: tuple[TaskView, ...]) -> Snapshot:
    return Snapshot(Fleet(there, standing(there, those)), waiting)  # type: ignore[arg-type]  # as drawn


@settings(max_examples=60, deadline=None)
@given(nodes(), pending(), those)
def test_counts_add_up_and_proposals_place_the_task(
    there: list[NodeView], waiting: tuple[TaskView, ...], those: object
) -> None:
    snapshot = snapshot_of(there, those, waiting)
    rejected = {each.task.uid for each in schedule(snapshot, POLICY, 0.0, 0).unschedulable}
    for task in waiting:
        found = why_pending(task.uid, snapshot, POLICY, 0.0, 0)
        assert bool(found.node) == (task.uid not in rejected)
        if found.node:
            continue
        assert found.rejection is not None
        assert sum(group.count for group in found.rejection.groups) == len(there)
        for proposal in found.proposals:
            event(proposal.field.partition("[")[0])
            if proposal.amount is not None:
                changed = _with(task.shape, proposal.field.rpartition(".")[2], proposal.amount)
                assert proposal.node == _placed(snapshot, replace(task, shape=changed))


def test_what_is_proposed_fits_the_limit_of_the_queue() -> None:
    task = view("it", 3000, "small")
    rule = QueueRule("small", limit={"cpu": 2500})
    seen = Snapshot(Fleet([node("n1")]), (task,), (rule,), {"small": {"cpu": 1000}})
    found = why_pending(task.uid, seen, POLICY, 0.0, 0)
    assert found.rejection is not None
    assert str(found.rejection.queue) == "QueueLimit"
    assert [(each.field, each.amount, each.node) for each in found.proposals] == [
        ("resources.requests.cpu", 1500, "n1")
    ]


def _with(shape: Shape, resource: str, amount: int) -> Shape:
    kept = [(name, amount if name == resource else asked) for name, asked in shape.requests]
    return replace(shape, requests=tuple(each for each in kept if each[1] or each[0] != resource))


def _placed(snapshot: Snapshot, task: TaskView) -> str | None:
    pending = tuple(task if each.uid == task.uid else each for each in snapshot.pending)
    placed = schedule(replace(snapshot, pending=pending), POLICY, 0.0, 0).placed
    return next((each.node for each in placed if each.task.uid == task.uid), None)


@settings(max_examples=60, deadline=None)
@given(nodes(), pending(), those)
def test_ranking_is_what_the_scheduler_scores(
    there: list[NodeView], waiting: tuple[TaskView, ...], those: object
) -> None:
    snapshot = snapshot_of(there, those, waiting[:1])
    shape = waiting[0].shape
    ranked = ranking(shape, snapshot, "binpack", len(there))
    scores = score(shape, Work.of(snapshot.fleet), "binpack")
    fits = {each.node for each in nodes_for(shape, snapshot) if not each.reasons}
    assert {each.node for each in ranked} == fits
    for each in ranked:
        assert abs(each.score - scores[snapshot.fleet.row_of[each.node]]) < 1e-9
        assert abs(each.score - sum(each.terms.values())) < 1e-9
    best = next((each.node for each in schedule(snapshot, POLICY, 0.0, 0).placed), None)
    assert best is None or ranked[0].score - next(e.score for e in ranked if e.node == best) < 1e-9


@settings(max_examples=60, deadline=None)
@given(nodes(), pending(), those)
def test_what_comes_is_placed_as_if_it_had_waited(
    there: list[NodeView], waiting: tuple[TaskView, ...], those: object
) -> None:
    """Who fits nowhere before is not tried again when others come. Who looks at others may come in a later cycle."""
    half = len(waiting) // 2
    there_before = waiting[:half]
    while left := schedule(snapshot_of(there, those, there_before), POLICY, 0.0, 0).unschedulable:
        parked = {each.task.uid for each in left}
        there_before = tuple(task for task in there_before if task.uid not in parked)
    change = Change(adding=waiting[half:])
    outcome = what_if(snapshot_of(there, those, there_before), change, POLICY, 0.0, 0)
    together = (*there_before, *waiting[half:])
    decisions = schedule(snapshot_of(there, those, together), POLICY, 0.0, 0)
    own = {task.uid for task in waiting[half:]}
    found = [(each.task.uid, each.node) for each in outcome.placed]
    at_once = [(each.task.uid, each.node) for each in decisions.placed if each.task.uid in own]
    assert found[: len(at_once)] == at_once
    company_came = [each.task for each in outcome.placed[len(at_once) :]]
    assert all(task.shape.company != Company() for task in company_came), (
        "the others are decided in one cycle"
    )
    assert {each.task.uid for each in outcome.waiting} | {each.task.uid for each in outcome.placed} == own


def node(name: str, cpu: int = 4000, free: int | None = None) -> NodeView:
    return NodeView(
        name,
        ready=True,
        cordoned=False,
        labels={},
        taints=(),
        allocatable={"cpu": cpu},
        free={"cpu": cpu if free is None else free},
        ports_used=frozenset(),
        port_range=(31000, 31010),
        devices_free={},
    )


def view(name: str, cpu: int, queue: str = "default", age: int = 1) -> TaskView:
    return TaskView(task_ref("default", name), name, Shape((("cpu", cpu),)), 0, age, queue=queue)


def test_what_goes_leaves_its_room_its_ports_and_its_share() -> None:
    there = replace(node("n1", free=1000), ports_used=frozenset({("TCP", 31000)}))
    old = Standing(
        "old", task_ref("default", "old"), "n1", "default", 0, (("cpu", 3000),), ports=(("TCP", 31000),)
    )
    snapshot = Snapshot(Fleet([there], [old]), (), used={"default": {"cpu": 3000}})
    changed = changed_by(snapshot, Change(leaving=frozenset({"old"})))
    assert changed.fleet.view(0).free == {"cpu": 4000}
    assert changed.fleet.view(0).ports_used == frozenset()
    assert changed.used == {"default": {"cpu": 0}}
    assert snapshot.used == {"default": {"cpu": 3000}}, "the snapshot itself stays"
    outcome = what_if(snapshot, Change((view("new", 4000),), frozenset({"old"})), POLICY, 0.0, 0)
    assert [(each.task.uid, each.node) for each in outcome.placed] == [("new", "n1")]
    assert [each.share for each in (*outcome.before, *outcome.after)] == [0.75, 1.0]


def test_tasks_of_a_closed_node_go_elsewhere() -> None:
    snapshot = Snapshot(Fleet([node("n1"), node("n2")]), ())
    change = Change((view("a", 3000), view("b", 3000, age=2)), closed=frozenset({"n1"}))
    outcome = what_if(snapshot, change, POLICY, 0.0, 0)
    assert [each.node for each in outcome.placed] == ["n2"]
    assert [each.task.uid for each in outcome.waiting] == ["b"]


def test_who_would_be_placed_now_and_would_not_after_the_change_is_delayed() -> None:
    snapshot = Snapshot(Fleet([node("n1")]), (view("waits", 3000, age=5),))
    outcome = what_if(snapshot, Change((replace(view("new", 3000), priority=9),)), POLICY, 0.0, 0)
    assert [each.uid for each in outcome.delayed] == ["waits"]


@settings(deadline=None)
@given(st.integers(1, 5), st.integers(1, 5))
def test_next_grants_go_to_the_queue_with_the_least_weighted_share(light: int, heavy: int) -> None:
    rules = (QueueRule("a", weight=light), QueueRule("b", weight=heavy))
    waiting = tuple(
        view(f"{queue}{number}", 100, queue, number) for queue in ("a", "b") for number in range(20)
    )
    snapshot = Snapshot(Fleet([node("n1", cpu=1000)]), waiting, rules)
    grants = next_grants(snapshot, POLICY, 0.0, 0, most=10)
    held = {"a": 0.0, "b": 0.0}
    weights = {"a": light, "b": heavy}
    for grant in grants:
        queue = grant.task.queue
        other = "b" if queue == "a" else "a"
        assert abs(grant.share - held[queue] / weights[queue]) < 1e-9
        assert held[queue] / weights[queue] <= held[other] / weights[other] + 1e-9
        held[queue] += 0.1
    assert len(grants) == 10
    assert {each.queue: each.waiting for each in shares(snapshot)} == {"a": 20, "b": 20}
