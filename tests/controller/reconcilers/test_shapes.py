"""What a written task asks, in the scheduler's words; and that the scheduler then does what was written."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from controller.reconcilers.placing import waiting_for
from controller.reconcilers.shapes import labels_of, rule_of, shape_of
from controller.scheduler.fairness import QueueRule
from controller.scheduler.fleet import Fleet
from controller.scheduler.node_view import NodeView
from controller.scheduler.schedule import Policy, schedule
from controller.scheduler.shape import ALONE, ANYWHERE, NODE, OWNER, Cap, Expression, Labels, Spread, TaskTerm
from controller.scheduler.snapshot import Gang, Snapshot, TaskView
from schemas import admission
from schemas.keys import task_ref
from schemas.namespace import BUILTIN_NAMESPACE
from schemas.owned import OwnerReference
from schemas.priority import PriorityClass
from schemas.queue import BUILTIN_QUEUE, Queue
from schemas.task import TaskSpec
from schemas.timestamps import format_time
from tests.controller.builders import make_inputs, make_status, make_task

WEB = OwnerReference(kind="Deployment", name="web", uid="o-1")
OWN = labels_of("default", {"app": "web"}, WEB)
OF_WEB = TaskTerm("default", (Expression(OWNER, "In", ("deployments/web",)),))
ZONES = {"n1": "a", "n2": "a", "n3": "b"}


def make_spec(**fields: Any) -> TaskSpec:
    return TaskSpec.parse_written({"containers": [{"name": "main", "image": "demo:1"}], **fields})


def view_of(owner: OwnerReference | None = None, status: Any = None, **spec: Any) -> TaskView:
    inputs = make_inputs(spec=make_task(labels={"app": "web"}, **spec), owner=owner, status=status)
    assert isinstance(inputs.verdict, admission.Admitted), inputs.verdict
    found = waiting_for(inputs, inputs.verdict.spec, replaces=None).task
    assert isinstance(found, TaskView)
    return found


# Shapes


def test_a_plain_task_may_go_anywhere_and_asks_for_no_company() -> None:
    shape = shape_of(make_spec(), OWN)
    assert (shape.place, shape.company, shape.images, shape.strategy) == (ANYWHERE, ALONE, ("demo:1",), "")


def test_a_task_is_known_by_its_labels_and_its_owner_but_not_by_its_number() -> None:
    labels = {"app": "web", "berth/job-index": "7", "berth/owner": "deployment.web"}
    found = dict(labels_of("default", labels, WEB).labels)
    assert found == {"app": "web", "berth/owner": "deployment.web", OWNER: "deployments/web"}


def test_what_is_not_said_means_the_own_kind() -> None:
    spec = make_spec(
        maxPerNode=2, distinct=[{"label": "rack"}], topologySpread=[{"topologyKey": "zone", "maxSkew": 3}]
    )
    company = shape_of(spec, OWN).company
    racks, zones = (TaskTerm("default", OF_WEB.expressions, key) for key in ("rack", "zone"))
    assert company.caps == (Cap(OF_WEB, 2), Cap(racks, 1, needs_label=True))
    assert company.spreads == (Spread(zones, 3),)


def test_the_own_kind_of_a_task_without_owner_are_those_with_its_labels() -> None:
    own = labels_of("team", {"b": "2", "a": "1"}, None)
    (cap,) = shape_of(make_spec(maxPerNode=1), own).company.caps
    assert cap.term == TaskTerm("team", (Expression("a", "In", ("1",)), Expression("b", "In", ("2",))))
    assert cap.term.matches(own)
    assert not cap.term.matches(Labels("default", own.labels))


def test_an_empty_selector_is_not_the_same_as_none() -> None:
    required = [{"labelSelector": {}}, {}]
    apart = shape_of(make_spec(affinity={"taskAntiAffinity": {"required": required}}), OWN).company.repels
    assert apart == (TaskTerm("default", ()), OF_WEB)


def test_to_prefer_being_apart_is_to_prefer_being_near_by_less_than_nothing() -> None:
    terms = {"preferred": [{"weight": 40, "topologyKey": "zone"}]}
    spec = make_spec(affinity={"taskAffinity": terms, "taskAntiAffinity": terms})
    assert [each.weight for each in shape_of(spec, OWN).company.preferred] == [40, -40]


@given(st.permutations(["a", "b", "c"]), st.permutations([0, 1]))
def test_the_same_demands_in_another_order_are_the_same_shape(zones: list[str], order: list[int]) -> None:
    def written(zones: list[str], order: list[int]) -> TaskSpec:
        demands = [{"key": "zone", "operator": "In", "values": zones}, {"key": "disk", "operator": "Exists"}]
        both = [demands[index] for index in order]
        return make_spec(
            affinity={
                "nodeAffinity": {"required": [{"matchExpressions": both}]},
                "taskAffinity": {"required": [{"labelSelector": {"matchExpressions": both}}]},
            }
        )

    assert shape_of(written(zones, order), OWN) == shape_of(written(["a", "b", "c"], [0, 1]), OWN)


# Tasks that wait


def test_a_task_brings_what_its_queue_orders_by() -> None:
    view = view_of(estimatedDuration="90s", priority=7, placement="spread")
    assert (view.queue, view.estimate, view.priority, view.shape.strategy) == ("default", 90.0, 7, "spread")
    assert (view.preempts, view.gang) == (True, None)


def test_who_was_not_found_waiting_yet_has_not_waited() -> None:
    assert view_of().waiting_since == float("inf")
    assert view_of(status=make_status("", waiting_since=format_time(1000.0))).waiting_since == 1000.0
    assert view_of(status=make_status("", waiting_since="yesterday")).waiting_since == float("inf")


def test_a_gang_has_the_name_that_is_written_or_that_of_its_owner() -> None:
    assert view_of(gang={"name": "ring", "minMember": 3}).gang == Gang("ring", 3)
    owner = OwnerReference(kind="Job", name="ring", uid="o-2")
    inputs = make_inputs(
        spec=make_task(labels={"berth/owner": "job.ring"}, gang={"minMember": 2}), owner=owner
    )
    assert isinstance(inputs.verdict, admission.Admitted)
    assert waiting_for(inputs, inputs.verdict.spec, replaces=None).task.gang == Gang("jobs/ring", 2)


@pytest.mark.parametrize(
    ("written", "of_class", "preempts"),
    [(None, "Never", False), ("PreemptLowerPriority", "Never", True), ("Never", "PreemptLowerPriority", False)],
)  # fmt: skip
def test_a_task_preempts_as_it_says_else_as_its_class_does(
    written: str | None, of_class: str, preempts: bool
) -> None:
    raw = {"apiVersion": "berth/v1", "kind": "PriorityClass", "metadata": {"name": "high"}}
    high = PriorityClass.parse_written({**raw, "spec": {"value": 5, "preemptionPolicy": of_class}})
    policy = admission.Policy({"default": BUILTIN_NAMESPACE}, {"default": BUILTIN_QUEUE}, {"high": high})
    own = {"preemptionPolicy": written} if written else {}
    inputs = make_inputs(spec=make_task(priorityClassName="high", **own), policy=policy)
    assert isinstance(inputs.verdict, admission.Admitted)
    assert waiting_for(inputs, inputs.verdict.spec, replaces=None).task.preempts == preempts


# Queues


def test_a_queue_rules_as_it_is_written_and_else_as_the_scheduler_does_by_itself() -> None:
    assert rule_of(BUILTIN_QUEUE) == QueueRule("default")
    raw = {"apiVersion": "berth/v1", "kind": "Queue", "metadata": {"name": "eng/web"}}
    spec = {
        "weight": 2, "guarantee": {"cpu": 1}, "limit": {"cpu": "1500m"}, "ordering": "sjf",
        "backfill": "conservative", "placement": "balanced", "maxWait": "10m",
    }  # fmt: skip
    expected = QueueRule(
        "eng/web", 2.0, {"cpu": 1000}, {"cpu": 1500}, "sjf", "conservative", "balanced", max_wait=600.0
    )
    assert rule_of(Queue.parse_written({**raw, "spec": spec})) == expected


# What the scheduler makes of it


def placed(count: int, **fields: Any) -> list[str]:
    """Return the nodes of those of `count` equal tasks that get one, on two nodes in zone a and one in zone b."""
    views = [
        NodeView(
            name=name,
            ready=True,
            cordoned=False,
            labels={"zone": zone, "cores": str(8 * number)},
            taints=(),
            allocatable={"cpu": 8000, "memory": 2**30},
            free={"cpu": 8000, "memory": 2**30},
            ports_used=frozenset(),
            port_range=(31000, 31005),
            devices_free={},
        )
        for number, (name, zone) in enumerate(ZONES.items(), 1)
    ]
    shape = shape_of(make_spec(**fields), OWN)
    pending = tuple(
        TaskView(task_ref("default", f"t{number}"), f"u{number}", shape, 0, number) for number in range(count)
    )
    decisions = schedule(Snapshot(Fleet(views), pending), Policy(), 0.0, seed=1)
    return sorted(each.node for each in decisions.placed)


def test_at_most_so_many_on_a_node() -> None:
    assert placed(9, maxPerNode=2) == ["n1", "n1", "n2", "n2", "n3", "n3"]


def test_at_most_so_many_at_each_value_of_a_label() -> None:
    assert sorted(ZONES[node] for node in placed(9, distinct=[{"label": "zone", "most": 2}])) == [*"aabb"]
    assert placed(9, distinct=[{"label": "rack"}]) == []


def test_zones_get_equal_numbers() -> None:
    nodes = placed(6, topologySpread=[{"topologyKey": "zone"}])
    assert sorted(ZONES[node] for node in nodes) == [*"aaabbb"]


def test_of_the_required_terms_about_nodes_one_must_hold() -> None:
    terms = [
        {"matchExpressions": [{"key": "zone", "operator": "In", "values": ["b"]}]},
        {"matchExpressions": [{"key": "cores", "operator": "Lt", "values": ["9"]}]},
    ]
    one_each = {"taskAntiAffinity": {"required": [{"topologyKey": NODE}]}}
    assert placed(9, affinity={"nodeAffinity": {"required": terms}, **one_each}) == ["n1", "n3"]


def test_a_group_that_wants_to_be_together_is() -> None:
    nodes = placed(4, affinity={"taskAffinity": {"required": [{}]}})
    assert len(nodes) == 4
    assert len(set(nodes)) == 1


def test_a_wish_to_be_apart_is_met_where_it_can_be() -> None:
    wish = {"taskAntiAffinity": {"preferred": [{"weight": 100}]}}
    assert placed(3, affinity=wish) == ["n1", "n2", "n3"]
    assert len(placed(5, affinity=wish)) == 5
