"""Whether what is guaranteed to queues is there: the guarantees of all against what the nodes have. Pure."""

from collections.abc import Iterable, Mapping

from controller.scheduler.fairness import QueueRule
from schemas.meta import Condition, set_condition
from schemas.quantity import show_comparison
from schemas.status import ObjectStatus
from schemas.timestamps import format_time

GUARANTEED = "Guaranteed"


def shortfalls(rules: Iterable[QueueRule], capacity: Mapping[str, int]) -> dict[str, str]:
    """Return resource -> what is wrong, of those of which more is guaranteed than all nodes have."""
    promised: dict[str, int] = {}
    for rule in rules:
        for name, amount in rule.guarantee.items():
            promised[name] = promised.get(name, 0) + amount
    return {
        name: _lacking(name, amount, capacity.get(name, 0))
        for name, amount in sorted(promised.items())
        if amount > capacity.get(name, 0)
    }


def _lacking(name: str, promised: int, there: int) -> str:
    asked, had = show_comparison(name, promised, there)
    return f"queues are guaranteed {name} {asked} in all, and the nodes have {had}"


def told_guarantee(
    old: ObjectStatus | None, uid: str, generation: int, lacking: str | None, now: float
) -> ObjectStatus | None:
    """Return the status of a queue; None: there is nothing to say. lacking: what is wrong, None without guarantee."""
    if lacking is None and old is None:
        return None
    status = old or ObjectStatus(uid=uid)
    conditions = tuple(each for each in status.conditions if each.type != GUARANTEED)
    if lacking is not None:
        condition = Condition(
            type=GUARANTEED,
            status="False" if lacking else "True",
            reason="GuaranteesExceedCluster" if lacking else "",
            message=f"{lacking}; lower guarantees or add nodes" if lacking else "",
            last_transition_time=format_time(now),
        )
        conditions = set_condition(status.conditions, condition)
    return status.model_copy(update={"observed_generation": generation, "conditions": conditions})
