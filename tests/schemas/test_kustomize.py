"""What kustomize is told of the kinds: complete in itself, and of one mind with the models."""

from collections.abc import Iterator
from typing import Any

from schemas.jsonschema import any_schema
from schemas.kinds import KINDS
from schemas.kustomize import MERGE_KEYS, openapi

PREFIX = "#/definitions/"


def nodes(schema: Any) -> Iterator[dict[str, Any]]:
    """Yield every object below a schema."""
    if isinstance(schema, dict):
        yield schema
    for each in schema.values() if isinstance(schema, dict) else schema if isinstance(schema, list) else ():
        yield from nodes(each)


def lists_of(schema: dict[str, Any]) -> set[tuple[str, str, str]]:
    """Return (name of the field, key, model of the items) of each list that has a key."""
    return {
        (name, field["x-kubernetes-patch-merge-key"], field["items"]["$ref"].removeprefix(f"{PREFIX}berth."))
        for each in nodes(schema)
        for name, field in each.get("properties", {}).items()
        if "x-kubernetes-patch-merge-key" in field
    }


def test_every_reference_leads_somewhere_and_every_kind_is_there() -> None:
    made = openapi()["definitions"]
    assert {each["$ref"].removeprefix(PREFIX) for each in nodes(made) if "$ref" in each} <= made.keys()
    told = [each["x-kubernetes-group-version-kind"] for each in made.values() if len(each) > 2]
    names = sorted(kind.name for kind in KINDS)
    assert told == [[{"group": "berth", "version": "v1", "kind": name}] for name in names]


def test_each_key_is_a_field_that_the_items_must_have() -> None:
    found, models = lists_of(openapi()), any_schema()["definitions"]
    assert {(name, key) for name, key, _ in found} == set(MERGE_KEYS.items())
    for _, key, model in found:
        assert key in models[model]["required"], (
            f"without {key} kustomize could not tell items of {model} apart"
        )
