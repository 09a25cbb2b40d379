"""What the planner of tasks wants, case by case; and that carrying it out leaves nothing to do."""

from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from controller.inputs import InputsOf
from controller.reconcilers.plan import (
    CreateBinding,
    GiveUpBinding,
    Plan,
    PutTaskStatus,
    RemoveBinding,
    RemoveObject,
    RemoveRequest,
    StopBinding,
    UpdateBinding,
)
from controller.reconcilers.recovery import rebuild_task
from controller.reconcilers.rollup import NodeHealth
from controller.reconcilers.task import plan_task
from controller.reconcilers.task_inputs import TaskInputs
from controller.view import View
from controller.writes import write_of
from schemas.admission import Denied
from schemas.binding import Desired, StopReason
from schemas.cluster import Cluster
from schemas.keys import Keys, task_ref
from schemas.meta import Condition, find_condition
from schemas.report import ContainerStatus
from schemas.state import ContainerState, TaskState
from schemas.status import TaskStatus
from store.api import Put, Txn
from store.codec import encode
from store.memory import MemoryStore
from store.reflector import Change
from tests.controller.builders import (
    UID,
    ended,
    granted_port,
    make_binding,
    make_delete,
    make_inputs,
    make_report,
    make_status,
    make_task,
    stopped,
)

NOW = 1_700_000_000.0
DOWN = NodeHealth("n1", down_since=NOW - 10)
LONG_DOWN = NodeHealth("n1", down_since=NOW - 1000)
STOPPED_AGENT = NodeHealth("n1", down_since=NOW - 1000, stopping=True)
FENCED = NodeHealth("n1", down_since=NOW - 10, fenced=True)
NEVER = {"unreachable": {"rescheduleAfter": "never"}}


def plan(inputs: TaskInputs | None = None, /, **more: Any) -> Plan:
    return plan_task(inputs or make_inputs(**more), NOW)


def wanted(found: Plan) -> list[str]:
    """Names of the intents; a stop with its reason."""
    return [
        f"StopBinding {intent.reason}" if isinstance(intent, StopBinding) else type(intent).__name__
        for intent in found.intents
    ]


def status_in(found: Plan) -> TaskStatus:
    (status,) = [intent.status for intent in found.intents if isinstance(intent, PutTaskStatus)]
    return status


def bound(*, spec: Any = "default", **more: Any) -> TaskInputs:
    """A task that is bound to n1 and runs there; `binding` and `report` replace what is stored."""
    task = make_task() if spec == "default" else spec
    binding = more.pop("binding", None) or make_binding(task=task)
    report = more.pop("report", make_report(binding))
    status = more.pop("status", None) or make_status(
        uid=binding.value.task_uid, binding_uid=binding.value.binding_uid
    )
    reports = (("n1", report),) if report else ()
    return make_inputs(spec=task, status=status, bindings=(binding,), reports=reports, **more)


# Wanting a node


def test_a_new_task_wants_a_node() -> None:
    found = plan()
    assert found.intents == ()
    assert found.waiting is not None
    assert found.waiting.replaces is None
    assert found.waiting.reads.spec == 10


def test_a_denied_task_says_why_once_and_wants_nothing() -> None:
    denied = Denied(("no such queue",))
    found = plan(verdict=denied)
    assert found.waiting is None
    condition = find_condition(status_in(found).conditions, "Admitted")
    assert condition is not None
    assert (condition.status, condition.message) == ("False", "no such queue")
    again = plan(verdict=denied, status=make_status("", conditions=(condition,)))
    assert (again.intents, again.events) == ((), ())


def test_an_admitted_task_loses_the_note_of_its_denial_before_it_is_placed() -> None:
    note = Condition(type="Admitted", status="False", message="no such queue")
    found = plan(status=make_status("", conditions=(note,)))
    assert status_in(found).conditions == ()
    assert found.waiting is None


def test_a_task_that_names_something_unreadable_is_neither_admitted_nor_denied() -> None:
    note = Condition(type="Admitted", status="False", message="no such queue")
    found = plan(verdict=None, status=make_status("", conditions=(note,)))
    assert (found.intents, found.waiting) == ((), None)


def test_a_task_made_anew_waits_for_the_old_copy_of_its_name() -> None:
    old = make_binding(task=make_task(uid="uid-old"))
    found = plan(bindings=(old,), status=make_status(uid="uid-old"))
    assert wanted(found) == ["StopBinding Superseded"]
    assert found.waiting is None
    found = plan(bindings=(stopped(old),), status=make_status(uid="uid-old"))
    assert (wanted(found), found.waiting) == ([], None)
    found = plan(bindings=(stopped(old),), reports=(("n1", ended(old)),), status=make_status(uid="uid-old"))
    assert wanted(found) == ["RemoveBinding"]
    found = plan(status=make_status(uid="uid-old"))
    assert found.waiting is not None


def test_a_task_lost_for_good_waits_until_it_is_edited() -> None:
    lost = make_status("", state=TaskState.LOST)
    assert plan(status=lost).waiting is None
    assert plan(status=lost, spec=make_task(generation=2)).waiting is not None


def test_a_request_for_an_older_object_is_removed_as_it_was_read() -> None:
    found = plan(delete=make_delete("uid-old", revision=77))
    assert found.intents == (RemoveRequest("delete", 77),)


# Following a binding


def test_a_report_is_rolled_up_once() -> None:
    found = plan(bound())
    status = status_in(found)
    assert status.state is TaskState.RUNNING
    assert wanted(plan(bound(status=make_status(**_fields(status))))) == []


def _fields(status: TaskStatus) -> dict[str, Any]:
    return {name: getattr(status, name) for name in type(status).model_fields}


@pytest.mark.parametrize(
    ("exit_code", "policy", "state"),
    [
        (0, "Never", TaskState.SUCCEEDED),
        (3, "Never", TaskState.FAILED),
        (0, "OnFailure", TaskState.SUCCEEDED),
    ],
)
def test_a_task_that_ended_is_completed(exit_code: int, policy: str, state: TaskState) -> None:
    task = make_task(restartPolicy=policy)
    found = plan(bound(spec=task, report=make_report(make_binding(task=task), exit_code=exit_code)))
    assert wanted(found) == ["StopBinding Completed", "PutTaskStatus"]
    assert status_in(found).state is state


@pytest.mark.parametrize(("exit_code", "policy"), [(0, "Always"), (1, "Always"), (1, "OnFailure")])
def test_a_task_that_restarts_in_place_goes_on(exit_code: int, policy: str) -> None:
    task = make_task(restartPolicy=policy)
    found = plan(bound(spec=task, report=make_report(make_binding(task=task), exit_code=exit_code)))
    assert wanted(found) == ["PutTaskStatus"]


def completed(
    *, containers: bool = True, spec: Any = None, state: TaskState = TaskState.SUCCEEDED, **more: Any
) -> TaskInputs:
    task = make_task(restartPolicy="Never")
    binding = stopped(make_binding(task=task), StopReason.COMPLETED)
    report = make_report(binding, exit_code=0, final=True)
    if not containers:
        report = make_report(binding, final=True, containers=())
    status = make_status(state=state)
    return bound(spec=spec or task, binding=binding, report=report, status=status, **more)


def test_a_completed_task_keeps_its_binding() -> None:
    assert "RemoveBinding" not in wanted(plan(completed()))


def test_a_completed_task_of_which_nobody_knows_the_end_has_failed() -> None:
    """Its status is from before the end (a restored backup), and its container is gone."""
    found = plan(completed(containers=False, state=TaskState.RUNNING))
    (put,) = [intent for intent in found.intents if isinstance(intent, PutTaskStatus)]
    assert (put.status.state, put.status.reason) == (TaskState.FAILED, "ResultLost")


def test_a_completed_task_stays_what_it_was_when_its_dead_containers_are_gone() -> None:
    found = plan(completed(containers=False, state=TaskState.FAILED))
    assert all(
        intent.status.state is TaskState.FAILED
        for intent in found.intents
        if isinstance(intent, PutTaskStatus)
    )


def test_a_completed_task_that_is_changed_runs_again() -> None:
    changed = make_task(restartPolicy="Never", container={"image": "demo:2"}, generation=2)
    found = plan(completed(spec=changed))
    assert wanted(found) == ["RemoveBinding", "PutTaskStatus"]
    assert status_in(found).node == ""


def test_a_completed_task_on_a_fenced_node_gives_its_binding_up_and_keeps_its_end() -> None:
    inputs = completed(nodes=(FENCED,))
    silent = replace(inputs, reports={})
    assert wanted(plan(silent)) == ["GiveUpBinding"]


@pytest.mark.parametrize("field", ["image", "command", "env"])
def test_a_changed_template_replaces_the_task(field: str) -> None:
    value: Any = {"image": "demo:2", "command": ["x"], "env": [{"name": "A", "value": "b"}]}[field]
    changed = make_task(container={field: value}, generation=2)
    found = plan(bound(spec=changed, binding=make_binding()))
    assert wanted(found)[0] == "StopBinding Superseded"
    assert status_in(found).state is TaskState.STOPPING


@pytest.mark.parametrize("field", ["grace", "priority", "tolerations", "labels"])
def test_a_live_field_updates_the_binding_only(field: str) -> None:
    more: dict[str, Any] = {
        "grace": {"grace": "5s"},
        "priority": {"priority": 7},
        "tolerations": {"tolerations": [{"operator": "Exists"}]},
        "labels": {"labels": {"a": "b"}},
    }[field]
    (update, _) = plan(bound(spec=make_task(generation=2, **more), binding=make_binding())).intents
    assert isinstance(update, UpdateBinding)
    assert update.generation == 2
    assert dict(update.labels) == more.get("labels", {})
    assert update.spec.grace == (5.0 if field == "grace" else 30.0)
    assert update.spec.priority == (7 if field == "priority" else 0)


def test_room_is_made_when_the_agent_said_that_a_stopped_binding_ended() -> None:
    binding = stopped(make_binding())
    assert "RemoveBinding" not in wanted(plan(bound(binding=binding)))
    found = plan(bound(binding=binding, report=ended(binding)))
    assert wanted(found) == ["RemoveBinding", "PutTaskStatus"]
    status = status_in(found)
    assert (status.node, status.previous_node, status.state) == ("", "n1", TaskState.PENDING)
    assert status.epoch == 1


def test_a_final_report_of_another_binding_counts_for_nothing() -> None:
    binding = stopped(make_binding())
    report = make_report(binding, running=False, final=True, binding_uid="b-older")
    assert "RemoveBinding" not in wanted(plan(bound(binding=binding, report=report)))


def test_an_allotted_port_that_a_stranger_holds_is_given_back() -> None:
    task = make_task(container={"ports": [{"containerPort": 80}]})
    grants = make_binding().value.grants.model_copy(update={"ports": (granted_port(31000),)})
    binding = make_binding(task=task, grants=grants)
    found = plan(bound(spec=task, binding=binding, report=make_report(binding, reason="HostPortTaken")))
    assert wanted(found)[0] == "StopBinding PortTaken"


def test_a_port_that_was_asked_for_is_waited_for() -> None:
    task = make_task(container={"ports": [{"containerPort": 80, "hostPort": 8080}]})
    grants = make_binding().value.grants.model_copy(update={"ports": (granted_port(8080),)})
    binding = make_binding(task=task, grants=grants)
    found = plan(bound(spec=task, binding=binding, report=make_report(binding, reason="HostPortTaken")))
    assert wanted(found) == ["PutTaskStatus"]
    assert status_in(found).reason == "HostPortTaken"


# A node that does not answer


def test_a_task_on_a_lost_node_is_unknown_and_waits_before_it_moves() -> None:
    found = plan(bound(nodes=(DOWN,)))
    unknown = find_condition(status_in(found).conditions, "Unknown")
    assert unknown is not None
    assert unknown.status == "True"
    assert found.requeue_at == NOW + 20
    assert found.waiting is None


def test_after_its_time_the_task_wants_another_node() -> None:
    found = plan(bound(nodes=(LONG_DOWN,)))
    assert found.waiting is not None
    assert found.waiting.replaces is not None
    assert found.waiting.task.ending_on == {"n1"}


def test_never_means_never() -> None:
    found = plan(bound(spec=make_task(**NEVER), nodes=(LONG_DOWN,)))
    assert (found.waiting, found.requeue_at) == (None, None)


def test_why_no_other_node_takes_it_over_stays_visible() -> None:
    why = Condition(type="Scheduled", status="False", reason="Unschedulable", message="0 of 1 nodes fit")
    status = make_status(conditions=(why,))
    assert why in status_in(plan(bound(status=status, nodes=(LONG_DOWN,)))).conditions
    assert why not in status_in(plan(bound(status=status))).conditions, "its node is back"


ONE = {"exactlyOne": True}


@pytest.mark.parametrize(
    ("health", "moves"),
    [
        (NodeHealth("n1"), False),
        (NodeHealth("n1", down_since=NOW - 59), False),
        (NodeHealth("n1", down_since=NOW - 61), True),
        (STOPPED_AGENT, False),
    ],
)
def test_exactly_one_moves_only_when_the_old_copy_is_gone(health: NodeHealth, moves: bool) -> None:
    found = plan(bound(spec=make_task(**ONE), nodes=(health,)))
    assert (found.waiting is not None) == moves


@pytest.mark.parametrize("health", [NodeHealth("n2"), replace(STOPPED_AGENT, name="n2")])
def test_exactly_one_waits_for_every_older_copy(health: NodeHealth) -> None:
    task = make_task(**ONE)
    older = stopped(make_binding("n2", task=task, binding_uid="b-0"))
    inputs = make_inputs(spec=task, status=make_status(""), bindings=(older,), nodes=(health,))
    assert plan(inputs).waiting is None
    assert plan(replace(inputs, bindings={})).waiting is not None


def test_exactly_one_does_not_trust_a_copy_that_was_no_such_task_to_end_by_itself() -> None:
    older = stopped(make_binding("n2", binding_uid="b-0"))
    inputs = make_inputs(
        spec=make_task(**ONE),
        status=make_status(""),
        bindings=(older,),
        nodes=(replace(LONG_DOWN, name="n2"),),
    )
    assert plan(inputs).waiting is None


@pytest.mark.parametrize(("down_s", "waits"), [(10, True), (1000, False)])
def test_exactly_one_waits_for_a_container_without_binding_on_a_node_that_went(
    down_s: float, waits: bool
) -> None:
    task = make_task(**ONE)
    report = make_report(make_binding("n2", task=task), unbound=True)
    nodes = (NodeHealth("n2", down_since=NOW - down_s),)
    found = plan(spec=task, status=make_status(""), reports=(("n2", report),), nodes=nodes)
    assert (found.waiting is None) == waits


def test_a_fence_gives_the_binding_up() -> None:
    found = plan(bound(nodes=(FENCED,)))
    assert wanted(found) == ["GiveUpBinding", "PutTaskStatus"]
    assert status_in(found).reason == "NodeFenced"
    assert status_in(found).state is TaskState.PENDING


def test_a_fenced_task_that_never_moves_is_lost() -> None:
    assert status_in(plan(bound(spec=make_task(**NEVER), nodes=(FENCED,)))).state is TaskState.LOST


# Removal


def test_deletion_stops_waits_and_then_removes_everything() -> None:
    delete = make_delete(grace_s=3.0)
    (stop,) = plan(bound(delete=delete)).intents
    assert isinstance(stop, StopBinding)
    assert (stop.reason, stop.grace_s) == (StopReason.DELETED, 3.0)
    binding = stopped(make_binding(task=make_task(grace="3s")), StopReason.DELETED)
    assert wanted(plan(bound(binding=binding, delete=delete))) == []
    assert wanted(plan(bound(binding=binding, report=ended(binding), delete=delete))) == [
        "RemoveBinding",
        "RemoveObject",
    ]


def test_deletion_that_is_asked_for_again_may_shorten_the_grace_and_never_lengthens_it() -> None:
    binding = stopped(make_binding(), StopReason.DRAINED)
    assert binding.value.spec.grace > 1.0
    (sooner,) = plan(bound(binding=binding, delete=make_delete(grace_s=1.0))).intents
    assert isinstance(sooner, StopBinding)
    assert (sooner.reason, sooner.grace_s) == (StopReason.DRAINED, 1.0)
    assert wanted(plan(bound(binding=binding, delete=make_delete(grace_s=binding.value.spec.grace)))) == []
    assert wanted(plan(bound(binding=binding, delete=make_delete()))) == []


def test_a_hook_that_failed_at_the_end_of_a_deleted_task_is_told_of() -> None:
    failed = ContainerStatus(
        name="main", state=ContainerState.EXITED, failed_hooks={"preStop": "exit code 3"}
    )
    binding = stopped(make_binding(), StopReason.DELETED)
    final = ended(binding)
    report = replace(final, value=final.value.model_copy(update={"containers": (failed,)}))
    found = plan(bound(binding=binding, report=report, delete=make_delete()))
    assert [(each.type, each.reason, each.message) for each in found.events] == [
        ("Warning", "FailedPreStopHook", "main: exit code 3"),
        ("Normal", "Deleted", "stopped and removed"),
    ]


def test_a_spec_removed_by_hand_is_a_deletion() -> None:
    inputs = replace(bound(), spec=None, verdict=None)
    assert wanted(plan(inputs)) == ["StopBinding Deleted"]
    assert wanted(plan(spec=None, status=make_status(""))) == ["RemoveObject"]


def test_a_pending_task_is_removed_at_once() -> None:
    assert wanted(plan(status=make_status(""), delete=make_delete())) == ["RemoveObject"]


def test_a_deleted_task_on_a_lost_node_waits_for_the_agent_or_a_fence() -> None:
    binding = stopped(make_binding(), StopReason.DELETED)
    assert wanted(plan(bound(binding=binding, delete=make_delete(), nodes=(LONG_DOWN,)))) == []
    assert wanted(plan(bound(binding=binding, delete=make_delete(), nodes=(FENCED,)))) == [
        "GiveUpBinding",
        "RemoveObject",
    ]


def test_a_deleted_task_whose_last_copy_ended_first_does_not_ask_for_its_end_again() -> None:
    older, last = stopped(make_binding("n1")), stopped(make_binding("n2", binding_uid="b-2"))
    inputs = make_inputs(
        status=make_status("n2", binding_uid="b-2", state=TaskState.RUNNING),
        delete=make_delete(),
        bindings=(older, last),
        reports=(("n2", ended(last)),),
        nodes=(LONG_DOWN,),
    )
    found = plan(inputs)
    assert wanted(found) == ["RemoveBinding", "PutTaskStatus"]
    after = make_status(revision=21, **_fields(status_in(found)))
    assert wanted(plan(replace(inputs, status=after, bindings={("n1", UID): older}, reports={}))) == []


# What was lost or left over


def test_a_missing_binding_is_put_back_as_it_was() -> None:
    status = make_status(state=TaskState.RUNNING, resources={"cpu": 100})
    (create,) = plan(status=status).intents
    assert isinstance(create, CreateBinding)
    assert (create.binding.binding_uid, create.binding.node, create.binding.epoch) == ("b-1", "n1", 1)
    assert create.binding.grants.resources == {"cpu": 100}


def test_a_missing_binding_is_not_put_back_before_an_older_one_of_its_key_has_ended_and_gone() -> None:
    older = stopped(make_binding(binding_uid="b-0", epoch=0))
    status = make_status(state=TaskState.RUNNING)
    assert plan(status=status, bindings=(older,)).intents == ()
    gone = plan(status=status, bindings=(older,), reports=(("n1", ended(older)),))
    assert gone.intents == (RemoveBinding(older),)
    assert gone.events == ()


def test_a_binding_put_back_after_an_edit_does_not_claim_that_the_new_template_runs() -> None:
    edited = make_task(generation=2, container={"image": "demo:2"})
    (create,) = plan(spec=edited, status=make_status(state=TaskState.RUNNING)).intents
    assert isinstance(create, CreateBinding)
    binding = make_binding(task=edited, template_hash=create.binding.template_hash)
    assert wanted(plan(bound(spec=edited, binding=binding)))[0] == "StopBinding Superseded"


@pytest.mark.parametrize("state", [TaskState.SUCCEEDED, TaskState.FAILED])
def test_a_finished_task_needs_no_binding(state: TaskState) -> None:
    assert wanted(plan(status=make_status(state=state))) == []


def test_a_container_without_binding_is_stopped_unless_the_placement_names_it() -> None:
    report = make_report(make_binding("n2", binding_uid="b-0"), unbound=True)
    found = plan(make_inputs(status=make_status(""), reports=(("n2", report),)))
    (answer,) = found.intents
    assert isinstance(answer, CreateBinding)
    assert (answer.binding.desired, answer.binding.binding_uid) == (Desired.STOP, "b-0")
    named = make_report(make_binding("n1"), unbound=True)
    (answer,) = plan(
        make_inputs(status=make_status(state=TaskState.RUNNING), reports=(("n1", named),))
    ).intents
    assert isinstance(answer, CreateBinding)
    assert answer.binding.desired is Desired.RUN


def test_a_sandbox_is_answered_though_it_is_all_that_is_left_of_a_task() -> None:
    sandbox = ContainerStatus(name="_sandbox", state=ContainerState.STARTING)
    report = make_report(make_binding("n2"), unbound=True, containers=(sandbox,))
    (answer,) = plan(make_inputs(spec=None, reports=(("n2", report),))).intents
    assert isinstance(answer, CreateBinding)
    assert answer.binding.desired is Desired.STOP


def test_a_stray_container_of_a_task_that_is_gone_is_stopped() -> None:
    report = make_report(make_binding("n2"), unbound=True)
    assert wanted(plan(make_inputs(spec=None, reports=(("n2", report),)))) == ["CreateBinding"]


# Carrying a plan out leaves nothing to do

KEYS = Keys()
REF = task_ref("default", "t")


class World:
    """A memory store, and the view over it; `carry_out` is what writer and informer do."""

    def __init__(self, inputs: TaskInputs) -> None:
        self.store = MemoryStore(lambda: NOW)
        self.view, self.nodes = View(KEYS), inputs.nodes
        self._listed: dict[str, Any] = {}
        self._put(KEYS.cluster, Cluster(cluster_uid="c", incarnation=inputs.incarnation).to_json())
        self._put(KEYS.access("default"), {"kind": "AccessToken", "token": "x"})
        if inputs.spec:
            self._put(KEYS.spec(REF), inputs.spec.raw)
        if inputs.status:
            self._put(KEYS.status(REF), inputs.status.raw)
        if inputs.delete:
            self._put(KEYS.request(REF, "delete"), inputs.delete.raw)
        for (node, uid), binding in inputs.bindings.items():
            self._put(KEYS.binding(node, uid), binding.raw)
        for (node, uid), report in inputs.reports.items():
            self._put(KEYS.task_report(node, uid), report.raw)

    def _put(self, key: str, value: dict[str, Any]) -> None:
        self.store.txn(Txn((), (Put(key, encode(value)),)))

    def inputs(self) -> TaskInputs | None:
        found = {kv.key: kv for kv in self.store.list("/berth/").kvs}
        for key in sorted({*found, *self._listed}):
            if self._listed.get(key) != found.get(key):
                self.view.apply(Change(key, self._listed.get(key), found.get(key)))
        self._listed = found
        inputs = InputsOf(self.view).of_task(REF)
        return replace(inputs, nodes=self.nodes) if inputs else None

    def carry_out(self, found: Plan) -> None:
        write = write_of(found, KEYS, self.inputs().status)  # type: ignore[union-attr]
        assert write is not None
        assert self.store.txn(Txn(write.compares, write.ops)).succeeded, "a plan made from what is stored"


HEALTHS = [NodeHealth("n1"), DOWN, LONG_DOWN, STOPPED_AGENT, FENCED]
SPECS = [
    None,
    make_task(),
    make_task(container={"image": "demo:2"}),
    make_task(labels={"a": "b"}),
    make_task(restartPolicy="Never"),
    make_task(**ONE),
    make_task(queue="nowhere"),
    make_task(uid="uid-2"),
]
STATUSES = [
    None,
    make_status(""),
    make_status("n1"),
    make_status("n2", binding_uid="b-2", epoch=2, state=TaskState.RUNNING),
    make_status("n1", state=TaskState.SUCCEEDED),
    make_status("n1", uid="uid-2"),
    make_status("", state=TaskState.LOST),
]


@st.composite
def situations(draw: Any) -> TaskInputs:
    task = draw(st.sampled_from(SPECS))
    frozen = draw(st.sampled_from([spec for spec in SPECS if spec]))
    bindings, reports = [], []
    for node, binding_uid, epoch in (("n1", "b-1", 1), ("n2", "b-2", 2)):
        binding = make_binding(
            node,
            task=frozen,
            binding_uid=binding_uid,
            epoch=epoch,
            incarnation=draw(st.sampled_from([1, 1, 2])),
        )
        reason = draw(st.sampled_from([None, None, *StopReason]))
        binding = stopped(binding, reason) if reason else binding
        if draw(st.booleans()):
            bindings.append(binding)
        if draw(st.booleans()):
            exit_code = draw(st.sampled_from([None, 0, 1]))
            more: dict[str, Any] = {"final": draw(st.booleans()), "unbound": draw(st.booleans())}
            more |= draw(st.sampled_from([{}, {"containers": ()}, {"reason": "HostPortTaken"}]))
            reports.append((node, make_report(binding, exit_code=exit_code, **more)))
    healths = tuple(replace(draw(st.sampled_from(HEALTHS)), name=node) for node in ("n1", "n2"))
    return make_inputs(
        spec=task,
        status=draw(st.sampled_from(STATUSES)),
        delete=draw(st.sampled_from([None, None, make_delete(), make_delete("uid-2")])),
        bindings=tuple(bindings),
        reports=tuple(reports),
        nodes=healths,
        incarnation=draw(st.sampled_from([1, 2])),
    )


ROUNDS = 4  # a stop, its roll-up, a removal: nothing takes longer unless an agent acts


@settings(max_examples=400, deadline=None)
@given(situations())
def test_a_plan_carried_out_leaves_nothing_to_do(situation: TaskInputs) -> None:
    world = World(situation)
    for _ in range(ROUNDS):
        inputs = world.inputs()
        found = plan_task(inputs, NOW) if inputs else None
        if found is None or not found.intents:
            return
        assert plan_task(inputs, NOW) == found, "planning changes nothing by itself"  # type: ignore[arg-type]
        world.carry_out(found)
    raise AssertionError(f"still wants {wanted(found)}" if found else "")


@settings(max_examples=300, deadline=None)
@given(situations())
def test_no_running_copy_is_removed_without_its_agents_or_an_operators_word(situation: TaskInputs) -> None:
    inputs = World(situation).inputs()
    found = plan_task(inputs, NOW) if inputs else None
    for intent in found.intents if found and inputs else ():
        if isinstance(intent, RemoveBinding):
            report = inputs.report_of(intent.binding.value)
            assert report is not None
            assert report.final
        if isinstance(intent, GiveUpBinding):
            assert inputs.health(intent.binding.value.node).fenced


@settings(max_examples=400, deadline=None)
@given(situations())
def test_rebuilding_twice_changes_nothing_more(situation: TaskInputs) -> None:
    world = World(situation)
    inputs = world.inputs()
    found = rebuild_task(inputs) if inputs else None
    if found is None or not found.intents:
        return
    world.carry_out(found)
    after = world.inputs()
    assert after is None or rebuild_task(after).intents == ()
    assert after is None or all(
        each.value.incarnation == after.incarnation for each in after.bindings.values()
    )


def test_removal_takes_everything_of_the_object_with_it() -> None:
    world = World(make_inputs(status=make_status(""), delete=make_delete()))
    world._put(KEYS.applied(REF, "cli"), {})
    inputs = world.inputs()
    assert inputs is not None
    assert wanted(plan(inputs)) == ["RemoveObject"]
    assert RemoveObject() in plan(inputs).intents
    world.carry_out(plan(inputs))
    assert [kv.key for kv in world.store.list("/berth/").kvs] == ["/berth/access/default", "/berth/cluster"]
    assert UID not in str(world.store.list("/berth/").kvs)
