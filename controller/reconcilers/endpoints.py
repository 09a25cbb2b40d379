"""Ready addresses of a Deployment's tasks: what load balancers and other tasks connect to. Pure.

A task is listed while it is ready, is to run, and its node answers. Whatever stops a listed task takes it off the
list in the same transaction, so that nobody is sent to a task that is told to end.
"""

from collections.abc import Collection
from typing import Any

from controller.reconcilers.owner_inputs import OwnedTask, OwnerInputs
from controller.reconcilers.owner_plan import owner_of
from controller.reconcilers.plan import PutEndpoints
from schemas.binding import Desired
from schemas.owned import Endpoint, Endpoints
from schemas.workload import Deployment


def plan_endpoints(
    inputs: OwnerInputs[Deployment, Any], stopping: Collection[str] = ()
) -> tuple[PutEndpoints, ...]:
    """Return the change of the list, if any; `stopping`: names of tasks that the same plan stops.

    A deployment without ports never has a list.
    """
    found = (endpoint_of(task) for task in inputs.tasks if task.ref.name not in stopping)
    addresses = tuple(sorted((each for each in found if each is not None), key=lambda each: each.task))
    if inputs.endpoints is None and not addresses and not _publishes_ports(inputs):
        return ()
    endpoints = Endpoints(owner=owner_of(inputs), addresses=addresses)
    if inputs.endpoints is not None and inputs.endpoints.value == endpoints:
        return ()
    return (PutEndpoints(inputs.ref, inputs.endpoints, endpoints),)


def endpoint_of(task: OwnedTask) -> Endpoint | None:
    """Return where a task is reached, None while nobody should be sent there."""
    if not is_serving(task) or task.binding is None or task.status is None:
        return None
    ip, ports = task.status.value.host_ip, task.binding.value.grants.ports
    if not ip or not ports:
        return None
    return Endpoint(task=task.ref.name, uid=task.uid, node=task.binding.value.node, ip=ip, ports=ports)


def is_serving(task: OwnedTask) -> bool:
    """Say whether it is ready and nobody asked it to stop."""
    if task.ready_at is None or task.is_leaving or not task.node_is_up:
        return False
    return task.binding is not None and task.binding.value.desired is Desired.RUN


def _publishes_ports(inputs: OwnerInputs[Deployment, Any]) -> bool:
    if inputs.spec is None:
        return False
    spec = inputs.spec.value.spec.template.spec
    return any(container.ports for container in (*spec.containers, *spec.init_containers))
