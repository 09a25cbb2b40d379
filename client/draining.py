"""Wishes that tasks leave a node: drains, evictions. The leader serves them; here they are made and followed."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Literal

from client.errors import Contended, NotFound, ObjectUnreadable, Refused, TimedOut
from client.naming import not_found
from client.nodes import WRITE_TRIES, require_node
from client.reading import at_one_revision, read_object, read_objects
from client.views import NODE, ObjectView
from client.waiting import Waiter
from schemas.keys import Keys, cluster_ref, task_ref
from schemas.kinds import BY_PLURAL
from schemas.meta import find_condition
from schemas.node import Drain
from schemas.request import EvictRequest
from schemas.state import FINISHED
from schemas.status import DrainStatus, NodeStatus
from schemas.timestamps import format_time
from store import codec, objects
from store.api import Put, Store, Txn

REPEAT_S = 10.0  # who waits for what is told again after so long
NAMED = 3  # tasks of a DaemonSet in a message


@dataclass(frozen=True, slots=True)
class DrainOptions:
    """timeout_s: after that the leader stops trying, or with `force` goes on without regard to budgets."""

    ignore_daemonsets: bool = False
    timeout_s: float | None = None
    force: bool = False


@dataclass(frozen=True, slots=True)
class Told:
    """Something that happened in a drain: a task left; or text on who waits for what."""

    kind: Literal["left", "waits"]
    text: str


def start(store: Store, keys: Keys, name: str, options: DrainOptions, now: float) -> Drain:
    """Write the wish into the node's spec, and cordon it; the very same one that is under way is joined.

    Raises NotFound, Refused, ObjectUnreadable, Contended.
    """
    if not options.ignore_daemonsets:
        _refuse_daemonsets(store, keys, name)
    drain = Drain(
        requested_at=format_time(now),
        timeout=options.timeout_s,
        force=options.force,
        ignore_daemonsets=options.ignore_daemonsets,
    )
    for _ in range(WRITE_TRIES):
        view = require_node(store, keys, name)
        if not view.raw:
            raise ObjectUnreadable(
                f'node "{name}" can\'t be read ({view.error}); remove it with: berth delete node/{name} --force'
            )
        under_way = _under_way(view)
        if (
            under_way is not None
            and under_way.model_copy(update={"requested_at": drain.requested_at}) == drain
        ):
            return under_way
        wish: dict[tuple[str, ...], object] = {
            ("spec", "unschedulable"): True,
            ("spec", "drain"): drain.to_json(),
        }
        expected = view.mod_revision or None
        raw = codec.patch(view.raw, wish)
        if isinstance(
            objects.write(store, keys.spec(view.ref), raw, expect_mod_revision=expected), objects.Written
        ):
            return drain
    raise Contended(f"node/{name} was changed by others {WRITE_TRIES} times; try again")


def _under_way(view: ObjectView) -> Drain | None:
    """Return the drain that was asked for and has not ended yet."""
    drain = view.node.spec.drain
    status = view.node_status
    if drain is None or not view.node.spec.unschedulable:
        return None
    is_told = (
        status is not None and status.drain is not None and status.drain.requested_at == drain.requested_at
    )
    return None if is_told and status is not None and _end(status) is not None else drain


def _refuse_daemonsets(store: Store, keys: Keys, node: str) -> None:
    kind = BY_PLURAL["tasks"]
    tasks = at_one_revision(store, lambda reading: read_objects(reading, kind, keys, None))
    found = sorted(f"{view.namespace}/{view.name}" for view in tasks if _keeps_to(view, node))
    if found:
        named = ", ".join(found[:NAMED]) + (f" and {len(found) - NAMED} more" if len(found) > NAMED else "")
        raise Refused(
            f"node {node} has tasks of DaemonSets, which come back wherever they are stopped: {named}; "
            f"to leave them there say: berth drain {node} --ignore-daemonsets"
        )


def _keeps_to(view: ObjectView, node: str) -> bool:
    status = view.task_status
    is_there = status is not None and status.node == node and status.state not in FINISHED
    return is_there and view.owner is not None and view.owner.kind == "DaemonSet"


def follow(waiter: Waiter, keys: Keys, name: str, drain: Drain, tell: Callable[[Told], None]) -> bool:
    """Tell which tasks leave and what others wait for; True once none is left, False when the leader gave up.

    Raises NotFound, Refused when the drain is stopped or another one takes its place.
    """
    ref, progress = cluster_ref("nodes", name), _Progress(name, drain, tell, waiter.clock)

    def check() -> bool | None:
        view = read_object(waiter.store, NODE, ref, keys)
        if view is None:
            raise NotFound(f'node "{name}" is gone; see: berth get nodes')
        return progress.look_at(view)

    watched = (keys.status(ref), keys.spec(ref))
    while True:
        try:
            return waiter.until(watched, check, timeout_s=REPEAT_S, what=f"for node/{name}")
        except TimedOut:
            progress.repeat()


class _Progress:
    """What was told of one drain."""

    def __init__(
        self, node: str, drain: Drain, tell: Callable[[Told], None], clock: Callable[[], float]
    ) -> None:
        self._node, self._drain, self._tell = node, drain, tell
        self._left: dict[str, str] = {}
        self._seen = False

    def look_at(self, view: ObjectView) -> bool | None:
        """Take the node in as it is now; return how the drain ended, None while it goes on."""
        wish = (view.raw.get("spec") or {}).get("drain") or {}
        if wish.get("requestedAt") != self._drain.requested_at:
            what = "another drain of it was asked for" if wish else "its drain was stopped"
            raise Refused(f"node {self._node} is not drained: {what}; see: berth describe node {self._node}")
        status = view.node_status
        if status is None or status.drain is None or status.drain.requested_at != self._drain.requested_at:
            return None
        self._seen = True
        self._take(status.drain)
        return _end(status)

    def _take(self, drain: DrainStatus) -> None:
        left = {each.task: each.reason for each in drain.left}
        if drain.count <= len(left):
            for task in sorted(self._left.keys() - left.keys()):
                self._tell(Told("left", task))
        for task, reason in left.items():
            if reason != self._left.get(task) and reason != "stopping":
                self._tell(Told("waits", f"{task}: {reason}"))
        self._left = left

    def repeat(self) -> None:
        """Say again who is waited for, so that nobody thinks that it hangs."""
        if not self._seen:
            self._tell(Told("waits", "no controller has taken the drain up yet; see: berth version"))
        for text in self._standing():
            self._tell(Told("waits", text))

    def _standing(self) -> Iterator[str]:
        return (f"still {task}: {reason}" for task, reason in sorted(self._left.items())[:NAMED])


def _end(status: NodeStatus) -> bool | None:
    found = find_condition(status.conditions, "Drained")
    if found is not None and found.status == "True":
        return True
    has_given_up = found is not None and found.reason == "TimedOut" and not _goes_on(status)
    return False if has_given_up else None


def _goes_on(status: NodeStatus) -> bool:
    """After its time some may still be on their way out, or go by force."""
    assert status.drain is not None
    return any(each.reason == "stopping" for each in status.drain.left)


def evict(store: Store, keys: Keys, namespace: str, name: str, now: float) -> None:
    """Ask the leader to move a task away from its node. Raises NotFound, Refused for one that is on none."""
    kind, ref = BY_PLURAL["tasks"], task_ref(namespace, name)
    view = read_object(store, kind, ref, keys)
    if view is None:
        raise not_found(kind, name, namespace)
    status = view.task_status
    if status is None or not status.node or status.state in FINISHED:
        state = status.state if status is not None else "Pending"
        raise Refused(f"task {name} is {state}, so there is nothing to move; see: berth describe task {name}")
    wish = EvictRequest(uid=view.uid, binding_uid=status.binding_uid, requested_at=format_time(now))
    store.txn(Txn((), (Put(keys.request(ref, "evict"), codec.encode(wish.to_json())),)))
