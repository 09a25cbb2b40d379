"""An object as one document: what is stored, with what etcd, the leader and the agent know of it. Pure."""

from typing import Any

from client.views import ObjectView

Json = dict[str, Any]  # Any: JSON of any shape


def document_of(view: ObjectView) -> Json:
    """Return the stored object with generation, resourceVersion and status; Unreadable ones say why."""
    if not view.raw:
        metadata = {"name": view.name, **({"namespace": view.namespace} if view.namespace else {})}
        shown = {"apiVersion": "berth/v1", "kind": view.kind.name, "metadata": metadata}
        return {**shown, "status": {"reason": "Unreadable", "message": view.error}}
    status = _status(view)
    shown = {**view.raw, "metadata": {**view.raw["metadata"], **_read_fields(view)}}
    return {**shown, "status": status} if status else shown


def _read_fields(view: ObjectView) -> Json:
    """Fields of the metadata that are filled in on read and never stored."""
    fields: Json = {}
    if view.spec_kv is not None:
        fields = {"generation": view.generation, "resourceVersion": str(view.mod_revision)}
    if view.is_terminating and view.request is not None:
        fields["deletionTimestamp"] = view.request.requested_at
        if view.request.grace_s is not None:
            fields["deletionGracePeriodSeconds"] = view.request.grace_s
    return fields


def _status(view: ObjectView) -> Json:
    """As stored; a node's is what its agent reported, with the leader's conditions before its own."""
    status = dict(view.status or {}) if view.status and _is_own(view) else {}
    if view.error:
        status = {"reason": "Unreadable", "message": view.error, **status}
    if view.report is None:
        return status
    report = view.report.to_json()
    told = {each["type"] for each in status.get("conditions", ())}
    conditions = [*status.get("conditions", ()), *(c for c in report["conditions"] if c["type"] not in told)]
    return {**report, **status, "conditions": conditions}


def _is_own(view: ObjectView) -> bool:
    return view.kind.name != "Task" or view.task_status is not None
