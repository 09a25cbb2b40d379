"""Where a task may run and had better run: demands on the labels of nodes, and on the tasks around it.

As in Kubernetes: of the required terms about nodes one must hold, with all of its expressions; of those about tasks all
must. Tasks are those of the task's own namespace, counted by the value that their node has for `topologyKey`.
"""

from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from schemas.meta import DnsSubdomain, LabelKey, Model
from schemas.quantity import Duration
from schemas.selector import LabelSelector

NODE_TOPOLOGY = "berth/node"
"""The topology key that every node has, with its own name as the value."""

MAX_TERMS = 32
"""Of one kind in one task: each costs a column over all nodes in every cycle; people write one to three."""

GANG_TIMEOUT_S = 300.0

Weight = Annotated[int, Field(ge=1, le=100)]  # as in Kubernetes
Most = Annotated[int, Field(ge=1, le=100_000)]

_NO_VALUES = ("Exists", "DoesNotExist")
_ONE_NUMBER = ("Gt", "Lt")


class NodeExpression(Model):
    """One demand on a label of a node; Gt and Lt compare whole numbers."""

    key: LabelKey
    operator: Literal["In", "NotIn", "Exists", "DoesNotExist", "Gt", "Lt"]
    values: tuple[str, ...] = ()

    @model_validator(mode="after")
    def _values_fit(self) -> Self:
        if self.operator in _ONE_NUMBER:
            if len(self.values) != 1 or not _is_number(self.values[0]):
                raise ValueError(f'{self.operator} needs one whole number in quotes, such as values: ["8"]')
        elif (self.operator in _NO_VALUES) == bool(self.values):
            raise ValueError("In and NotIn need values, Exists and DoesNotExist take none")
        return self


def _is_number(text: str) -> bool:
    return text.isascii() and text.removeprefix("-").isdecimal()


class NodeTerm(Model):
    match_expressions: Annotated[tuple[NodeExpression, ...], Field(min_length=1)]


class PreferredNodeTerm(Model):
    weight: Weight
    match_expressions: Annotated[tuple[NodeExpression, ...], Field(min_length=1)]


class NodeAffinity(Model):
    required: Annotated[tuple[NodeTerm, ...], Field(max_length=MAX_TERMS)] = ()
    preferred: Annotated[tuple[PreferredNodeTerm, ...], Field(max_length=MAX_TERMS)] = ()


class TaskTerm(Model):
    """Which tasks, and by which label of their nodes they are counted."""

    label_selector: LabelSelector | None = None
    topology_key: LabelKey = NODE_TOPOLOGY


class PreferredTaskTerm(Model):
    weight: Weight
    label_selector: LabelSelector | None = None
    topology_key: LabelKey = NODE_TOPOLOGY


class TaskAffinity(Model):
    """In taskAffinity: where such tasks are. In taskAntiAffinity: where none of them is."""

    required: Annotated[tuple[TaskTerm, ...], Field(max_length=MAX_TERMS)] = ()
    preferred: Annotated[tuple[PreferredTaskTerm, ...], Field(max_length=MAX_TERMS)] = ()


class Affinity(Model):
    node_affinity: NodeAffinity | None = None
    task_affinity: TaskAffinity | None = None
    task_anti_affinity: TaskAffinity | None = None


class TopologySpread(Model):
    """The numbers of tasks at any two values of `topologyKey` differ by at most `maxSkew`."""

    topology_key: LabelKey = NODE_TOPOLOGY
    max_skew: Most = 1
    when_unsatisfiable: Literal["DoNotSchedule", "ScheduleAnyway"] = "DoNotSchedule"
    label_selector: LabelSelector | None = None


class Distinct(Model):
    """At most so many tasks of the same owner at each value of a label of nodes, as Nomad's distinct_property."""

    label: LabelKey
    most: Most = 1


class Gang(Model):
    """All or nothing: no task of the name starts before `minMember` of them have a place."""

    name: DnsSubdomain | None = None
    min_member: Most
    timeout: Duration = GANG_TIMEOUT_S
