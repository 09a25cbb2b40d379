"""Names and labels of containers: with them Docker is the agent's journal.

A container's labels say all that is needed to know it again, to stop it and to describe it when no binding
names it any more. Its name only keeps two creators of one attempt apart: a container is known by labels alone.
"""

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from schemas.binding import Binding, Grants
from schemas.defaults import stop_after_s
from schemas.roles import Role

CLUSTER = "berth.cluster"
NODE = "berth.node"
BINDING_UID = "berth.binding-uid"
_PLAIN = {
    "cluster": CLUSTER,
    "node": NODE,
    "task_uid": "berth.task-uid",
    "binding_uid": BINDING_UID,
    "namespace": "berth.namespace",
    "name": "berth.name",
    "container": "berth.container",
    "stop_signal": "berth.stop-signal",
    "template_hash": "berth.template-hash",
}
_NUMBERS = {"epoch": "berth.epoch", "attempt": "berth.attempt", "failures": "berth.failures"}
_ROLE, _ORDER, _ROUND = "berth.role", "berth.order", "berth.round"
_GRACE = "berth.grace-s"
_STOP_AFTER = "berth.stop-after-s"
_GRANTS = "berth.grants"

SANDBOX = "_sandbox"
"""Name, and role, of the container that holds what a task's containers share; no container of a task can have it."""


class Target(NamedTuple):
    """One container of one binding, whatever its attempt: the place where one operation runs at a time."""

    binding_uid: str
    container: str


@dataclass(frozen=True, slots=True)
class Journal:
    """What a container's labels say. `failures`: ends in a row before this attempt; `grace_s`: seconds;
    `template_hash`: of the template that it was made from; `stop_after_s`: seconds without the store, or infinity.
    `role`: a Role, or SANDBOX; `order`: the place of an init container; `round`: the attempt of the sandbox that
    it runs in."""

    cluster: str
    node: str
    task_uid: str
    binding_uid: str
    namespace: str
    name: str
    container: str
    stop_signal: str
    epoch: int
    attempt: int
    failures: int
    grace_s: float
    grants: Grants = field(default_factory=Grants)
    template_hash: str = ""
    stop_after_s: float = math.inf
    role: str = Role.MAIN
    order: int = 0
    round: int = 0

    @property
    def is_sandbox(self) -> bool:
        return self.role == SANDBOX

    @property
    def target(self) -> Target:
        return Target(self.binding_uid, self.container)

    def same_attempt(self, other: "Journal") -> bool:
        """Say whether both are the same attempt of the same binding in the same cluster on the same node."""
        mine = (self.cluster, self.node, self.binding_uid, self.container, self.attempt)
        return mine == (other.cluster, other.node, other.binding_uid, other.container, other.attempt)


def journal_for(
    binding: Binding,
    *,
    cluster: str,
    container: str,
    stop_signal: str,
    attempt: int,
    failures: int,
    role: str = Role.MAIN,
    order: int = 0,
    round_: int = 0,
) -> Journal:
    """Return what the labels of the next attempt of `container` shall say."""
    return Journal(
        cluster=cluster,
        node=binding.node,
        task_uid=binding.task_uid,
        binding_uid=binding.binding_uid,
        namespace=binding.namespace,
        name=binding.name,
        container=container,
        stop_signal=stop_signal,
        epoch=binding.epoch,
        attempt=attempt,
        failures=failures,
        grace_s=binding.spec.grace,
        grants=binding.grants,
        template_hash=binding.template_hash,
        stop_after_s=stop_after_s(binding.spec),
        role=role,
        order=order,
        round=round_,
    )


def container_name(journal: Journal) -> str:
    """Return the one name of this attempt, as in `berth-web-main-1f0c2a7e-3-0`."""
    uid = journal.task_uid[:8]
    return f"berth-{journal.name}-{journal.container}-{uid}-{journal.epoch}-{journal.attempt}"


def to_labels(journal: Journal) -> dict[str, str]:
    labels = {label: str(getattr(journal, name)) for name, label in (_PLAIN | _NUMBERS).items()}
    grants = json.dumps(journal.grants.to_json(), sort_keys=True, separators=(",", ":"))
    seconds = {_GRACE: repr(journal.grace_s), _STOP_AFTER: repr(journal.stop_after_s)}
    place = {_ROLE: str(journal.role), _ORDER: str(journal.order), _ROUND: str(journal.round)}
    return {**labels, **seconds, **place, _GRANTS: grants}


def from_labels(labels: Mapping[str, str]) -> Journal | None:
    """Return what the labels say, None for a container that no agent made (or whose labels are garbled)."""
    try:
        values: dict[str, Any] = {name: labels[label] for name, label in _PLAIN.items()}
        values |= {name: int(labels[label]) for name, label in _NUMBERS.items()}
        grants = Grants.parse_stored(json.loads(labels[_GRANTS]))
        values |= {"grace_s": float(labels[_GRACE]), "stop_after_s": float(labels[_STOP_AFTER])}
        values["role"] = labels.get(_ROLE, Role.MAIN)  # containers of older agents have none of these three
        values |= {"order": int(labels.get(_ORDER, "0")), "round": int(labels.get(_ROUND, "0"))}
        return Journal(**values, grants=grants)
    except (KeyError, ValueError):  # pydantic's ValidationError is a ValueError
        return None
