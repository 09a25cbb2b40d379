"""The live side of evictions: who is to move, what was decided, and how far drains have come.

Decisions are the pure `eviction.decide`'s. What was decided counts as disrupted until its Stop is seen.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field

from controller.guarding import is_current, is_deleted
from controller.reconcilers.budget import BudgetInputs
from controller.reconcilers.eviction import Candidate, Cause, Evicted, Verdicts, Waits, decide_by
from controller.reconcilers.node import DrainWork
from controller.reconcilers.plan import EventNote
from controller.reconcilers.rollup import NodeHealth
from controller.records import NodeRecord, Site, TaskRecord
from controller.standings import Standings
from controller.view import View
from schemas.binding import Binding, Desired
from schemas.keys import ObjectRef, cluster_ref
from schemas.node import Drain
from schemas.owned import UNSCHEDULABLE
from schemas.state import FINISHED
from schemas.status import DrainLeft
from schemas.timestamps import parse_time
from schemas.versioned import Versioned

PAUSE_S = 0.2  # between two looks at everything
CONCERNING = frozenset({"tasks", "nodes", "disruptionbudgets", "deployments", "daemonsets"})

Note = Callable[[ObjectRef, str, EventNote, float], None]


@dataclass(slots=True)
class _Leaving:
    """A node under drain: why each task is still there, and whom to move."""

    drain: Drain
    timed_out: bool
    reasons: dict[ObjectRef, str] = field(default_factory=dict)
    candidates: list[Candidate] = field(default_factory=list)
    unreadable: tuple[str, ...] = ()  # task uids


class Evicting:
    """Owns what is decided and not seen yet. `health` is kept up to date by others."""

    def __init__(self, view: View, health: Mapping[str, NodeHealth]) -> None:
        self._view = view
        self._health = health
        self._decided: dict[ObjectRef, Evicted] = {}
        self._works: dict[str, DrainWork] = {}
        self._told: dict[ObjectRef, str] = {}  # task -> what it was last said to wait for
        self._standings = Standings(view, health)
        self._is_dirty = True
        self._next_at = 0.0
        self._timeout_at: float | None = None

    def changed(self, refs: Iterable[ObjectRef]) -> None:
        """Take in that something about these differs, or that a write about them has ended."""
        for ref in refs:
            if ref.plural in CONCERNING:
                self._is_dirty = True
                self._standings.changed(ref)

    def next_due(self) -> float | None:
        return self._next_at if self._is_dirty else self._timeout_at

    def evicted(self, ref: ObjectRef) -> Evicted | None:
        """Return the decision that a binding of the task ends."""
        return self._decided.get(ref)

    def work_of(self, node: str) -> DrainWork | None:
        """Return how far the drain of a node has come, None if that is not known."""
        return self._works.get(node)

    def budget(self, ref: ObjectRef) -> BudgetInputs | None:
        """Return what the planner of budgets looks at; None for one that is gone or can't be read."""
        record = self._view.workloads.objects.get(ref)
        if record is None or record.is_frozen:
            return None
        spec = record.spec if isinstance(record.spec, Versioned) else None
        standing = self._standings.told(ref, self._decided.__contains__)
        return BudgetInputs(
            ref=ref,
            spec=spec,  # type: ignore[arg-type]  # its plural says what it is
            status=record.status if isinstance(record.status, Versioned) else None,  # type: ignore[arg-type]
            delete=record.delete if isinstance(record.delete, Versioned) else None,
            standing=standing,
        )

    def step(self, now: float, is_busy: Callable[[ObjectRef], bool], note: Note) -> list[ObjectRef]:
        """Decide what is due; return the objects to look at again. is_busy: a write about it is under way."""
        timed_out = self._timeout_at is not None and now >= self._timeout_at
        if now < self._next_at or not (self._is_dirty or timed_out):
            return []
        self._is_dirty, self._next_at, self._timeout_at = False, now + PAUSE_S, None
        self._forget_seen()
        leaving = {each.name: self._look_at(each, drain, now) for each, drain in self._drained()}
        candidates = [*self._wished(), *(each for one in leaving.values() for each in one.candidates)]
        waits = self._decide(candidates, is_busy, now, note)
        dirty = [each.ref for each in candidates if each.ref in self._decided]
        dirty += self._standings.news(self._decided.__contains__)
        return [*dirty, *self._progress(leaving, waits)]

    def _forget_seen(self) -> None:
        """Drop decisions whose binding is told to stop, or gone."""
        for ref, decided in list(self._decided.items()):
            record = self._view.tasks.get(ref)
            bindings = [each.value for each in record.bindings.values()] if record else []
            runs = any(
                each.binding_uid == decided.binding_uid and each.desired is not Desired.STOP
                for each in bindings
            )
            if not runs:
                del self._decided[ref]
                self._standings.disrupted(ref)

    # Who is to move

    def _drained(self) -> Iterator[tuple[NodeRecord, Drain]]:
        for record in self._view.nodes.values():
            if isinstance(record.spec, Versioned) and record.spec.value.spec.drain is not None:
                yield record, record.spec.value.spec.drain

    def _wished(self) -> Iterator[Candidate]:
        """People's wishes to evict, of bindings that run."""
        for ref in sorted(self._view.wished):
            record = self._view.task(ref)
            wish = record.evict
            if not isinstance(wish, Versioned):
                continue
            for binding in [each.value for each in record.bindings.values()]:
                named = wish.value.uid == binding.task_uid and wish.value.binding_uid in (
                    "",
                    binding.binding_uid,
                )
                if named and self._may_move(record, binding):
                    yield Candidate(ref, binding.binding_uid, binding.node, Cause.REQUEST, to=wish.value.to)

    def _may_move(self, record: TaskRecord, binding: Binding) -> bool:
        is_open = binding.desired is not Desired.STOP and is_current(record, binding)
        return (
            is_open and not self._view.is_frozen(record) and not is_deleted(record) and not _is_over(record)
        )

    def _look_at(self, node: NodeRecord, drain: Drain, now: float) -> _Leaving:
        leaving = _Leaving(drain, self._is_timed_out(node, drain, now))
        health = self._health.get(node.name)
        is_up = health is not None and health.down_since is None
        for ref in self._view.sites.tasks_on(node.name):
            record = self._view.tasks[ref]
            for binding in [each.value for (name, _), each in record.bindings.items() if name == node.name]:
                self._look_at_one(leaving, record, binding, is_up=is_up)
        leaving.unreadable = tuple(sorted(node.unreadable))
        return leaving

    def _look_at_one(self, leaving: _Leaving, record: TaskRecord, binding: Binding, *, is_up: bool) -> None:
        if _has_ended(record, binding) or _is_over(record):
            return
        if _stays(record, binding):
            if not leaving.drain.ignore_daemonsets:
                leaving.reasons[record.ref] = "a DaemonSet keeps it here; say --ignore-daemonsets"
        elif self._view.is_frozen(record):
            leaving.reasons[record.ref] = "something about it can't be read"
        elif not self._may_move(record, binding) or record.ref in self._decided:
            leaving.reasons[record.ref] = "stopping"
        elif not is_up:
            leaving.reasons[record.ref] = "the node does not answer; if it is dead, run: berth node fence"
        elif leaving.timed_out and not leaving.drain.force:
            leaving.reasons[record.ref] = "the drain timed out"
        else:
            forced = leaving.timed_out and leaving.drain.force
            place = (binding.binding_uid, binding.node)
            leaving.candidates.append(Candidate(record.ref, *place, Cause.DRAIN, forced))
            leaving.reasons[record.ref] = "stopping"

    def _is_timed_out(self, node: NodeRecord, drain: Drain, now: float) -> bool:
        """By the leader's clock, since it has first written about this drain."""
        status = node.status.value.drain if isinstance(node.status, Versioned) else None
        if drain.timeout is None or status is None or status.requested_at != drain.requested_at:
            return False
        due = parse_time(status.started_at) + drain.timeout
        if now < due:
            self._timeout_at = due if self._timeout_at is None else min(due, self._timeout_at)
        return now >= due

    # What is decided

    def _decide(
        self, candidates: list[Candidate], is_busy: Callable[[ObjectRef], bool], now: float, note: Note
    ) -> dict[ObjectRef, str]:
        """Decide; return task -> what it waits for, and tell people when that is news.

        What a task becomes of which a write is under way nobody knows yet: its turn comes when that is seen.
        """
        busy = {each.ref for each in candidates if is_busy(each.ref)}
        waits = {ref: text for ref, text in self._told.items() if ref in busy}
        verdicts = self.judge([each for each in candidates if each.ref not in busy], is_busy)
        self.adopt(verdicts)
        for ref, verdict in verdicts.items():
            if isinstance(verdict, Waits):
                waits[ref] = verdict.reason
                self._tell(ref, verdict.reason, now, note)
        self._told = {ref: text for ref, text in self._told.items() if ref in waits}
        return waits

    def judge(self, candidates: list[Candidate], is_busy: Callable[[ObjectRef], bool]) -> Verdicts:
        """Return of each candidate whether it may go now; nothing is decided by that.

        What is written about serves nobody, for who asks: nobody knows whether it stays.
        """
        if not candidates:
            return {}
        standings = self._standings
        budgets = tuple(standings.budgets({each.ref.namespace for each in candidates}))
        found = (
            (each.ref, standings.standing(each.ref, lambda ref: ref in self._decided or is_busy(ref)))
            for each in budgets
        )
        stands = {ref: standing for ref, standing in found if standing is not None}
        tasks = ((each.ref, standings.task(each.ref)) for each in candidates)
        counting = {ref: task for ref, task in tasks if task is not None}
        return decide_by(candidates, counting, budgets, stands, self._decided)

    def adopt(self, verdicts: Verdicts) -> None:
        """Decide that those go who may."""
        for ref, verdict in verdicts.items():
            if isinstance(verdict, Evicted):
                self._decided[ref] = verdict
                self._standings.disrupted(ref)

    def movable(self, ref: ObjectRef, site: Site) -> Binding | None:
        """Return the binding of a task at a site if it runs and may be told to stop, None if it is leaving anyway."""
        record = self._view.tasks.get(ref)
        binding = record.bindings.get(site) if record is not None else None
        if record is None or binding is None or ref in self._decided:
            return None
        return binding.value if self._may_move(record, binding.value) else None

    def _tell(self, ref: ObjectRef, reason: str, now: float, note: Note) -> None:
        if self._told.get(ref) != reason:
            self._told[ref] = reason
            spec = self._view.task(ref).spec
            uid = spec.value.metadata.uid if isinstance(spec, Versioned) else ""
            note(ref, uid, EventNote("Warning", "EvictionBlocked", f"it waits for {reason}"), now)

    def _progress(self, leaving: Mapping[str, _Leaving], waits: Mapping[ObjectRef, str]) -> list[ObjectRef]:
        """Note how far drains have come; return the nodes for which that is news."""
        works = {}
        for name, each in leaving.items():
            left = [
                DrainLeft(task=f"{ref.namespace}/{ref.name}", reason=_waiting(waits.get(ref)) or reason)
                for ref, reason in sorted(each.reasons.items())
            ]
            left += [DrainLeft(task=uid, reason="its binding can't be read") for uid in each.unreadable]
            works[name] = DrainWork(each.drain.requested_at, tuple(left), each.timed_out)
        news = {name for name in {*works, *self._works} if works.get(name) != self._works.get(name)}
        self._works = works
        return [cluster_ref("nodes", name) for name in sorted(news)]


def _waiting(reason: str | None) -> str:
    return f"waits for {reason}" if reason else ""


def _has_ended(record: TaskRecord, binding: Binding) -> bool:
    report = record.reports.get((binding.node, binding.task_uid))
    return report is not None and report.value.final and report.value.binding_uid == binding.binding_uid


def _is_over(record: TaskRecord) -> bool:
    """It ended by itself: nothing of it is to be moved."""
    status = record.status
    return isinstance(status, Versioned) and status.value.state in FINISHED


def _stays(record: TaskRecord, binding: Binding) -> bool:
    """It is for this very node, cordoned or not: moved away it would come straight back."""
    owner = record.owner
    if owner is not None and owner.kind == "DaemonSet":
        return True
    tolerates = any(each.key == UNSCHEDULABLE for each in binding.spec.tolerations)
    return binding.spec.node_name == binding.node and tolerates
