"""What the leader says about a DaemonSet. Pure. The counts are of nodes, after the plan, as in Kubernetes."""

from collections.abc import Mapping
from dataclasses import dataclass

from controller.reconcilers.owner_inputs import OwnerInputs
from controller.reconcilers.owner_plan import thawed, with_condition, without_condition
from controller.reconcilers.revisions import Template
from controller.reconcilers.rollout import Replica
from schemas.meta import Condition
from schemas.workload import DaemonSet
from schemas.workload_status import DaemonSetStatus


@dataclass(frozen=True, slots=True)
class Tally:
    """fitting: nodes that should have a task. kept: node -> its task. created: nodes that get one."""

    fitting: frozenset[str]
    kept: Mapping[str, Replica]
    created: frozenset[str]


def next_status(
    inputs: OwnerInputs[DaemonSet, DaemonSetStatus],
    template: Template,
    tally: Tally,
    max_unavailable: int,
    now: float,
) -> DaemonSetStatus:
    """Return the status after the plan."""
    assert inputs.spec is not None
    old = inputs.own_status or DaemonSetStatus(uid=inputs.uid)
    there = [tally.kept[node] for node in tally.fitting if node in tally.kept]
    new = sum(each.is_new for each in there) + len(tally.created)
    status = old.model_copy(
        update={
            "observed_generation": inputs.spec.generation,
            "desired": len(tally.fitting),
            "current": len(there) + len(tally.created),
            "ready": sum(each.is_ready for each in there),
            "updated": new,
            "available": sum(each.is_available for each in there),
            "misscheduled": sum(node not in tally.fitting for node in tally.kept),
            "revision": old.revision if inputs.denied and template.is_new else template.number,
        }
    )
    conditions = with_condition(thawed(old.conditions), _available(status, max_unavailable), now)
    conditions = with_condition(conditions, _progressing(status), now)
    if inputs.denied:
        message = "; ".join(inputs.denied)
        denied = Condition(type="ReplicaFailure", status="True", reason="Denied", message=message)
        conditions = with_condition(conditions, denied, now)
    else:
        conditions = without_condition(conditions, "ReplicaFailure")
    return status.model_copy(update={"conditions": conditions})


def _available(status: DaemonSetStatus, max_unavailable: int) -> Condition:
    least = max(status.desired - max_unavailable, 0)
    enough = status.available >= least
    return Condition(
        type="Available",
        status="True" if enough else "False",
        reason="MinimumReplicasAvailable" if enough else "MinimumReplicasUnavailable",
        message=f"available on {status.available} of {status.desired} nodes; at least {least} must be",
    )


def _progressing(status: DaemonSetStatus) -> Condition:
    if status.updated == status.available == status.desired:
        text = f"revision {status.revision} is rolled out"
        return Condition(type="Progressing", status="True", reason="NewRevisionAvailable", message=text)
    text = f"revision {status.revision}: on {status.updated} of {status.desired} nodes"
    return Condition(type="Progressing", status="True", reason="RollingOut", message=text)
