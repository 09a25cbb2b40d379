"""Objects as JSON, YAML and names. What is stored, with what etcd and the leader know of it merged in. Pure."""

import json
from collections.abc import Sequence
from enum import StrEnum
from typing import Any

from client.diff import to_yaml
from client.errors import BadOption
from client.views import ObjectView

Json = dict[str, Any]  # Any: JSON of any shape


class Output(StrEnum):
    TABLE = ""
    WIDE = "wide"
    JSON = "json"
    YAML = "yaml"
    NAME = "name"


def parse_output(text: str) -> Output:
    """Return the form of output that `-o` names. Raises BadOption."""
    try:
        return Output(text)
    except ValueError:
        known = ", ".join(each for each in Output if each)
        raise BadOption(f"-o {text!r} is no form of output; known: {known}") from None


def to_json(view: ObjectView) -> Json:
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


def as_list(items: Sequence[Json]) -> Json:
    return {"apiVersion": "berth/v1", "kind": "List", "items": list(items)}


def format_data(value: Json, output: Output) -> str:
    """Return JSON or YAML, ending in a line break."""
    if output is Output.YAML:
        return to_yaml(value)
    return json.dumps(value, indent=4, ensure_ascii=False) + "\n"
