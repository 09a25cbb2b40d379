"""Optimal packing: the most work placed, then the fewest nodes used, with a bound that says how good that is.

    pack(snapshot, policy, now, seed, limits) -> Packing

    what the scheduler does by itself      schedule; or with the largest first: there the search begins
    where nodes are equal                  packing_patterns
    one program a tier, then the nodes     packing_model, packing_company, program
    what comes of it is put to the filters proposal.follow
    and kept only if it is better          proposal.Worth

The objectives are one after the other, not weighed against each other: no number of unimportant tasks outweighs an
urgent one, and no saved node a task. Within a tier work counts, not the number of tasks, else one large task would
always give way to two tiny ones. No queue gets less of any tier than the scheduler gives it: so fairness stays.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from math import inf
from typing import Any, Literal

import numpy as np

from controller.scheduler.columns import Floats
from controller.scheduler.packing_model import (
    MAX_CELLS,
    MAX_COLUMNS,
    Model,
)
from controller.scheduler.packing_patterns import by_patterns, suits
from controller.scheduler.packing_task import Placeable, groups_of
from controller.scheduler.program import Limits, Solved, gap, minimise, shared, total
from controller.scheduler.proposal import (
    Tiers,
    Worth,
    follow,
    kept_nodes,
    tiers_of,
    used_rows,
    work_of,
    worth_of,
)
from controller.scheduler.schedule import Decisions, Placed, Policy, schedule
from controller.scheduler.snapshot import Snapshot
from controller.scheduler.work import Work

PATTERNS_SHARE = 0.7  # of the time that is left; then the program node by node goes on from there

Verdict = Literal["Optimal", "Feasible", "TooLarge", "Unsolved", "Refused", "Nothing"]
"""Optimal: proved. Feasible: the best that was found. TooLarge: not tried. Refused: the filters said no."""


@dataclass(frozen=True, slots=True)
class Packing:
    """An answer that was checked. placed: the best that is known, in an order that works; else the scheduler's own.

    objective, bound: nodes used, and how few can do with that work at best. gap: their distance as a share.
    work, work_bound: work placed in millionths of the cluster, and the most that can be.
    searched: nodes of the search trees. columns, rows: how large the program is.
    """

    verdict: Verdict
    placed: tuple[Placed, ...]
    is_better: bool
    heuristic: Worth
    worth: Worth
    bound: float = 0.0
    work_bound: float = inf
    seconds: float = 0.0
    searched: int = 0
    columns: int = 0
    rows: int = 0

    @property
    def objective(self) -> int:
        return self.worth.nodes_used

    @property
    def gap(self) -> float:
        return gap(self.objective, self.bound)

    @property
    def nodes(self) -> dict[str, str]:
        """Return task uid -> node."""
        return {each.task.uid: each.node for each in self.placed}


def pack(snapshot: Snapshot, policy: Policy, now: float, seed: int, limits: Limits) -> Packing:
    """Return the best placements of the waiting tasks that are found within the limits."""
    decisions, tiers = schedule(snapshot, policy, now, seed), tiers_of(snapshot, now)
    own = worth_of(snapshot, decisions.placed, tiers)
    placed, worth = _largest_first(snapshot, policy, now, seed, tiers, decisions)
    known = _Known(snapshot, decisions, own, placed, worth)
    groups = groups_of(snapshot, tiers)
    if len(groups) * snapshot.fleet.size > MAX_CELLS:
        return known.packing("TooLarge", columns=len(groups) * snapshot.fleet.size)
    task = Placeable(snapshot, groups, decisions, placed, tiers)
    if not task.items:
        return known.packing("Nothing", bound=own.nodes_used, work_bound=0.0)
    if task.columns > MAX_COLUMNS:
        return known.packing("TooLarge", columns=task.columns)
    model = task.model()
    search = _search(model, task, tiers, limits)
    found = follow(snapshot, task.nodes_of(model.counts_in(search.values)), task.kept)
    worth = worth_of(snapshot, found.placed, tiers)
    verdict: Verdict = search.verdict
    if worth.is_better_than(known.worth):
        known = replace(known, placed=found.placed, worth=worth)
    elif found.refused and worth != known.worth:
        verdict = "Refused"
    return known.packing(
        verdict,
        bound=task.used + search.bound,
        work_bound=search.work_bound,
        seconds=search.seconds,
        searched=search.searched,
        columns=len(model.program.low),
        rows=len(model.program.rows),
    )


@dataclass(frozen=True, slots=True)
class _Known:
    """The best placements that are known so far, beside the scheduler's own."""

    snapshot: Snapshot
    decisions: Decisions
    own: Worth
    placed: tuple[Placed, ...]
    worth: Worth

    def packing(self, verdict: Verdict, *, bound: float = 0.0, **more: Any) -> Packing:
        """Return it as an answer. Where everybody is placed, no packing uses less than counting amounts says."""
        if len(self.placed) == len(self.snapshot.pending):
            bound = max(bound, counted_bound(self.snapshot, self.placed))
        is_better = self.worth.is_better_than(self.own)
        bound = min(bound, self.worth.nodes_used)
        return Packing(verdict, self.placed, is_better, self.own, self.worth, bound=bound, **more)


def _largest_first(
    snapshot: Snapshot, policy: Policy, now: float, seed: int, tiers: Tiers, decisions: Decisions
) -> tuple[tuple[Placed, ...], Worth]:
    """Return what the scheduler would place if the largest had come first, or what it does place if that is no worse.

    Best fit by decreasing size needs fewer nodes than in the order of arrival, and costs no search. Source: Johnson,
    Near-optimal bin packing algorithms (1973).
    """
    capacity, own = snapshot.fleet.capacity(), worth_of(snapshot, decisions.placed, tiers)
    sizes = {task.uid: work_of(task, capacity) for task in snapshot.pending}
    ordered = sorted(snapshot.pending, key=lambda task: (tiers.of[task.uid], -sizes[task.uid], task.age))
    pending = tuple(replace(task, age=number) for number, task in enumerate(ordered))
    trial = schedule(replace(snapshot, pending=pending), policy, now, seed)
    found = follow(snapshot, {each.task.uid: each.node for each in trial.placed}, kept_nodes(decisions))
    worth = worth_of(snapshot, found.placed, tiers)
    return (found.placed, worth) if worth.is_better_than(own) else (decisions.placed, own)


# The search


@dataclass(frozen=True, slots=True)
class _Found:
    verdict: Verdict
    values: Floats
    bound: float
    work_bound: float
    searched: int
    seconds: float


def _search(model: Model, task: Placeable, tiers: Tiers, limits: Limits) -> _Found:
    """Place the most work, tier after tier; then use the fewest nodes."""
    program, values = model.program, model.start(task.counts)
    program.admit(values)
    capacity = model.work.fleet.capacity()
    works = [work_of(item.tasks[0], capacity) for item in model.items]
    _keep_queues(model, works, values)
    steps: list[Solved] = []
    work_bound = 0.0
    for tier in range(tiers.count):
        items = [number for number, item in enumerate(model.items) if item.tier == tier]
        terms = {column: -float(works[n]) for n in items for column in model.of_item(n).values()}
        everything = sum(works[n] * len(model.items[n].tasks) for n in items)
        if -total(terms, values) < everything:
            values, bound = _step(model, terms, values, shared(limits, steps), steps)
            work_bound += min(-bound, everything)
        else:
            work_bound += everything
        program.add_row(terms, high=total(terms, values) + 0.5)
    is_proved = all(each.status == "Optimal" for each in steps)
    values, bound = _fewest(model, task, values, limits, steps)
    is_proved &= total(dict.fromkeys(model.opened.values(), 1.0), values) <= bound
    verdict: Verdict = "Optimal" if is_proved else "Feasible"
    if all(each.status in ("Unsolved", "Infeasible") for each in steps) and steps:
        verdict = "Unsolved"
    searched, seconds = sum(each.searched for each in steps), sum(each.seconds for each in steps)
    return _Found(verdict, values, max(0.0, bound), work_bound, searched, seconds)


def _fewest(
    model: Model, task: Placeable, values: Floats, limits: Limits, steps: list[Solved]
) -> tuple[Floats, float]:
    """Return the answer with the fewest nodes: by patterns where they suit, then node by node."""
    fewest = dict.fromkeys(model.opened.values(), 1.0)
    bound, groups = 0.0, task.groups()
    counts = model.counts_in(values)
    everybody = sum(len(item.tasks) for item in model.items)
    if sum(counts.values()) == everybody and suits(model.items, groups):
        half = replace(limits, seconds=shared(limits, steps).seconds * PATTERNS_SHARE)
        found = by_patterns(task.work, model.items, groups, task.empty, counts, half, steps)
        better, bound = model.start(found.counts), found.bound
        if sum(found.counts.values()) == everybody and total(fewest, better) < total(fewest, values):
            values = better
    if total(fewest, values) <= bound:
        return values, bound
    found_values, found_bound = _step(model, fewest, values, shared(limits, steps), steps)
    return found_values, max(bound, found_bound)


def _step(
    model: Model, terms: Mapping[int, float], values: Floats, limits: Limits, steps: list[Solved]
) -> tuple[Floats, float]:
    """Go on from an answer; return the best one, and the bound."""
    if not terms:
        return values, 0.0
    if limits.seconds <= 0:
        steps.append(Solved("Feasible", values, total(terms, values), -inf, 0, 0.0))
        return values, -inf
    solved = minimise(model.program, terms, values, limits)
    steps.append(solved)
    is_better = len(solved.values) and solved.objective <= total(terms, values)
    return (solved.values if is_better else values), solved.bound


def _keep_queues(model: Model, works: Sequence[int], values: Floats) -> None:
    """Each queue gets as much of each tier as it has in an answer."""
    terms: dict[tuple[str, int], dict[int, float]] = {}
    for number, item in enumerate(model.items):
        own = terms.setdefault((item.queue, item.tier), {})
        own |= {column: float(works[number]) for column in model.of_item(number).values()}
    for sum_ in terms.values():
        model.program.add_row(sum_, low=total(sum_, values) - 0.5)


def counted_bound(snapshot: Snapshot, placed: Sequence[Placed]) -> int:
    """Return how many nodes are used at least by those that stand and these, counting amounts only."""
    work, used = Work.of(snapshot.fleet), used_rows(snapshot.fleet)
    rows, least = np.array(sorted(used), np.int64), 0
    empty = snapshot.fleet.exists.copy()
    empty[rows] = False
    for name, index in snapshot.fleet.resources.items():
        asked = sum(dict(each.task.shape.requests).get(name, 0) for each in placed)
        left = asked - int(np.maximum(work.free[index][rows], 0).sum())
        sums = np.cumsum(np.sort(np.maximum(work.free[index][empty], 0))[::-1])
        if left > 0:
            least = max(least, int(np.searchsorted(sums, left)) + 1)
    return len(used) + min(least, int(empty.sum()))
