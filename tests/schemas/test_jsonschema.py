"""The JSON Schemas for editors: not stale, closed, and of one mind with `berth apply`."""

import json
import re
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import yaml
from jsonschema import Draft7Validator

from cli.manifests import read_manifests
from schemas import manifest
from schemas.jsonschema import ANY, schema_files
from schemas.kinds import KINDS
from tools import CLONE, schema

EXAMPLES = sorted((CLONE / "manifests").rglob("*.yaml"))
HEADER = re.compile(r"# yaml-language-server: \$schema=(\S+)")

TASK = {
    "apiVersion": "berth/v1",
    "kind": "Task",
    "metadata": {"name": "web"},
    "spec": {"containers": [{"name": "main", "image": "berth/demo"}]},
}
QUEUE = {"apiVersion": "berth/v1", "kind": "Queue", "metadata": {"name": "batch"}, "spec": {}}
NAMESPACE = {"apiVersion": "berth/v1", "kind": "Namespace", "metadata": {"name": "team-a"}}


def changed(base: dict[str, Any], path: str, value: Any) -> dict[str, Any]:
    """Return a copy of an object with the value at `a.b.0.c` set, or taken out if it is `...`."""
    copy: dict[str, Any] = json.loads(json.dumps(base))
    place: Any = copy
    *folders, last = [int(part) if part.isdigit() else part for part in path.split(".")]
    for part in folders:
        place = place[part] if isinstance(part, int) else place.setdefault(part, {})
    if value is ...:
        del place[last]
    else:
        place[last] = value
    return copy


CONTAINER = "spec.containers.0."
PORT = {"containerPort": 80}
ABOVE = {"key": "cores", "operator": "Gt", "values": ["8"]}
RIGHT = {
    "a task with what is required": TASK,
    "cpu as a number": changed(TASK, CONTAINER + "resources.requests", {"cpu": 1.5, "memory": 1024}),
    "cpu and memory as strings": changed(
        TASK, CONTAINER + "resources.limits", {"cpu": "500m", "memory": "1.5Gi"}
    ),
    "a count": changed(TASK, CONTAINER + "resources.requests", {"gpu": 1, "example.com/fpga": "2"}),
    "a duration in seconds": changed(TASK, "spec.grace", 90),
    "a duration of parts": changed(TASK, "spec.grace", "1h30m"),
    "a duration in digits": changed(TASK, "spec.grace", "12.5"),
    "never": changed(TASK, "spec.unreachable.stopAfter", "never"),
    "a user by number": changed(TASK, CONTAINER + "user", 1000),
    "a field without value that has none by default": changed(TASK, CONTAINER + "imagePullPolicy", None),
    "a volume": changed(TASK, "spec.volumes", [{"name": "x", "emptyDir": {}}]),
    "what get -o yaml shows": {
        **changed(TASK, "metadata.generation", 2) | {"status": {"state": "Running"}},
    },
    "a cluster's object": QUEUE,
    "a queue with a name of parts": changed(QUEUE, "metadata.name", "eng/backend"),
    "a queue for all and for one namespace": changed(QUEUE, "spec.namespaces", ["*", "team-a"]),
    "demands on nodes": changed(TASK, "spec.affinity.nodeAffinity.required", [{"matchExpressions": [ABOVE]}]),
    "tasks to be away from": changed(
        TASK, "spec.affinity.taskAntiAffinity.preferred", [{"weight": 100, "topologyKey": "example.com/zone"}]
    ),
    "a spread by node": changed(TASK, "spec.topologySpread", [{}]),
    "a gang": changed(TASK, "spec.gang", {"name": "ring", "minMember": 3, "timeout": "90s"}),
    "a namespace without spec": NAMESPACE,
    "a list": {"apiVersion": "v1", "kind": "List", "items": [TASK, QUEUE]},
    "an empty list": {"kind": "List", "items": []},
}
WRONG = {
    "no kind": changed(TASK, "kind", ...),
    "an unknown kind": changed(TASK, "kind", "Pod"),
    "another version": changed(TASK, "apiVersion", "v1"),
    "no version": changed(TASK, "apiVersion", ...),
    "no metadata": changed(TASK, "metadata", ...),
    "no name": changed(TASK, "metadata", {}),
    "a name in upper case": changed(TASK, "metadata.name", "Web"),
    "a name with two dots in a row": changed(TASK, "metadata.name", "a..b"),
    "a name that is too long": changed(TASK, "metadata.name", "a" * 254),
    "a label that is a number": changed(TASK, "metadata.labels", {"tier": 1}),
    "a label key of the wrong form": changed(TASK, "metadata.labels", {"-x": "1"}),
    "a label value of the wrong form": changed(TASK, "metadata.labels", {"x": "a b"}),
    "an unknown field of the metadata": changed(TASK, "metadata.owner", "me"),
    "an unknown field of the object": changed(TASK, "data", {}),
    "no spec": changed(TASK, "spec", ...),
    "an unknown field of the spec": changed(TASK, "spec.replicas", 2),
    "no containers": changed(TASK, "spec.containers", []),
    "containers that are no list": changed(TASK, "spec.containers", {}),
    "an unknown field of a container": changed(TASK, CONTAINER + "imagePullpolicy", "Always"),
    "an image with a space": changed(TASK, CONTAINER + "image", "a b"),
    "a container without image": changed(TASK, CONTAINER + "image", ...),
    "an unknown word": changed(TASK, "spec.restartPolicy", "Sometimes"),
    "a command that is text": changed(TASK, CONTAINER + "command", "sh -c true"),
    "a variable that is a number": changed(TASK, CONTAINER + "env", [{"name": "N", "value": 1}]),
    "a variable with = in its name": changed(TASK, CONTAINER + "env", [{"name": "A=B"}]),
    "a port above 65535": changed(TASK, CONTAINER + "ports", [{"containerPort": 65536}]),
    "a port of another protocol": changed(TASK, CONTAINER + "ports", [{**PORT, "protocol": "SCTP"}]),
    "cpu in memory's unit": changed(TASK, CONTAINER + "resources.requests", {"cpu": "1Gi"}),
    "memory in cpu's unit": changed(TASK, CONTAINER + "resources.requests", {"memory": "100m"}),
    "memory below nothing": changed(TASK, CONTAINER + "resources.requests", {"memory": -1}),
    "half a device": changed(TASK, CONTAINER + "resources.requests", {"gpu": 0.5}),
    "cpu that is true": changed(TASK, CONTAINER + "resources.requests", {"cpu": True}),
    "a resource in upper case": changed(TASK, CONTAINER + "resources.requests", {"GPU": 1}),
    "a duration of an unknown unit": changed(TASK, "spec.grace", "3w"),
    "a duration below nothing": changed(TASK, "spec.grace", -1),
    "never where that can't be": changed(TASK, "spec.grace", "never"),
    "a volume without source": changed(TASK, "spec.volumes", [{"name": "x"}]),
    "a volume of two sources": changed(
        TASK, "spec.volumes", [{"name": "x", "emptyDir": {}, "hostPath": {"path": "/x"}}]
    ),
    "a host path that is relative": changed(TASK, "spec.volumes", [{"name": "x", "hostPath": {"path": "x"}}]),
    "a priority out of range": changed(TASK, "spec.priority", 2_000_000_000),
    "a queue in a namespace": changed(QUEUE, "metadata.namespace", "default"),
    "a queue of no weight": changed(QUEUE, "spec.weight", 0),
    "a queue with an empty part in its name": changed(QUEUE, "metadata.name", "eng//backend"),
    "a queue whose name ends in a slash": changed(QUEUE, "metadata.name", "eng/"),
    "a queue whose name has two dots in a row": changed(QUEUE, "metadata.name", "eng/a..b"),
    "a queue of an unknown order": changed(QUEUE, "spec.ordering", "lifo"),
    "a task with a slash in its name": changed(TASK, "metadata.name", "a/b"),
    "an unknown operator": changed(
        TASK,
        "spec.affinity.nodeAffinity.required",
        [{"matchExpressions": [{**ABOVE, "operator": "Above"}]}],
    ),
    "a term without demands": changed(
        TASK, "spec.affinity.nodeAffinity.required", [{"matchExpressions": []}]
    ),
    "a weight above 100": changed(TASK, "spec.affinity.taskAffinity.preferred", [{"weight": 101}]),
    "a topology key of the wrong form": changed(TASK, "spec.topologySpread", [{"topologyKey": "a b"}]),
    "a spread without skew": changed(TASK, "spec.topologySpread", [{"maxSkew": 0}]),
    "a gang of nobody": changed(TASK, "spec.gang", {"name": "ring", "minMember": 0}),
    "an unknown placement": changed(TASK, "spec.placement", "tight"),
    "a namespace with a dot": changed(NAMESPACE, "metadata.name", "team.a"),
    "a list of something wrong": {"kind": "List", "items": [changed(TASK, "metadata.name", "Web")]},
    "text": "Task",
}


@cache
def validator(name: str) -> Draft7Validator:
    return Draft7Validator(json.loads((schema.FOLDER / f"{name}{schema.SUFFIX}").read_text()))


def apply_accepts(document: Any) -> bool:
    try:
        manifest.load([("test.json", json.dumps(document).encode())], default_namespace="default")
    except manifest.InvalidManifest:
        return False
    return True


def references(value: Any) -> Iterator[dict[str, Any]]:
    for inner in value.values() if isinstance(value, dict) else value if isinstance(value, list) else ():
        yield from references(inner)
    if isinstance(value, dict) and "$ref" in value:
        yield value


# The files


def test_the_schemas_in_the_box_are_those_of_the_models() -> None:
    found = {path.name: path.read_text() for path in schema.FOLDER.iterdir()}
    assert found == schema.render(), "run: make schema"


def test_there_is_one_for_each_kind_and_one_for_all() -> None:
    assert set(schema_files()) == {*(kind.singular for kind in KINDS), ANY}


@pytest.mark.parametrize("name", schema_files())
def test_schema_is_valid_and_complete_in_itself(name: str) -> None:
    made = validator(name).schema
    Draft7Validator.check_schema(made)
    for found in references(made):
        assert found["$ref"].removeprefix("#/definitions/") in made["definitions"]
        assert set(found) <= {"$ref", "description", "default"}, "draft 7 passes over what stands beside $ref"


def test_stale_files_are_written_anew_and_those_of_lost_kinds_removed(tmp_path: Path) -> None:
    everything = sorted(schema.render())
    (tmp_path / "ship.schema.json").write_text("{}")
    assert schema.write(tmp_path) == sorted([*everything, "ship.schema.json"])
    assert schema.write(tmp_path) == []
    (tmp_path / everything[0]).write_text("{}")
    assert schema.write(tmp_path) == [everything[0]]
    assert {path.name: path.read_text() for path in tmp_path.iterdir()} == schema.render()


# Examples


@pytest.mark.parametrize("path", EXAMPLES, ids=lambda path: path.stem)
def test_example_names_its_schema_and_fits_it(path: Path) -> None:
    header = HEADER.fullmatch(path.read_text().splitlines()[0])
    assert header, "the first line says which schema: # yaml-language-server: $schema=..."
    named = (path.parent / header[1]).resolve()
    assert named.parent == schema.FOLDER
    for written in yaml.safe_load_all(path.read_text()):
        for name in (named.name.removesuffix(schema.SUFFIX), ANY):
            assert [error.message for error in validator(name).iter_errors(written)] == []


def test_a_folder_of_manifests_may_hold_their_schemas() -> None:
    found = read_manifests([str(CLONE / "manifests")], recursive=True, namespace="x").documents
    assert {Path(each.source.rpartition(":")[0]) for each in found} == set(EXAMPLES)


# Agreement with apply


@pytest.mark.parametrize("document", RIGHT.values(), ids=RIGHT)
def test_schema_and_apply_take(document: Any) -> None:
    assert [error.message for error in validator(ANY).iter_errors(document)] == []
    assert apply_accepts(document)


@pytest.mark.parametrize("document", WRONG.values(), ids=WRONG)
def test_schema_and_apply_refuse(document: Any) -> None:
    assert not validator(ANY).is_valid(document)
    assert not apply_accepts(document)


@pytest.mark.parametrize("document", RIGHT.values(), ids=RIGHT)
def test_the_schema_of_a_kind_takes_that_kind_alone(document: Any) -> None:
    kinds = {kind.singular for kind in KINDS if validator(kind.singular).is_valid(document)}
    assert kinds == {document["kind"].lower()} - {"list"}
