"""The obvious scheduler: each task looks at each node, in plain Python. The rates of the real one are told against it.

It knows amounts, readiness and taints, and the same best fit; of affinity, spread and queues it knows nothing.
"""

from collections.abc import Iterable

from controller.scheduler.filters import tolerated
from controller.scheduler.node_view import NodeView
from controller.scheduler.shape import Shape


class Reference:
    """What is free on each node, by name of the resource."""

    def __init__(self, nodes: Iterable[NodeView]) -> None:
        self._nodes = [(node, dict(node.free)) for node in nodes]

    def place(self, shape: Shape) -> str | None:
        """Put one task on the best node that fits; return its name, None if none does."""
        best, best_score = None, -1.0
        for node, free in self._nodes:
            if self._fits(shape, node, free) and (score := self._score(shape, node, free)) > best_score:
                best, best_score = (node, free), score
        if best is None:
            return None
        for name, amount in shape.requests:
            best[1][name] -= amount
        return best[0].name

    @staticmethod
    def _fits(shape: Shape, node: NodeView, free: dict[str, int]) -> bool:
        return (
            node.ready
            and not node.cordoned
            and all(free.get(name, 0) >= amount for name, amount in shape.requests)
            and all(tolerated(shape.place.tolerations, taint) for taint in node.taints)
        )

    @staticmethod
    def _score(shape: Shape, node: NodeView, free: dict[str, int]) -> float:
        total = 20.0
        for name in ("cpu", "memory"):
            total -= 10.0 ** ((free[name] - shape.asks(name)) / node.allocatable[name])
        return total / 18.0
