"""What tasks ask of nodes and of the tasks around them, and what queues say, in the words of the scheduler. Pure.

Tasks of one template have equal shapes, so that the scheduler places them as a group. What is written in another
order but means the same becomes the same, so that the tasks around are counted once for all who ask.
"""

from collections.abc import Iterable, Mapping

from controller.scheduler.fairness import QueueRule
from controller.scheduler.shape import (
    ALONE,
    ANYWHERE,
    NODE,
    OWNER,
    Cap,
    Company,
    Expression,
    Labels,
    NodePreference,
    NodeTerm,
    Place,
    PortAsk,
    Shape,
    Spread,
    TaskPreference,
    TaskTerm,
)
from schemas.affinity import Affinity, NodeExpression, TaskAffinity
from schemas.defaults import task_requests
from schemas.owned import INDEX_LABEL, OwnerReference
from schemas.queue import Queue
from schemas.roles import all_containers, lasting
from schemas.selector import LabelExpression, LabelSelector
from schemas.task import TaskSpec


def labels_of(namespace: str, labels: Mapping[str, str], owner: OwnerReference | None) -> Labels:
    """Return by what selectors know a task.

    The number of a task within its job is left out, as it would give each task a shape of its own.
    """
    seen = {key: value for key, value in labels.items() if key != INDEX_LABEL}
    if owner is not None:
        seen[OWNER] = f"{owner.kind.lower()}s/{owner.name}"
    return Labels(namespace, tuple(sorted(seen.items())))


def shape_of(spec: TaskSpec, labels: Labels) -> Shape:
    """Return what filters and scores ask of an effective spec; labels: those of the task."""
    return Shape(
        requests=tuple(sorted(task_requests(spec).items())),
        ports=_ports(spec),
        place=place_of(spec),
        company=company_of(spec, labels),
        labels=labels,
        images=tuple(sorted({each.image for each in all_containers(spec)})),
        strategy=spec.placement or "",
    )


def _ports(spec: TaskSpec) -> tuple[PortAsk, ...]:
    return tuple(
        PortAsk(container.name, port.container_port, port.host_port, port.protocol, port.name)
        for container in lasting(spec)
        for port in container.ports
    )


def rule_of(queue: Queue) -> QueueRule:
    """Return what a queue says of the order, the shares and the places of its tasks."""
    spec = queue.spec
    return QueueRule(
        queue.metadata.name,
        weight=spec.weight,
        guarantee=spec.guarantee,
        limit=spec.limit,
        ordering=spec.ordering,
        backfill=spec.backfill,
        strategy=spec.placement or "",
        max_wait=spec.max_wait,
    )


# Nodes


def place_of(spec: TaskSpec) -> Place:
    """Return what the task asks of a node whatever runs there."""
    if not (spec.affinity or spec.node_selector or spec.tolerations or spec.node_name):
        return ANYWHERE
    written = spec.affinity.node_affinity if spec.affinity else None
    return Place(
        selector=tuple(sorted(spec.node_selector.items())),
        tolerations=spec.tolerations,
        affinity=tuple(_node_term(each.match_expressions) for each in written.required) if written else (),
        preferred=tuple(
            NodePreference(each.weight, _node_term(each.match_expressions)) for each in written.preferred
        )
        if written
        else (),
        node_name=spec.node_name,
    )


def _node_term(written: Iterable[NodeExpression]) -> NodeTerm:
    return tuple(sorted(map(_expression, written), key=_by_text))


def _expression(written: NodeExpression | LabelExpression) -> Expression:
    return Expression(written.key, written.operator, tuple(sorted(set(written.values))))


def _by_text(each: Expression) -> tuple[str, str, tuple[str, ...]]:
    return each.key, each.operator, each.values


# Tasks around


def company_of(spec: TaskSpec, labels: Labels) -> Company:
    """Return what the task asks of the tasks around it; labels: its own."""
    if not (spec.affinity or spec.max_per_node is not None or spec.distinct or spec.topology_spread):
        return ALONE
    affinity = spec.affinity or Affinity()
    near, apart = affinity.task_affinity, affinity.task_anti_affinity
    return Company(
        near=_required(near, labels),
        repels=_required(apart, labels),
        caps=_caps(spec, labels),
        spreads=tuple(
            Spread(
                _term(each.label_selector, each.topology_key, labels),
                each.max_skew,
                each.when_unsatisfiable == "DoNotSchedule",
            )
            for each in spec.topology_spread
        ),
        preferred=(*_preferred(near, labels, sign=1), *_preferred(apart, labels, sign=-1)),
    )


def _required(written: TaskAffinity | None, labels: Labels) -> tuple[TaskTerm, ...]:
    terms = written.required if written else ()
    return tuple(_term(each.label_selector, each.topology_key, labels) for each in terms)


def _preferred(written: TaskAffinity | None, labels: Labels, *, sign: int) -> tuple[TaskPreference, ...]:
    terms = written.preferred if written else ()
    return tuple(
        TaskPreference(sign * each.weight, _term(each.label_selector, each.topology_key, labels))
        for each in terms
    )


def _caps(spec: TaskSpec, labels: Labels) -> tuple[Cap, ...]:
    own = () if spec.max_per_node is None else (Cap(_term(None, NODE, labels), spec.max_per_node),)
    others = (Cap(_term(None, each.label, labels), each.most, needs_label=True) for each in spec.distinct)
    return (*own, *others)


def _term(selector: LabelSelector | None, topology: str, labels: Labels) -> TaskTerm:
    found = _own_kind(labels) if selector is None else _selected(selector)
    return TaskTerm(labels.namespace, found, topology)


def _own_kind(labels: Labels) -> tuple[Expression, ...]:
    """The tasks of the same owner; without one those that have all of its labels."""
    owner = [(key, value) for key, value in labels.labels if key == OWNER]
    return tuple(Expression(key, "In", (value,)) for key, value in owner or labels.labels)


def _selected(selector: LabelSelector) -> tuple[Expression, ...]:
    equal = (Expression(key, "In", (value,)) for key, value in selector.match_labels.items())
    return tuple(sorted((*equal, *map(_expression, selector.match_expressions)), key=_by_text))
