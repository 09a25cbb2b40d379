"""Weighted dominant resource fairness: who is next, by shares of what the cluster has.

A queue's dominant share is the largest share, over all resources, of the cluster that it holds; divided by its weight
it says whose turn it is: the least first (progressive filling). Source: Ghodsi et al., Dominant Resource Fairness,
NSDI 2011, algorithm 1; weights as in its section 4.3.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

Amounts = Mapping[str, int]
Requests = tuple[tuple[str, int], ...]


@dataclass(frozen=True, slots=True)
class QueueRule:
    """What was written of a queue. guarantee, limit: resource -> amount in base units; what they don't name has none.

    ordering: fcfs or sjf. ageing: how fast waiting counts against an estimate, see `order`.
    """

    name: str
    weight: float = 1.0
    guarantee: Amounts = field(default_factory=dict)
    limit: Amounts = field(default_factory=dict)
    ordering: str = "fcfs"
    backfill: str = "easy"
    strategy: str = ""
    max_wait: float = 3600.0


@dataclass(slots=True)
class Account:
    """What one queue holds while a cycle grants; used: resource -> amount."""

    rule: QueueRule
    used: dict[str, int] = field(default_factory=dict)

    def take(self, requests: Requests, count: int = 1) -> None:
        for name, amount in requests:
            self.used[name] = self.used.get(name, 0) + amount * count

    def over_limit(self, requests: Requests) -> tuple[str, int] | None:
        """Return the first resource of which one more task would pass the limit, and by how much."""
        if not self.rule.limit:
            return None
        for name, amount in requests:
            most = self.rule.limit.get(name)
            if amount and most is not None and self.used.get(name, 0) + amount > most:
                return name, self.used.get(name, 0) + amount - most
        return None

    def is_guaranteed(self, requests: Requests) -> bool:
        """Say whether all that a task asks of what is guaranteed stays within the guarantee."""
        if not self.rule.guarantee:
            return False
        named = [(name, amount) for name, amount in requests if amount and name in self.rule.guarantee]
        return bool(named) and all(
            self.used.get(name, 0) + amount <= self.rule.guarantee[name] for name, amount in named
        )

    def holds_as_guaranteed(self, requests: Requests) -> bool:
        """The same of a task that it holds already, and that is counted in `used`."""
        named = [name for name, amount in requests if amount and name in self.rule.guarantee]
        return bool(named) and all(self.used.get(name, 0) <= self.rule.guarantee[name] for name in named)

    def borrowed(self) -> dict[str, int]:
        """Return what it holds above its guarantee, by resource."""
        over = {name: used - self.rule.guarantee.get(name, 0) for name, used in self.used.items()}
        return {name: amount for name, amount in over.items() if amount > 0}


def dominant(used: Amounts, capacity: Amounts) -> tuple[str, float]:
    """Return the resource of which `used` is the largest share of the cluster, and that share, 0 to 1."""
    largest, resource = 0.0, ""
    for name, amount in used.items():
        if amount > 0 and (whole := capacity.get(name, 0)) > 0:
            share = amount / whole
            if share > largest or (share == largest and name > resource):
                largest, resource = share, name
    return resource, largest


def weighted_share(account: Account, capacity: Amounts) -> float:
    """Return the dominant share by weight: the least is next."""
    return dominant(account.used, capacity)[1] / account.rule.weight


def turn_key(account: Account, requests: Requests, capacity: Amounts) -> tuple[int, float, str]:
    """Sort key of a queue whose next task asks for `requests`: within a guarantee first, then the least share."""
    stage = 0 if account.is_guaranteed(requests) else 1
    return stage, weighted_share(account, capacity), account.rule.name


def accounts_of(rules: Iterable[QueueRule], used: Mapping[str, Amounts]) -> dict[str, Account]:
    """Return an account for each rule and each queue that holds something, by name."""
    accounts = {rule.name: Account(rule) for rule in rules}
    for name, amounts in used.items():
        account = accounts.setdefault(name, Account(QueueRule(name)))
        account.used.update(amounts)
    return accounts
