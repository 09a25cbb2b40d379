"""Bugs to plant, one at a time: the simulation must find each of them, or its silence means nothing."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Any

import pytest

from agent import core as agent_core
from agent import statemachine, stopping
from agent.labels import container_name
from agent.runtime.api import Create, Done
from agent.runtime.hollow import HollowHost
from controller import binder, collecting, evicting, leader, writes
from controller.ganging import Ganging
from controller.ledger import Ledger
from controller.reconcilers import cronjob, job_status, owner_ending, placing, readiness, rollout, rollup
from controller.reconcilers import task as task_planner
from controller.reconcilers.gang import Verdict
from controller.reconcilers.task_inputs import TaskInputs
from controller.scheduler import schedule
from controller.scheduler.fairness import Account
from controller.scheduler.preempt import Preemptor
from controller.sealing import Sealer
from controller.sites import Sites
from controller.slots import SlotReader
from schemas.binding import Desired
from schemas.state import ContainerState, TaskState
from sim.world import Plan
from store import batch
from store.api import Compare
from store.codec import Unreadable
from store.reflector import Reflector


def skip_the_fence(patch: pytest.MonkeyPatch) -> None:
    """The leader's and the agents' batches carry a comparison that always holds."""
    always = Compare("/no/such/key", "version", "=", 0)
    patch.setattr(batch.Fence, "compare", lambda self: always)


def adopt_by_name_only(patch: pytest.MonkeyPatch) -> None:
    """A container that bears our name is taken for ours, whatever its labels say."""
    real = HollowHost._create

    def create(self: HollowHost, op: Create) -> Any:
        for each in self._containers.values():
            if each.info.name == container_name(op.journal):
                return Done(op, replace(each.info, journal=op.journal))
        return real(self, op)

    patch.setattr(HollowHost, "_create", create)


def treat_unreadable_as_absent(patch: pytest.MonkeyPatch) -> None:
    """What can't be parsed reads as if its key were not there, and what is taken for absent is not compared.

    The first half alone does next to nothing: every write that builds on it fails its comparison.
    """
    real, compare = SlotReader.read, writes.unchanged
    always = Compare("/no/such/key", "version", "=", 0)
    patch.setattr(writes, "unchanged", lambda key, revision: compare(key, revision) if revision else always)

    def read(self: SlotReader, *args: Any, **more: Any) -> Any:
        slot = real(self, *args, **more)
        if isinstance(slot, Unreadable):
            self.unreadable.pop(slot.key)
            return None
        return slot

    patch.setattr(SlotReader, "read", read)


def resume_at_the_headers_revision(patch: pytest.MonkeyPatch) -> None:
    """A lost watch goes on from the revision of a reply that came after the loss."""
    real = Reflector._list

    def relist(self: Reflector, now: float, changes: Any) -> None:
        if self.revision and self._watch is None:
            self.revision = self._store.get(self.prefix).revision
        else:
            real(self, now, changes)

    patch.setattr(Reflector, "_list", relist)


def free_resources_on_stop(patch: pytest.MonkeyPatch) -> None:
    """A binding that is told to stop counts as ended at once."""
    real = Sites._account

    def account(self: Sites, site: tuple[str, str]) -> None:
        real(self, site)
        binding = self.binding_at(site)
        if binding is not None and binding.desired is Desired.STOP:
            self._shelves.node(site[0]).usage.set(site[1], None)

    patch.setattr(Sites, "_account", account)


def forget_nothing_after_a_conflict(patch: pytest.MonkeyPatch) -> None:
    """What was assumed for a binding that could not be written stays assumed."""
    patch.setattr(binder.Binder, "forget", lambda self, ref: None)


def plan_before_own_writes_are_seen(patch: pytest.MonkeyPatch) -> None:
    """An object is planned again while the cache lags behind its last write."""
    patch.setattr(Ledger, "blocks", lambda self, ref: False)


def reuse_an_epoch(patch: pytest.MonkeyPatch) -> None:
    """A task that is bound again gets the epoch of its last binding."""
    real = binder.new_binding

    def bind(inputs: Any, spec: Any, node: str, epoch: int, *rest: Any, **options: Any) -> Any:
        return real(inputs, spec, node, max(1, epoch - 1), *rest, **options)

    patch.setattr(binder, "new_binding", bind)


def count_stopped_as_failure(patch: pytest.MonkeyPatch) -> None:
    """A container that ends by the signal it was sent makes its task Failed."""
    real = rollup.task_state

    def state(placement: Any, containers: Any, policy: Any) -> TaskState:
        found = real(placement, containers, policy)
        ended = found in (TaskState.STOPPED, TaskState.STOPPING) and any(c.exit_code for c in containers)
        return TaskState.FAILED if ended else found

    patch.setattr(rollup, "task_state", state)


def let_absence_stop_a_container(patch: pytest.MonkeyPatch) -> None:
    """An agent stops what no binding names, at once."""
    real = agent_core.next_action

    def act(binding: Any, observed: Any, now: float, *, leave: Any, cluster: str = "") -> Any:
        return real(binding, observed, now, leave=replace(leave, orphan_after_s=0.0), cluster=cluster)

    patch.setattr(agent_core, "next_action", act)


def take_a_stop_for_its_end(patch: pytest.MonkeyPatch) -> None:
    """The leader removes a binding as soon as it says Stop, without the final report."""
    real = TaskInputs.has_ended

    def ended(self: Any, binding: Any) -> bool:
        return real(self, binding) or binding.desired is Desired.STOP

    patch.setattr(TaskInputs, "has_ended", ended)


def reschedule_at_once(patch: pytest.MonkeyPatch) -> None:
    """The leader does not wait before it binds the tasks of a silent node elsewhere."""
    patch.setattr(task_planner, "reschedule_after_s", lambda spec: 0.0)
    patch.setattr(placing, "reschedule_after_s", lambda spec: 0.0)


def never_stop_oneself(patch: pytest.MonkeyPatch) -> None:
    """An agent that is cut off lets exactlyOne tasks run on."""
    patch.setattr(statemachine, "cut_off", lambda binding, now, leave: False)


def surge_one_too_many(patch: pytest.MonkeyPatch) -> None:
    """A rollout makes one new task more than it may."""
    real = rollout.share_of
    patch.setattr(
        rollout, "share_of", lambda share, of, *, round_up: real(share, of, round_up=round_up) + round_up
    )


def count_what_goes_twice(patch: pytest.MonkeyPatch) -> None:
    """A job counts each task that it removes two times."""
    real = job_status.collect
    patch.setattr(
        job_status, "collect", lambda status, tally, gone: real(real(status, tally, gone), tally, gone)
    )


def stop_and_keep_the_address(patch: pytest.MonkeyPatch) -> None:
    """A task is stopped without being taken out of the endpoints."""
    patch.setattr(task_planner, "without_address", lambda inputs, plan: plan)


def evict_without_asking(patch: pytest.MonkeyPatch) -> None:
    """Evictions know of no budget."""
    real = evicting.decide_by
    patch.setattr(
        evicting,
        "decide_by",
        lambda candidates, tasks, _known, _stands, gone: real(candidates, tasks, (), {}, gone),
    )


def leave_without_a_word(patch: pytest.MonkeyPatch) -> None:
    """A drain passes over every task, and does not say so."""
    patch.setattr(evicting, "_stays", lambda record, binding: True)


def bind_without_config(patch: pytest.MonkeyPatch) -> None:
    """A task is bound though a ConfigMap or Secret lacks a key that it must have."""
    real = Sealer.config_of
    patch.setattr(Sealer, "config_of", lambda self, *args: replace(real(self, *args), lacks=()))


def keep_old_copies(patch: pytest.MonkeyPatch) -> None:
    """A change of a ConfigMap or Secret does not reach the tasks that have it."""
    patch.setattr(task_planner, "copies_to_change", lambda binding, config, key_id: None)


def start_without_waiting(patch: pytest.MonkeyPatch) -> None:
    """An init container that was begun counts as through."""
    patch.setattr(statemachine, "is_through", lambda *_: True)


def stop_all_at_once(patch: pytest.MonkeyPatch) -> None:
    """Sidecars are stopped together with what they are there for."""
    patch.setattr(stopping, "_whose_turn", lambda running: running)


def running_is_ready(patch: pytest.MonkeyPatch) -> None:
    """The leader takes a container that runs for one that is ready, whatever its probes say."""
    patch.setattr(readiness, "is_ready", lambda container: container.state is ContainerState.RUNNING)


def abandon_by_removal(patch: pytest.MonkeyPatch) -> None:
    """What an owner is to leave behind is removed with it."""
    patch.setattr(owner_ending, "_orphan", owner_ending._remove)


def let_runs_overlap(patch: pytest.MonkeyPatch) -> None:
    """A CronJob does not see that its last run goes on."""
    patch.setattr(cronjob, "_active", lambda inputs: ())


def collect_what_runs(patch: pytest.MonkeyPatch) -> None:
    """Whatever a person wrote counts as finished long ago."""
    patch.setattr(collecting, "_has_ended_by_itself", lambda record: True)
    patch.setattr(collecting, "finished_at", lambda task, status, bindings: 0.0)


def start_what_is_held(patch: pytest.MonkeyPatch) -> None:
    """Who has a place starts, whether the others of its gang have one or not."""
    patch.setattr(Ganging, "verdict_for", lambda self, record: Verdict.RUN)


def forget_who_may_start(patch: pytest.MonkeyPatch) -> None:
    """The record of a gang is removed as soon as it is there."""
    real = leader.plan_gang
    patch.setattr(
        leader,
        "plan_gang",
        lambda inputs, now: real(replace(inputs, held=()) if inputs.commit else inputs, now),
    )


def forget_the_limit(patch: pytest.MonkeyPatch) -> None:
    """A queue takes whatever it can get."""
    patch.setattr(Account, "over_limit", lambda self, requests: None)
    patch.setattr(schedule, "_within_limit", lambda account, task, most: most)


def take_from_anybody(patch: pytest.MonkeyPatch) -> None:
    """Who reclaims takes those who are within their own guarantee, too."""
    patch.setattr(Preemptor, "_is_borrowed", lambda self, standing, gone: True)


def give_promised_room_away(patch: pytest.MonkeyPatch) -> None:
    """The room of those for whom others are ending is anybody's."""
    patch.setattr(schedule._Cycle, "_keep_nominated", lambda self, snapshot: {})


def never_take_back(patch: pytest.MonkeyPatch) -> None:
    """A guarantee is kept only while there is room."""
    patch.setattr(Account, "is_guaranteed", lambda self, requests: False)


TASKS = Plan(collects=False)
QUEUES = Plan(queues=True)
OWNERS = Plan(workloads=True, rewinds=False, collects=False)


@dataclass(frozen=True, slots=True)
class Bug:
    """`seed` is the first that finds it, as of when it was last looked for; `by` is what the invariant then says.

    plan: what the runs have; those of owners are without rewinds, after which a job's count may differ.
    """

    plant: Callable[[pytest.MonkeyPatch], None]
    seed: int
    by: str = ""
    plan: Plan = TASKS


BUGS: tuple[Bug, ...] = (
    Bug(skip_the_fence, 13, "yet wrote"),
    Bug(adopt_by_name_only, 7, "which is not its own"),
    Bug(treat_unreadable_as_absent, 41),
    Bug(resume_at_the_headers_revision, 1),
    Bug(free_resources_on_stop, 6),
    Bug(forget_nothing_after_a_conflict, 6, "though it fits"),
    Bug(plan_before_own_writes_are_seen, 1, "before it had seen its own write"),
    Bug(reuse_an_epoch, 4, "was used twice"),
    Bug(count_stopped_as_failure, 20, "yet counts as failed"),
    Bug(let_absence_stop_a_container, 4, "which should run"),
    Bug(take_a_stop_for_its_end, 5, "before its final report"),
    Bug(reschedule_at_once, 23, "two copies"),
    Bug(never_stop_oneself, 36, "two copies"),
    Bug(collect_what_runs, 7, "has not ended", Plan()),
    Bug(surge_one_too_many, 1, "and may have", OWNERS),
    Bug(count_what_goes_twice, 32, "successes", OWNERS),
    Bug(stop_and_keep_the_address, 2, "still listed", OWNERS),
    Bug(evict_without_asking, 2, "is evicted, and budget", OWNERS),
    Bug(leave_without_a_word, 3, "and it does not say so", OWNERS),
    Bug(bind_without_config, 2, "is bound to", OWNERS),
    Bug(keep_old_copies, 2, "than is stored", OWNERS),
    Bug(start_what_is_held, 1, "though no record says so", OWNERS),
    Bug(forget_who_may_start, 1, "while it holds somebody", OWNERS),
    Bug(start_without_waiting, 1, "is through", OWNERS),
    Bug(stop_all_at_once, 1, "still runs", OWNERS),
    Bug(running_is_ready, 2, "never was ready", OWNERS),
    Bug(abandon_by_removal, 13, "was to go on", OWNERS),
    Bug(let_runs_overlap, 12, "goes on", OWNERS),
    Bug(forget_the_limit, 1, "above its limit", QUEUES),
    Bug(take_from_anybody, 1, "for nobody who is due more", QUEUES),
    Bug(give_promised_room_away, 3, "though of cpu", QUEUES),
    Bug(never_take_back, 11, "waits within the guarantee", QUEUES),
)


@contextmanager
def planted(bug: Bug) -> Iterator[None]:
    """Plant a bug while the block runs."""
    with pytest.MonkeyPatch.context() as patch:
        bug.plant(patch)
        yield
