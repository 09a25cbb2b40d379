"""What the leader writes of owners, for tests that have no leader."""

from typing import Any

from schemas.canonical import canonical_hash
from schemas.keys import ObjectRef
from tests.client.helpers import KEYS, World, make_object, make_task


def make_deployment(name: str = "web", image: str = "berth/demo:1", **spec: Any) -> dict[str, Any]:
    """Return a deployment as a person writes it."""
    return make_object("Deployment", name, template=make_template(image), **spec)


def make_template(image: str = "berth/demo:1") -> dict[str, Any]:
    return {
        "metadata": {"labels": {"app": "web"}},
        "spec": {"containers": [{"name": "main", "image": image}]},
    }


def uid_of(world: World, plural: str, name: str) -> str:
    found = world.json_at(KEYS.spec(ObjectRef(plural, "default", name)))
    return str(found["metadata"]["uid"])


def keep(world: World, name: str, number: int, template: dict[str, Any], cause: str = "") -> dict[str, str]:
    """Write a kept template of a deployment, and return its owner reference."""
    owner = {"kind": "Deployment", "name": name, "uid": uid_of(world, "deployments", name)}
    revision = {
        "kind": "Revision",
        "owner": owner,
        "number": number,
        "hash": canonical_hash(template),
        "template": template,
        "cause": cause,
    }
    world.put(KEYS.revision("default", owner["uid"], number), revision)
    return owner


def make_owned(world: World, owner: dict[str, str], number: int, slot: int) -> ObjectRef:
    """Write one owned task, and return its reference."""
    name = f"{owner['name']}-{number}-{slot}"
    ref = ObjectRef("tasks", "default", name)
    metadata = {"name": name, "namespace": "default", "uid": f"uid-{name}"}
    created = {"creationTimestamp": "2027-01-15T07:30:00Z"}
    owned = {"apiVersion": "berth/v1", "kind": "Task", "metadata": {**metadata, **created}}
    world.put(KEYS.owned(ref), {**owned, "owner": owner, "revision": number})
    return ref


def set_owner_status(world: World, plural: str, name: str, **fields: Any) -> None:
    """Write an owner's status. fields: JSON names."""
    kind = {"deployments": "DeploymentStatus", "daemonsets": "DaemonSetStatus", "jobs": "JobStatus"}[plural]
    ref = ObjectRef(plural, "default", name)
    world.put(KEYS.status(ref), {"kind": kind, "uid": uid_of(world, plural, name), **fields})


__all__ = [
    "keep",
    "make_deployment",
    "make_owned",
    "make_task",
    "make_template",
    "set_owner_status",
    "uid_of",
]
