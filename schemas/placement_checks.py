"""What can't be meant of where a task runs and for how long: demands that contradict each other or lead nowhere.

A part of admission (`schemas.admission`). Each fault is a sentence that begins with the path of the field. Pure.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence

from schemas.affinity import NODE_TOPOLOGY, TaskTerm
from schemas.owned import INDEX_LABEL, OWNER_LABEL
from schemas.quantity import format_duration
from schemas.selector import LabelSelector
from schemas.task import TaskSpec

MAX_ESTIMATE_S = (
    10 * 365 * 86_400.0
)  # ten years; more is a slip of the unit, and would spoil every order by length
TOO_LONG = "{written} is more than 10 years; write how long it runs, or leave it out"

Demand = tuple[str, str, tuple[str, ...]]
"""Key of a label, operator, values."""

_HOLDS_WITHOUT_LABEL = ("NotIn", "DoesNotExist")


def placement_faults(spec: TaskSpec, labels: Mapping[str, str], *, is_orphan: bool = False) -> Iterator[str]:
    """Yield what is wrong; labels: those of the task, among them that of its owner if it has one.

    is_orphan: its owner has left it behind, so that it belongs to no gang any more.
    """
    yield from _estimate(spec)
    yield from _no_such_node(spec)
    for path, selector in selectors_of(spec):
        yield from _no_such_task(path, selector)
    yield from _near_and_apart(spec)
    yield from _unknown_company(spec, labels)
    if not is_orphan:
        yield from _nameless_gang(spec, labels)


def _estimate(spec: TaskSpec) -> Iterator[str]:
    if spec.estimated_duration is not None and spec.estimated_duration > MAX_ESTIMATE_S:
        yield f"spec.estimatedDuration: {TOO_LONG.format(written=format_duration(spec.estimated_duration))}"


# Nodes


def _no_such_node(spec: TaskSpec) -> Iterator[str]:
    """Terms are alternatives: only if none of them can hold the task has no node."""
    affinity = spec.affinity.node_affinity if spec.affinity else None
    if affinity is None or not affinity.required:
        return
    others: list[Demand] = [(key, "In", (value,)) for key, value in sorted(spec.node_selector.items())]
    if spec.node_name is not None:
        others.append((NODE_TOPOLOGY, "In", (spec.node_name,)))
    faults = []
    for index, term in enumerate(affinity.required):
        own = [(each.key, each.operator, each.values) for each in term.match_expressions]
        found = contradiction((*others, *own))
        if found is None:
            return
        faults.append(
            f"spec.affinity.nodeAffinity.required[{index}]: no node can have {_told(found)}"
            + (f", where {_source(found[0])} counts too" if found[0] in others else "")
            + "; change or remove one of these demands"
        )
    yield from faults


def _source(demand: Demand) -> str:
    return "spec.nodeName" if demand[0] == NODE_TOPOLOGY else "spec.nodeSelector"


def contradiction(demands: Iterable[Demand]) -> tuple[Demand, ...] | None:
    """Return the demands on the first key whose label can't meet them all, None if each can."""
    by_key: dict[str, list[Demand]] = {}
    for demand in demands:
        by_key.setdefault(demand[0], []).append(demand)
    return next((tuple(found) for found in by_key.values() if not _can_hold(found)), None)


def _can_hold(demands: Sequence[Demand]) -> bool:
    """Say whether a value, or the absence of the label, meets all demands on one key."""
    operators = {operator for _, operator, _ in demands}
    if operators.issubset(_HOLDS_WITHOUT_LABEL):
        return True
    if "DoesNotExist" in operators:
        return False
    return any(all(_meets(value, each) for each in demands) for value in _candidates(demands))


def _candidates(demands: Sequence[Demand]) -> Iterator[str]:
    """Yield values of which one meets all demands if any value does."""
    listed = [values for _, operator, values in demands if operator == "In"]
    if listed:
        yield from listed[0]
        return
    lows = [int(values[0]) for _, operator, values in demands if operator == "Gt"]
    highs = [int(values[0]) for _, operator, values in demands if operator == "Lt"]
    tries = 1 + sum(len(values) for _, operator, values in demands if operator == "NotIn")
    if lows or highs:
        first = max(lows) + 1 if lows else min(highs) - tries
        yield from (str(number) for number in range(first, first + tries))
    else:
        yield from (f"free-{number}" for number in range(tries))


def _meets(value: str, demand: Demand) -> bool:
    _, operator, values = demand
    match operator:
        case "In":
            return value in values
        case "NotIn":
            return value not in values
        case "Gt" | "Lt":
            if not value.removeprefix("-").isdecimal():
                return False
            return int(value) > int(values[0]) if operator == "Gt" else int(value) < int(values[0])
        case _:
            return operator == "Exists"


def _told(demands: Iterable[Demand]) -> str:
    return " and ".join(f"{key} {operator} {', '.join(values)}".rstrip() for key, operator, values in demands)


# Tasks


def selectors_of(spec: TaskSpec) -> Iterator[tuple[str, LabelSelector | None]]:
    """Yield all that a task says of tasks around it, each with its path; None: those of the same owner."""
    for path, near in (("taskAffinity", True), ("taskAntiAffinity", False)):
        found = _terms_about_tasks(spec, is_near=near)
        for index, term in enumerate(found):
            yield f"spec.affinity.{path}.required[{index}]", term.label_selector
        affinity = spec.affinity
        wishes = affinity and (affinity.task_affinity if near else affinity.task_anti_affinity)
        for index, wish in enumerate(wishes.preferred if wishes else ()):
            yield f"spec.affinity.{path}.preferred[{index}]", wish.label_selector
    for index, spread in enumerate(spec.topology_spread):
        yield f"spec.topologySpread[{index}]", spread.label_selector


def _terms_about_tasks(spec: TaskSpec, *, is_near: bool) -> tuple[TaskTerm, ...]:
    if spec.affinity is None:
        return ()
    found = spec.affinity.task_affinity if is_near else spec.affinity.task_anti_affinity
    return found.required if found else ()


def demands_of(selector: LabelSelector) -> tuple[Demand, ...]:
    """Return what a selector asks, each key's equality as In."""
    equal: list[Demand] = [(key, "In", (value,)) for key, value in sorted(selector.match_labels.items())]
    return (*equal, *((each.key, each.operator, each.values) for each in selector.match_expressions))


def _no_such_task(path: str, selector: LabelSelector | None) -> Iterator[str]:
    if selector is None:
        return
    demands = demands_of(selector)
    found = contradiction(demands)
    if found is not None:
        yield f"{path}.labelSelector: no task can have {_told(found)}; change or remove one of these demands"
    if any(key == INDEX_LABEL for key, _, _ in demands):
        yield f"{path}.labelSelector: {INDEX_LABEL} is not seen here; give the tasks a label of your own"


def _near_and_apart(spec: TaskSpec) -> Iterator[str]:
    """Who is on the same node is also in the same zone; so being near by node can't go with being apart by zone."""
    for one, near in enumerate(_terms_about_tasks(spec, is_near=True)):
        for two, apart in enumerate(_terms_about_tasks(spec, is_near=False)):
            covers = near.topology_key in (apart.topology_key, NODE_TOPOLOGY)
            if covers and _meaning(near.label_selector) == _meaning(apart.label_selector):
                yield (
                    f"spec.affinity.taskAntiAffinity.required[{two}]: keeps away, by {apart.topology_key}, from the "
                    f"very tasks that taskAffinity.required[{one}] wants near, by {near.topology_key}; "
                    "remove one of them"
                )


def _meaning(selector: LabelSelector | None) -> frozenset[tuple[str, str, frozenset[str]]] | None:
    """Two selectors with equal meanings choose the same tasks."""
    if selector is None:
        return None
    return frozenset((key, operator, frozenset(values)) for key, operator, values in demands_of(selector))


def _unknown_company(spec: TaskSpec, labels: Mapping[str, str]) -> Iterator[str]:
    """Without an owner, a task's own kind are those that have its labels."""
    if labels:
        return
    paths = [f"{path}.labelSelector" for path, selector in selectors_of(spec) if selector is None]
    paths += ["spec.maxPerNode"] if spec.max_per_node is not None else []
    paths += [f"spec.distinct[{index}]" for index in range(len(spec.distinct))]
    for path in paths:
        what = "is left out, which means" if path.endswith("labelSelector") else "counts"
        yield f"{path}: {what} the tasks that have its labels, and this task has none; write metadata.labels"


def _nameless_gang(spec: TaskSpec, labels: Mapping[str, str]) -> Iterator[str]:
    if spec.gang is not None and spec.gang.name is None and OWNER_LABEL not in labels:
        yield "spec.gang.name: is required, as this task has no owner; tasks that start together have the same"
