"""The client: apply, get, watch, wait, delete, diff, logs. What the CLI stands on, and nothing else.

client = Client(store, Keys())
client.apply(schemas.manifest.load([("web.yaml", data)], default_namespace="default"))
client.get("tasks", "web", namespace="default").task_status.state
"""

import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

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
    from client.agent_target import AgentTarget
    from client.agent_tls import AgentTls
    from client.apply import Applier, ApplyResult, Planned
    from client.auth import WhoAmI
    from client.change import Changed
    from client.delete import Cascade, Deleter
    from client.draining import DrainOptions, Told
    from client.endpoints import EndpointsView
    from client.exec import RemoteProcess
    from client.forwarding import Forwarding
    from client.log_events import Cut, LogEvent, LogTarget
    from client.logs import LogOptions
    from client.progress import Progress
    from client.rights import Need
    from client.rollout import Rollout
    from client.usage import NodeUsage, Silence, TaskUsage
    from client.wish import Goal
    from schemas.manifest import Document
    from schemas.node import Drain

MANAGER = "berth"
WAIT_S = 300.0  # long enough to pull an image


@dataclass(frozen=True, slots=True)
class Snapshot:
    """Objects by kind, all of one revision."""

    objects: dict[str, tuple[ObjectView, ...]]  # plural -> views
    revision: int


class Client:
    """Speaks to one cluster. It owns `store`; close it, or use it in a `with` block.

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

    @classmethod
    def connect(
        cls,
        etcd: str = "",
        *,
        context: str = "",
        cacert: str = "",
        cert: str = "",
        key: str = "",
        root: str = "",
        namespace: str = "",
    ) -> "Client":
        """Return a client of the cluster that `berth` with these global options would speak to.

        What is "" comes from the environment, the context, or is the default. Raises Unreachable, BadOption.
        """
        from client import program

        given = {"etcd": etcd, "context": context, "cacert": cacert, "cert": cert, "key": key}
        return program.connect(cls, {**given, "root": root, "namespace": namespace})

    def __enter__(self) -> "Client":
        return self

    def __exit__(self, *error: object) -> None:
        self.close()

    def close(self) -> None:
        self.store.close()

    @property
    def _deleter(self) -> "Deleter":
        from client.delete import Deleter

        return Deleter(self.store, self.keys, self._now, self._waiter)

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

    # Writing

    def plan(
        self, documents: "Iterable[Document]", *, create_namespace: bool = False
    ) -> "tuple[Planned, ...]":
        """Return what an apply would do, in its order; nothing is written.

        Secrets are sealed first. Raises InvalidManifest with every problem of every document, Refused.
        """
        from client.apply import missing_namespaces, namespace_document, refuse_nothing
        from client.policy import read_policy

        wanted = refuse_nothing(documents)
        if create_namespace:
            policy = at_one_revision(self.store, lambda reading: read_policy(reading, self.keys))
            missing = missing_namespaces(wanted, policy.namespaces.keys() - policy.terminating)
            wanted = (*(namespace_document(name) for name in missing), *wanted)
        if any(document.kind.name == "Secret" for document in wanted):
            from client.secrets import sealed_documents

            wanted = sealed_documents(self.store, self.keys, wanted)
        return self._applier(WAIT_S).plan(wanted)

    def apply(
        self, documents: "Iterable[Document]", *, create_namespace: bool = False, timeout_s: float = WAIT_S
    ) -> "tuple[ApplyResult, ...]":
        """Check all documents, then write them. timeout_s: for an object that is being deleted to be gone."""
        planned = self.plan(documents, create_namespace=create_namespace)
        return tuple(self.apply_planned(planned, timeout_s=timeout_s))

    def apply_planned(
        self, planned: "Iterable[Planned]", *, timeout_s: float = WAIT_S
    ) -> "Iterator[ApplyResult]":
        """Write what was planned, one by one, yielding each result as soon as it is stored."""
        yield from self._applier(timeout_s).write_all(planned)

    def _applier(self, timeout_s: float) -> "Applier":
        from client.apply import Applier

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
        cascade: "Cascade | None" = None,
        wait: bool = True,
        timeout_s: float = float("inf"),
    ) -> None:
        """Ask for the deletion of an object, and wait until it is gone. Raises NotFound, Refused, TimedOut.

        cascade: what becomes of what it made: background (default), foreground waits for its end, orphan keeps it.
        """
        self._deleter.request(view, grace_s=grace_s, is_forced=force, cascade=cascade)
        if wait:
            self._deleter.wait_gone(view, timeout_s=timeout_s)

    def wait_deleted(self, view: ObjectView, *, timeout_s: float = float("inf")) -> None:
        """Wait until that very object is gone."""
        self._deleter.wait_gone(view, timeout_s=timeout_s)

    def wait_task(self, ref: ObjectRef, generation: int, *, timeout_s: float = WAIT_S) -> "Progress":
        """Wait until a task runs or has ended, or fails for good. Raises NotFound, TimedOut."""
        from client.progress import wait_task

        def read() -> ObjectView:
            return self.get(ref.plural, ref.name, ref.namespace)

        return wait_task(self._waiter, self.keys.status(ref), read, generation, timeout_s=timeout_s)

    def wait_for(
        self,
        kind: str,
        name: str,
        is_so: "Callable[[ObjectView], object]",
        *,
        namespace: str = DEFAULT_NAMESPACE,
        timeout_s: float = WAIT_S,
    ) -> ObjectView:
        """Return an object as soon as it is there and `is_so` says something true of it. Raises TimedOut."""
        from client.program import wait_for

        return wait_for(self, self._waiter, (kind, name, namespace), is_so, timeout_s)

    def wait_until(self, ref: ObjectRef, goal: "Goal", *, timeout_s: float = WAIT_S) -> None:
        """Wait until an object is in a state (see `client.wish`). Raises NotFound, TimedOut with what was seen."""
        from client.waiting import wait_for

        wait_for(self._waiter, self.keys, ref, goal, timeout_s=timeout_s)

    def change(
        self, ref: ObjectRef, change: "Callable[[codec.Json], codec.Json]", *, dry_run: bool = False
    ) -> "Changed":
        """Write what `change` makes of a stored object, checked as an apply. Raises NotFound, InvalidManifest."""
        from client.change import change_object

        return change_object(self.store, self.keys, ref, change, dry_run=dry_run)

    def cordon(self, node: str) -> bool:
        """Keep new tasks off a node; say whether that is a change."""
        from client import nodes

        return nodes.set_unschedulable(self.store, self.keys, node, True)

    def uncordon(self, node: str) -> bool:
        from client import nodes

        return nodes.set_unschedulable(self.store, self.keys, node, False)

    def drain(self, node: str, options: "DrainOptions") -> "Drain":
        """Have the leader move all tasks off a node. Raises NotFound, Refused while DaemonSets have tasks there."""
        from client import draining

        return draining.start(self.store, self.keys, node, options, self._now())

    def follow_drain(self, node: str, drain: "Drain", tell: "Callable[[Told], None]") -> bool:
        """Tell what happens in a drain until its end; say whether the node is empty. Raises NotFound, Refused."""
        from client import draining

        return draining.follow(self._waiter, self.keys, node, drain, tell)

    def evict(self, name: str, namespace: str = DEFAULT_NAMESPACE) -> None:
        """Have the leader move a task, as its budgets allow. Raises NotFound, Refused for one that runs nowhere."""
        from client import draining

        draining.evict(self.store, self.keys, namespace, name, self._now())

    def fence(self, node: str, *, force: bool = False) -> None:
        """Assert that a node is dead. Refused for a node that beats, unless forced."""
        from client import nodes

        nodes.fence(self.store, self.keys, node, now=self._now(), is_forced=force)

    def endpoints(self, namespace: str | None, name: str = "") -> "tuple[EndpointsView, ...]":
        """Return the ready addresses of deployments, by name; namespace None means all of them."""
        from client.endpoints import read_endpoints

        return read_endpoints(self.store, self.keys, namespace, name)

    def watch_endpoints(self, namespace: str | None, name: str = "") -> "Iterator[EndpointsView]":
        """Yield ready addresses, and again whenever they change; an empty list when they go. Never ends."""
        from client.endpoints import watch_endpoints

        return watch_endpoints(self._waiter, self.keys, namespace, name, self._say)

    def scale(self, ref: ObjectRef, replicas: int, *, current: int | None = None) -> "Changed":
        """Set how many tasks a deployment has. current: only if it is still that. Raises NotFound, Refused."""
        from client.scale import scale

        return scale(self.store, self.keys, ref, replicas, current=current)

    @property
    def rollout(self) -> "Rollout":
        """History, undo, restart, pause, resume and progress of deployments and daemonsets."""
        from client.rollout import Rollout

        return Rollout(self.store, self.keys, self._waiter, self._now)

    def forget_secret_key(self) -> str:
        """Take back the published key of secrets, when its private half is lost; return its name."""
        from client.secrets import forget_key

        return forget_key(self.store, self.keys)

    @property
    def agent_tls(self) -> "AgentTls":
        """The certificates with which agents are spoken to; none unless given."""
        from client.agent_tls import AgentTls

        return self._agent_tls or AgentTls()

    def logs(
        self, name: str, namespace: str, options: "LogOptions", container: str | None = None
    ) -> Iterator[bytes]:
        """Yield the bytes of a task's log as they come. Raises NotFound, AgentUnavailable."""
        from client import agent_target, logs

        view = self.get("tasks", name, namespace)
        target = agent_target.find_target(self.store, self.keys, view, container, wanted="log")
        return logs.stream(target, self.agent_tls, options)

    def exec(
        self,
        name: str,
        namespace: str,
        command: Sequence[str],
        container: str | None = None,
        *,
        tty: bool = False,
        stdin: bool = False,
    ) -> "RemoteProcess":
        """Start a command in a container of a task. Raises NotFound, AgentUnavailable, BadOption."""
        from client import exec as remote

        target = self.agent_target(name, namespace, container, wanted="container to run it in")
        return remote.start(target, self.agent_tls, command, tty=tty, stdin=stdin)

    def attach(
        self, name: str, namespace: str, container: str | None = None, *, stdin: bool = False
    ) -> "RemoteProcess":
        """Attach to the main process of a container. Raises NotFound, AgentUnavailable."""
        from client import exec as remote

        target = self.agent_target(name, namespace, container, wanted="process to attach to")
        return remote.attach(target, self.agent_tls, stdin=stdin)

    def forward(
        self, name: str, namespace: str, pairs: Sequence[str], address: str = "127.0.0.1"
    ) -> "Forwarding":
        """Listen on ports that lead to a task's, `[LOCAL:]REMOTE`. Raises NotFound, BadOption, AgentUnavailable."""
        from client.forwarding import Forwarding

        view = self.get("tasks", name, namespace)
        return Forwarding(
            self.store, self.keys, self._waiter, self.agent_tls, view, pairs, address, self._say
        )

    def download(
        self, name: str, namespace: str, remote: str, local: Path, container: str | None = None
    ) -> int:
        """Copy a file or folder out of a container; return how much was left out as unsafe, and told.

        Raises NotFound, BadOption, AgentUnavailable.
        """
        from client import copy

        target = self.agent_target(name, namespace, container, wanted="file of it")
        return copy.download(target, self.agent_tls, remote, local, say=self._say)

    def upload(
        self, name: str, namespace: str, local: Path, remote: str, container: str | None = None
    ) -> None:
        """Copy a file or folder into a container. Raises NotFound, BadOption, AgentUnavailable."""
        from client import copy

        target = self.agent_target(name, namespace, container, wanted="container to copy to")
        copy.upload(target, self.agent_tls, local, remote, say=self._say)

    def agent_target(
        self, name: str, namespace: str, container: str | None = None, *, wanted: str
    ) -> "AgentTarget":
        """Return where a container of a task is. wanted: what can't be had of one that never ran."""
        from client.agent_target import find_target

        return find_target(
            self.store, self.keys, self.get("tasks", name, namespace), container, wanted=wanted
        )

    def tasks_of(self, kind: str, name: str, namespace: str = DEFAULT_NAMESPACE) -> tuple[ObjectView, ...]:
        """Return the tasks that an object stands for: a task itself, an owner's. Raises NotFound, BadOption."""
        from client import log_targets

        return log_targets.tasks_of(self.store, self.keys, self.kind(kind), namespace, name)

    def many_logs(
        self,
        targets: "Sequence[LogTarget]",
        options: "LogOptions",
        *,
        cut: "Cut | None" = None,
        at_most: int | None = None,
    ) -> "Iterator[LogEvent]":
        """Yield logs of several containers; with `follow` all at once, from attempt to attempt.

        at_most: how many may be followed at once. Raises BadOption. `log_targets` tells the containers of tasks.
        """
        from client import log_events, many_logs

        cut = cut or log_events.whole_lines
        reader = many_logs.LogReader(self.store, self.keys, self._waiter, self.agent_tls, cut)
        if options.follow and not options.previous:
            return many_logs.follow_many(reader, targets, options, at_most=at_most or many_logs.MAX_FOLLOWED)
        return many_logs.read_many(reader, targets, replace(options, follow=False))

    def nodes_usage(
        self, views: "Sequence[ObjectView]"
    ) -> "tuple[tuple[NodeUsage, ...], tuple[Silence, ...]]":
        """Ask the agents of nodes what they use; also return who was silent."""
        from client import usage

        return usage.nodes_usage(views, self.agent_tls)

    def tasks_usage(
        self, views: "Sequence[ObjectView]"
    ) -> "tuple[tuple[TaskUsage, ...], tuple[Silence, ...]]":
        """Ask the agents of tasks what these use; tasks that are on no node are left out."""
        from client import usage

        return usage.tasks_usage(self.store, self.keys, views, self.agent_tls)

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


__all__ = ["Client", "Snapshot", "find_kind", "make_ref", "not_found"]
