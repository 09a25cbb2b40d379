"""A plan as a file: the documents, what was stored under their names, what was foreseen, and of which moment it is.

It is refused where the cluster has moved in a way that matters: another cluster, an object that somebody else has
changed since, or tasks that would land elsewhere, wait, or push others out.
"""

import json
import os
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from client.errors import BadOption
from client.planned import Planned
from schemas.manifest import Document, load

Json = dict[str, Any]
SHOWN = 10  # differences that are named; one is enough to plan anew


@dataclass(frozen=True, slots=True)
class PlanFile:
    """outcome: the leader's answer, None where there was nothing to ask."""

    name: str
    cluster_uid: str
    revision: int
    documents: tuple[Document, ...]
    create_namespace: bool
    objects: tuple[Json, ...]
    outcome: Json | None


def objects_of(planned: Iterable[Planned]) -> tuple[Json, ...]:
    """Return what is stored now of each document, by its revision."""
    return tuple(
        {
            "object": f"{each.document.ref.namespace}/{each.document.ref}",
            "action": each.action,
            "modRevision": each.live.mod_revision if each.live is not None else 0,
        }
        for each in planned
    )


def write(
    path: str, planned: Iterable[Planned], cluster_uid: str, outcome: Json | None, *, create_namespace: bool
) -> None:
    """Write a plan, readable for its owner only. Raises BadOption."""
    known = tuple(planned)
    raw = {
        "apiVersion": "berth/v1",
        "kind": "Plan",
        "clusterUid": cluster_uid,
        "revision": outcome["revision"] if outcome is not None else 0,
        "createNamespace": create_namespace,
        "documents": [each.document.raw for each in known],
        "objects": list(objects_of(known)),
        "outcome": outcome,
    }
    try:
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        with os.fdopen(descriptor, "w", encoding="utf-8") as file:
            json.dump(raw, file, indent=2, ensure_ascii=False)
            file.write("\n")
    except OSError as error:
        raise BadOption(f"--out {path} can't be written: {error.strerror or error}") from None


def read(path: str) -> PlanFile:
    """Raises BadOption, InvalidManifest."""
    try:
        raw = json.loads(Path(path).read_bytes())
        if raw.get("kind") != "Plan":
            raise ValueError(f"its kind is {raw.get('kind')!r}")
        listed = json.dumps({"apiVersion": "berth/v1", "kind": "List", "items": raw["documents"]}).encode()
        documents = load([(f"{path}.json", listed)], default_namespace="default")
        return PlanFile(
            path,
            str(raw["clusterUid"]),
            int(raw["revision"]),
            documents,
            bool(raw["createNamespace"]),
            tuple(raw["objects"]),
            raw["outcome"],
        )
    except OSError as error:
        raise BadOption(f"--plan {path} can't be read: {error.strerror or error}") from None
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise BadOption(
            f"--plan {path} is no plan ({error}); make one with: berth plan -f FILE --out {path}"
        ) from None


def differences(plan: PlanFile, planned: Iterable[Planned], outcome: Json | None) -> tuple[str, ...]:
    """Return, as sentences, what has moved since the plan was made; none: it holds."""
    found = tuple(_objects(plan, planned)) or tuple(_outcomes(plan.outcome or {}, outcome or {}))
    more = (f"and {len(found) - SHOWN} more",) if len(found) > SHOWN else ()
    return (*found[:SHOWN], *more)


def _objects(plan: PlanFile, planned: Iterable[Planned]) -> Iterator[str]:
    before = {each["object"]: each for each in plan.objects}
    for now in objects_of(planned):
        then = before.get(now["object"])
        if then is None:
            yield f"{now['object']} is not in the plan"
        elif then["action"] != now["action"]:
            yield f"{now['object']} would be {now['action']}, and was planned as {then['action']}"
        elif then["modRevision"] != now["modRevision"]:
            yield f"{now['object']} was changed by somebody"


def _outcomes(then: Json, now: Json) -> Iterator[str]:
    """Only the leader knows how it chooses among nodes that are equally good: what was computed here can't say."""
    is_same_mind = then.get("computedBy") == now.get("computedBy")
    places = [
        {(each["of"], each["name"]): each["node"] for each in out.get("placed", ())} for out in (then, now)
    ]
    for (of, name), node in sorted(places[0].items()):
        goes = places[1].get((of, name))
        if goes is None:
            yield f"{name} of {of} would not be placed, and was planned for node {node}"
        elif goes != node and is_same_mind:
            yield f"{name} of {of} would land on node {goes}, and was planned for node {node}"
    for of, name in sorted(places[1].keys() - places[0].keys()):
        yield f"{name} of {of} would land on node {places[1][of, name]}, and was not to be placed"
    gone = [_victims(out) for out in (then, now)]
    for victim in sorted(gone[1] - gone[0]):
        yield f"{victim} would be preempted, and was not to be"
    for victim in sorted(gone[0] - gone[1]):
        yield f"{victim} was to be preempted, and would not be"


def _victims(outcome: Json) -> set[str]:
    return {
        f"a task on node {each['node']}"
        if each["task"]["name"] is None
        else f"task {each['task']['namespace']}/{each['task']['name']}"
        for each in outcome.get("victims", ())
    }
