"""From decisions to bindings: assume the room, hand the binding over, forget the room if that fails.

Also says in a task's status why it fits nowhere.
"""

from controller.fleetkeeping import FleetKeeper
from controller.inputs import InputsOf
from controller.outbox import Outbox
from controller.reconcilers.bindings import new_binding
from controller.reconcilers.plan import EventNote, Plan, PutTaskStatus, Waiting
from controller.reconcilers.task_inputs import TaskInputs, reads_of
from controller.scheduler.rejection import summarize
from controller.scheduler.schedule import Placed, Unschedulable
from controller.sealing import Sealer
from controller.source import Random
from controller.view import View
from controller.writes import Bind, bind_write
from schemas.binding import Binding
from schemas.cluster import AccessToken
from schemas.gang import GangPlace
from schemas.keys import Keys, ObjectRef, cluster_ref
from schemas.meta import Condition, condition, set_condition
from schemas.state import TaskState
from schemas.status import Decision, TaskStatus
from schemas.timestamps import format_time
from store.api import Put, absent
from store.batch import Write
from store.codec import Unreadable, encode

EPOCHS_AN_INCARNATION = 1_000_000  # more than a task is ever bound between two restored backups


class Binder:
    """Owns what is assumed: decisions on their way to etcd, by task."""

    def __init__(
        self,
        view: View,
        keys: Keys,
        inputs: InputsOf,
        outbox: Outbox,
        source: Random,
        sealer: Sealer,
        keeper: FleetKeeper,
    ) -> None:
        self._view = view
        self._keeper = keeper
        self._keys = keys
        self._inputs = inputs
        self._outbox = outbox
        self._random = source
        self._sealer = sealer
        self._assumed: dict[ObjectRef, tuple[str, str]] = {}  # task -> (node, task uid)

    def may_bind(self, ref: ObjectRef) -> bool:
        """A binding carries the hash of its namespace's token, so the token must exist first."""
        if self._outbox.ledger.blocks(ref):
            return False
        if self._inputs.access_hash(ref.namespace):
            return True
        self._make_token(ref.namespace)
        return False

    def hindrance(self, ref: ObjectRef) -> str:
        """Return why nothing of this namespace can be bound, empty if nothing is in the way."""
        if not isinstance(self._view.access.get(ref.namespace), Unreadable):
            return ""
        key = self._keys.access(ref.namespace)
        return f"the access token at {key} can't be read; remove that key, and a new one is made"

    def make_tokens(self) -> None:
        """Give each namespace its token, as questions about objects are asked with it, also where nothing runs."""
        for name in self._view.namespaces():
            policy = self._view.policies.get(cluster_ref("namespaces", name))
            is_going = policy is not None and policy.delete is not None
            if not is_going and not self._inputs.access_hash(name):
                self._make_token(name)

    def _make_token(self, namespace: str) -> None:
        ref = ObjectRef("access", namespace, "token")
        if self._view.access.get(namespace) is None and not self._outbox.ledger.blocks(ref):
            key = self._keys.access(namespace)
            value = encode(AccessToken(token=self._random.token()).to_json())
            self._outbox.submit(ref, Write(ref, (absent(key),), (Put(key, value),)))

    def bind(
        self,
        placed: Placed,
        waiting: Waiting,
        decision: Decision | None,
        now: float,
        gang: GangPlace | None = None,
    ) -> bool:
        """Bind a task to the node that was decided; False if it, or what it takes, has changed since it was planned.

        gang: with whom it is held, None if it starts at once.
        """
        ref = placed.task.ref
        inputs = self._inputs.of_task(ref)
        if inputs is None or inputs.spec is None or reads_of(inputs) != waiting.reads or inputs.config.reason:
            return False
        uid, epoch, grants = self._random.uid(), next_epoch(inputs), placed.grants
        discovery = self._view.workloads.addresses.discovery(ref.namespace)
        binding = new_binding(
            inputs, waiting.spec, placed.node, epoch, uid, grants, gang=gang, discovery=discovery
        )
        binding = self._sealer.with_copies(binding, inputs.config)
        status = _bound_status(inputs, binding, waiting, decision, now)
        bind = Bind(ref, waiting.reads, inputs.status, status, binding, waiting.replaces)
        self._keeper.assume(placed, grants)
        self._assumed[ref] = (placed.node, inputs.uid)
        self._outbox.note(ref, inputs.uid, EventNote("Normal", "Scheduled", f"bound to {placed.node}"), now)
        models = {
            self._keys.status(ref): status,
            self._keys.binding(placed.node, inputs.uid): binding,
        }
        self._outbox.submit(ref, bind_write(bind, self._keys), models)
        return True

    def forget(self, ref: ObjectRef) -> None:
        """Stop assuming: the binding was written and seen, or was not written."""
        assumed = self._assumed.pop(ref, None)
        if assumed is not None:
            self._keeper.forget(*assumed)

    def forget_all(self) -> None:
        for ref in list(self._assumed):
            self.forget(ref)

    def reject(self, rejected: Unschedulable, now: float) -> None:
        """Say in the task's status why it fits nowhere, and which node is kept for it."""
        message = summarize(rejected.rejection)
        if rejected.nominated:
            message = f"room is being made on {rejected.nominated}; {message}"
        self.refuse(rejected.task.ref, message, now, nominated=rejected.nominated)

    def refuse(self, ref: ObjectRef, message: str, now: float, *, nominated: str = "") -> None:
        """Say in the task's status why it can't be bound."""
        inputs = self._inputs.of_task(ref)
        if inputs is None or inputs.spec is None:
            return
        status = _rejected_status(inputs, inputs.spec.generation, message, now)
        status = status.model_copy(update={"nominated": nominated})
        if status != inputs.own_status:
            note = EventNote("Warning", "FailedScheduling", message)
            intents = (PutTaskStatus(status),)
            plan = Plan(ref, inputs.uid, reads_of(inputs), intents, (note,))
            self._outbox.submit_plan(plan, now)


def next_epoch(inputs: TaskInputs) -> int:
    """Return an epoch above every one that anybody has seen of this task.

    After history was rewound also above those that a silent node may remember of the history that was lost.
    """
    seen = [binding.value.epoch for binding in inputs.bindings.values()]
    seen += [report.value.epoch for report in inputs.reports.values()]
    old = inputs.own_status
    lost = (inputs.incarnation - 1) * EPOCHS_AN_INCARNATION
    return max([lost, old.epoch if old else 0, *seen]) + 1


def _bound_status(
    inputs: TaskInputs, binding: Binding, waiting: Waiting, decision: Decision | None, now: float
) -> TaskStatus:
    old, health = inputs.own_status, inputs.health(binding.node)
    scheduled = condition("Scheduled", "True", "Bound", f"bound to {binding.node}", format_time(now))
    return TaskStatus(
        uid=inputs.uid,
        owner=inputs.owner,
        observed_generation=binding.generation,
        node=binding.node,
        previous_node=waiting.replaces.value.node if waiting.replaces else "",
        epoch=binding.epoch,
        binding_uid=binding.binding_uid,
        state=TaskState.BOUND,
        conditions=set_condition(old.conditions if old else (), scheduled),
        ports=binding.grants.ports,
        devices=binding.grants.devices,
        resources=binding.grants.resources,
        hostIP=health.address,
        api_address=health.api_address,
        decision=decision,
    )


def _rejected_status(inputs: TaskInputs, generation: int, message: str, now: float) -> TaskStatus:
    old = inputs.own_status or TaskStatus(uid=inputs.uid, owner=inputs.owner)
    condition = Condition(
        type="Scheduled",
        status="False",
        reason="Unschedulable",
        message=message,
        last_transition_time=format_time(now),
    )
    update: dict[str, object] = {
        "observed_generation": generation,
        "conditions": set_condition(old.conditions, condition),
        "waiting_since": old.waiting_since or format_time(now),
    }
    if not old.node:
        update |= {"reason": "Unschedulable", "message": message}
    return old.model_copy(update=update)
