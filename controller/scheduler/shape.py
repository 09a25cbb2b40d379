"""What a task asks of a node. Values only; tasks of one shape are placed as a group."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from schemas.affinity import NODE_TOPOLOGY
from schemas.task import Toleration

Operator = Literal["In", "NotIn", "Exists", "DoesNotExist", "Gt", "Lt"]

NODE = NODE_TOPOLOGY
"""The topology key that every node has, with its own name as the value."""

OWNER = "(owner)"
"""The label that the scheduler itself gives each task of an owner: `deployments/web`. No written key is like it."""


@dataclass(frozen=True, slots=True)
class Expression:
    """One demand on labels, by Kubernetes' rules; Gt and Lt compare integers."""

    key: str
    operator: Operator
    values: tuple[str, ...] = ()

    def matches(self, labels: Mapping[str, str]) -> bool:
        value = labels.get(self.key)
        match self.operator:
            case "In":
                return value in self.values
            case "NotIn":
                return value not in self.values
            case "Exists":
                return value is not None
            case "DoesNotExist":
                return value is None
            case "Gt":
                return value is not None and _is_number(value) and int(value) > int(self.values[0])
            case "Lt":
                return value is not None and _is_number(value) and int(value) < int(self.values[0])


def _is_number(text: str) -> bool:
    return text.removeprefix("-").isdecimal()


NodeTerm = tuple[Expression, ...]
"""Demands on the labels of a node that must all hold."""


@dataclass(frozen=True, slots=True)
class Labels:
    """By what selectors know a task: its namespace, and its labels in order of their keys."""

    namespace: str
    labels: tuple[tuple[str, str], ...]


@dataclass(frozen=True, slots=True)
class TaskTerm:
    """The tasks of a namespace that match, counted by the value that their node has for `topology`."""

    namespace: str
    expressions: tuple[Expression, ...]
    topology: str = NODE

    def matches(self, task: Labels) -> bool:
        if task.namespace != self.namespace:
            return False
        labels = dict(task.labels)
        return all(each.matches(labels) for each in self.expressions)


@dataclass(frozen=True, slots=True)
class Cap:
    """Where `most` tasks of the term are already, no further one goes.

    needs_label: nodes without the topology label are out, as for a distinct property.
    """

    term: TaskTerm
    most: int
    needs_label: bool = False


@dataclass(frozen=True, slots=True)
class Spread:
    """The numbers of matching tasks in the domains differ by at most `max_skew`; soft: as a preference."""

    term: TaskTerm
    max_skew: int = 1
    is_hard: bool = True


@dataclass(frozen=True, slots=True)
class NodePreference:
    weight: int
    term: NodeTerm


@dataclass(frozen=True, slots=True)
class TaskPreference:
    """weight: 1 to 100; negative to keep away."""

    weight: int
    term: TaskTerm


@dataclass(frozen=True, slots=True)
class PortAsk:
    """A container port to publish; `host_port` None: any free one of the node's range."""

    container: str
    container_port: int
    host_port: int | None
    protocol: Literal["TCP", "UDP"]
    name: str | None


@dataclass(frozen=True, slots=True)
class Place:
    """What a shape asks of a node whatever runs there; many shapes share one."""

    selector: tuple[tuple[str, str], ...] = ()
    tolerations: tuple[Toleration, ...] = ()
    affinity: tuple[NodeTerm, ...] = ()  # one of them must hold
    preferred: tuple[NodePreference, ...] = ()
    node_name: str | None = None  # the only node that it may go to


@dataclass(frozen=True, slots=True)
class Company:
    """What a shape asks of the tasks around it. repels: whom it keeps away also when they come later."""

    near: tuple[TaskTerm, ...] = ()
    repels: tuple[TaskTerm, ...] = ()
    caps: tuple[Cap, ...] = ()
    spreads: tuple[Spread, ...] = ()
    preferred: tuple[TaskPreference, ...] = ()


ANYWHERE = Place()
ALONE = Company()
NOBODY = Labels("", ())


@dataclass(frozen=True, slots=True)
class Shape:
    """All that filters and scores ask. requests: (resource, amount in base units) by name.

    labels: what selectors of others see of it. images: those that a node had better have already.
    strategy: how its nodes are scored, empty for that of its queue.
    """

    requests: tuple[tuple[str, int], ...]
    ports: tuple[PortAsk, ...] = ()
    place: Place = ANYWHERE
    company: Company = ALONE
    labels: Labels = NOBODY
    images: tuple[str, ...] = ()
    strategy: str = ""

    def __hash__(self) -> int:
        """By what nearly always differs: all of it takes as long to hash as a task takes to be placed."""
        return hash((self.requests, self.labels.labels))

    def asks(self, resource: str) -> int:
        """Return how much it asks for of a resource."""
        for name, amount in self.requests:
            if name == resource:
                return amount
        return 0
