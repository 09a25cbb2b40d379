"""What owners make and keep: tasks, jobs, revisions of templates, lists of ready addresses. Written by the leader.

An owned task is stored as a reference to a kept template plus its few own fields, so that a thousand replicas
cost a thousand small keys; `compose_task` and `compose_job` give the object that people see.
"""

from collections.abc import Mapping
from typing import Any, Literal

from pydantic import Field

from schemas.binding import GrantedPort
from schemas.meta import API_VERSION, Labels, Model

ORPHAN_OF = "berth/orphan-of"  # annotation: kind and name of the owner that left it behind
OWNER_LABEL = "berth/owner"  # kind and name, as in deployment.web: for -l
REVISION_LABEL = "berth/revision"
INDEX_LABEL = "berth/job-index"
INDEX_VARIABLE = "JOB_COMPLETION_INDEX"  # Kubernetes' name of it
UNSCHEDULABLE = (
    "berth/unschedulable"  # what a cordoned node has; who tolerates this key goes there all the same
)


class OwnerReference(Model):
    """Who made an object. An object whose owner is gone goes, too, unless it was orphaned."""

    kind: Literal["Deployment", "DaemonSet", "Job", "CronJob"]
    name: str
    uid: str


class OwnedMeta(Model):
    name: str
    namespace: str
    uid: str
    creation_timestamp: str = ""
    labels: Labels = Field(default_factory=dict)
    annotations: dict[str, str] = Field(default_factory=dict)


class Owned(Model):
    """One task or job that an owner made: which revision of its template, and what is its own.

    `index`: of an Indexed job's task. `nodeName`: of a DaemonSet's task. `scheduledAt`: of a CronJob's job.
    """

    api_version: Literal["berth/v1"] = "berth/v1"
    kind: Literal["Task", "Job"]
    metadata: OwnedMeta
    owner: OwnerReference
    revision: int
    index: int | None = None
    node_name: str | None = None
    scheduled_at: str = ""


class Revision(Model):
    """A kept template: raw JSON as the owner's spec had it (`{"metadata": .., "spec": ..}`), and its hash."""

    kind: Literal["Revision"] = "Revision"
    owner: OwnerReference
    number: int
    hash: str
    template: dict[str, Any]
    created_at: str = ""
    cause: str = ""  # the owner's annotation berth/change-cause, as it was while this was the newest


class Endpoint(Model):
    """A ready task and where it is reached."""

    task: str
    uid: str
    node: str
    ip: str
    ports: tuple[GrantedPort, ...] = ()


class Endpoints(Model):
    """The ready addresses of a Deployment's tasks, by name of the task."""

    kind: Literal["Endpoints"] = "Endpoints"
    owner: OwnerReference
    addresses: tuple[Endpoint, ...] = ()


ENDPOINTS_FILE = "endpoints.json"


def endpoints_copy(deployment: str) -> str:
    """Return the name under which a binding carries the addresses of a deployment; no ConfigMap can have it."""
    return f"endpoints/{deployment}"


def compose_task(owned: Owned, revision: Revision) -> dict[str, Any]:
    """Return the task as a stored spec would be: raw JSON with metadata of its own, and the template's spec."""
    spec = dict(revision.template["spec"])
    if owned.owner.kind == "DaemonSet":
        spec["tolerations"] = [*spec.get("tolerations", ()), {"key": UNSCHEDULABLE, "operator": "Exists"}]
    if owned.node_name is not None:
        spec["nodeName"] = owned.node_name
    if owned.index is not None:
        variable = {"name": INDEX_VARIABLE, "value": str(owned.index)}
        spec["containers"] = [
            {**each, "env": [*each.get("env", ()), variable]} for each in spec.get("containers", ())
        ]
    return _composed(owned, revision, spec)


def compose_job(owned: Owned, revision: Revision) -> dict[str, Any]:
    """Return the job of a CronJob as a stored spec would be."""
    return _composed(owned, revision, dict(revision.template["spec"]))


def composed_metadata(owned: Owned, template: Mapping[str, Any] | None) -> dict[str, Any]:
    """Return the metadata of something owned, as JSON; `template` is that of its revision."""
    own = {
        OWNER_LABEL: f"{owned.owner.kind.lower()}.{owned.owner.name}"[:63].rstrip("-."),
        REVISION_LABEL: str(owned.revision),
        **({INDEX_LABEL: str(owned.index)} if owned.index is not None else {}),
    }
    template = template or {}
    return {
        "name": owned.metadata.name,
        "namespace": owned.metadata.namespace,
        "uid": owned.metadata.uid,
        "creationTimestamp": owned.metadata.creation_timestamp,
        "labels": {**(template.get("labels") or {}), **owned.metadata.labels, **own},
        "annotations": {**(template.get("annotations") or {}), **owned.metadata.annotations},
    }


def _composed(owned: Owned, revision: Revision, spec: dict[str, Any]) -> dict[str, Any]:
    metadata = composed_metadata(owned, revision.template.get("metadata"))
    metadata["ownerReferences"] = [owned.owner.to_json()]
    return {"apiVersion": API_VERSION, "kind": owned.kind, "metadata": metadata, "spec": spec}


def orphaned(composed: Mapping[str, Any]) -> dict[str, Any]:
    """Return the object of its own that something owned becomes: what was composed, without its owner."""
    metadata = {key: value for key, value in composed["metadata"].items() if key != "ownerReferences"}
    labels = metadata["labels"].items()
    left_by = {ORPHAN_OF: metadata["labels"].get(OWNER_LABEL, "")}
    metadata["annotations"] = {**metadata.get("annotations", {}), **left_by}
    metadata["labels"] = {key: value for key, value in labels if key not in (OWNER_LABEL, REVISION_LABEL)}
    return {**composed, "metadata": metadata}
