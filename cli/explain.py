"""`berth explain task.spec.containers`: what a field means, its type and default. From the models' own schema."""

import json
from collections.abc import Iterator
from textwrap import wrap
from typing import Annotated, Any

import typer

from cli.session import out
from cli.settings import HELP
from client.errors import NotFound
from client.naming import closest, find_kind
from schemas.jsonschema import kind_schema
from schemas.kinds import Kind
from schemas.meta import API_VERSION

Json = dict[str, Any]  # Any: JSON of any shape
WIDTH = 80


def register(app: typer.Typer, name: str) -> None:
    app.command(name, epilog=HELP)(explain)


def explain(
    field: Annotated[str, typer.Argument(metavar="KIND[.FIELD...]", help="Such as task.spec.containers.")],
    recursive: Annotated[
        bool, typer.Option("--recursive", help="Only the names and types of all fields below.")
    ] = False,
) -> None:
    """Explain a kind or a field: what it means, its type and its default."""
    name, *path = field.strip(".").split(".")
    kind = find_kind(name)
    out("\n".join(explained(kind, path, is_recursive=recursive)))


def explained(kind: Kind, path: list[str], *, is_recursive: bool) -> Iterator[str]:
    """Return lines as kubectl's. Raises NotFound for a field that there is not."""
    schema = kind_schema(kind)
    definitions: dict[str, Json] = schema["definitions"]
    found, is_required = _walk(schema, definitions, kind, path)
    yield f"KIND:     {kind.name}"
    yield f"VERSION:  {API_VERSION}"
    yield ""
    if path:
        yield f"FIELD: {path[-1]} <{_type(found)}>{' -required-' if is_required else ''}"
        yield ""
    yield "DESCRIPTION:"
    model = resolve(found, definitions)
    texts = [found.get("description"), model.get("description")]
    for text in dict.fromkeys(filter(None, texts)):
        yield from _indented(text, 4)
    yield from (f"    {line}" for line in _facts(found))
    if "properties" in model:
        yield ""
        yield "FIELDS:"
        yield from _fields(model, definitions, 2, is_recursive=is_recursive)


def _walk(root: Json, definitions: dict[str, Json], kind: Kind, path: list[str]) -> tuple[Json, bool]:
    current, is_required = root, False
    for index, part in enumerate(path):
        model = resolve(current, definitions)
        fields = {**_of_any_name(model, part), **model.get("properties", {})}
        if part not in fields:
            raise NotFound(_no_field(kind, path[:index], part, list(fields)))
        current, is_required = fields[part], part in model.get("required", ())
    return current, is_required


def _no_field(kind: Kind, above: list[str], part: str, known: list[str]) -> str:
    place = ".".join([kind.singular, *above])
    close = closest(part, known)
    if close:
        return f"{place} has no field {part!r}; did you mean {close}? See: berth explain {place}"
    listed = f"known fields: {', '.join(known)}" if known else "it has no fields"
    return f"{place} has no field {part!r}; {listed}; see: berth explain {place}"


def resolve(schema: Json, definitions: dict[str, Json]) -> Json:
    """Return the model that a field holds, in a list or by itself; the schema as it is for plain values."""
    for option in (schema, schema.get("items"), *_options(schema)):
        if isinstance(option, dict) and "$ref" in option:
            return definitions[option["$ref"].rpartition("/")[2]]
    return schema


def _type(schema: Json) -> str:
    if "$ref" in schema:
        return str(schema["$ref"].rpartition("/")[2])
    if schema.get("type") == "array":
        return f"[]{_type(schema.get('items', {}))}"
    if schema.get("type") == "object" or "additionalProperties" in schema:
        return "map[string]" + (
            "string" if _is_text_map(schema) else "quantity" if "properties" in schema else "any"
        )
    if "enum" in schema or "const" in schema:
        return "string"
    options = [each for each in _options(schema) if each.get("type") != "null"]
    if options:
        return "|".join(dict.fromkeys(map(_type, options)))
    named = schema.get("type", "any")
    return "|".join(named) if isinstance(named, list) else str(named)


def _options(schema: Json) -> list[Json]:
    return [*schema.get("anyOf", ()), *schema.get("allOf", ())]


def _is_text_map(schema: Json) -> bool:
    inner = schema.get("additionalProperties")
    return isinstance(inner, dict) and inner.get("type") == "string"


def _facts(schema: Json) -> Iterator[str]:
    """What may be written, and what holds when nothing is."""
    choices = [value for each in (schema, *schema.get("anyOf", ())) for value in each.get("enum", ())]
    if choices:
        yield "One of: " + ", ".join(json.dumps(value, ensure_ascii=False) for value in choices)
    examples = schema.get("examples")
    if examples:
        yield "For example: " + ", ".join(str(value) for value in examples)
    if schema.get("default") not in (None, "", [], {}):
        yield f"Default: {json.dumps(schema['default'], ensure_ascii=False)}"


def _fields(model: Json, definitions: dict[str, Json], indent: int, *, is_recursive: bool) -> Iterator[str]:
    for name, field in {**model["properties"], **_of_any_name(model, "<name>")}.items():
        required = " -required-" if name in model.get("required", ()) else ""
        yield f"{' ' * indent}{name} <{_type(field)}>{required}"
        below = resolve(field, definitions)
        if is_recursive:
            if "properties" in below and below is not field:
                yield from _fields(below, definitions, indent + 2, is_recursive=True)
            continue
        yield from _indented(field.get("description") or below.get("description") or "", indent + 4)
        yield from (f"{' ' * (indent + 4)}{line}" for line in _facts(field))
        yield ""


def _of_any_name(model: Json, name: str) -> Json:
    """Of a map that knows some names: what holds for `name` if it is another one."""
    others = model.get("additionalProperties")
    return {name: others} if "properties" in model and isinstance(others, dict) else {}


def _indented(text: str, indent: int) -> Iterator[str]:
    yield from wrap(
        " ".join(text.split()), WIDTH, initial_indent=" " * indent, subsequent_indent=" " * indent
    )
