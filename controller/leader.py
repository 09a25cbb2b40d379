"""One term of leadership: everything that only the leader does, as one `step(now)` over the view.

    changed objects -> workqueue -> planner (pure) -> writes
    waiting tasks   -> scheduler (pure) -> assume -> bind -> forget on failure

A term owns its queue, ledger, timers and assumptions; a new leader starts with none of them.
"""

import logging
import random
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from controller.binder import Binder
from controller.collecting import Collecting
from controller.fleetkeeping import FleetKeeper, Marks
from controller.ganging import Ganging, attempts_of
from controller.inputs import InputsOf
from controller.optimising import Optimising
from controller.outbox import Outbox, subjects_of
from controller.packing import Packer, PackNow
from controller.preempting import Preempting
from controller.reconcilers.budget import plan_budget
from controller.reconcilers.collection import FinishedPolicy
from controller.reconcilers.cronjob import plan_cronjob
from controller.reconcilers.daemonset import plan_daemonset
from controller.reconcilers.deployment import plan_deployment
from controller.reconcilers.gang import plan_gang, verdict_of
from controller.reconcilers.job import plan_job
from controller.reconcilers.node import plan_node
from controller.reconcilers.owner_inputs import OwnerInputs
from controller.reconcilers.plan import EventNote, Plan
from controller.reconcilers.policy import plan_policy
from controller.reconcilers.recovery import is_of_old_incarnation, rebuild_task
from controller.reconcilers.strays import Strays, plan_strays
from controller.reconcilers.task import plan_task
from controller.recorder import Recorder
from controller.recovery import Recovery
from controller.resting import Resting
from controller.scheduler.fleet import Fleet
from controller.scheduler.program import Limits
from controller.scheduler.reasons import Cure
from controller.scheduler.schedule import Decisions, Placed, Policy, Unschedulable
from controller.scheduling import Scheduling
from controller.sealing import Sealer
from controller.snapshots import Asked, Frozen, Live, freeze
from controller.source import Random
from controller.view import View
from controller.workloads import MODELS
from controller.workqueue import WorkQueue
from controller.writer import Writer
from controller.writes import touched
from schemas.gang import GangPlace
from schemas.keys import Keys, ObjectRef, cluster_ref
from schemas.meta import find_condition
from schemas.status import Decision, TaskStatus
from schemas.versioned import Versioned
from sealing.keys import KeyPair
from store.batch import Applied, Conflict, FencedOff, Unknown
from store.errors import OutcomeUnknown, RequestTooLarge
from store.fence import Fence

log = logging.getLogger(__name__)

MANY_NODES = 50  # from so many on, a cycle costs enough that tasks are gathered for it
CYCLE_PAUSE_S = 50e-6  # a node; a cycle looks at each, which takes some 10 microseconds
NO_PACKING = Limits(seconds=0.0)
KEYS_A_STEP = 500  # so that one step stays short and writes flow meanwhile


PLANNERS: Mapping[str, Callable[[OwnerInputs[Any, Any], float], Plan]] = {
    "deployments": plan_deployment,
    "daemonsets": plan_daemonset,
    "jobs": plan_job,
    "cronjobs": plan_cronjob,
}
RELEASING = frozenset({"secrets", *MODELS})  # kinds of a namespace, which may go when they are gone


@dataclass(slots=True)
class Counters:
    """What metrics show; only ever rises."""

    planned: int = 0
    bound: int = 0
    conflicts: int = 0
    errors: int = 0
    unschedulable: int = 0


class Term:
    """The work of one leader from election to deposition."""

    def __init__(
        self,
        view: View,
        keys: Keys,
        writer: Writer,
        recorder: Recorder,
        fence: Fence,
        policy: Policy,
        random_source: Random,
        *,
        saw_rewind: bool,
        now: float,
        key_pair: KeyPair | None = None,
        finished: FinishedPolicy | None = None,
        packer: Packer | None = None,
        packing: Limits = NO_PACKING,
    ) -> None:
        self._view = view
        self._keys = keys
        self._specs = f"{keys.root}spec/"
        self.fence = fence
        self._seed = random_source.seed
        self._queue: WorkQueue[ObjectRef] = WorkQueue(random.Random(random_source.seed))
        self._resting = Resting()
        self._keeper = FleetKeeper(view, Marks(self._is_leaving, self._is_protected))
        self._scheduling = Scheduling(policy, self._keeper, lambda name: self._ganging.begun(name))
        self._sealer = Sealer(view, key_pair)
        self._collecting = Collecting(view, finished or FinishedPolicy())
        self._inputs = InputsOf(
            view,
            self._sealer,
            self._keeper.views,
            self._collecting.is_collected,
            self._scheduling.lacking,
            now,
            lambda record: self._ganging.verdict_for(record),
        )
        self._evicting = self._inputs.evicting
        self._optimising = Optimising(self._scheduling, packer or PackNow(), packing, self._frozen_now)
        self._preempting = Preempting(self._evicting, self._keeper, self._scheduling)
        self._outbox = Outbox(fence, keys, writer, recorder, self._inputs, random_source)
        self._random = random_source
        self._ganging = Ganging(view, self._inputs.down_since, self._outbox.ledger.is_busy)
        self._behind: dict[
            ObjectRef, set[ObjectRef]
        ] = {}  # what is written about -> who plans once that is seen
        self._binder = Binder(
            view, keys, self._inputs, self._outbox, random_source, self._sealer, self._keeper
        )
        self._recovery = Recovery(
            view,
            keys,
            self._outbox,
            random_source,
            self._rebuild,
            saw_rewind=saw_rewind,
            now=now,
            public_key=key_pair.public if key_pair else None,
        )
        self._policy_is_new = False
        self._namespaces_are_new = True
        self._cycle_at = 0.0
        self._has_looked = False  # at every object once, so that what waits is known and can be put in order
        self.fenced_off = False
        self.lost_track = False
        self.counters = Counters()
        self._start(now)

    def _start(self, now: float) -> None:
        self._scheduling.queues_changed(self._view)
        for name in sorted(self._view.nodes):
            self._node_changed(name, now)
            self._queue.add(cluster_ref("nodes", name))
        for ref in sorted(self._view.tasks):
            self._queue.add(ref)
        self._collecting.changed(self._view.tasks)
        self._ganging.changed(self._view.tasks)
        for ref in sorted(self._ganging.attempts()):
            self._queue.add(ref)
        for ref in sorted((*self._view.policies, *self._view.secrets, *self._view.workloads.objects)):
            self._queue.add(ref)
        for ref in self._view.workloads.owners():
            self._queue.add(ref)

    # Taking changes in

    def changed(self, keys: Collection[str], dirty: Collection[ObjectRef], now: float) -> None:
        """Take in that the view has applied changes of `keys`, and which objects they touch, each once."""
        self._evicting.changed(dirty)
        self._preempting.changed(dirty)
        self._keeper.touch(dirty)
        self._collecting.changed(dirty)
        for ref in self._ganging.changed(dirty):
            self._queue.add(ref)
        for ref in dirty:
            self._queue.add(ref)
            if ref.plural == "tasks":
                continue
            if ref.plural == "nodes":
                self._recovery.node_changed()
                self._node_changed(ref.name, now)
            elif ref.plural in ("namespaces", "queues", "priorityclasses"):
                self._policy_is_new = True
                self._namespaces_are_new = self._namespaces_are_new or ref.plural == "namespaces"
        if self._may_release(keys, dirty):
            self._release_policies()
        if self._keys.cluster in keys:
            self._incarnation_changed(now)

    def _may_release(self, keys: Iterable[str], dirty: Iterable[ObjectRef]) -> bool:
        """Say whether something may name a policy no more: it is gone, or its spec is another one."""
        tasks = self._view.tasks
        is_gone = any(
            ref.plural in RELEASING or (ref.plural == "tasks" and ref not in tasks) for ref in dirty
        )
        return is_gone or any(key.startswith(self._specs) for key in keys)

    def _is_leaving(self, ref: ObjectRef) -> bool:
        return self._evicting.evicted(ref) is not None

    def _is_protected(self, ref: ObjectRef, uid: str) -> bool:
        """What can't be read can't be told to stop."""
        return self._preempting.is_protected(uid) or self._view.is_frozen(self._view.task(ref))

    def _node_changed(self, name: str, now: float) -> None:
        self._evicting.changed((cluster_ref("nodes", name),))
        if self._inputs.refresh_node(name, now):
            tasks = self._view.sites.tasks_on(name)
            self._evicting.changed(tasks)
            for ref in self._ganging.changed(tasks):
                self._queue.add(ref)
            for ref in tasks:
                self._queue.add(ref)
                owner = self._view.workloads.owner_ref(self._view.task(ref))
                if owner is not None:
                    self._queue.add(owner)
        if self._keeper.refresh(self._view.nodes[name], self._incarnation):
            self._scheduling.cure(Cure.NODE_CHANGED)
            self._plan_guaranteed()
            for record in self._view.workloads.of("daemonsets"):
                self._queue.add(record.ref)

    def _policy_changed(self) -> None:
        """Admission may answer otherwise now; only tasks that wait or were denied can be affected."""
        self._policy_is_new = False
        self._inputs.refresh_policy()
        self._scheduling.queues_changed(self._view)
        self._plan_guaranteed()
        for ref, record in self._view.tasks.items():
            status = record.status
            if not isinstance(status, Versioned) or not status.value.node or _is_denied(status.value):
                self._queue.add(ref)
        for ref in (*self._view.policies, *self._view.workloads.owners()):
            self._queue.add(ref)

    def _plan_guaranteed(self) -> None:
        """What the nodes have, or what is promised of it, is another amount now."""
        for name in self._scheduling.guaranteed():
            self._queue.add(cluster_ref("queues", name))

    def _release_policies(self) -> None:
        """A task is gone or names others: what people want to delete may be unused now."""
        for ref, record in self._view.policies.items():
            if record.delete is not None:
                self._queue.add(ref)

    def _incarnation_changed(self, now: float) -> None:
        self._recovery.cluster_changed()
        for name in self._view.nodes:
            self._node_changed(name, now)
            self._queue.add(cluster_ref("nodes", name))
        for ref in (*self._view.tasks, *self._view.workloads.owners()):
            self._queue.add(ref)

    @property
    def _incarnation(self) -> int:
        cluster = self._view.cluster
        return cluster.value.incarnation if isinstance(cluster, Versioned) else 0

    # One iteration

    def step(self, now: float, revision: int) -> float | None:
        """Do what is due at `now`; `revision` is that of the cache. Returns when it wants to run again."""
        self._settle(now)
        self._see(revision)
        if self.is_over:
            return None
        due = self._work(now) if self._recovery.is_done(now) else self._recovery.next_due(now)
        self._outbox.flush_events(now)
        self._outbox.hand_over()
        timers = (due, self._outbox.next_due())
        return min((timer for timer in timers if timer is not None), default=None)

    @property
    def is_over(self) -> bool:
        """Somebody else leads, or a write may have happened of which nothing is known: then what is assumed of
        free resources may be wrong, and only a new fence keeps that write from landing later."""
        return self.fenced_off or self.lost_track

    def _work(self, now: float) -> float | None:
        if self._policy_is_new:
            self._policy_changed()
        if self._namespaces_are_new:
            self._namespaces_are_new = False
            self._binder.make_tokens()
        moved = self._evicting.step(now, self._outbox.ledger.is_busy, self._outbox.note)
        for ref in moved:
            self._queue.add(ref)
        self._keeper.touch(moved)
        self._preempting.step(now)
        self.take_in()
        for ref in self._collecting.step(now):
            self._queue.add(ref)
        more = self._plan_some(now)
        self._has_looked = self._has_looked or not more
        if self._has_looked and now >= self._cycle_at:
            self._schedule(now)
        if more:
            return now
        timers = (
            self._queue.next_due(),
            self._evicting.next_due(),
            self._collecting.next_due(),
            self._scheduling.next_due(),
            self._preempting.next_due(),
            self._optimising.next_due(),
            self._cycle_at if now < self._cycle_at else None,
        )
        return min((timer for timer in timers if timer is not None), default=None)

    def _settle(self, now: float) -> None:
        """Take the outcomes of writes in."""
        for write, outcome in self._outbox.outcomes():
            subjects = subjects_of(write)
            self._evicting.changed(subjects)
            match outcome:
                case Applied(revision):
                    for subject in subjects:
                        self._outbox.ledger.settled(subject, revision)
                    self._queue.forget(subjects[0])
                case Conflict():
                    self.counters.conflicts += 1
                    self._not_written(subjects, now)
                case FencedOff():
                    self.fenced_off = True
                    self._not_written(subjects, now)
                case Unknown(error):
                    log.warning("write has no answer subject=%s error=%s", subjects[0], error)
                    self.lost_track = self.lost_track or isinstance(error, OutcomeUnknown)
                    if isinstance(error, RequestTooLarge):
                        self._tell_too_large(subjects[0], error, now)
                    self._not_written(subjects, now)

    def _tell_too_large(self, ref: ObjectRef, error: RequestTooLarge, now: float) -> None:
        """One change alone is more than the store takes: who can make it smaller has to hear of it."""
        text = (
            f"what is to be written about it is too large, so that nothing happens: {error}; "
            "make its spec, or the ConfigMaps that it takes, smaller"
        )
        owner = self._view.workloads.owner_ref(self._view.task(ref)) if ref.plural == "tasks" else None
        for each in (ref, owner):
            if each is not None:
                self._outbox.note(
                    each, self._inputs.uid_of(each), EventNote("Warning", "TooLarge", text), now
                )

    def _not_written(self, subjects: tuple[ObjectRef, ...], now: float) -> None:
        """Forget what was assumed, and look again after a backoff, when the cache has caught up."""
        for subject in subjects:
            self._outbox.ledger.settled(subject, None)
        self._binder.forget(subjects[0])
        self._queue.retry(subjects[0], now)

    def _see(self, revision: int) -> None:
        seen, ready = self._outbox.ledger.reached(revision)
        self._evicting.changed(seen)
        self._collecting.changed(seen)
        for ref in seen:
            self._binder.forget(ref)
        for ref in ready:
            self._queue.add(ref)
            for waiting in sorted(self._behind.pop(ref, ())):
                self._queue.add(waiting)

    # Planning

    def _plan_some(self, now: float) -> bool:
        """Plan the objects that are due; say whether some are left."""
        for _ in range(KEYS_A_STEP):
            ref = self._queue.get(now)
            if ref is None:
                return False
            try:
                if not self._outbox.ledger.blocks(ref) and not self._rests(ref, now):
                    self._plan_one(ref, now)
            except Exception:
                self._went_wrong(ref, now)
            self._queue.done(ref)
        return len(self._queue) > 0

    def _rests(self, ref: ObjectRef, now: float) -> bool:
        """Say whether an owner of many was planned for just now; it comes again when it has rested."""
        until = self._resting.until(ref, now)
        if until is not None:
            self._queue.add_after(ref, until)
        return until is not None

    def _plan_one(self, ref: ObjectRef, now: float) -> None:
        plan = self._plan(ref, now)
        if plan is None:
            self._scheduling.drop(ref)
            return
        if self._is_behind(plan):
            return
        self.counters.planned += 1
        if not plan.intents:
            self._queue.forget(ref)
        self._outbox.submit_plan(self._sealer.fill(plan), now)
        if plan.requeue_at is not None and plan.requeue_at != float("inf"):
            self._queue.add_after(ref, plan.requeue_at)
        if plan.waiting is not None and not plan.intents:
            self._scheduling.want(ref, plan.waiting)
        elif plan.waiting is None:
            self._scheduling.drop(ref)

    def _is_behind(self, plan: Plan) -> bool:
        """Say whether something is under way about what else the plan writes: then it is made anew after that."""
        others = [other for other in touched(plan) if self._outbox.ledger.blocks(other)]
        for other in others:
            self._behind.setdefault(other, set()).add(plan.ref)
        return bool(others)

    def _plan(self, ref: ObjectRef, now: float) -> Plan | None:
        match ref.plural:
            case "tasks":
                inputs = self._inputs.of_task(ref)
                if inputs is not None and is_of_old_incarnation(inputs):
                    return rebuild_task(inputs)  # it could not be read while the others were rebuilt
                return plan_task(inputs, now) if inputs else None
            case "nodes":
                node_inputs = self._inputs.of_node(ref)
                return plan_node(node_inputs, now) if node_inputs else None
            case "deployments" | "daemonsets" | "jobs" | "cronjobs":
                return self._plan_owner(ref, now)
            case "gangs":
                return self._plan_gang(ref, now)
            case "disruptionbudgets":
                budget_inputs = self._evicting.budget(ref)
                return plan_budget(budget_inputs, now) if budget_inputs else None
            case _:
                policy_inputs = self._inputs.of_policy(ref)
                return plan_policy(policy_inputs, now) if policy_inputs else None

    def _plan_gang(self, ref: ObjectRef, now: float) -> Plan:
        inputs = self._ganging.inputs(ref)
        for member in sorted(self._ganging.tell(ref.name, verdict_of(inputs, now))):
            self._queue.add(member)
        return plan_gang(inputs, now)

    def _plan_owner(self, ref: ObjectRef, now: float) -> Plan | None:
        inputs = self._inputs.of_owner(ref)
        if inputs is None:
            self._resting.forget(ref)
            return None
        if isinstance(inputs, Strays):
            return plan_strays(inputs)
        plan = PLANNERS[ref.plural](inputs, now)
        self._resting.planned(plan, len(inputs.tasks) + len(inputs.jobs), now)
        return plan

    # Scheduling

    def _schedule(self, now: float) -> None:
        """Run one cycle over the tasks that wait: decide, assume, hand the bindings over."""
        due = self._scheduling.due(now)
        able = {ref for ref in sorted(due) if self._may_bind(ref, now)}
        torn = self._scheduling.torn_gangs(due - able)
        held = self._scheduling.held() - torn
        chosen = self._optimising.choose(able - torn, now)
        ready, active = chosen.refs, self._scheduling.active()
        if not ready & active:
            return
        decisions = self._scheduling.cycle(ready | held, now, self._seed, chosen.nodes)
        if len(self._view.nodes) >= MANY_NODES:
            self._cycle_at = now + CYCLE_PAUSE_S * len(self._view.nodes)
        records = self._scheduling.records(decisions.placed, now)
        gangs, waiting = attempts_of(decisions.placed, ready, self._random.uid)
        for placed in decisions.placed:
            ref = placed.task.ref
            with self._isolated(ref, now):
                if ref in ready and ref not in waiting:
                    self._bind(placed, records.get(placed.task.uid), now, gangs.get(ref))
                else:
                    self._scheduling.retry(ref)  # a write about it, or about one of its gang, is under way
        for uid in sorted({each.uid for each in gangs.values()}):
            refs = (ref for ref, place in gangs.items() if place.uid == uid)
            self._queue.add(self._ganging.began(uid, refs))
        self._tell_those_who_wait(decisions, held - active, now)

    def _tell_those_who_wait(self, decisions: Decisions, held: frozenset[ObjectRef], now: float) -> None:
        """held: those that only go with every cycle. Of them only what changes is told: counts do all the time."""
        ledger = self._outbox.ledger
        rejections, victims = self._preempting.answer(decisions, now, ledger.is_busy, self._outbox.note)
        for ref in victims:
            self._tell_now(ref, now)
        for rejected in rejections:
            self.counters.unschedulable += 1
            with self._isolated(rejected.task.ref, now):
                self._reject(rejected, now, is_news=rejected.task.ref not in held)

    def _tell_now(self, ref: ObjectRef, now: float) -> None:
        """Tell a victim before the next cycle, which may find another place for whom it makes room."""
        with self._isolated(ref, now):
            if self._outbox.ledger.blocks(ref):
                self._queue.add(ref)
            else:
                self._plan_one(ref, now)

    def _may_bind(self, ref: ObjectRef, now: float) -> bool:
        hindrance = self._binder.hindrance(ref)
        if hindrance and not self._outbox.ledger.blocks(ref):
            self._binder.refuse(ref, hindrance, now)
        return not hindrance and self._binder.may_bind(ref)

    def _bind(self, placed: Placed, decision: Decision | None, now: float, gang: GangPlace | None) -> None:
        ref = placed.task.ref
        bound = self._binder.bind(placed, self._scheduling.waiting(ref), decision, now, gang)
        self._scheduling.drop(ref)
        self.counters.bound += bound
        if not bound:
            self._queue.add(ref)  # it changed since it was planned

    def _reject(self, rejected: Unschedulable, now: float, *, is_news: bool) -> None:
        """Say why it waits, if that is news or another node is kept for it."""
        ref = rejected.task.ref
        if not is_news and self._scheduling.waiting(ref).nominated == rejected.nominated:
            return
        if self._outbox.ledger.blocks(ref):
            self._scheduling.retry(ref)  # a write about it is under way
        else:
            self._binder.reject(rejected, now)

    @contextmanager
    def _isolated(self, ref: ObjectRef, now: float) -> Iterator[None]:
        """One broken object stops no loop: it is logged, counted, and tried again later."""
        try:
            yield
        except Exception:
            self._went_wrong(ref, now)

    def _went_wrong(self, ref: ObjectRef, now: float) -> None:
        self.counters.errors += 1
        log.exception("planning failed subject=%s", ref)
        self._queue.retry(ref, now)

    def _rebuild(self, now: float) -> bool:
        """Write what is left to rebuild; say whether there was anything."""
        wrote = False
        for ref in sorted(self._view.tasks):
            with self._isolated(ref, now):
                inputs = self._inputs.of_task(ref)
                plan = rebuild_task(inputs) if inputs else None
                if plan is not None and plan.intents:
                    self._outbox.submit_plan(plan, now)
                    wrote = True
        return wrote

    def freeze(self, asked: Asked, now: float, revision: int) -> Frozen:
        """Return the state as a value to answer questions from; only between two steps, by the core's thread."""
        self.take_in()
        live = Live(self._view, self._inputs, self._scheduling, self._keeper)
        return freeze(live, asked, now, seed=self._seed, revision=revision)

    def _frozen_now(self, now: float) -> Frozen:
        """Return what a packing is computed from."""
        return self.freeze(Asked(), now, 0)

    def take_in(self) -> Fleet:
        """Return the fleet as the view has it now; it is the live one, which nobody else may change."""
        self._scheduling.freed(self._keeper.sync())
        return self._keeper.fleet

    def end(self) -> None:
        """Give up what only this term believed."""
        self._binder.forget_all()
        self._keeper.close()

    def describe(self) -> dict[str, int]:
        """Return gauges for metrics and health."""
        return {"queue": len(self._queue), **self._scheduling.counts()}


def _is_denied(status: TaskStatus) -> bool:
    found = find_condition(status.conditions, "Admitted")
    return found is not None and found.status == "False"
