"""The live side of collection: finished bare tasks in order of their end, and which of them go now.

Decisions are the pure `collection.decide`'s; the planner of tasks removes what was chosen as if it had been deleted.
The order is kept change by change, so that a look costs what goes, not what is there.
"""

from bisect import bisect_left, insort
from collections.abc import Iterable

from controller.reconcilers.collection import (
    ENDED_BY_ITSELF,
    Finished,
    FinishedPolicy,
    decide,
    finished_at,
)
from controller.records import TaskRecord
from controller.view import View
from schemas.keys import ObjectRef
from schemas.report import TaskReport
from schemas.versioned import Versioned

PAUSE_S = 1.0  # between looks, each of which takes at most MOST: a lowered limit floods nobody
MOST = 200  # of one namespace


class Collecting:
    """Owns what was chosen. A new leader chooses anew."""

    def __init__(self, view: View, policy: FinishedPolicy) -> None:
        self._view, self._policy = view, policy
        self._order: dict[str, list[tuple[float, ObjectRef]]] = {}  # namespace -> the oldest first
        self._at: dict[ObjectRef, float] = {}
        self._chosen: set[ObjectRef] = set()
        self._due: dict[str, float] = {}  # namespace -> when to look at it
        self._next_at = 0.0

    def changed(self, refs: Iterable[ObjectRef]) -> None:
        """Take in that something about these differs."""
        for ref in refs:
            if ref.plural == "tasks":
                self._place(ref, self._finished_at(ref))

    def is_collected(self, ref: ObjectRef) -> bool:
        """Say whether a finished task is to go now."""
        return ref in self._chosen

    def next_due(self) -> float | None:
        """Return when there is something to look at, None if there is not."""
        return max(self._next_at, min(self._due.values())) if self._due else None

    def step(self, now: float) -> list[ObjectRef]:
        """Choose what is due; return the tasks to plan."""
        due = self.next_due()
        if due is None or now < due:
            return []
        self._next_at = now + PAUSE_S
        found: list[ObjectRef] = []
        for namespace in sorted(name for name, at in self._due.items() if at <= now):
            found += self._look_at(namespace, now)
        return found

    def _look_at(self, namespace: str, now: float) -> tuple[ObjectRef, ...]:
        order = self._order.get(namespace, [])
        decision = decide([Finished(*each) for each in order[:MOST]], len(order), self._policy, now)
        for ref in decision.refs:
            self._place(ref, None)
            self._chosen.add(ref)
        if decision.next_at is None:
            self._due.pop(namespace, None)
        else:
            self._due[namespace] = decision.next_at
        return decision.refs

    def _place(self, ref: ObjectRef, at: float | None) -> None:
        """Put a task where it belongs in its namespace's order, or take it out."""
        if at is not None and ref in self._chosen:
            return
        self._chosen.discard(ref)
        before = self._at.get(ref)
        if at == before:
            return
        self._at.pop(ref, None)
        order = self._order.setdefault(ref.namespace, [])
        if before is not None:
            del order[bisect_left(order, (before, ref))]
        if at is not None:
            self._at[ref] = at
            insort(order, (at, ref))
            self._due[ref.namespace] = 0.0
        elif not order:
            del self._order[ref.namespace]
            self._due.pop(ref.namespace, None)

    def _finished_at(self, ref: ObjectRef) -> float | None:
        record = self._view.tasks.get(ref)
        if record is None or not _has_ended_by_itself(record):
            return None
        if not _is_bare(record) or self._view.is_frozen(record):
            return None
        if not isinstance(record.spec, Versioned) or not isinstance(record.status, Versioned):
            return None
        bindings = [(each.value.desired, _has_ended(record, site)) for site, each in record.bindings.items()]
        return finished_at(record.spec, record.status.value, bindings)


def _has_ended_by_itself(record: TaskRecord) -> bool:
    """Say whether its status says so, which most do not: then nothing else needs a look."""
    return isinstance(record.status, Versioned) and record.status.value.state in ENDED_BY_ITSELF


def _is_bare(record: TaskRecord) -> bool:
    """A person wrote it and nobody wants it gone already."""
    return record.written is not None and record.owned is None and record.delete is None


def _has_ended(record: TaskRecord, site: tuple[str, str]) -> bool:
    report: Versioned[TaskReport] | None = record.reports.get(site)
    binding = record.bindings[site].value
    return report is not None and report.value.final and report.value.binding_uid == binding.binding_uid
