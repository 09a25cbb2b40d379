"""The planner of DaemonSets: one task on every node that fits, cordoned ones included. Pure.

A node fits by its labels and taints; a task that finds no room there waits and says so. A node has one task at a
time: the next comes when nothing of the one before runs on it.
"""

from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, replace
from typing import TypeAlias

from controller.reconcilers.daemonset_status import Tally, next_status
from controller.reconcilers.freezing import frozen_plan
from controller.reconcilers.owner_ending import plan_owner_ending
from controller.reconcilers.owner_inputs import MAX_OWNED_A_PLAN, OwnedTask, OwnerInputs
from controller.reconcilers.owner_plan import (
    UsedNames,
    empty_plan,
    free_name,
    outdated_requests,
    owner_of,
    removal_of,
    task_named,
)
from controller.reconcilers.plan import CreateOwned, EventNote, Intent, Plan, PutOwnerStatus, RemoveOwned
from controller.reconcilers.plan_size import removals_that_fit, template_bytes
from controller.reconcilers.revisions import (
    Template,
    hash_of,
    keep_template,
    template_of,
    told_cause,
    trim_revisions,
)
from controller.reconcilers.rollout import Replica, replica_of
from controller.reconcilers.shapes import place_of
from controller.scheduler.filters import tolerated
from controller.scheduler.node_view import NodeView
from controller.scheduler.shape import NODE, Place
from schemas.binding import StopReason
from schemas.owned import UNSCHEDULABLE
from schemas.selector import share_of
from schemas.task import TaskSpec, Toleration
from schemas.workload import DaemonSet, DaemonSetRollingUpdate, DaemonSetSpec
from schemas.workload_status import DaemonSetStatus

DaemonSetInputs: TypeAlias = OwnerInputs[DaemonSet, DaemonSetStatus]

_TOLERATES_CORDON = Toleration(key=UNSCHEDULABLE, operator="Exists")


@dataclass(frozen=True, slots=True)
class _Site:
    """One node: the task that it keeps, those that are too many, and whether anything there is over or ending."""

    kept: Replica | None
    too_many: tuple[Replica, ...]
    is_busy: bool


def plan_daemonset(inputs: DaemonSetInputs, now: float) -> Plan:
    """Return what should happen next about one daemonset."""
    if inputs.is_terminating:
        return plan_owner_ending(inputs, now)
    if inputs.unreadable:
        return frozen_plan(inputs, inputs.own_status or DaemonSetStatus(uid=inputs.uid), now)
    assert inputs.spec is not None
    spec, template = inputs.spec.value.spec, template_of(inputs)
    fitting, tolerable = _nodes(inputs, spec.template.spec)
    sites = _sites(inputs, template, now)
    removals = _removals(inputs, spec, sites, fitting, tolerable)
    removals = removals[: _that_fit(inputs, template, removals)]
    gone = {removal.ref.name for removal in removals}
    free = [node for node in fitting if _is_free(sites.get(node), gone)]
    creations = _creations(inputs, template, free)[: MAX_OWNED_A_PLAN - len(removals)]
    kept = {
        node: site.kept for node, site in sites.items() if site.kept and site.kept.task.ref.name not in gone
    }
    return _complete_plan(inputs, template, _Outcome(fitting, kept, removals, creations), now)


def _that_fit(inputs: DaemonSetInputs, template: Template, removals: list[RemoveOwned]) -> int:
    """Return how many of them go into one transaction, beside the template where that is kept now."""
    keeps = (template.is_new and not inputs.denied) or bool(told_cause(inputs, template))
    beside_bytes = template_bytes(inputs) if keeps and removals else 0
    return removals_that_fit(removals, beside_bytes=beside_bytes, least=0 if keeps else 1)


@dataclass(frozen=True, slots=True)
class _Outcome:
    """fitting: nodes that should have a task. kept: node -> the task that it keeps after this plan."""

    fitting: frozenset[str]
    kept: Mapping[str, Replica]
    removals: list[RemoveOwned]
    creations: list[CreateOwned]


def _complete_plan(inputs: DaemonSetInputs, template: Template, outcome: _Outcome, now: float) -> Plan:
    assert inputs.spec is not None
    spec = inputs.spec.value.spec
    creates_nothing = bool(inputs.denied) and template.is_new
    tally = Tally(
        outcome.fitting, outcome.kept, frozenset(each.node_name or "" for each in outcome.creations)
    )
    status = next_status(inputs, template, tally, max_unavailable(spec, len(outcome.fitting)), now)
    gone = {removal.ref.name for removal in outcome.removals}
    owned = (task.owned for task in inputs.tasks if task.ref.name not in gone)
    needed = {each.value.revision for each in owned if each is not None} | {template.number, status.revision}
    coming = () if creates_nothing else keep_template(inputs, template)
    intents: list[Intent] = [
        *outdated_requests(inputs),
        *coming,
        *told_cause(inputs, template),
        *outcome.removals,
        *outcome.creations,
        *trim_revisions(inputs, needed, spec.revision_history_limit, coming),
    ]
    if status != inputs.own_status:
        intents.append(PutOwnerStatus(status))
    ready = (each for each in outcome.kept.values() if each.is_ready and not each.is_available)
    times = [each.task.ready_at + spec.min_ready_seconds for each in ready if each.task.ready_at is not None]
    return replace(
        empty_plan(inputs),
        intents=tuple(intents),
        events=_notes(inputs, outcome, status),
        requeue_at=min((time for time in times if time > now), default=None),
    )


def _nodes(inputs: DaemonSetInputs, spec: TaskSpec) -> tuple[frozenset[str], frozenset[str]]:
    """Return the nodes that should have a task, and those besides on which one may stay.

    One that came before a taint stays, as NoSchedule only keeps new ones away; so it does where the node can't be read.
    """
    place = place_of_each(spec)
    fitting = {node.name for node in inputs.nodes if node_fits(place, node)}
    tolerable = {node.name for node in inputs.nodes if node.name in fitting or _may_stay(place, node)}
    return frozenset(fitting), frozenset(tolerable)


def place_of_each(spec: TaskSpec) -> Place:
    """Return where tasks of a template belong; a cordon keeps none of them away."""
    return place_of(spec.model_copy(update={"tolerations": (*spec.tolerations, _TOLERATES_CORDON)}))


def node_fits(place: Place, node: NodeView) -> bool:
    """Say whether a node should have a task of this template: labels and taints, neither room nor cordon."""
    hard = (taint for taint in node.taints if taint.effect != "PreferNoSchedule")
    tolerates = all(tolerated(place.tolerations, taint) for taint in hard)
    return node.readable and tolerates and _matches(place, node)


def _may_stay(place: Place, node: NodeView) -> bool:
    return not node.readable or _matches(place, node)


def _matches(place: Place, node: NodeView) -> bool:
    labels = {**node.labels, NODE: node.name}
    selected = all(labels.get(key) == value for key, value in place.selector)
    terms = (all(each.matches(labels) for each in term) for term in place.affinity)
    return selected and (not place.affinity or any(terms))


def _sites(inputs: DaemonSetInputs, template: Template, now: float) -> dict[str, _Site]:
    """Return node name -> what this daemonset has there. Of two tasks on a node the older stays."""
    assert inputs.spec is not None
    by_node: defaultdict[str, list[OwnedTask]] = defaultdict(list)
    for task in inputs.tasks:
        by_node[node_of(task)].append(task)
    min_ready_s = inputs.spec.value.spec.min_ready_seconds
    found = {}
    for node, tasks in by_node.items():
        replicas = [
            replica_of(task, is_new=hash_of(inputs, task) == template.hash, min_ready_s=min_ready_s, now=now)
            for task in sorted(tasks, key=_age)
            if not _is_over(task) and not task.is_leaving
        ]
        is_busy = any(task.is_leaving or _is_over(task) for task in tasks)
        found[node] = _Site(replicas[0] if replicas else None, tuple(replicas[1:]), is_busy)
    return found


def node_of(task: OwnedTask) -> str:
    """Return the node of a task, also of one whose key is gone; empty if nothing says."""
    if task.owned is not None:
        return task.owned.value.node_name or ""
    if task.binding is not None:
        return task.binding.value.node
    return task.status.value.node if task.status is not None else ""


def _age(task: OwnedTask) -> tuple[int, str]:
    return (task.owned.create_revision if task.owned is not None else 0, task.ref.name)


def _is_over(task: OwnedTask) -> bool:
    """Finished by itself or lost, or deleted by a person and ended."""
    return task.has_ended if task.is_deleted else task.is_finished


def _removals(
    inputs: DaemonSetInputs,
    spec: DaemonSetSpec,
    sites: Mapping[str, _Site],
    fitting: frozenset[str],
    tolerable: frozenset[str],
) -> list[RemoveOwned]:
    """Tasks that are over, on nodes that fit no more, one too many on a node, and old ones as the bound allows."""
    over = [task for task in inputs.tasks if task.owned is not None and _is_over(task)]
    removals = [removal_of(task, StopReason.DELETED, "") for task in over]
    for node, site in sorted(sites.items()):
        everything = ((site.kept,) if site.kept else ()) + site.too_many
        if node not in fitting and node not in tolerable:
            removals += _removed(everything, f"node {node} does not fit {inputs.ref} any more")
        else:
            removals += _removed(site.too_many, f"another task of {inputs.ref} is on node {node}")
    if spec.update_strategy.type == "RollingUpdate" and not inputs.denied:
        outdated = _outdated(spec, sites, fitting)
        removals += [
            removal_of(each.task, StopReason.SUPERSEDED, "a newer revision takes its place")
            for each in outdated
        ]
    return removals


def _removed(replicas: Iterable[Replica], why: str) -> list[RemoveOwned]:
    return [removal_of(each.task, StopReason.DELETED, why) for each in replicas]


def _outdated(spec: DaemonSetSpec, sites: Mapping[str, _Site], fitting: frozenset[str]) -> list[Replica]:
    """Old tasks that may go now: all that are not available, and of the others as many as the bound allows."""
    kept = {node: sites[node].kept for node in sorted(fitting) if node in sites}
    old = [each for each in kept.values() if each is not None and not each.is_new]
    idle = [each for each in old if not each.is_available]
    unavailable = len(fitting) - sum(each is not None and each.is_available for each in kept.values())
    spare = max(max_unavailable(spec, len(fitting)) - unavailable, 0)
    return [*idle, *[each for each in old if each.is_available][:spare]]


def max_unavailable(spec: DaemonSetSpec, wanted: int) -> int:
    """Percent rounds up, as in Kubernetes: a daemonset has no surge, so at least one must go."""
    rolling = spec.update_strategy.rolling_update or DaemonSetRollingUpdate()
    return share_of(rolling.max_unavailable, wanted, round_up=True)


def _is_free(site: _Site | None, gone: set[str]) -> bool:
    """Say whether a node may get a task now: it has none, none is ending there, and none is told to by this plan."""
    if site is None:
        return True
    return site.kept is None and not site.too_many and not site.is_busy


def _creations(inputs: DaemonSetInputs, template: Template, nodes: Collection[str]) -> list[CreateOwned]:
    if inputs.denied or not nodes:
        return []
    used, owner, made = UsedNames(inputs), owner_of(inputs), []
    for node in sorted(nodes):
        name = free_name(inputs.ref.name, f"{template.number}-{node}", used)
        used.add(name)
        made.append(CreateOwned(task_named(inputs, name), owner, template.number, node_name=node))
    return made


def _notes(inputs: DaemonSetInputs, outcome: _Outcome, status: DaemonSetStatus) -> tuple[EventNote, ...]:
    notes = []
    for verb, nodes in (
        ("made", [each.node_name or "" for each in outcome.creations]),
        ("removed", [each.owned.value.node_name or "" for each in outcome.removals]),
    ):
        if nodes:
            what = "1 task" if len(nodes) == 1 else f"{len(nodes)} tasks"
            shown = ", ".join(nodes[:3]) + (", ..." if len(nodes) > 3 else "")
            reason = "ScaledUp" if verb == "made" else "ScaledDown"
            notes.append(EventNote("Normal", reason, f"{verb} {what}, on {shown}"))
    old = inputs.own_status.conditions if inputs.own_status else ()
    for condition in status.conditions:
        if condition.type == "ReplicaFailure" and condition not in old:
            notes.append(EventNote("Warning", "Denied", condition.message))
    return tuple(notes)
