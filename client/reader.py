"""The part of the client that only reads etcd: objects, events, ready addresses, who leads, who may do what."""

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Self

from client.naming import find_kind, make_ref, not_found
from client.reading import Reading, at_one_revision, read_events, read_object, read_objects
from client.selector import Selector, matches
from client.views import ObjectView
from client.waiting import Pause, Waiter, pause
from schemas.cluster import Cluster, LeaderInfo
from schemas.event import Event
from schemas.keys import Keys, ObjectRef
from schemas.kinds import Kind
from schemas.meta import DEFAULT_NAMESPACE
from schemas.task import Task, TaskSpec
from store import codec
from store.api import Store, StoreStatus

if TYPE_CHECKING:  # what only some verbs need is imported where it is used, so that `berth get` starts sooner
    from client.agent_tls import AgentTls
    from client.auth import WhoAmI
    from client.endpoints import EndpointsView
    from client.rights import Need

MANAGER = "berth"  # of who names no set


@dataclass(frozen=True, slots=True)
class Snapshot:
    """Objects by kind, all of one revision."""

    objects: dict[str, tuple[ObjectView, ...]]  # plural -> views
    revision: int


class Reader:
    """Reads from one cluster. It owns `store`; close it, or use it in a `with` block.

    namespace: of whoever connected; what a method means by itself is `default`.
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
        agent_tls: "AgentTls | None" = None,
        namespace: str = DEFAULT_NAMESPACE,
    ) -> None:
        self.store = store
        self.namespace = namespace
        self._agent_tls = agent_tls
        self.keys = keys or Keys()
        self._manager = manager
        self._now = now
        self._say = say
        self._waiter = Waiter(store, clock, pause)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        self.close()

    def close(self) -> None:
        self.store.close()

    # Objects

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

    def watch(
        self, kind: str, namespace: str | None, *, only_changes: bool = False
    ) -> Iterator[tuple[ObjectRef, ObjectView | None]]:
        """Yield every object of a kind, then each that changed; None for one that is gone. Never ends.

        only_changes: leave out what there is at the start.
        """
        from client.watching import watch_objects

        kind_ = self.kind(kind)
        return watch_objects(self._waiter, kind_, self.keys, namespace, self._say, only_changes=only_changes)

    def pages(self, kind: str, namespace: str | None) -> "Iterator[tuple[ObjectView, ...]]":
        """Yield all objects of a kind at one revision, some at a time, so that ten thousand cost no memory."""
        from client.paging import object_pages

        return object_pages(self.store, self.kind(kind), self.keys, namespace, self._say)

    def events(self, namespace: str | None, uid: str | None = None) -> tuple[Event, ...]:
        """Return events, oldest first: of one object, of a namespace, or of all (None)."""
        return at_one_revision(self.store, lambda reading: read_events(reading, self.keys, namespace, uid))

    def watch_events(self, namespace: str | None, *, only_new: bool = False) -> "Iterator[tuple[Event, ...]]":
        """Yield events as they come, some at a time; only_new: not what there is at the start. Never ends."""
        from client.event_watch import watch_events

        return watch_events(self._waiter, self.keys, namespace, self._say, only_new=only_new)

    def effective_spec(self, view: ObjectView) -> TaskSpec | None:
        """Return the spec of a task with the defaults that hold now; None for one that can't be read."""
        from client.policy import read_policy

        if not view.raw:
            return None
        policy = at_one_revision(self.store, lambda reading: read_policy(reading, self.keys))
        return policy.effective_spec(Task.parse_stored(view.raw))

    def kind(self, written: str) -> Kind:
        """Return the kind that people call `written`. Raises NotFound."""
        return find_kind(written)

    def server(self) -> StoreStatus:
        return self.store.status()

    def cluster(self) -> Cluster | None:
        """Return what the first controller wrote of this cluster; None where none began, or the store was wiped."""
        kv = self.store.get(self.keys.cluster).kv
        raw = None if kv is None else codec.decode(kv)
        return Cluster.parse_stored(raw) if isinstance(raw, dict) else None

    def leader(self) -> LeaderInfo | None:
        """Return who leads: the oldest key of the election."""
        found = self.store.list(self.keys.election).kvs
        for kv in sorted(found, key=lambda kv: kv.create_revision):
            raw = codec.decode(kv)
            if not isinstance(raw, codec.Unreadable):
                return LeaderInfo.parse_stored(raw)
        return None

    # Ready addresses

    def endpoints(self, namespace: str | None, name: str = "") -> "tuple[EndpointsView, ...]":
        """Return the ready addresses of deployments, by name; namespace None means all of them."""
        from client.endpoints import read_endpoints

        return read_endpoints(self.store, self.keys, namespace, name)

    def watch_endpoints(self, namespace: str | None, name: str = "") -> "Iterator[EndpointsView]":
        """Yield ready addresses, and again whenever they change; an empty list when they go. Never ends."""
        from client.endpoints import watch_endpoints

        return watch_endpoints(self._waiter, self.keys, namespace, name, self._say)

    # Rights

    def whoami(self, cert_file: str = "") -> "WhoAmI":
        """Return who etcd takes us for, by the certificate that we show. Raises BadOption, Refused."""
        from client import auth

        return auth.whoami(self.store, cert_file)

    def missing_rights(
        self, who: "WhoAmI", verb: str, kind: Kind, *, namespace: str | None, name: str = ""
    ) -> "tuple[Need, ...]":
        """Return what a verb needs and `who` lacks, () if he may. namespace None: in all. Raises BadOption."""
        from client import auth

        return auth.missing_rights(who.access, self.keys, verb, kind, namespace=namespace, name=name)

    def allowed_verbs(
        self, who: "WhoAmI", namespace: str | None
    ) -> "tuple[tuple[Kind, tuple[str, ...]], ...]":
        """Return, of each kind, the verbs that `who` may use in a namespace (None: in all)."""
        from client import rights

        return rights.allowed_verbs(who.access, self.keys, namespace)
