"""The obvious scheduler: each task looks at each node, with plain loops. Slow, and the yardstick for the real one."""

import zlib
from dataclasses import dataclass, field

import numpy as np

from controller.scheduler.filters import tolerates
from controller.scheduler.node_view import NodeView, Standing
from controller.scheduler.shape import NODE, Expression, Labels, Shape, TaskTerm


@dataclass
class Naive:
    """Nodes and who is on them: (node name, shape's labels, whom it repels)."""

    nodes: list[NodeView]
    standing: list[Standing]
    strategy: str
    seed: int
    free: dict[str, dict[str, int]] = field(default_factory=dict)
    there: list[tuple[str, Labels, tuple[TaskTerm, ...]]] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.free = {node.name: dict(node.free) for node in self.nodes}
        self.there = [(task.node, task.labels, task.repels) for task in self.standing]

    def place(self, shape: Shape) -> str | None:
        fitting = [node for node in self.nodes if self.fits(shape, node)]
        if not fitting:
            return None
        best = min(fitting, key=lambda node: (-self.score(shape, node), self._tie(node)))
        self.take(shape, best.name)
        return best.name

    def take(self, shape: Shape, name: str) -> None:
        for resource, amount in shape.requests:
            self.free[name][resource] = self.free[name].get(resource, 0) - amount
        self.there.append((name, shape.labels, shape.company.repels))

    def _tie(self, node: NodeView) -> int:
        return zlib.crc32(f"{self.seed}/{node.name}".encode())

    # Filters

    def fits(self, shape: Shape, node: NodeView) -> bool:
        return (
            self.is_allowed(shape, node) and self._has_room(shape, node) and self._keeps_company(shape, node)
        )

    def is_allowed(self, shape: Shape, node: NodeView) -> bool:
        place = shape.place
        hard = [taint for taint in node.taints if taint.effect == "NoSchedule"]
        return (
            node.ready
            and not node.cordoned
            and place.node_name in (None, node.name)
            and all(any(tolerates(each, taint) for each in place.tolerations) for taint in hard)
            and all(node.labels.get(key) == value for key, value in place.selector)
            and (not place.affinity or any(self._meets(term, node) for term in place.affinity))
        )

    def _has_room(self, shape: Shape, node: NodeView) -> bool:
        return all(self.free[node.name].get(name, 0) >= amount for name, amount in shape.requests)

    def _keeps_company(self, shape: Shape, node: NodeView) -> bool:
        company = shape.company
        if any(self._around(term, node) > 0 for term in company.repels):
            return False
        if any(self._around(cap.term, node) >= cap.most for cap in company.caps):
            return False
        if any(cap.needs_label and self._domain(cap.term.topology, node) is None for cap in company.caps):
            return False
        for name, _, repels in self.there:
            for term in repels:
                domain = self._domain(term.topology, node)
                same = domain is not None and domain == self._domain(term.topology, self._node(name))
                if same and term.matches(shape.labels):
                    return False
        return self._is_near(shape, node) and self._keeps_skew(shape, node)

    def _is_near(self, shape: Shape, node: NodeView) -> bool:
        for term in shape.company.near:
            is_first = term.matches(shape.labels) and not any(
                term.matches(labels) for _, labels, _ in self.there
            )
            if is_first:
                if self._domain(term.topology, node) is None:
                    return False
            elif not self._around(term, node):
                return False
        return True

    def _keeps_skew(self, shape: Shape, node: NodeView) -> bool:
        for spread in shape.company.spreads:
            domain = self._domain(spread.term.topology, node)
            if domain is None:
                return False
            others = {
                self._domain(spread.term.topology, each): self._around(spread.term, each)
                for each in self.nodes
                if self.is_allowed(shape, each) and self._domain(spread.term.topology, each) is not None
            }
            mine = self._around(spread.term, node) + spread.term.matches(shape.labels)
            if mine - min(others.values(), default=0) > spread.max_skew:
                return False
        return True

    def _around(self, term: TaskTerm, node: NodeView) -> int:
        domain = self._domain(term.topology, node)
        if domain is None:
            return 0
        return sum(
            1
            for name, labels, _ in self.there
            if term.matches(labels) and self._domain(term.topology, self._node(name)) == domain
        )

    def _node(self, name: str) -> NodeView:
        return next(node for node in self.nodes if node.name == name)

    @staticmethod
    def _domain(topology: str, node: NodeView) -> str | None:
        return node.name if topology == NODE else node.labels.get(topology)

    @staticmethod
    def _meets(term: tuple[Expression, ...], node: NodeView) -> bool:
        return all(each.matches({**node.labels, NODE: node.name}) for each in term)

    # Scores

    def score(self, shape: Shape, node: NodeView) -> float:
        powers = [self._power_after(shape, node, name) for name in ("cpu", "memory")]
        fit = min(1.0, max(0.0, (20.0 - (powers[0] + powers[1])) / 18.0))
        if self.strategy == "binpack":
            total = fit
        elif self.strategy == "spread":
            total = 1.0 - fit
        else:
            logs = np.log10(np.array(powers))
            total = float(1.0 - abs(logs[0] - logs[1]))
        soft = [taint for taint in node.taints if taint.effect == "PreferNoSchedule"]
        standing = 0.0
        if any(not any(tolerates(each, taint) for each in shape.place.tolerations) for taint in soft):
            standing -= 10.0
        for preference in shape.place.preferred:
            if self._meets(preference.term, node):
                standing += preference.weight * (1.0 / 100)
        return total + standing

    def _power_after(self, shape: Shape, node: NodeView, name: str) -> float:
        capacity = node.allocatable.get(name, 0)
        if capacity <= 0:
            return 10.0
        asked = dict(shape.requests).get(name, 0)
        share = min(1.0, self.free[node.name].get(name, 0) / capacity)
        return float(np.power(10.0, np.array([share]))[0] * np.power(10.0, np.array([-asked / capacity]))[0])
