"""What answers are made from: a value that no later change touches, of the leader's state or of a listing of etcd.

    the leader's core, between two steps:  freeze(live, asked)          cheap: it copies references
    anybody who may read all of etcd:      frozen_from(kvs, ...)        reads and plans everything, as a leader does

The answers themselves are in `answers` and `foresight`; they are computed in the thread of whoever asks.
"""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace

from controller.fleetkeeping import FleetKeeper
from controller.inputs import InputsOf
from controller.movers import lost_s, retries_of, why_it_stays
from controller.reconcilers.eviction import Candidate, Cause, Waits
from controller.reconcilers.placing import task_view
from controller.reconcilers.task import plan_task
from controller.records import Site
from controller.scheduler.fairness import QueueRule
from controller.scheduler.fleet import Fleet
from controller.scheduler.node_view import NodeView, Standing
from controller.scheduler.schedule import Policy
from controller.scheduler.snapshot import Snapshot, TaskView
from controller.scheduling import Scheduling
from controller.view import View
from schemas.keys import Keys, ObjectRef
from schemas.owned import OwnerReference
from schemas.task import Task, TaskSpec
from schemas.versioned import Versioned
from store.api import KeyValue
from store.reflector import Change


@dataclass(frozen=True, slots=True)
class Asked:
    """What a question is about: tasks whatever their state, and those on a node, or that stand anywhere.

    Empty: what waits and stands.
    """

    tasks: tuple[ObjectRef, ...] = ()
    node: str = ""
    everywhere: bool = False


@dataclass(frozen=True, slots=True)
class Mover:
    """A task on a node that would have to leave it. effective None: nobody knows what it asks for.

    kept_by: why it stays for now, such as a budget; empty: it may go. grace_s: how long it may take to stop.
    stays: why it is not moved only to use the nodes better. lost_s: work that is lost by a move, in seconds.
    """

    ref: ObjectRef
    uid: str
    spec: Versioned[Task] | None
    effective: TaskSpec | None
    owner: OwnerReference | None
    kept_by: str = ""
    grace_s: float = 0.0
    node: str = ""
    binding_uid: str = ""
    stays: str = ""
    lost_s: float = 0.0

    @property
    def is_of_daemonset(self) -> bool:
        return self.owner is not None and self.owner.kind == "DaemonSet"

    def task(self) -> TaskView | None:
        """Return it as it waits once it has ended here; made by whoever asks, as that is most of the work."""
        if self.spec is None or self.effective is None:
            return None
        return task_view(self.ref, self.spec, effective=self.effective, owner=self.owner)


@dataclass(frozen=True, slots=True)
class Frozen:
    """The state at one revision. tokens: namespace -> its token. tasks: those that were asked for, as if they waited.

    now: the clock of whoever froze it. seed: that of the leader, None where nobody told it.
    """

    nodes: tuple[NodeView, ...]
    standing: tuple[Standing, ...]
    pending: tuple[TaskView, ...]
    queues: tuple[QueueRule, ...]
    used: Mapping[str, Mapping[str, int]]
    nominated: Mapping[str, str]
    policy: Policy
    now: float
    seed: int = 0
    revision: int = 0
    cluster_uid: str = ""
    tokens: Mapping[str, str] = field(default_factory=dict, repr=False)
    tasks: Mapping[ObjectRef, TaskView] = field(default_factory=dict)
    movers: tuple[Mover, ...] = ()

    def snapshot(self) -> Snapshot:
        """Return what the scheduler is asked with; made anew each time, as a fleet is no value."""
        fleet = Fleet(self.nodes, self.standing)
        return Snapshot(fleet, self.pending, self.queues, self.used, self.nominated)


@dataclass(frozen=True, slots=True)
class Live:
    """A leader's state, or one like it; belongs to the thread that owns it."""

    view: View
    inputs: InputsOf
    scheduling: Scheduling
    keeper: FleetKeeper


def freeze(live: Live, asked: Asked, now: float, *, seed: int = 0, revision: int = 0) -> Frozen:
    """Return the state as a value. The caller owns `live`, and has taken all changes into its fleet."""
    snapshot, cluster = live.scheduling.snapshot(), live.view.cluster
    fleet = snapshot.fleet
    tasks = ((ref, _task_view(live, ref)) for ref in asked.tasks)
    movers = tuple(_movers(live, _sites(live.view, asked), now)) if asked.node or asked.everywhere else ()
    if asked.everywhere:
        movers = tuple(_judged_alone(live, movers))
    return Frozen(
        nodes=tuple(view for view in fleet.views if view is not None),
        standing=tuple(fleet.standing.values()),
        pending=snapshot.pending,
        queues=snapshot.queues,
        used={queue: dict(amounts) for queue, amounts in snapshot.used.items()},
        nominated=snapshot.nominated,
        policy=live.scheduling.policy,
        now=now,
        seed=seed,
        revision=revision,
        cluster_uid=cluster.value.cluster_uid if isinstance(cluster, Versioned) else "",
        tokens={
            name: slot.value.token for name, slot in live.view.access.items() if isinstance(slot, Versioned)
        },
        tasks={ref: task for ref, task in tasks if task is not None},
        movers=movers,
    )


def _task_view(live: Live, ref: ObjectRef) -> TaskView | None:
    """Return a task as it would wait, None for one that is not admitted or can't be read."""
    record = live.view.task(ref)
    effective = live.inputs.admitted(record)
    if effective is None or not isinstance(record.spec, Versioned):
        return None
    return task_view(ref, record.spec, effective=effective, owner=record.owner)


def _movers(live: Live, sites: Iterable[tuple[ObjectRef, Site]], now: float) -> Iterator[Mover]:
    """Yield the tasks that would have to leave these places, and what would keep each."""
    evicting = live.inputs.evicting
    found = [
        (ref, site, binding) for ref, site in sites if (binding := evicting.movable(ref, site)) is not None
    ]
    candidates = [Candidate(ref, binding.binding_uid, site[0], Cause.DRAIN) for ref, site, binding in found]
    verdicts = evicting.judge(candidates, lambda _: False)
    for ref, site, binding in found:
        verdict, record = verdicts.get(ref), live.view.task(ref)
        yield Mover(
            ref,
            site[1],
            record.spec if isinstance(record.spec, Versioned) else None,
            live.inputs.admitted(record),
            record.owner,
            verdict.reason if isinstance(verdict, Waits) else "",
            binding.spec.grace,
            site[0],
            binding.binding_uid,
            why_it_stays(binding.spec, record.owner, retries_of(live.view, record)),
            lost_s(binding, live.view.sites.report_at(site), now),
        )


def _judged_alone(live: Live, movers: Iterable[Mover]) -> Iterator[Mover]:
    """Where not all move at once a task is kept only by what it waits for though nobody else moves.

    Budgets know tasks by their labels, so that each set of labels is asked about once: it takes as long as the budgets
    over it have tasks.
    """
    known: dict[tuple[str, object], str] = {}
    for mover in movers:
        if not mover.kept_by:
            yield mover
            continue
        spec = live.view.task(mover.ref).spec
        labels = spec.value.metadata.labels if isinstance(spec, Versioned) else {}
        key = mover.ref.namespace, tuple(sorted(labels.items()))
        if key not in known:
            candidate = Candidate(mover.ref, mover.binding_uid, mover.node, Cause.REQUEST)
            verdict = live.inputs.evicting.judge([candidate], lambda _: False).get(mover.ref)
            known[key] = verdict.reason if isinstance(verdict, Waits) else ""
        yield replace(mover, kept_by=known[key])


def _sites(view: View, asked: Asked) -> Iterator[tuple[ObjectRef, Site]]:
    """Yield the tasks that a question is about with their bindings' places, in no order that means anything."""
    for ref in view.tasks if asked.everywhere else view.sites.tasks_on(asked.node) if asked.node else ():
        for site in view.task(ref).bindings:
            if asked.everywhere or site[0] == asked.node:
                yield ref, site


# From a listing


def frozen_from(
    kvs: Iterable[KeyValue], keys: Keys, policy: Policy, asked: Asked, now: float, *, revision: int
) -> Frozen:
    """Return the state that all keys of a cluster, listed at one revision, say.

    Only the leader knows its seed, so that among nodes that are equally good another one may be named. What it
    has decided and not yet written isn't in it either.
    """
    view = View(keys)
    for kv in kvs:
        view.apply(Change(kv.key, None, kv))
    keeper = FleetKeeper(view)
    inputs = InputsOf(view, nodes=keeper.views)
    incarnation = view.cluster.value.incarnation if isinstance(view.cluster, Versioned) else 0
    for name, record in view.nodes.items():
        inputs.refresh_node(name, now)
        keeper.refresh(record, incarnation)
    keeper.sync()
    scheduling = Scheduling(policy, keeper)
    scheduling.queues_changed(view)
    for ref in sorted(view.tasks):
        task_inputs = inputs.of_task(ref)
        plan = plan_task(task_inputs, now) if task_inputs is not None else None
        if plan is not None and plan.waiting is not None:
            scheduling.want(ref, plan.waiting)
    return freeze(Live(view, inputs, scheduling, keeper), asked, now, revision=revision)
