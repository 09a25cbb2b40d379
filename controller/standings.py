"""How the budgets stand, kept up to date change by change: one change costs as much as the budgets that it moves.

Fed with the objects that differ. Nothing is looked at before somebody asks, and then only what differs since.
"""

from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass, field

from controller.guarding import budget_of, guarded_of, wanted_by
from controller.reconcilers.eviction import Budget, Guarded, Standing, covers, standing_of
from controller.reconcilers.rollup import NodeHealth
from controller.records import ObjectRecord, TaskRecord
from controller.view import View
from schemas.keys import ObjectRef

OWNERS = frozenset({"deployments", "daemonsets"})  # kinds that say how many tasks they want
BUDGETS = "disruptionbudgets"
MOST_PUT_OFF = 20_000  # changes that wait until somebody asks, where there is no budget; each is a reference


@dataclass(slots=True)
class _Cover:
    """A budget, and the tasks that it is over."""

    budget: Budget
    members: dict[ObjectRef, Guarded] = field(default_factory=dict)


@dataclass(slots=True)
class _Within:
    """All of one namespace. wanted: owner's uid -> how many tasks it wants; budgets share it as it changes."""

    tasks: dict[ObjectRef, Guarded] = field(default_factory=dict)
    covers: dict[ObjectRef, _Cover] = field(default_factory=dict)
    wanted: dict[str, int] = field(default_factory=dict)


class Standings:
    """Budgets with the tasks that they are over. `health` is kept up to date by others."""

    def __init__(self, view: View, health: Mapping[str, NodeHealth]) -> None:
        self._view = view
        self._health = health
        self._differing: set[ObjectRef] | None = None  # None: all of it, nothing was looked at yet
        self._within: dict[str, _Within] = {}
        self._uids: dict[ObjectRef, str] = {}  # of owners that say how many they want
        self._has_news = True  # a budget differs, so that there is something to look at
        self._moved: set[ObjectRef] = set()  # budgets that may stand otherwise
        self._told: dict[ObjectRef, Standing] = {}

    def changed(self, ref: ObjectRef) -> None:
        """Take in that something about this object differs."""
        if self._differing is not None:
            self._differing.add(ref)
        self._has_news = self._has_news or ref.plural == BUDGETS

    def disrupted(self, task: ObjectRef) -> None:
        """Take in that a task was decided to go, or no longer is."""
        for ref, cover in self._of(task.namespace).covers.items():
            if task in cover.members:
                self._moved.add(ref)

    def task(self, ref: ObjectRef) -> Guarded | None:
        """Return a task if it counts."""
        self._catch_up()
        return self._of(ref.namespace).tasks.get(ref)

    def budgets(self, namespaces: Collection[str]) -> list[Budget]:
        """Return the budgets of some namespaces, those that can't be read included."""
        self._catch_up()
        return [each.budget for name in sorted(namespaces) for each in self._of(name).covers.values()]

    def standing(self, budget: ObjectRef, is_gone: Callable[[ObjectRef], bool]) -> Standing | None:
        """Return how a budget stands; None for one that is gone or can't be read. is_gone: the task serves nobody."""
        self._catch_up()
        cover = self._of(budget.namespace).covers.get(budget)
        if cover is None or cover.budget.spec is None:
            return None
        return standing_of(cover.budget, cover.members.values(), is_gone)

    def news(self, is_gone: Callable[[ObjectRef], bool]) -> list[ObjectRef]:
        """Return the budgets that stand otherwise than when this was asked before."""
        if self._may_put_off():
            return []
        self._catch_up()
        moved, self._moved = self._moved, set()
        found = []
        for ref in sorted(moved):
            now = self.standing(ref, is_gone)
            if now != self._told.get(ref):
                found.append(ref)
            self._note(ref, now)
        return found

    def _may_put_off(self) -> bool:
        """Say whether there is no budget at all, so that what tasks do concerns nobody yet."""
        if self._has_news or any(within.covers for within in self._within.values()):
            return False
        return self._differing is not None and len(self._differing) < MOST_PUT_OFF

    def told(self, budget: ObjectRef, is_gone: Callable[[ObjectRef], bool]) -> Standing | None:
        """Return how a budget stands, as `standing` does, to who writes it down: from now on that is no news."""
        now = self.standing(budget, is_gone)
        self._note(budget, now)
        return now

    def _note(self, ref: ObjectRef, now: Standing | None) -> None:
        if now is None:
            self._told.pop(ref, None)
        else:
            self._told[ref] = now

    def _of(self, namespace: str) -> _Within:
        return self._within.setdefault(namespace, _Within())

    def _catch_up(self) -> None:
        """Look at what differs: budgets last, for they are over the tasks of now."""
        if self._differing is None:
            differing: Iterable[ObjectRef] = (*self._view.tasks, *self._view.workloads.objects)
        else:
            differing = self._differing
        self._differing, self._has_news = set(), False
        budgets = []
        for ref in differing:
            if ref.plural == "tasks":
                self._take_task(ref)
            elif ref.plural in OWNERS:
                self._take_owner(ref)
            elif ref.plural == BUDGETS:
                budgets.append(ref)
        for ref in budgets:
            self._take_budget(ref)

    def _take_task(self, ref: ObjectRef) -> None:
        record: TaskRecord | None = self._view.tasks.get(ref)
        task = guarded_of(record, self._health) if record is not None else None
        within = self._of(ref.namespace)
        if task == within.tasks.get(ref):
            return
        _put(within.tasks, ref, task)
        for name, cover in within.covers.items():
            covered = task if task is not None and covers(cover.budget, task) else None
            if covered != cover.members.get(ref):
                _put(cover.members, ref, covered)
                self._moved.add(name)

    def _take_owner(self, ref: ObjectRef) -> None:
        record = self._view.workloads.objects.get(ref)
        wants = wanted_by(record) if record is not None else None
        within, uid = self._of(ref.namespace), self._uids.get(ref, "")
        before = within.wanted.get(uid)
        if (wants or ("", None)) == (uid, before):
            return
        within.wanted.pop(uid, None)
        self._uids.pop(ref, None)
        if wants is not None:
            self._uids[ref], within.wanted[wants[0]] = wants[0], wants[1]
        self._moved.update(within.covers)

    def _take_budget(self, ref: ObjectRef) -> None:
        record = self._view.workloads.objects.get(ref) or ObjectRecord(ref)
        within = self._of(ref.namespace)
        budget = budget_of(record, within.wanted)
        before = within.covers.get(ref)
        if budget is None:
            within.covers.pop(ref, None)
            self._moved.add(ref)
        elif before is None or before.budget.spec != budget.spec:
            members = {each.ref: each for each in within.tasks.values() if covers(budget, each)}
            within.covers[ref] = _Cover(budget, members)
            self._moved.add(ref)


def _put(found: dict[ObjectRef, Guarded], ref: ObjectRef, task: Guarded | None) -> None:
    if task is None:
        found.pop(ref, None)
    else:
        found[ref] = task
