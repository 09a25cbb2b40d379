"""Manifests: YAML or JSON documents as people write them, to checked objects.

    bytes --yamltext--> values --kind, model, name--> Document, or problems in words (field_problems)

Every document is checked before any is used, so that one bad document changes nothing. Reading files is the caller's;
this module takes bytes.
"""

import difflib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

from pydantic import ValidationError

from schemas.canonical import canonical_json
from schemas.errors import InvalidManifest, Problem, SchemaError
from schemas.field_problems import validation_problems
from schemas.keys import ObjectRef
from schemas.kinds import BY_NAME, Kind, WrittenObject
from schemas.lines import locate
from schemas.meta import API_VERSION, CLUSTER_NAMESPACE, check_dns_label
from schemas.variables import Filler
from schemas.yamltext import parse

MAX_OBJECT_BYTES = 2**20  # etcd takes 1.5 MiB a request; the rest is for the envelope
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


@dataclass(frozen=True, slots=True)
class Loaded:
    """What files hold: the documents that are right by themselves, and every problem of the others."""

    documents: tuple[Document, ...]
    problems: tuple[Problem, ...]


def load(
    sources: Iterable[tuple[str, bytes]], *, default_namespace: str, filler: Filler | None = None
) -> tuple[Document, ...]:
    """Parse and check (name, content) pairs; kind List is unfolded. filler: puts variables in.

    Raises InvalidManifest with every problem found.
    """
    loaded = load_all(sources, default_namespace=default_namespace, filler=filler)
    if loaded.problems:
        raise InvalidManifest(loaded.problems)
    return loaded.documents


def load_all(
    sources: Iterable[tuple[str, bytes]], *, default_namespace: str, filler: Filler | None = None
) -> Loaded:
    """Do what `load` does, and return the documents that are right beside the problems of the others."""
    documents: list[Document] = []
    problems: list[Problem] = []
    broken: list[Problem] = []
    kept = tuple(sources)
    for source, content in kept:
        try:
            for place, raw in parse(source, content, filler):
                for item_place, item in _unfold_list(place, raw):
                    match check_object(item, item_place, default_namespace):
                        case Document() as document:
                            documents.append(document)
                        case found:
                            problems.extend(found)
        except InvalidManifest as error:
            broken.extend(error.problems)
    if filler is not None and filler.problems:  # what else is wrong with documents may come from them
        return Loaded((), (*broken, *filler.problems))
    problems = [*broken, *problems, *_duplicates(documents)]
    return Loaded(tuple(documents), locate(problems, dict(kept)) if problems else ())


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
        return tuple(validation_problems(kind.model, error, source, subject))
    except (SchemaError, TypeError, ValueError) as error:
        return problem(str(error), subject=subject)
    if size > MAX_OBJECT_BYTES:
        return problem(f"is {size} bytes; an object may have {MAX_OBJECT_BYTES}", subject=subject)
    return Document(kind, ref, raw, parsed, source)


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


def _duplicates(documents: list[Document]) -> Iterator[Problem]:
    first: dict[ObjectRef, Document] = {}
    for document in documents:
        other = first.setdefault(document.ref, document)
        if other is not document:
            where = f" in namespace {document.ref.namespace}" if document.kind.namespaced else ""
            yield Problem(
                document.source, str(document.ref), "", f"appears twice{where}; first at {other.source}"
            )
