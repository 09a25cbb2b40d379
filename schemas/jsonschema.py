"""JSON Schemas of the kinds, for editors and other tools: made from the models, so that both say the same.

Form: draft 7, which editors know best. An object has no field that the models don't have, quantities and
durations may be strings or numbers, as people write them, and a default is shown in its written form. A schema
says what one document must look like; what depends on other objects (does the queue exist?) is admission's.
"""

from collections.abc import Iterator
from typing import Any

from pydantic.json_schema import GenerateJsonSchema

from schemas.fielddocs import FIELD_DOCS
from schemas.kinddocs import KIND_DOCS
from schemas.kinds import KINDS, Kind, nested_model
from schemas.manifest import STAMPED
from schemas.meta import API_VERSION, DNS_LABEL_SCHEMA, Model, ObjectMeta
from schemas.queue import QUEUE_NAME_SCHEMA

Json = dict[str, Any]  # Any: JSON of any shape

DRAFT = "http://json-schema.org/draft-07/schema#"
ANY = "any"
_REFERENCE = "#/definitions/{model}"
_NAMES = {
    "Namespace": DNS_LABEL_SCHEMA,
    "Queue": QUEUE_NAME_SCHEMA,
}  # kinds with names of a form of their own
_STATUS = {
    "description": "What Berth observed; filled in by Berth, and passed over when applied.",
    "readOnly": True,
}


def schema_files() -> dict[str, Json]:
    """Return name of the file without its ending -> schema: one for each kind, and `any` for all of them."""
    return {**{kind.singular: kind_schema(kind) for kind in KINDS}, ANY: any_schema()}


def kind_schema(kind: Kind) -> Json:
    """Return the schema of one kind, complete in itself."""
    root, definitions = parts_of(kind)
    return {"$schema": DRAFT, "title": kind.name, **root, "definitions": dict(sorted(definitions.items()))}


def any_schema() -> Json:
    """Return the schema of a document of any kind, or of a List of them; the kind decides which one holds."""
    definitions: dict[str, Json] = {}
    for kind in KINDS:
        root, inner = parts_of(kind)
        definitions |= {**inner, kind.name: root}
    choices = [
        {
            "if": {"required": ["kind"], "properties": {"kind": {"const": name}}},
            "then": {"$ref": _REFERENCE.format(model=name)},
        }
        for name in (*(kind.name for kind in KINDS), "List")
    ]
    names = [*(kind.name for kind in KINDS), "List"]
    definitions["List"] = _list_schema()
    definitions["Object"] = {
        "type": "object",
        "required": ["kind"],
        "properties": {"kind": {"enum": names}},
        "allOf": choices,
    }
    title = "Any kind of Berth, or a List of them"
    return {
        "$schema": DRAFT,
        "title": title,
        "allOf": [{"$ref": _REFERENCE.format(model="Object")}],
        "definitions": dict(sorted(definitions.items())),
    }


def _list_schema() -> Json:
    items = {"type": "array", "items": {"$ref": _REFERENCE.format(model="Object")}}
    return {"type": "object", "required": ["kind", "items"], "properties": {"items": items}}


def parts_of(kind: Kind) -> tuple[Json, dict[str, Json]]:
    """Return the schema of the object itself, and name -> schema of what it refers to."""
    raw = kind.model.model_json_schema(ref_template=_REFERENCE, schema_generator=_Generator)
    definitions: dict[str, Json] = raw.pop("$defs", {})
    for name in ("ObjectMeta", "QueueMeta"):
        definitions.pop(name, None)  # the written form is made by _metadata
    models = {model.__name__: model for model in models_below(kind.model)}
    made = {name: _finish(definitions[name], models[name]) for name in definitions}
    root = {**_finish(raw, kind.model), "description": KIND_DOCS[kind.name]}
    meta_name, made_meta = _metadata(kind)
    properties = root["properties"]
    fixed = {
        "apiVersion": {"const": API_VERSION},
        "kind": {"const": kind.name},
        "metadata": {"$ref": _REFERENCE.format(model=meta_name)},
    }
    docs = FIELD_DOCS[kind.name]
    properties |= {name: {"description": docs[name], **schema} for name, schema in fixed.items()}
    properties["status"] = _STATUS
    return root, {**made, meta_name: made_meta}


class _Generator(GenerateJsonSchema):
    """pydantic's own, without the titles that only repeat the names of the fields."""

    def field_title_should_be_set(self, schema: Any) -> bool:
        return False


def models_below(model: type[Model]) -> Iterator[type[Model]]:
    """Yield every model that a field of `model`, or of one below it, holds; each once."""
    waiting, seen = [model], {model}
    while waiting:
        for field in waiting.pop().model_fields.values():
            found = nested_model(field.annotation)
            if found is not None and found not in seen:
                seen.add(found)
                waiting.append(found)
                yield found


def _finish(schema: Json, model: type[Model]) -> Json:
    """Return the schema of one model, closed, and with its defaults as people write them."""
    shown = written_defaults(model)
    properties = {
        name: _with_default({key: value for key, value in each.items() if key != "default"}, shown.get(name))
        for name, each in schema["properties"].items()
    }
    for name, text in FIELD_DOCS.get(model.__name__, {}).items():
        if name in properties:
            properties[name] = {"description": text, **properties[name]}
    kept = {key: value for key, value in schema.items() if key != "title"}
    return {**kept, "properties": properties, "additionalProperties": False}


def _with_default(schema: Json, default: object) -> Json:
    """A default that is null is none: what then holds is in the description. That of a model is in its fields."""
    return schema if default is None or "$ref" in schema else {**schema, "default": default}


def written_defaults(model: type[Model]) -> Json:
    """Return name of a field in JSON -> its default as a person would write it; required ones are left out."""
    shown: Json = model.model_construct().model_dump(mode="json", by_alias=True)
    return shown


def _metadata(kind: Kind) -> tuple[str, Json]:
    """Return name and schema of a kind's metadata: without a namespace where the kind has none."""
    schema = _finish(ObjectMeta.model_json_schema(schema_generator=_Generator), ObjectMeta)
    written = {name: each for name, each in schema["properties"].items() if name not in STAMPED}
    if not kind.namespaced:
        del written["namespace"]
    own_name = _NAMES.get(kind.name)
    if own_name is not None:
        written["name"] = {**written["name"], **own_name}
    stamped = {name: {"description": "Filled in by Berth.", "readOnly": True} for name in sorted(STAMPED)}
    name = f"{kind.name}Meta" if own_name else "ObjectMeta" if kind.namespaced else "ClusterObjectMeta"
    return name, {**schema, "properties": {**written, **stamped}}
