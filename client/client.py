"""The client: apply, get, watch, wait, delete, diff, logs. What the CLI stands on, and nothing else.

client = Client(store, Keys())
client.apply(schemas.manifest.load([("web.yaml", data)], default_namespace="default"))
client.get("tasks", "web", namespace="default").task_status.state
"""

import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass

from client import logs, nodes
from client.apply import (
    Applier,
    ApplyResult,
    Planned,
    missing_namespaces,
    namespace_document,
    refuse_nothing,
)
from client.delete import Deleter
from client.errors import ClientError, NotFound
from client.policy import read_policy
from client.progress import Progress, progress_of
from client.reading import Reading, at_one_revision, read_events, read_object, read_objects
from client.selector import Selector, matches
from client.views import ObjectView
from client.waiting import Pause, Waiter, pause
from client.watching import watch_objects
from schemas.cluster import LeaderInfo
from schemas.event import Event
from schemas.keys import Keys, ObjectRef
from schemas.kinds import BY_ALIAS, Kind
from schemas.manifest import Document
from schemas.meta import CLUSTER_NAMESPACE, DEFAULT_NAMESPACE
from schemas.task import Task, TaskSpec
from store import codec
from store.api import Store, StoreStatus

MANAGER = "berth"
WAIT_S = 300.0  # long enough to pull an image


@dataclass(frozen=True, slots=True)
class Snapshot:
    """Objects by kind, all of one revision."""

    objects: dict[str, tuple[ObjectView, ...]]  # plural -> views
    revision: int


class Client:
    """Speaks to one cluster. It owns `store`; close it, or use it in a `with` block.

    now: seconds since the epoch, only shown. clock: seconds for timeouts. say: takes notices for people.
    """

    def __init__(
        self,
        store: Store,
        keys: Keys | None = None,
        *,
        manager: str = MANAGER,
        now: Callable[[], float] = time.time,
        clock: Callable[[], float] = time.monotonic,
        pause: Pause = pause,
        say: Callable[[str], None] = lambda text: None,
    ) -> None:
        self.store = store
        self.keys = keys or Keys()
        self._manager = manager
        self._now = now
        self._say = say
        self._waiter = Waiter(store, clock, pause)
        self._deleter = Deleter(store, self.keys, now, self._waiter)

    def __enter__(self) -> "Client":
        return self

    def __exit__(self, *error: object) -> None:
        self.close()

    def close(self) -> None:
        self.store.close()

    # Reading

    def find(self, kind: str, name: str, namespace: str = DEFAULT_NAMESPACE) -> ObjectView | None:
        """Return one object, None where it does not exist."""
        found = self.kind(kind)
        return read_object(self.store, found, make_ref(found, namespace, name), self.keys)

    def get(self, kind: str, name: str, namespace: str = DEFAULT_NAMESPACE) -> ObjectView:
        """Return one object. Raises NotFound."""
        view = self.find(kind, name, namespace)
        if view is None:
            raise not_found(self.kind(kind), name, namespace)
        return view

    def list(
        self, *kinds: str, namespace: str | None = DEFAULT_NAMESPACE, selector: Selector = ()
    ) -> Snapshot:
        """Return all objects of some kinds at one revision; namespace None means all of them."""
        wanted = [self.kind(kind) for kind in kinds]

        def read(reading: Reading) -> Snapshot:
            found = {kind.plural: read_objects(reading, kind, self.keys, namespace) for kind in wanted}
            return Snapshot(found, reading.revision)

        snapshot = at_one_revision(self.store, read)
        return Snapshot(
            {
                plural: tuple(view for view in views if matches(selector, view.labels))
                for plural, views in snapshot.objects.items()
            },
            snapshot.revision,
        )

    def watch(self, kind: str, namespace: str | None) -> Iterator[tuple[ObjectRef, ObjectView | None]]:
        """Yield every object of a kind, then each that changed; None for one that is gone. Never ends."""
        return watch_objects(self._waiter, self.kind(kind), self.keys, namespace, self._say)

    def events(self, namespace: str | None, uid: str | None = None) -> tuple[Event, ...]:
        """Return events, oldest first: of one object, of a namespace, or of all (None)."""
        return at_one_revision(self.store, lambda reading: read_events(reading, self.keys, namespace, uid))

    def effective_spec(self, view: ObjectView) -> TaskSpec | None:
        """Return the spec of a task with the defaults that hold now; None for one that can't be read."""
        if not view.raw:
            return None
        policy = at_one_revision(self.store, lambda reading: read_policy(reading, self.keys))
        return policy.effective_spec(Task.parse_stored(view.raw))

    def kind(self, written: str) -> Kind:
        """Return the kind that people call `written`. Raises NotFound."""
        return find_kind(written)

    def server(self) -> StoreStatus:
        return self.store.status()

    def leader(self) -> LeaderInfo | None:
        """Return who leads: the oldest key of the election."""
        found = self.store.list(self.keys.election).kvs
        for kv in sorted(found, key=lambda kv: kv.create_revision):
            raw = codec.decode(kv)
            if not isinstance(raw, codec.Unreadable):
                return LeaderInfo.parse_stored(raw)
        return None

    # Writing

    def plan(self, documents: Iterable[Document], *, create_namespace: bool = False) -> tuple[Planned, ...]:
        """Return what an apply would do, in its order; nothing is written.

        Raises InvalidManifest with every problem of every document, Refused.
        """
        wanted = refuse_nothing(documents)
        if create_namespace:
            policy = at_one_revision(self.store, lambda reading: read_policy(reading, self.keys))
            missing = missing_namespaces(wanted, policy.namespaces.keys() - policy.terminating)
            wanted = (*(namespace_document(name) for name in missing), *wanted)
        return self._applier(WAIT_S).plan(wanted)

    def apply(
        self, documents: Iterable[Document], *, create_namespace: bool = False, timeout_s: float = WAIT_S
    ) -> tuple[ApplyResult, ...]:
        """Check all documents, then write them. timeout_s: for an object that is being deleted to be gone."""
        planned = self.plan(documents, create_namespace=create_namespace)
        return tuple(self.apply_planned(planned, timeout_s=timeout_s))

    def apply_planned(
        self, planned: Iterable[Planned], *, timeout_s: float = WAIT_S
    ) -> Iterator[ApplyResult]:
        """Write what was planned, one by one, yielding each result as soon as it is stored."""
        applier = self._applier(timeout_s)
        for each in planned:
            yield applier.write(each)

    def _applier(self, timeout_s: float) -> Applier:
        return Applier(
            self.store,
            self.keys,
            self._manager,
            wait_gone=lambda view: self._deleter.wait_gone(view, timeout_s=timeout_s),
            say=self._say,
        )

    def delete(
        self,
        view: ObjectView,
        *,
        grace_s: float | None = None,
        force: bool = False,
        wait: bool = True,
        timeout_s: float = float("inf"),
    ) -> None:
        """Ask for the deletion of an object, and wait until it is gone. Raises NotFound, Refused, TimedOut."""
        self._deleter.request(view, grace_s=grace_s, is_forced=force)
        if wait:
            self._deleter.wait_gone(view, timeout_s=timeout_s)

    def wait_deleted(self, view: ObjectView, *, timeout_s: float = float("inf")) -> None:
        """Wait until that very object is gone."""
        self._deleter.wait_gone(view, timeout_s=timeout_s)

    def wait_task(self, ref: ObjectRef, generation: int, *, timeout_s: float = WAIT_S) -> Progress:
        """Wait until a task runs or has ended, or fails for good. Raises NotFound, TimedOut."""
        last = Progress("waiting", "")

        def check() -> Progress | None:
            nonlocal last
            view = self.get(ref.plural, ref.name, ref.namespace)
            last = progress_of(view, generation)
            return None if last.verdict == "waiting" else last

        key = self.keys.status(ref)
        try:
            return self._waiter.until((key,), check, timeout_s=timeout_s, what=f"for {ref}")
        except ClientError as error:
            raise type(error)(f"{error}; {last.why}" if last.why else str(error)) from None

    def cordon(self, node: str) -> bool:
        """Keep new tasks off a node; say whether that is a change."""
        return nodes.set_unschedulable(self.store, self.keys, node, True)

    def uncordon(self, node: str) -> bool:
        return nodes.set_unschedulable(self.store, self.keys, node, False)

    def fence(self, node: str, *, force: bool = False) -> None:
        """Assert that a node is dead. Refused for a node that beats, unless forced."""
        nodes.fence(self.store, self.keys, node, now=self._now(), is_forced=force)

    def logs(
        self, name: str, namespace: str, options: logs.LogOptions, container: str | None = None
    ) -> Iterator[bytes]:
        """Yield the bytes of a task's log as they come. Raises NotFound, LogsUnavailable."""
        view = self.get("tasks", name, namespace)
        return logs.stream(logs.find_source(self.store, self.keys, view, container), options)


def make_ref(kind: Kind, namespace: str, name: str) -> ObjectRef:
    return ObjectRef(kind.plural, namespace if kind.namespaced else CLUSTER_NAMESPACE, name)


def find_kind(written: str) -> Kind:
    """Return the kind that people call `written`, by any of its names. Raises NotFound."""
    kind = BY_ALIAS.get(written) or BY_ALIAS.get(written.lower())
    if kind is None:
        known = ", ".join(sorted({kind.plural for kind in BY_ALIAS.values()}))
        raise NotFound(f'there is no kind "{written}"; known kinds: {known}')
    return kind


def not_found(kind: Kind, name: str, namespace: str) -> NotFound:
    where = f" in namespace {namespace}" if kind.namespaced else ""
    return NotFound(f'{kind.singular} "{name}" not found{where}; see: berth get {kind.plural}')
