"""The one place that decides who is moved on purpose, and who waits for which budget. Pure.

A healthy task may go while every budget over it keeps as many healthy ones as it promises. One that is not healthy
serves nobody, so that it may always go. What was decided and is not seen yet is disrupted already.
"""

from collections.abc import Callable, Collection, Container, Iterable, Mapping
from dataclasses import dataclass, replace
from enum import IntEnum

from schemas.binding import StopReason
from schemas.budget import DisruptionBudgetSpec
from schemas.keys import ObjectRef
from schemas.selector import share_of


class Cause(IntEnum):
    """Why a task is to move; wishes of people go first."""

    REQUEST = 0
    DRAIN = 1
    PREEMPTION = 2


@dataclass(frozen=True, slots=True)
class Candidate:
    """A task that is to leave its node. `forced`: without regard to budgets. room_for: by preemption, for whom.

    to: the node that it is meant for, empty for any.
    """

    ref: ObjectRef
    binding_uid: str
    node: str
    cause: Cause
    forced: bool = False
    room_for: ObjectRef | None = None
    to: str = ""


@dataclass(frozen=True, slots=True)
class Guarded:
    """A task as budgets see it. labels None: they can't be read, so that it may be anybody's.

    healthy: it runs, is ready, and nobody has told it to stop. owner: uid of who made it, empty for nobody.
    """

    ref: ObjectRef
    labels: Mapping[str, str] | None
    healthy: bool
    owner: str = ""


@dataclass(frozen=True, slots=True)
class Budget:
    """A budget of the namespace; spec None: it can't be read. `wanted`: owner's uid -> how many tasks it wants."""

    ref: ObjectRef
    spec: DisruptionBudgetSpec | None
    wanted: Mapping[str, int]


@dataclass(frozen=True, slots=True)
class Standing:
    """How a budget stands: of `expected` tasks `healthy` are, and `needed` must be."""

    expected: int
    healthy: int
    needed: int

    @property
    def allowed(self) -> int:
        return max(0, self.healthy - self.needed)


@dataclass(frozen=True, slots=True)
class Evicted:
    """The decision that a binding is to end."""

    binding_uid: str
    reason: StopReason
    message: str


@dataclass(frozen=True, slots=True)
class Waits:
    """The decision that a task stays for now, and why."""

    reason: str


Verdicts = Mapping[ObjectRef, Evicted | Waits]


def covers(budget: Budget, task: Guarded) -> bool:
    if budget.ref.namespace != task.ref.namespace or budget.spec is None:
        return False
    return task.labels is None or budget.spec.selector.matches(task.labels)


def standing(budget: Budget, tasks: Iterable[Guarded], disrupted: frozenset[ObjectRef]) -> Standing:
    """Return how a budget that can be read stands, among `tasks` of its namespace."""
    covered = [task for task in tasks if covers(budget, task)]
    return standing_of(budget, covered, disrupted.__contains__)


def standing_of(
    budget: Budget, covered: Collection[Guarded], is_gone: Callable[[ObjectRef], bool]
) -> Standing:
    """Return how a budget that can be read stands, over these very tasks. is_gone: it serves nobody."""
    assert budget.spec is not None
    healthy = sum(task.healthy and not is_gone(task.ref) for task in covered)
    expected = _expected(budget, covered)
    return Standing(expected, healthy, _needed(budget.spec, expected))


def _expected(budget: Budget, covered: Collection[Guarded]) -> int:
    """Count what owners want, also while a task of theirs is missing; of what has no such owner what is there."""
    by_owner: dict[str, int] = {}
    for task in covered:
        by_owner[task.owner] = by_owner.get(task.owner, 0) + 1
    return sum(budget.wanted.get(owner, count) for owner, count in by_owner.items())


def _needed(spec: DisruptionBudgetSpec, expected: int) -> int:
    """Return how many must be healthy; percent are rounded up, as in Kubernetes."""
    if spec.min_available is not None:
        return share_of(spec.min_available, expected, round_up=True)
    assert spec.max_unavailable is not None, "a budget has one of both"
    return max(0, expected - share_of(spec.max_unavailable, expected, round_up=True))


def decide(
    candidates: Iterable[Candidate],
    tasks: Mapping[ObjectRef, Guarded],
    budgets: Iterable[Budget],
    disrupted: frozenset[ObjectRef] = frozenset(),
) -> dict[ObjectRef, Evicted | Waits]:
    """Say of each candidate whether it goes now, or what it waits for.

    tasks: all that count, of the namespaces of the candidates. disrupted: told to go already, and not seen yet.
    """
    known = tuple(budgets)
    stands = {
        budget.ref: standing(budget, tasks.values(), disrupted) for budget in known if budget.spec is not None
    }
    return decide_by(candidates, tasks, known, stands, disrupted)


def decide_by(
    candidates: Iterable[Candidate],
    tasks: Mapping[ObjectRef, Guarded],
    known: tuple[Budget, ...],
    standings: Mapping[ObjectRef, Standing],
    disrupted: Container[ObjectRef],
) -> dict[ObjectRef, Evicted | Waits]:
    """The same, where it is known how the budgets stand; `tasks` need only have the candidates."""
    stands = dict(standings)
    verdicts: dict[ObjectRef, Evicted | Waits] = {}
    for candidate in sorted(candidates, key=lambda each: _order(each, tasks)):
        if candidate.ref in verdicts or candidate.ref in disrupted:
            continue
        task = tasks.get(candidate.ref)
        over = _over(candidate, task, known)
        reason = "" if candidate.forced else _hindrance(task, over, stands)
        if reason:
            verdicts[candidate.ref] = Waits(reason)
            continue
        for budget in over if task is not None and task.healthy else ():
            if budget.ref in stands:
                stands[budget.ref] = replace(stands[budget.ref], healthy=stands[budget.ref].healthy - 1)
        verdicts[candidate.ref] = Evicted(candidate.binding_uid, _stop_reason(candidate), _words(candidate))
    return verdicts


def _order(candidate: Candidate, tasks: Mapping[ObjectRef, Guarded]) -> tuple[bool, bool, int, ObjectRef]:
    """Who serves nobody goes first: that costs no budget anything."""
    task = tasks.get(candidate.ref)
    return not candidate.forced, task is not None and task.healthy, candidate.cause, candidate.ref


def _stop_reason(candidate: Candidate) -> StopReason:
    return StopReason.PREEMPTED if candidate.cause is Cause.PREEMPTION else StopReason.DRAINED


def _words(candidate: Candidate) -> str:
    if candidate.cause is Cause.PREEMPTION:
        return f"it makes room for {candidate.room_for}"
    if candidate.cause is Cause.REQUEST:
        return f"it is to move to node {candidate.to}" if candidate.to else "its eviction was asked for"
    return f"node {candidate.node} is drained" + (", by force" if candidate.forced else "")


def _over(candidate: Candidate, task: Guarded | None, budgets: tuple[Budget, ...]) -> list[Budget]:
    """Return the budgets over a task; one that can't be read is over all of its namespace."""
    own = [budget for budget in budgets if budget.ref.namespace == candidate.ref.namespace]
    return [each for each in own if each.spec is None or (task is not None and covers(each, task))]


def _hindrance(task: Guarded | None, over: list[Budget], stands: Mapping[ObjectRef, Standing]) -> str:
    """Return which budgets keep the task where it is, and by which numbers; empty if none does."""
    unreadable = next((budget.ref for budget in over if budget.spec is None), None)
    if unreadable is not None:
        return (
            f"budget {unreadable.name} can't be read, so nothing of its namespace is moved; "
            f"see: berth describe disruptionbudget/{unreadable.name} -n {unreadable.namespace}"
        )
    if task is None or not task.healthy:
        return ""
    lacking = [(each.ref.name, stands[each.ref]) for each in over if stands[each.ref].allowed < 1]
    return "; ".join(
        f"budget {name}: {now.healthy} of {now.expected} available, needs {now.needed}"
        for name, now in lacking
    )
