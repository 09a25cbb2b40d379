"""Manifests: YAML or JSON documents as people write them, to checked objects.

Every document is checked before any is used, so that one bad document changes nothing. Bounded: YAML aliases
can't blow up, files and objects have a size limit. Reading files is the caller's; this module takes bytes.
"""

import difflib
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

import yaml
from pydantic import ValidationError

from schemas.canonical import canonical_json
from schemas.errors import InvalidManifest, Problem, SchemaError
from schemas.keys import ObjectRef
from schemas.kinds import BY_NAME, Kind, WrittenObject, nested_model
from schemas.lines import locate
from schemas.meta import API_VERSION, CLUSTER_NAMESPACE, Model, check_dns_label

MAX_FILE_BYTES = 16 * 2**20  # a folder of 1,000 objects is under 1 MiB
MAX_OBJECT_BYTES = 2**20  # etcd takes 1.5 MiB a request; the rest is for the envelope
MAX_SHOWN = 80  # characters of a wrong value that a message repeats
MAX_YAML_DEPTH = 200  # levels; libyaml's composer recurses in C and ends the process at some thousands
MAX_YAML_NODES = 200_000  # after aliases are followed: an alias bomb has billions

_NAMES_OF_THE_FIELD = {
    "terminationGracePeriodSeconds": "grace",
    "schedulerName": "queue",
    "activeDeadlineSeconds": "",
    "podFailurePolicy": "failurePolicy",
    "onPodConditions": "onOOMKilled",
}

STAMPED = frozenset(
    {
        "uid",
        "creationTimestamp",
        "generation",
        "resourceVersion",
        "deletionTimestamp",
        "deletionGracePeriodSeconds",
        "ownerReferences",
    }
)
"""Fields of the metadata that Berth fills in; what a person writes there is passed over."""


@dataclass(frozen=True, slots=True)
class Document:
    """One checked object: as written (`raw`, with its namespace filled in), as parsed, and where it stood."""

    kind: Kind
    ref: ObjectRef
    raw: dict[str, Any]
    parsed: WrittenObject
    source: str


class _Loader(getattr(yaml, "CSafeLoader", yaml.SafeLoader)):  # type: ignore[misc]
    """Safe loader that keeps dates as text, as JSON would."""


_Loader.yaml_implicit_resolvers = {
    first: [(tag, regexp) for tag, regexp in resolvers if tag != "tag:yaml.org,2002:timestamp"]
    for first, resolvers in yaml.SafeLoader.yaml_implicit_resolvers.items()
}


def load(sources: Iterable[tuple[str, bytes]], *, default_namespace: str) -> tuple[Document, ...]:
    """Parse and check (name, content) pairs; kind List is unfolded.

    Raises InvalidManifest with every problem found.
    """
    documents: list[Document] = []
    problems: list[Problem] = []
    kept = tuple(sources)
    for source, content in kept:
        try:
            for place, raw in _parse(source, content):
                for item_place, item in _unfold_list(place, raw):
                    match check_object(item, item_place, default_namespace):
                        case Document() as document:
                            documents.append(document)
                        case found:
                            problems.extend(found)
        except InvalidManifest as error:
            problems.extend(error.problems)
    problems.extend(_duplicates(documents))
    if problems:
        raise InvalidManifest(locate(problems, dict(kept)))
    return tuple(documents)


def _fail(source: str, message: str) -> InvalidManifest:
    return InvalidManifest((Problem(source, "", "", message),))


def _parse(source: str, content: bytes) -> Iterator[tuple[str, object]]:
    """Yield (file:line, value) of each document that is not empty."""
    if len(content) > MAX_FILE_BYTES:
        raise _fail(source, f"is {len(content)} bytes; a manifest file may have {MAX_FILE_BYTES}")
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise _fail(source, f"is not UTF-8 (byte {error.start}); save it as UTF-8") from None
    try:
        _check_depth(source, text)
        loader = _Loader(text)
        while loader.check_node():
            node = loader.get_node()
            place = f"{source}:{node.start_mark.line + 1}"
            _check_nodes(place, node)
            value = _value_of(node, loader)
            if value is not None:
                yield place, value
    except InvalidManifest:
        raise
    except RecursionError:
        raise _fail(source, "is nested too deeply") from None
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        line = f":{mark.line + 1}" if mark else ""
        raise _fail(source + line, f"is not valid YAML: {error.problem or error.context}") from None
    except (yaml.YAMLError, ValueError) as error:
        raise _fail(source, f"is not valid YAML: {error}") from None


_INDICATORS = re.compile(r"^[ \t?:-]*", re.MULTILINE)


def _check_depth(source: str, text: str) -> None:
    """Refuse deep nesting before anything recurses. Each level takes a bracket or a column of indentation,
    so most texts need no closer look; the parser of events itself does not recurse."""
    brackets = text.count("[") + text.count("{")
    if brackets + max(map(len, _INDICATORS.findall(text))) <= MAX_YAML_DEPTH:
        return
    depth = 0
    for event in yaml.parse(text, Loader=_Loader):
        if isinstance(event, yaml.CollectionStartEvent):
            depth += 1
        elif isinstance(event, yaml.CollectionEndEvent):
            depth -= 1
        if depth > MAX_YAML_DEPTH:
            raise _fail(source, f"is nested too deeply; at most {MAX_YAML_DEPTH} levels")


def _check_nodes(place: str, root: yaml.Node) -> None:
    """Refuse duplicate keys, aliases that contain themselves, and aliases that unfold to too much."""
    sizes: dict[int, int] = {}
    open_nodes: set[int] = set()

    def size(node: yaml.Node) -> int:
        if isinstance(node, yaml.ScalarNode):
            return 1
        identity = id(node)
        if identity in open_nodes:
            raise _fail(place, "an alias contains itself")
        if identity not in sizes:
            open_nodes.add(identity)
            sizes[identity] = 1 + sum(size(child) for child in _children(place, node))
            open_nodes.discard(identity)
        return sizes[identity]

    if size(root) > MAX_YAML_NODES:
        raise _fail(place, f"unfolds to more than {MAX_YAML_NODES} values; are there nested aliases?")


_TEXT, _MERGE = "tag:yaml.org,2002:str", "tag:yaml.org,2002:merge"
_MAP, _LIST = "tag:yaml.org,2002:map", "tag:yaml.org,2002:seq"


class _NeedsConstructor(Exception):
    """A node that only the YAML library itself can make a value of: a merge, or a tag of its own."""


def _value_of(root: yaml.Node, loader: Any) -> object:
    """Return the value of a checked document; plain maps, lists and texts by ourselves, which is what it mostly is.

    The library's own constructor works with a generator for each collection and takes several times as long.
    """
    try:
        value = _plain_value(root, loader, {})
        loader.constructed_objects = {}  # it remembers every scalar that it was asked about
        return value
    except _NeedsConstructor:
        return loader.construct_document(root)


def _plain_value(node: yaml.Node, loader: Any, known: dict[int, object]) -> object:
    """`known`: id of a collection's node -> its value, which all aliases of it share."""
    if isinstance(node, yaml.ScalarNode):
        return node.value if node.tag == _TEXT else loader.construct_object(node)
    if id(node) in known:
        return known[id(node)]
    value: object
    if node.tag == _MAP and not any(key.tag == _MERGE for key, _ in node.value):
        value = {key.value: _plain_value(inner, loader, known) for key, inner in node.value}
    elif node.tag == _LIST:
        value = [_plain_value(inner, loader, known) for inner in node.value]
    else:
        raise _NeedsConstructor
    known[id(node)] = value
    return value


_KEY_TAGS = ("tag:yaml.org,2002:str", "tag:yaml.org,2002:merge")


def _children(place: str, node: yaml.Node) -> Iterator[yaml.Node]:
    if isinstance(node, yaml.SequenceNode):
        yield from node.value
        return
    seen: set[str] = set()
    for key, value in node.value:
        where = f"{place.rpartition(':')[0]}:{key.start_mark.line + 1}"
        if not isinstance(key, yaml.ScalarNode) or key.tag not in _KEY_TAGS:
            raise _fail(where, f"key {getattr(key, 'value', '')!r} is not text; put it in quotes")
        if key.value in seen and key.value != "<<":
            raise _fail(where, f"key {key.value!r} appears twice")
        seen.add(key.value)
        yield key
        yield value


def _unfold_list(place: str, raw: object) -> Iterator[tuple[str, object]]:
    if isinstance(raw, dict) and raw.get("kind") == "List" and isinstance(raw.get("items"), list):
        for index, item in enumerate(raw["items"]):
            yield f"{place} items[{index}]", item
    else:
        yield place, raw


def check_object(raw: object, source: str, default_namespace: str) -> "Document | tuple[Problem, ...]":
    """Check one object as a person wrote it; a tuple of problems when it is wrong."""

    def problem(message: str, field: str = "", subject: str = "") -> tuple[Problem, ...]:
        return (Problem(source, subject, field, message),)

    if not isinstance(raw, dict):
        return problem("is not an object; write apiVersion, kind, metadata, spec")
    kind = BY_NAME.get(str(raw.get("kind")))
    if kind is None:
        return problem(_unknown_kind(raw))
    subject = _subject(kind, raw)
    raw = _without_stamped(raw)
    if raw.get("apiVersion") != API_VERSION:
        return problem(f"must be {API_VERSION}, not {raw.get('apiVersion')!r}", "apiVersion", subject)
    try:
        size = len(canonical_json(raw))
        parsed = kind.model.parse_written(raw)
        ref, identified = _identify(kind, raw, default_namespace)
        if kind.namespaced:
            metadata = parsed.metadata.model_copy(update={"namespace": ref.namespace})
            parsed = parsed.model_copy(update={"metadata": metadata})
        raw = identified
    except ValidationError as error:
        return tuple(_validation_problems(kind.model, error, source, subject))
    except (SchemaError, TypeError, ValueError) as error:
        return problem(str(error), subject=subject)
    if size > MAX_OBJECT_BYTES:
        return problem(f"is {size} bytes; an object may have {MAX_OBJECT_BYTES}", subject=subject)
    return Document(kind, ref, raw, parsed, source)


def _validation_problems(
    model: type[Model], error: ValidationError, source: str, subject: str
) -> Iterator[Problem]:
    """One problem per field; "too short" says nothing where the items themselves are wrong."""
    details = error.errors(include_url=False)
    locations = [detail["loc"] for detail in details]
    for detail in details:
        here = detail["loc"]
        inner = any(len(other) > len(here) and other[: len(here)] == here for other in locations)
        if not (detail["type"] == "too_short" and inner):
            yield Problem(source, subject, _path(here), _explain(model, detail))


def _unknown_kind(raw: dict[str, Any]) -> str:
    written = raw.get("kind")
    if written is None:
        return "has no kind; write for example kind: Task"
    close = difflib.get_close_matches(str(written), BY_NAME, n=1)
    hint = f"did you mean {close[0]}?" if close else f"known kinds: {', '.join(BY_NAME)}"
    return f"unknown kind {written!r}; {hint}"


def _without_stamped(raw: dict[str, Any]) -> dict[str, Any]:
    """Take out what Berth adds when it shows an object, so that `get -o yaml` can be edited and applied."""
    metadata = raw.get("metadata")
    if isinstance(metadata, dict):
        metadata = {key: value for key, value in metadata.items() if key not in STAMPED}
    kept = {key: value for key, value in raw.items() if key != "status"}
    return {**kept, "metadata": metadata} if "metadata" in raw else kept


def _subject(kind: Kind, raw: dict[str, Any]) -> str:
    metadata = raw.get("metadata")
    name = metadata.get("name") if isinstance(metadata, dict) else None
    return f"{kind.singular}/{name}" if name else kind.singular


def _identify(kind: Kind, raw: dict[str, Any], default_namespace: str) -> tuple[ObjectRef, dict[str, Any]]:
    """Return the reference and the object with its namespace filled in (or taken out, where none belongs)."""
    metadata = dict(raw["metadata"])
    if not kind.namespaced:
        if metadata.get("namespace"):
            raise SchemaError(f"kind {kind.name} has no namespace; remove metadata.namespace")
        metadata.pop("namespace", None)
        ref = ObjectRef(kind.plural, CLUSTER_NAMESPACE, metadata["name"])
    else:
        metadata["namespace"] = metadata.get("namespace") or check_dns_label(default_namespace)
        ref = ObjectRef(kind.plural, metadata["namespace"], metadata["name"])
    if kind.name == "Namespace":
        check_dns_label(metadata["name"])
    return ref, {**raw, "metadata": metadata}


def _path(location: tuple[int | str, ...]) -> str:
    text = ""
    for part in location:
        text += f"[{part}]" if isinstance(part, int) else f".{part}"
    return text.lstrip(".")


def _explain(model: type[Model], detail: Any) -> str:
    """Return what is wrong with one field, in words that say what to write."""
    written = (
        "what is not shown, as it is secret" if model is BY_NAME["Secret"].model else repr(detail["input"])
    )
    written = written if len(written) <= MAX_SHOWN else f"{written[:MAX_SHOWN]}..."
    match detail["type"]:
        case "extra_forbidden":
            return _unknown_field(model, detail["loc"])
        case "missing":
            return "is required"
        case "string_type":
            return f"must be a string, not {written}; put it in quotes"
        case "tuple_type" | "list_type":
            return f"must be a list, not {written}"
        case "dict_type" | "model_type" | "model_attributes_type":
            return f"must be a mapping, not {written}"
        case "int_type" | "int_parsing" | "int_from_float":
            return f"must be a whole number, not {written}"
        case "bool_type" | "bool_parsing":
            return f"must be true or false, not {written}"
        case "value_error":
            return str(detail["ctx"]["error"])
        case _:
            message = detail["msg"]
            return f"{message[0].lower()}{message[1:]}, got {written}"


def _unknown_field(model: type[Model], location: tuple[int | str, ...]) -> str:
    known = _fields_at(model, location[:-1])
    written = str(location[-1])
    other = _NAMES_OF_THE_FIELD.get(written, "")
    close = [other] if other in known else difflib.get_close_matches(written, known, n=1, cutoff=0.5)
    hint = f"did you mean {close[0]}?" if close else f"known fields: {', '.join(sorted(known))}"
    return f"unknown field; {hint}"


def _fields_at(model: type[Model], location: tuple[int | str, ...]) -> list[str]:
    """Return the JSON names of the fields of the model at `location` inside `model`."""
    current: type[Model] | None = model
    for part in location:
        if current is None or isinstance(part, int):
            continue
        fields = {field.alias or name: field for name, field in current.model_fields.items()}
        current = nested_model(fields[part].annotation) if part in fields else None
    return [field.alias or name for name, field in current.model_fields.items()] if current else []


def _duplicates(documents: list[Document]) -> Iterator[Problem]:
    first: dict[ObjectRef, Document] = {}
    for document in documents:
        other = first.setdefault(document.ref, document)
        if other is not document:
            where = f" in namespace {document.ref.namespace}" if document.kind.namespaced else ""
            yield Problem(
                document.source, str(document.ref), "", f"appears twice{where}; first at {other.source}"
            )
