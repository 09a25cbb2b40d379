"""What must hold of queues and of preemption, whatever fails.

of each transaction   no binding takes its queue over its limit; who is preempted makes room for somebody to whom that
                      node is promised, and who is of higher priority in his queue, or within the guarantee of his while
                      the victim is beyond that of its own; room that is promised is given to nobody else
in the end            nobody waits who fits, nor who is within the guarantee of his queue while another one's task that
                      is beyond that of its own would make enough room
"""

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field

from schemas.binding import Binding, Desired, StopReason
from schemas.keys import BindingKey, StatusKey, cluster_ref, task_ref
from schemas.queue import Queue
from schemas.report import NodeReport, TaskReport
from schemas.status import NodeStatus, TaskStatus
from schemas.task import Task
from sim.stored import Stored
from store.api import Delete, KeyValue, Put

Amounts = dict[str, int]


@dataclass(slots=True)
class Sharing:
    """Only new bindings are judged: what a person removes by hand is put back as it was."""

    stored: Stored
    fail: Callable[[str], None]
    _seen: set[str] = field(default_factory=set)  # bindingUids
    _made_for: dict[str, str] = field(
        default_factory=dict
    )  # name of a task -> the node on which somebody went for it

    def after_txn(
        self, ops: tuple[Put | Delete, ...], before: Mapping[str, KeyValue], revision: int, *, trusted: bool
    ) -> None:
        """Check what a controller did at a revision; before: key -> the bindings that stood there.

        trusted: no rewind is mended.
        """
        came = []
        for op in ops:
            self._note_promise(op)
            if not isinstance(self.stored.keys.parse(op.key), BindingKey) or not isinstance(op, Put):
                continue
            new = Binding.model_validate_json(op.value)
            old = self.stored.parse(Binding, before.get(op.key))
            is_stop = isinstance(old, Binding) and old.desired is not Desired.STOP
            if new.desired is Desired.STOP and new.reason is StopReason.PREEMPTED and is_stop and trusted:
                self._check_victim(new, before, revision - 1)
                self._made_for[new.message.rpartition("/")[2]] = new.node
            elif new.desired is not Desired.STOP and new.binding_uid not in self._seen:
                came.append(new)
            self._seen.add(new.binding_uid)
        if came and trusted:
            there = [each for each in self._bindings() if not self._has_ended(each)]
            for queue in sorted({each.spec.queue or "default" for each in came}):
                self._check_limit(queue, there)
            for node in sorted({each.node for each in came}):
                self._check_promises(node, there, {each.task_uid for each in came})

    def _note_promise(self, op: Put | Delete) -> None:
        """A promise that is withdrawn is over: who goes for the next one, on the same node, is judged anew."""
        parsed = self.stored.keys.parse(op.key)
        if not isinstance(parsed, StatusKey) or parsed.ref.plural != "tasks" or not isinstance(op, Put):
            return
        if TaskStatus.model_validate_json(op.value).nominated != self._made_for.get(parsed.ref.name):
            self._made_for.pop(parsed.ref.name, None)

    def _bindings(self) -> Iterator[Binding]:
        keys = self.stored.keys
        for kv in self.stored.client().list(f"{keys.root}bindings/").kvs:
            found = self.stored.parse(Binding, kv)
            if isinstance(found, Binding):
                yield found

    def _has_ended(self, binding: Binding) -> bool:
        """Its final report is there: what it held is free, though the leader has not removed it yet."""
        if binding.desired is not Desired.STOP:
            return False
        key = self.stored.keys.task_report(binding.node, binding.task_uid)
        report = self.stored.read(TaskReport, key)
        return report is not None and report.final and bool(report.binding_uid == binding.binding_uid)

    def _queue(self, name: str) -> Queue | None:
        found = self.stored.read(Queue, self.stored.keys.spec(cluster_ref("queues", name)))
        return found if isinstance(found, Queue) else None

    def _check_limit(self, name: str, there: list[Binding]) -> None:
        queue = self._queue(name)
        used = _sum(each for each in there if (each.spec.queue or "default") == name)
        for resource, most in (queue.spec.limit if queue is not None else {}).items():
            if used.get(resource, 0) > most:
                self.fail(f"queue {name} holds {resource} {used[resource]}, above its limit of {most}")

    def _promises(self, revision: int = 0) -> Iterator[tuple[str, TaskStatus, Task]]:
        """Yield (name, status, task) of those to whom a node is promised, now or at a revision."""
        keys = self.stored.keys
        for kv in self.stored.client().list(f"{keys.root}status/default/tasks/", revision).kvs:
            parsed, status = keys.parse(kv.key), self.stored.parse(TaskStatus, kv)
            if (
                not isinstance(parsed, StatusKey)
                or not isinstance(status, TaskStatus)
                or not status.nominated
            ):
                continue
            specs = self.stored.client().list(keys.spec(parsed.ref), revision).kvs
            task = self.stored.parse(
                Task, next((each for each in specs if each.key == keys.spec(parsed.ref)), None)
            )
            if isinstance(task, Task) and task.metadata.uid == status.uid:
                yield parsed.ref.name, status, task

    def _is_going(self, name: str) -> bool:
        request = self.stored.keys.request(task_ref("default", name), "delete")
        return self.stored.client().get(request).kv is not None

    def _check_promises(self, node: str, there: list[Binding], came: set[str]) -> None:
        """Once somebody was told to go for it, what comes leaves the promised room; what is ending frees its own.

        Who may go is judged anew until then.
        """
        report = self.stored.read(NodeReport, self.stored.keys.node_report(node))
        if not isinstance(report, NodeReport):
            return
        promised = [
            (name, _requests(task))
            for name, status, task in self._promises()
            if status.nominated == self._made_for.get(name) == node and not self._is_going(name)
        ]
        if not promised:
            return
        held = _sum(each for each in there if each.node == node and each.desired is not Desired.STOP)
        wanted = sum(requests.get("cpu", 0) for _, requests in promised)
        free = report.allocatable.get("cpu", 0) - held.get("cpu", 0)
        if wanted > free:
            names = ", ".join(name for name, _ in promised)
            told = f"{wanted} are promised to {names}, {free} are left"
            self.fail(f"room on {node} was given to {', '.join(sorted(came))}, though of cpu {told}")

    def _check_victim(self, victim: Binding, before: Mapping[str, KeyValue], revision: int) -> None:
        held = [found for kv in before.values() if (found := self.stored.parse(Binding, kv)) is not None]
        queue = victim.spec.queue or "default"
        for _, status, task in self._promises(revision):
            if status.nominated != victim.node:
                continue
            own = task.spec.queue or "default"
            if own == queue and (task.spec.priority or 0) > (victim.spec.priority or 0):
                return
            if own != queue and self._is_beyond(queue, victim, held) and self._queue_guarantees(own):
                return
        self.fail(f"{victim.name} was preempted on {victim.node} for nobody who is due more")

    def _queue_guarantees(self, name: str) -> bool:
        queue = self._queue(name)
        return queue is not None and bool(queue.spec.guarantee)

    def _is_beyond(self, name: str, task: Binding, held: list[Binding]) -> bool:
        """Say whether a queue holds more than its guarantee of what its task has; who is ending counts as well."""
        queue = self._queue(name)
        guarantee = queue.spec.guarantee if queue is not None else {}
        used = _sum(each for each in held if (each.spec.queue or "default") == name)
        named = [resource for resource in task.grants.resources if resource in guarantee]
        return not named or any(used.get(resource, 0) > guarantee[resource] for resource in named)

    # In the end

    def check_end(self) -> None:
        """Check a cluster that has come to rest."""
        there = list(self._bindings())
        for name, task in self._waiting():
            queue = task.spec.queue or "default"
            spec = self._queue(queue)
            if task.spec.gang is not None or spec is None or not spec.spec.guarantee:
                continue
            asked = _requests(task)
            used = _sum(each for each in there if (each.spec.queue or "default") == queue)
            if any(used.get(r, 0) + asked.get(r, 0) > most for r, most in spec.spec.guarantee.items()):
                continue
            for victim in there:
                if (victim.spec.queue or "default") != queue and self._makes_room(victim, asked, there):
                    self.fail(
                        f"{name} waits within the guarantee of {queue}, though {victim.name} on {victim.node} "
                        "is beyond that of its own"
                    )

    def _makes_room(self, victim: Binding, asked: Amounts, there: list[Binding]) -> bool:
        node = self.stored.read(NodeStatus, self.stored.keys.status(cluster_ref("nodes", victim.node)))
        report = self.stored.read(NodeReport, self.stored.keys.node_report(victim.node))
        if node is None or not isinstance(report, NodeReport):
            return False
        if not self._is_beyond(victim.spec.queue or "default", victim, there):
            return False
        held = _sum(each for each in there if each.node == victim.node and each is not victim)
        return all(held.get(r, 0) + amount <= report.allocatable.get(r, 0) for r, amount in asked.items())

    def _waiting(self) -> Iterator[tuple[str, Task]]:
        keys = self.stored.keys
        for ref, task in self.stored.of_kind(Task, "tasks"):
            status = self.stored.read(TaskStatus, keys.status(task_ref("default", ref.name)))
            if isinstance(task, Task) and status is not None and status.reason == "Unschedulable":
                yield ref.name, task


def _sum(bindings: Iterable[Binding]) -> Amounts:
    found: Amounts = {}
    for each in bindings:
        for name, amount in each.grants.resources.items():
            found[name] = found.get(name, 0) + amount
    return found


def _requests(task: Task) -> Amounts:
    found: Amounts = {}
    for container in task.spec.containers:
        for name, amount in container.resources.requests.items():
            found[name] = found.get(name, 0) + amount
    return found
