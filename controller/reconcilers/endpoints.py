"""Ready addresses of a Deployment's tasks: what load balancers and other tasks connect to. Pure.

A task is listed while it is ready, is to run, and its node answers. Whatever stops a listed task takes it off the
list in the same transaction, so that nobody is sent to a task that is told to end.
"""

from collections.abc import Collection, Mapping
from itertools import accumulate
from operator import attrgetter
from typing import Any

from controller.reconcilers.owner_inputs import OwnedTask, OwnerInputs
from controller.reconcilers.owner_plan import owner_of
from controller.reconcilers.plan import EventNote, PutEndpoints
from schemas.owned import Endpoint, Endpoints
from schemas.workload import Deployment

MAX_LIST_BYTES = 600_000  # some 2,000 addresses of one port; it is written beside bindings, in etcd's 1.5 MiB


def plan_endpoints(
    inputs: OwnerInputs[Deployment, Any], stopping: Collection[str] = ()
) -> tuple[PutEndpoints, ...]:
    """Return the change of the list, if any; `stopping`: names of tasks that the same plan stops.

    A deployment without ports never has a list.
    """
    before, owner = inputs.endpoints, owner_of(inputs)
    listed = {each.task: each for each in before.value.addresses} if before is not None else {}
    found = _found(inputs, listed, stopping)
    addresses = tuple(sorted(_that_fit(found, listed), key=attrgetter("task")))
    if before is None and not addresses and not _publishes_ports(inputs):
        return ()
    if before is not None and (before.value.owner, before.value.addresses) == (owner, addresses):
        return ()
    return (PutEndpoints(inputs.ref, before, Endpoints(owner=owner, addresses=addresses)),)


def notes_of_list(
    inputs: OwnerInputs[Deployment, Any], changes: tuple[PutEndpoints, ...]
) -> tuple[EventNote, ...]:
    """Tell people when a new list leaves some out."""
    if not changes or sum(map(_size_bytes, changes[0].endpoints.addresses)) < MAX_LIST_BYTES // 2:
        return ()
    ready, listed = sum(task.is_serving for task in inputs.tasks), len(changes[0].endpoints.addresses)
    if ready <= listed:
        return ()
    text = f"its list of addresses is full with {listed} of {ready}; make several deployments of it"
    return (EventNote("Warning", "AddressesLeftOut", text),)


def _found(
    inputs: OwnerInputs[Deployment, Any], listed: Mapping[str, Endpoint], stopping: Collection[str]
) -> list[Endpoint]:
    serving = (task for task in inputs.tasks if task.is_serving and task.ref.name not in stopping)
    found = (endpoint_of(task, listed.get(task.ref.name)) for task in serving)
    return [each for each in found if each is not None]


def _that_fit(found: list[Endpoint], listed: Mapping[str, Endpoint]) -> list[Endpoint]:
    """Return as many as a list may have; those that are on it stay, so that nobody comes and goes for nothing."""
    if sum(map(_size_bytes, found)) <= MAX_LIST_BYTES:
        return found
    in_order = sorted(found, key=lambda each: (each.task not in listed, each.task))
    taken = accumulate(map(_size_bytes, in_order))
    return [each for each, size_bytes in zip(in_order, taken, strict=True) if size_bytes <= MAX_LIST_BYTES]


def _size_bytes(each: Endpoint) -> int:
    """Return what an address takes in the list, a little more rather than less: it is asked of thousands at once."""
    return len(each.task) + len(each.node) + 120 + 150 * len(each.ports)


def endpoint_of(task: OwnedTask, listed: Endpoint | None = None) -> Endpoint | None:
    """Return where a task is reached, None while nobody should be sent there; the very one listed where it is right."""
    if not task.is_serving or task.binding is None or task.status is None:
        return None
    node, ip, ports = task.binding.value.node, task.status.value.host_ip, task.binding.value.grants.ports
    if not ip or not ports:
        return None
    place = (task.uid, node, ip, ports)
    if listed is not None and (listed.uid, listed.node, listed.ip, listed.ports) == place:
        return listed
    return Endpoint(task=task.ref.name, uid=task.uid, node=node, ip=ip, ports=ports)


def _publishes_ports(inputs: OwnerInputs[Deployment, Any]) -> bool:
    if inputs.spec is None:
        return False
    spec = inputs.spec.value.spec.template.spec
    return any(container.ports for container in (*spec.containers, *spec.init_containers))
