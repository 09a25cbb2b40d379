"""What kustomize has to know of Berth's kinds, to put a patch into a list where it belongs: what tells items apart.

Form: the part of OpenAPI that kustomize reads from the file that `openapi: {path: ...}` of a kustomization names.
Without it a patch in the form of a manifest replaces lists as a whole, as in any kind that is not of Kubernetes.
"""

from schemas.jsonschema import Json, parts_of
from schemas.kinds import KINDS
from schemas.meta import API_VERSION

MERGE_KEYS = {
    "containers": "name",
    "initContainers": "name",
    "env": "name",
    "ports": "containerPort",
    "volumes": "name",
    "volumeMounts": "mountPath",
    "imagePullSecrets": "name",
}
"""Field that holds a list -> what tells its items apart, as in Kubernetes; any other list is one value."""

_BEFORE, _AFTER = "#/definitions/", "#/definitions/berth."


def openapi() -> Json:
    """Return the definitions of all kinds."""
    group, version = API_VERSION.split("/")
    found: dict[str, Json] = {}
    for kind in KINDS:
        root, inner = parts_of(kind)
        found |= {f"berth.{name}": _of_object(schema) for name, schema in inner.items()}
        which = {"group": group, "version": version, "kind": kind.name}
        found[f"berth.{kind.name}"] = {**_of_object(root), "x-kubernetes-group-version-kind": [which]}
    return {"definitions": dict(sorted(found.items()))}


def _of_object(schema: Json) -> Json:
    properties = {name: _of_field(name, each) for name, each in schema.get("properties", {}).items()}
    return {"type": "object", "properties": {name: each for name, each in properties.items() if each}}


def _of_field(name: str, schema: Json) -> Json:
    """Return what is to be known of a field, empty where that is nothing."""
    if "$ref" in schema:
        return {"$ref": schema["$ref"].replace(_BEFORE, _AFTER)}
    if "anyOf" in schema:
        return next((found for each in schema["anyOf"] if (found := _of_field(name, each))), {})
    if name not in MERGE_KEYS or schema.get("type") != "array":
        return {}
    keyed = {"x-kubernetes-patch-merge-key": MERGE_KEYS[name], "x-kubernetes-patch-strategy": "merge"}
    return {"type": "array", "items": _of_field("", schema["items"]), **keyed}
