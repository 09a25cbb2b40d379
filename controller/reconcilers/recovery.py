"""After history was rewound: rebuild placements from what runs, before anything is bound. Pure.

What the agents report is true; what the store says may be older. For each task the running container with the
highest epoch becomes the placement; every other copy is stopped by the ordinary planner, as a binding that the
placement does not name. Bindings without a container on a node that answers are given up.
"""

from collections.abc import Mapping
from dataclasses import replace

from controller.reconcilers.bindings import new_binding, put_back
from controller.reconcilers.plan import (
    AdoptBinding,
    CreateBinding,
    Intent,
    Plan,
    PutTaskStatus,
    RemoveBinding,
    ReplaceBinding,
)
from controller.reconcilers.task_inputs import Site, TaskInputs, reads_of
from schemas.admission import Admitted
from schemas.binding import Binding, Grants
from schemas.report import NodeReport, TaskReport
from schemas.roles import all_containers
from schemas.state import FINISHED, ContainerState, TaskState
from schemas.status import TaskStatus
from schemas.task import TaskSpec
from schemas.versioned import Versioned


def must_raise(incarnation: int, reports: Mapping[str, NodeReport], *, saw_rewind: bool) -> bool:
    """Say whether history was rewound in this incarnation: seen here, or by an agent that remembers."""
    told = any(report.rewound_from and report.incarnation >= incarnation for report in reports.values())
    return saw_rewind or told


def next_incarnation(incarnation: int, reports: Mapping[str, NodeReport]) -> int:
    """Return one that nobody has lived in: a restored backup may be older than the last raise."""
    return max([incarnation, *(report.incarnation for report in reports.values())]) + 1


def all_reported(incarnation: int, alive: Mapping[str, NodeReport | None]) -> bool:
    """Say whether every node with a heartbeat has reported all its containers in this incarnation."""
    return all(
        report is not None and report.incarnation == incarnation and not report.rewound_from
        for report in alive.values()
    )


def is_of_old_incarnation(inputs: TaskInputs) -> bool:
    """Say whether some binding of the task has not been carried over into the present incarnation."""
    return any(each.value.incarnation != inputs.incarnation for each in inputs.bindings.values())


def rebuild_task(inputs: TaskInputs) -> Plan:
    """Return the intents that make status and bindings of one task agree with what runs."""
    plan = Plan(
        inputs.ref,
        inputs.uid,
        reads_of(inputs),
    )
    kept = None if inputs.is_terminating else _newest_running(inputs)
    intents: list[Intent] = []
    for site, versioned in inputs.bindings.items():
        if kept is None or site != kept[0]:
            intents.extend(_carry_over(inputs, versioned))
    if kept is not None:
        intents.extend(_keep(inputs, *kept))
    elif inputs.own_status is not None and _is_given_up(inputs, inputs.own_status):
        intents.append(PutTaskStatus(_cleared(inputs.own_status)))
    return replace(plan, intents=tuple(intents))


def _newest_running(inputs: TaskInputs) -> tuple[Site, TaskReport] | None:
    found = [
        (report.value.epoch, report.value.binding_uid, site, report.value)
        for site, report in inputs.reports.items()
        if site[1] == inputs.uid
        and report.value.containers
        and not report.value.final
        and _answers(inputs, site[0])
    ]
    if not found:
        return None
    epoch, _, site, report = max(found, key=lambda item: item[:3])
    status = inputs.own_status
    if status is not None and status.node and not _answers(inputs, status.node) and status.epoch > epoch:
        return (
            None  # a newer copy may run where nobody answers: the placement stands, older copies are stopped
        )
    return site, report


def _answers(inputs: TaskInputs, node: str) -> bool:
    return inputs.health(node).down_since is None


def _carry_over(inputs: TaskInputs, versioned: Versioned[Binding]) -> list[Intent]:
    """A binding that is not kept: given up when its node answers and has no such container."""
    binding = versioned.value
    report = inputs.report_of(binding)
    if _answers(inputs, binding.node) and (report is None or not report.containers):
        return [RemoveBinding(versioned)]
    return _adopt(inputs, versioned)


def _adopt(inputs: TaskInputs, versioned: Versioned[Binding]) -> list[Intent]:
    if versioned.value.incarnation == inputs.incarnation:
        return []
    return [AdoptBinding(versioned, inputs.incarnation)]


def _keep(inputs: TaskInputs, site: Site, report: TaskReport) -> list[Intent]:
    """Make the placement name what runs at `site`, and give it a binding of this incarnation."""
    before = inputs.bindings.get(site)
    old = inputs.own_status or TaskStatus(uid=inputs.uid, owner=inputs.owner)
    epoch = max(old.epoch, report.epoch)
    status = old.model_copy(
        update={
            "node": site[0],
            "epoch": epoch,
            "binding_uid": report.binding_uid,
            "state": TaskState.BOUND if old.state in FINISHED else old.state,
            "finished_at": "",
            "ports": report.ports or old.ports,
        }
    )
    put: list[Intent] = [] if status == inputs.own_status else [PutTaskStatus(status)]
    if before is not None and before.value.binding_uid == report.binding_uid:
        return [*put, *_adopt(inputs, before)]
    if not isinstance(inputs.verdict, Admitted):
        return [] if before is None else _adopt(inputs, before)
    grants = Grants(resources=report.grants_resources, ports=report.ports)
    made = new_binding(inputs, inputs.verdict.spec, site[0], report.epoch, report.binding_uid, grants)
    if report.template_hash:  # what runs may be newer than the spec of the backup: then it is replaced
        made = made.model_copy(update={"template_hash": report.template_hash})
    if not _may_run(report, inputs.verdict.spec):
        made = made.model_copy(
            update={"template_hash": ""}
        )  # made from a spec that history forgot: replace it
    has_started = any(each.state is not ContainerState.WAITING for each in report.containers)
    made = put_back(made, has_started=has_started)
    return [*put, CreateBinding(made) if before is None else ReplaceBinding(before, made)]


def _may_run(report: TaskReport, spec: TaskSpec) -> bool:
    """Say whether what runs may be of `spec`; of its template only the images are reported."""
    images = {container.name: container.image for container in all_containers(spec)}
    return all(container.image in ("", images.get(container.name)) for container in report.containers)


def _is_given_up(inputs: TaskInputs, status: TaskStatus) -> bool:
    """The placement names a node that answers and runs nothing of it; a finished task stays finished."""
    if not status.node or status.state in FINISHED:
        return False
    return _answers(inputs, status.node)


def _cleared(status: TaskStatus) -> TaskStatus:
    return status.model_copy(
        update={
            "node": "",
            "binding_uid": "",
            "previous_node": status.node,
            "state": TaskState.PENDING,
            "containers": (),
        }
    )
