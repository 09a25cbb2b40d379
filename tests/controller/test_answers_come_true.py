"""Answers against what then happens, over hundreds of random clusters: a real controller, agents that do as told."""

import copy
import json
from collections import Counter
from concurrent.futures import Future
from typing import Any

import pytest

from controller import answers, foresight
from controller.snapshots import Asked, Frozen
from schemas.binding import Desired
from schemas.defaults import effective_spec
from schemas.namespace import NamespaceSpec
from schemas.task import TaskSpec
from store.codec import decode
from tests.controller.harness import Cluster
from tests.controller.random_cluster import Json, app_of, random_cluster, random_spec, ref_of, write_task

CLUSTERS = 200
ASKED = 100  # clusters in which somebody asks why; each proposal is tried in one of its own
MORE_CLUSTERS = 3000
A_TEST = 50
COMING = 6  # tasks of one plan, at most


def frozen(world: Cluster) -> Frozen:
    """Ask the leader as its API does, and run its core."""
    future: Future[Frozen | None] = world.leader.questions.ask(Asked())
    world.step(0.1)
    found = future.result(0)
    assert found is not None
    return found


def nodes_of(world: Cluster) -> dict[str, str]:
    return {each.name: each.node for each in world.bindings() if each.desired is Desired.RUN}


# Plan


def planned(state: Frozen, coming: dict[str, tuple[Json, str]]) -> Json:
    adding = []
    for name, (spec, app) in coming.items():
        whole = effective_spec(TaskSpec.model_validate(spec), NamespaceSpec(), {}).to_json()
        adding.append(
            {"of": name, "namespace": "default", "name": name, "labels": {"app": app}, "spec": whole}
        )
    question = {"adding": adding, "leaving": [], "queues": []}
    return foresight.plan(state, foresight.parse_question(json.dumps(question).encode()), None)


def check_plan(seed: int) -> Counter[str]:
    """Plan some tasks, let them come, and compare."""
    world, source = random_cluster(seed)
    coming = {
        f"new{number}": (random_spec(source), app_of(source)) for number in range(source.randint(1, COMING))
    }
    answer = planned(frozen(world), coming)
    before = {each.name: each.binding_uid for each in world.bindings()}
    for name, (spec, app) in coming.items():
        write_task(world, name, spec, app)
    world.settle()
    there = nodes_of(world)
    foreseen = {each["name"]: each["node"] for each in answer["placed"]}
    promised = {each["name"]: each["nominated"] for each in answer["waiting"] if each["nominated"]}
    assert {name: there.get(name) for name in foreseen} == foreseen, f"seed {seed}"
    assert {name: there.get(name) for name in promised} == promised, f"seed {seed}: room was to be made"
    now = {each.name: each.binding_uid for each in world.bindings()}
    gone = {name for name, uid in before.items() if now.get(name) != uid}
    told = {each["task"]["name"] for each in answer["victims"]}
    assert gone <= told, f"seed {seed}: {gone - told} made room, and no plan said so"
    assert bool(gone) == bool(told), f"seed {seed}: {told} were to make room"
    if not told:
        waiting = {each["name"] for each in answer["waiting"]}
        assert waiting == coming.keys() - there.keys(), f"seed {seed}"
    return Counter(
        placed=len(foreseen), promised=len(promised), waiting=len(answer["waiting"]) - len(promised)
    )


@pytest.mark.parametrize("first", range(0, CLUSTERS, A_TEST))
def test_plan_names_the_nodes_that_the_leader_then_picks(first: int) -> None:
    found = sum((check_plan(seed) for seed in range(first, first + A_TEST)), Counter[str]())
    assert min(found["placed"], found["waiting"]) > A_TEST / 2, f"they are too tame: {found}"


@pytest.mark.slow
@pytest.mark.timeout(1800)
def test_plan_names_the_nodes_over_many_clusters() -> None:
    """But for a few in which somebody goes only after others have gone: a plan foresees the first of these steps."""
    wrong = []
    for seed in range(10_000, 10_000 + MORE_CLUSTERS):
        try:
            check_plan(seed)
        except AssertionError as error:
            wrong.append(f"{seed}: {error}")
    print("\n".join(wrong))
    assert len(wrong) <= MORE_CLUSTERS / 100


# Why


def waiting_in(world: Cluster) -> list[str]:
    found = (world.task_status(name) for name in (f"old{number}" for number in range(9)))
    return [f"old{number}" for number, each in enumerate(found) if each and each.reason == "Unschedulable"]


def check_why(seed: int) -> Counter[str]:
    """Ask about a task that waits, and do each of what is proposed in a cluster of its own."""
    world, source = random_cluster(seed)
    names = waiting_in(world)
    if not names:
        return Counter()
    name = source.choice(names)
    answer = answers.why(frozen(world), ref_of(name))
    assert answer["state"] == "Waiting", f"seed {seed}: nothing has happened since it was tried"
    check_counts(answer, seed)
    for proposal in answer["proposals"]:
        other, _ = random_cluster(seed)
        spec, app = spec_of(other, name)
        write_task(other, name, changed(spec, proposal), app)
        other.settle()
        told = f"seed {seed}: {name} with {proposal}: {other.task_status(name)}"
        assert nodes_of(other).get(name) == proposal["node"], told
    return Counter(each["field"].partition("[")[0] for each in answer["proposals"])


def check_counts(answer: Json, seed: int) -> None:
    counts = sum(each["count"] for each in answer["reasons"])
    if answer["queueReason"] is None:
        assert counts == answer["nodeCount"], f"seed {seed}: {answer['reasons']}"
    assert len(answer["nodes"]) == answer["nodeCount"]
    assert 1 <= answer["position"] <= answer["waiting"]


def spec_of(world: Cluster, name: str) -> tuple[Json, str]:
    kv = world.store.get(world.keys.spec(ref_of(name))).kv
    raw = decode(kv) if kv is not None else None
    assert isinstance(raw, dict)
    return copy.deepcopy(raw["spec"]), raw["metadata"]["labels"]["app"]


def changed(spec: Json, proposal: Json) -> Json:
    """Return the manifest as a person changes it, who reads the proposal."""
    field, to = proposal["field"], proposal["to"]
    container = spec["containers"][0]
    if field.startswith("resources.requests."):
        _set(container["resources"]["requests"], field.removeprefix("resources.requests."), to)
    elif field.startswith("nodeSelector."):
        _set(spec["nodeSelector"], field.removeprefix("nodeSelector."), to)
    elif field == "tolerations":
        key, _, effect = to.partition(":")
        key, _, value = key.partition("=")
        more = {"key": key, "effect": effect, **({"value": value} if value else {"operator": "Exists"})}
        spec["tolerations"] = [*spec.get("tolerations", []), more]
    elif field.startswith("distinct."):
        spec["distinct"] = [
            each for each in spec["distinct"] if each["label"] != field.removeprefix("distinct.")
        ]
    elif field == "ports.hostPort":
        del container["ports"][0]["hostPort"]
    else:
        _take_out(spec, field)
    return spec


def _set(values: Json, name: str, to: str | None) -> None:
    if to is None:
        del values[name]
    else:
        values[name] = to


def _take_out(spec: Any, path: str) -> None:
    """Take out what a path such as `affinity.taskAffinity.required[0]` or `maxPerNode` names."""
    *parents, last = path.split(".")
    for parent in parents:
        spec = spec[parent]
    name, _, number = last.partition("[")
    if number:
        del spec[name][int(number.rstrip("]"))]
    else:
        del spec[name]


@pytest.mark.parametrize("first", range(0, ASKED, A_TEST))
def test_what_why_proposes_places_the_task_when_it_is_done(first: int) -> None:
    found = sum((check_why(seed) for seed in range(first, first + A_TEST)), Counter[str]())
    assert len(found) >= 4, f"they are too tame: {found}"


@pytest.mark.slow
@pytest.mark.timeout(1800)
def test_what_why_proposes_places_the_task_over_many_clusters() -> None:
    for seed in range(10_000, 10_000 + MORE_CLUSTERS):
        check_why(seed)
