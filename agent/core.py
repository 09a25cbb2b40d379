"""The agent's one decision loop: bindings and observations in, operations and reports out.

    informer (bindings, own reports, cluster) -->
    runtime.poll() -----------------------------> World -> next_action -> runtime.submit
                                                      -> task_report -> reporter.offer

It owns all its state and runs in one thread. It waits for nobody: not for an operation, not for a report. What
stops a container is decided in `agent.statemachine` alone.
"""

import logging
from collections.abc import Callable
from dataclasses import dataclass, field
from math import inf

from agent.bindings import BindingBook, UnreadableBinding
from agent.facts import NodeFacts
from agent.heartbeat import HeartbeatActor
from agent.identity import IdentityKeeper
from agent.nodereport import NodeContext, NodeState, node_report
from agent.observation import Leave, TaskObservation
from agent.passing import Passing
from agent.probing import Probing
from agent.refreshing import Refreshing
from agent.reporter import Reporter
from agent.rollup import Author, last_known, once_final, task_report
from agent.runtime.api import Failed, Kill, Observation, Op, Runtime, RuntimeDown, RuntimeUp, Start, Stop
from agent.runtime.asking import Asker, HollowAsker
from agent.standing import Standing, judge
from agent.starting import post_start
from agent.statemachine import BeginEnd, Nothing, Wait, cut_off, is_all, next_action
from agent.world import World
from schemas.binding import Binding, Desired
from schemas.keys import Keys
from schemas.report import NodeReport, TaskReport
from schemas.roles import find_container
from store import codec
from store.api import Store

log = logging.getLogger(__name__)

RESYNC_EVERY_S = 60.0  # a full listing, for what no event told
FACTS_EVERY_S = 60.0  # disk and memory pressure, changed hardware
SILENT_WATCH_S = 1.0  # between looks at a watch that has been silent for too long
RETRY_BROKEN_S = 10.0  # a task whose handling raised is tried again
MAX_STEPS = 64  # operations of one task in one step; more would be a loop


@dataclass(frozen=True, slots=True)
class CoreParts:
    """What the core works with. facts: data root of the engine -> facts about the host."""

    store: Store
    runtime: Runtime
    keeper: IdentityKeeper
    heartbeat: HeartbeatActor
    reporter: Reporter
    facts: Callable[[str], NodeFacts]
    keys: Keys
    context: NodeContext
    asker: Asker = field(default_factory=HollowAsker)
    orphan_after_s: float = 86_400.0
    keep_dead_s: float = inf
    results_at_once: int = (
        0  # how often a step looks for results before it reports, where operations land at once
    )
    joined: Callable[[], None] = lambda: None  # called when the agent has entered a cluster or incarnation


class AgentCore:
    """`store.loop.Actor`. Raises Rewound: then its shell remembers that and builds a new one.

    Raises PermissionDenied when it may not even read: restarting helps once its rights are mended.
    """

    def __init__(self, parts: CoreParts, notify: Callable[[], None] = lambda: None) -> None:
        self._parts = parts
        self._book = BindingBook(parts.store, parts.keys, parts.context.node, notify)
        parts.reporter.wrote = self._book.wrote
        self._world = World(parts.context.node)
        self._world.cluster = parts.keeper.identity.cluster_uid
        self._world.halted = set(parts.keeper.identity.halted)
        self._world.hooks_due = set(parts.keeper.identity.hooks_due)
        self._standing = Standing.UNKNOWN
        self._standing_message = "the store was not read yet"
        self._begin = self._fresh = False
        self._runtime_up = False
        self._stopping = False
        self._sequence = 0
        self._said: dict[str, TaskReport] = {}
        self._said_node: NodeReport | None = None
        self._told_node: tuple[NodeState, NodeFacts] | None = None  # what `_said_node` was made of
        self._passing = Passing()
        self._probing = Probing(parts.asker)
        self._refreshing = Refreshing()
        self._may: tuple[bool, bool, float, bool, bool, bool] | None = None  # what `_given` was made of
        self._given = Leave(act=False, begin=False, confirmed_at=0.0)
        self._facts: NodeFacts | None = None
        self._facts_at = self._resync_at = 0.0
        self._due: dict[str, float] = {}
        self._unbound_since: dict[str, float] = {}

    @property
    def name(self) -> str:
        return "core"

    @property
    def standing(self) -> Standing:
        return self._standing

    @property
    def book(self) -> BindingBook:
        """The bindings as this agent sees them; the log server asks for tokens here."""
        return self._book

    @property
    def world(self) -> World:
        return self._world

    def announce_stop(self) -> None:
        """Say in the node report that this agent stops on purpose; the next step offers it."""
        self._stopping = True

    def step(self, now: float) -> float | None:
        dirty = self._book.step(now)
        self._book.require_rights()
        if now >= self._resync_at:
            self._resync_at = now + RESYNC_EVERY_S
            self._parts.runtime.resync()
        dirty |= self._observe_all(now)
        if self._circumstances_changed(now):
            dirty |= self._world.task_uids() | self._book.task_uids() | set(self._said)
        dirty |= {uid for uid, due in self._due.items() if due <= now}
        advanced = self._advance_all(dirty, now)
        for _ in range(self._parts.results_at_once):
            advanced |= self._advance_all(self._observe_all(now), now)
        for task_uid in sorted(advanced):
            self._guarded(self._report, task_uid, now)
        self._report_node(now)
        self._keep_hooks_due()
        self._parts.keeper.saw_revision(self._parts.store.highest_revision, now)
        return self._next_due(now)

    def close(self) -> None:
        self._book.close()

    def _observe_all(self, now: float) -> set[str]:
        touched: set[str] = set()
        for observation in self._parts.runtime.poll():
            touched |= self._observe(observation, now)
        for judged in self._probing.step(now):
            touched |= self._world.judged(judged.container_id, judged.verdict)
        return touched

    def _observe(self, observation: Observation, now: float) -> set[str]:
        if isinstance(observation, RuntimeUp):
            if not self._world.runtime_up:
                log.info("runtime up containers=%d", len(observation.containers))
        elif isinstance(observation, RuntimeDown) and self._world.runtime_up:
            log.warning("runtime down error=%s", observation.error)
        touched = self._world.apply(observation, now)
        unwritten = self._refreshing.heard(observation)
        if unwritten is not None:
            self._due[unwritten] = now + RETRY_BROKEN_S
        if self._world.uncertain and isinstance(observation, Failed):
            self._parts.runtime.resync()  # only a listing tells whether it happened
        return touched

    # Circumstances

    def _circumstances_changed(self, now: float) -> bool:
        """Take in what holds for all tasks; say whether something of it changed."""
        before = (self._standing, self._begin, self._runtime_up)
        self._standing = self._judge()
        self._fresh = self._knows_what_was_decided()
        self._begin = self._parts.heartbeat.confirmed(now) and self._book.healthy and self._fresh
        self._runtime_up = self._world.runtime_up
        if self._standing is not before[0]:
            level = logging.INFO if self._standing is Standing.ACTIVE else logging.WARNING
            reason = self._standing_message
            log.log(level, "standing=%s before=%s reason=%s", self._standing, before[0], reason)
        return before != (self._standing, self._begin, self._runtime_up)

    def _knows_what_was_decided(self) -> bool:
        """Say whether the bindings were read after the name was last taken; if not, have them read."""
        fence = self._parts.heartbeat.fence
        if fence is None:
            return False
        if self._book.revision < fence.create_revision:
            self._book.read_again()
            return False
        return True

    def _judge(self) -> Standing:
        cluster = self._book.cluster()
        if not self._book.synced or isinstance(cluster, codec.Unreadable):
            error = cluster.error if isinstance(cluster, codec.Unreadable) else "the store was not read yet"
            self._standing_message = error
            return Standing.UNKNOWN
        before = self._parts.keeper.identity
        verdict = judge(cluster, before)
        if verdict.identity != before:
            self._parts.keeper.update(
                cluster_uid=verdict.identity.cluster_uid,
                incarnation=verdict.identity.incarnation,
                rewound_from=verdict.identity.rewound_from,
            )
            self._said.clear()  # all is said again in the new incarnation, before the node report
            self._said_node = None
            self._parts.joined()
        self._world.cluster = verdict.identity.cluster_uid
        self._standing_message = verdict.message
        return verdict.standing

    def _leave(self, binding: Binding | None) -> Leave:
        """Return what may be done now about a task; the very same value while nothing of it changes."""
        incarnation, runtime_up = self._parts.keeper.identity.incarnation, self._world.runtime_up
        current = binding is None or binding.incarnation == incarnation
        may = (
            self._standing is Standing.ACTIVE and runtime_up and current,
            self._begin,
            self._parts.heartbeat.confirmed_at,
            self._fresh,
            runtime_up and not self._book.synced,
            self._parts.heartbeat.has_beaten,
        )
        if self._may != may:
            self._may = may
            self._given = Leave(
                *may, orphan_after_s=self._parts.orphan_after_s, keep_dead_s=self._parts.keep_dead_s
            )
        return self._given

    # One task

    def _advance_all(self, task_uids: set[str], now: float) -> set[str]:
        """Do what is next about these tasks; return those of which something may be told."""
        for task_uid in task_uids:
            self._due.pop(task_uid, None)
        return {task_uid for task_uid in sorted(task_uids) if self._guarded(self._advance, task_uid, now)}

    def _guarded(self, work: Callable[[str, float], bool], task_uid: str, now: float) -> bool:
        """The border around one task: whatever is wrong with it stays its own."""
        try:
            return work(task_uid, now)
        except Exception:
            log.exception("task broken task_uid=%s", task_uid)
            self._due[task_uid] = now + RETRY_BROKEN_S
            return False

    def _advance(self, task_uid: str, now: float) -> bool:
        """Submit what is next; say whether the task can be told of."""
        binding = self._book.binding(task_uid)
        if isinstance(binding, UnreadableBinding):
            return False  # not absent: what runs stays as it is; the node report says so
        self._note_unbound(task_uid, binding, now)
        self._drop_stale_pulls(task_uid, binding)
        leave = self._leave(binding)
        self._tend_config(task_uid, binding)
        if self._probing.concerns(task_uid, binding):
            for judged in self._probing.look(task_uid, binding, self._observe_task(task_uid), now):
                self._world.judged(judged.container_id, judged.verdict)
        for _ in range(MAX_STEPS):
            observed = self._observe_task(task_uid)
            action = next_action(binding, observed, now, leave=leave, cluster=self._world.cluster)
            if isinstance(action, Nothing):
                break
            if isinstance(action, Wait):
                self._due[task_uid] = action.until
                break
            if isinstance(action, BeginEnd):
                self._world.begin_end(action.binding_uid, now)
                continue
            self._submit(task_uid, action, binding, now, leave)
            if is_all(action, binding, observed):
                break
        return True

    def _tend_config(self, task_uid: str, binding: Binding | None) -> None:
        """Hand changed copies of ConfigMaps and Secrets on: to files, and to what waits for them."""
        if self._refreshing.is_new(task_uid, binding) and binding is not None:
            self._world.forgive_config(binding.binding_uid)
        if not self._refreshing.concerns(task_uid, binding):
            return
        has_containers = bool(self._world.containers(task_uid))
        refresh = self._refreshing.look(task_uid, binding, has_containers=has_containers)
        if refresh is not None:
            self._parts.runtime.submit(refresh)

    def _observe_task(self, task_uid: str) -> TaskObservation:
        return self._world.observe(
            task_uid,
            reported=self._last_report(task_uid),
            unbound_since=self._unbound_since.get(task_uid),
            stored=self._book.reported(task_uid),
        )

    def _last_report(self, task_uid: str) -> TaskReport | None:
        """What the store holds; an end that this agent said itself counts though its watch lags behind."""
        said = self._said.get(task_uid)
        return said if said is not None and said.final else self._book.reported(task_uid)

    def _note_unbound(self, task_uid: str, binding: Binding | None, now: float) -> None:
        known = self._standing is Standing.ACTIVE and self._book.healthy
        if binding is not None or not self._world.containers(task_uid):
            self._unbound_since.pop(task_uid, None)
        elif known:
            self._unbound_since.setdefault(task_uid, now)

    def _drop_stale_pulls(self, task_uid: str, binding: Binding | None) -> None:
        """A pull of what is not wanted any more delays nothing."""
        for target in self._world.pulls(task_uid):
            wanted = binding is not None and binding.desired is not Desired.STOP
            if binding is None or not wanted or target.binding_uid != binding.binding_uid:
                self._world.forget_pull(task_uid, target)

    def _submit(self, task_uid: str, op: Op, binding: Binding | None, now: float, leave: Leave) -> None:
        wanted = binding is not None and binding.desired is Desired.RUN and cut_off(binding, now, leave)
        if isinstance(op, Stop | Kill) and (wanted or leave.alone):
            self._world.halted.add(op.id)
            self._parts.keeper.update(halted=tuple(sorted(self._world.halted)))
        if isinstance(op, Start) and binding is not None:
            container = find_container(binding.spec, op.target.container)
            if container is not None and post_start(container) is not None:
                self._world.hooks_due.add(op.id)
                self._keep_hooks_due()  # before the start: whoever comes after this agent runs the hook
        log.info(
            "operation=%s task_uid=%s container=%s binding_uid=%s",
            type(op).__name__,
            task_uid,
            op.target.container,
            op.target.binding_uid,
        )
        self._world.submitted(task_uid, op, now)
        self._parts.runtime.submit(op)

    def _keep_hooks_due(self) -> None:
        self._parts.keeper.update(hooks_due=tuple(sorted(self._world.hooks_due)))

    # Reports

    def _report(self, task_uid: str, now: float) -> bool:
        """Offer the task's report if it says something new; say whether the task could be told of."""
        binding = self._book.binding(task_uid)
        if isinstance(binding, UnreadableBinding) or not self._standing.is_home or not self._world.heard:
            return False
        leave = self._leave(binding)
        author = Author(self._parts.context.instance, 0, not self._world.runtime_up)
        observed = self._observe_task(task_uid)
        report = task_report(binding, observed, now, leave=leave, author=author)
        if not self._world.listed and observed.reported is not None:
            report = last_known(observed.reported, author)
        if report is not None and binding is not None:
            report = once_final(report, binding, (self._said.get(task_uid), observed.reported))
        lost = self._book.take_lost(task_uid)
        key = self._parts.keys.task_report(self._parts.context.node, task_uid)
        if report is None:
            self._withdraw(task_uid, key, leave)
        elif lost or report != self._said.get(task_uid):
            waits = not lost and binding is not None and binding.desired is Desired.RUN
            hold_until = self._passing.hold_until(task_uid, report, now) if waits else None
            if hold_until is not None:
                self._due[task_uid] = min(self._due.get(task_uid, inf), hold_until)
                return True
            self._said[task_uid] = report
            self._sequence += 1
            numbered = report.model_copy(update={"sequence": self._sequence})
            value = numbered.to_bytes()
            self._book.offered(task_uid, value, numbered)
            self._parts.reporter.offer({key: value})
        return True

    def _tell_passing(self, now: float) -> None:
        """Whoever reads a node report relies on the reports of all its tasks before it."""
        for task_uid in self._passing.release(now):
            self._guarded(self._report, task_uid, now)

    def _withdraw(self, task_uid: str, key: str, leave: Leave) -> None:
        """Nothing of the task is here and no binding names it: its report goes."""
        self._passing.drop(task_uid)
        said = self._said.get(task_uid) is not None or self._book.reported(task_uid) is not None
        if said and leave.act and leave.begin and not self._world.containers(task_uid):
            self._said.pop(task_uid, None)
            self._parts.reporter.offer({key: None})

    def _report_node(self, now: float) -> None:
        world, active = self._world, self._standing is Standing.ACTIVE
        if not self._standing.is_home or not (world.listed or (active and world.heard)):
            return  # before a listing, a report of a new incarnation would say that nothing runs here
        if self._facts is None or now >= self._facts_at:
            self._facts = self._parts.facts(self._world.data_root)
            self._facts_at = now + FACTS_EVERY_S
            self._world.forget_targets(self._book.binding_uids())
        state = NodeState(
            identity=self._parts.keeper.identity,
            standing=self._standing,
            standing_message=self._standing_message,
            runtime_up=self._world.runtime_up,
            runtime_error=self._world.runtime_error,
            runtime_version=self._world.runtime_version,
            ports_taken=self._world.ports_taken(now),
            unreadable=self._book.unreadable(),
            stopping=self._stopping,
        )
        lost = self._book.take_node_report_lost()
        if self._said_node is not None and not lost and self._told_node == (state, self._facts):
            return
        report = node_report(self._parts.context, state, self._facts, now, self._said_node)
        self._told_node = state, self._facts
        if report != self._said_node or lost:
            self._tell_passing(now)
            self._said_node = report
            key = self._parts.keys.node_report(self._parts.context.node)
            self._parts.reporter.offer({key: report.to_bytes()})

    def _next_due(self, now: float) -> float:
        if self._book.is_behind:
            return now
        informer_due = self._book.next_step_at(now)
        if informer_due <= now:  # it was stepped just now: all that is left is to wait for a sign of life
            informer_due = now + SILENT_WATCH_S
        others = (self._parts.runtime.next_due(), self._probing.next_due())
        candidates = [self._resync_at, informer_due, *self._due.values()]
        return min([*candidates, *(each for each in others if each is not None)])
