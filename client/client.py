"""The client: apply, get, watch, wait, delete, diff, logs. What the CLI stands on, and nothing else.

client = Client(store, Keys())
client.apply(schemas.manifest.load([("web.yaml", data)], default_namespace="default"))
client.get("tasks", "web", namespace="default").task_status.state
"""

from collections.abc import Callable, Iterable, Iterator
from typing import TYPE_CHECKING

from client.naming import find_kind, make_ref, not_found
from client.reaching import Reaching
from client.reader import Snapshot
from client.reading import at_one_revision
from client.views import ObjectView
from schemas.keys import ObjectRef
from schemas.meta import DEFAULT_NAMESPACE
from store import codec

if TYPE_CHECKING:  # what only some verbs need is imported where it is used, so that `berth get` starts sooner
    from client.apply import Applier
    from client.applyset import ApplySet
    from client.change import Changed
    from client.conflicts import OnConflict
    from client.delete import Cascade, Deleter
    from client.draining import DrainOptions, Told
    from client.foreseeing import Foreseen
    from client.planned import ApplyResult, Planned
    from client.progress import Progress
    from client.rollout import Rollout
    from client.sources import Sources
    from client.wish import Goal
    from schemas.errors import Problem
    from schemas.manifest import Document
    from schemas.node import Drain

WAIT_S = 300.0  # long enough to pull an image


class Client(Reaching):
    """Speaks to one cluster: reads (`client.reader`), asks agents (`client.reaching`), and here writes and waits."""

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

    @property
    def _deleter(self) -> "Deleter":
        from client.delete import Deleter

        return Deleter(self.store, self.keys, self._now, self._waiter)

    def plan(
        self,
        documents: "Iterable[Document]",
        *,
        create_namespace: bool = False,
        on_conflict: "OnConflict | None" = None,
    ) -> "tuple[Planned, ...]":
        """Return what an apply would do, in its order; nothing is written.

        Secrets are sealed first. on_conflict: what the apply will do about fields of others, None: refuse.
        Raises InvalidManifest with every problem of every document, Refused.
        """
        from client.apply import refuse_nothing

        wanted = self.ready(refuse_nothing(documents), create_namespace=create_namespace)
        return self._applier(WAIT_S, on_conflict).plan(wanted)

    def ready(
        self, documents: "Iterable[Document]", *, create_namespace: bool = False
    ) -> "tuple[Document, ...]":
        """Return documents as they can be applied: Secrets sealed, and the namespaces that are to be created added."""
        from client.apply import missing_namespaces, namespace_document
        from client.policy import read_policy

        wanted = tuple(documents)
        if create_namespace:
            policy = at_one_revision(self.store, lambda reading: read_policy(reading, self.keys))
            missing = missing_namespaces(wanted, policy.namespaces.keys() - policy.terminating)
            wanted = (*(namespace_document(name) for name in missing), *wanted)
        if any(document.kind.name == "Secret" for document in wanted):
            from client.secrets import sealed_documents

            wanted = sealed_documents(self.store, self.keys, wanted)
        return wanted

    def apply_set(
        self,
        name: str,
        namespace: str = DEFAULT_NAMESPACE,
        *,
        on_conflict: "OnConflict | None" = None,
        timeout_s: float = WAIT_S,
        adopt: bool = False,
    ) -> "ApplySet":
        """Return the set of that name of a namespace, to plan, apply and prune. Raises InvalidName.

        adopt: what this client's own manager applied, without a set, becomes the set's alone.
        """
        from client.applyset import ApplySet, set_manager

        manager = set_manager(namespace, name)
        adopted = (self._manager,) if adopt else ()
        applier = self._applier(timeout_s, on_conflict, manager, adopted)
        return ApplySet(
            self.store,
            self.keys,
            manager,
            home=namespace,
            applier=applier,
            deleter=self._deleter,
            adopt=adopted,
        )

    def missing_references(self, documents: "Iterable[Document]") -> "tuple[Problem, ...]":
        """Return, as sentences, what documents name that is neither among them nor in the cluster."""
        from client import crossrefs
        from client.reading import read_keys

        known = tuple(documents)
        lacking = crossrefs.missing(known)
        there = read_keys(self.store, {self.keys.spec(each.ref) for each in lacking})
        still = (each for each in lacking if self.keys.spec(each.ref) not in there)
        return crossrefs.warnings(still, "in the cluster")

    def foresee(self, planned: "Iterable[Planned]", pruned: "Iterable[ObjectView]" = ()) -> "Foreseen":
        """Return what an apply does to tasks, as a question to the leader: which come and which go.

        pruned: objects that go with it.
        """
        from client.foreseeing import RUNNING, foresee, owners_of
        from client.log_targets import tasks_of
        from client.policy import read_policy

        known = tuple(planned)
        policy = at_one_revision(self.store, lambda reading: read_policy(reading, self.keys))
        for each in known:
            policy.add(each.parsed())
        tasks = {}
        for ref in owners_of(known):
            view = self.find(ref.plural, ref.name, ref.namespace)
            if view is not None:
                kind = find_kind(ref.plural)
                tasks[view.uid] = tasks_of(self.store, self.keys, kind, ref.namespace, ref.name)
        leaving = [
            task
            for view in pruned
            if view.kind.plural in RUNNING
            for task in tasks_of(self.store, self.keys, view.kind, view.ref.namespace, view.name)
        ]
        return foresee(known, policy, tasks, leaving)

    def apply(
        self, documents: "Iterable[Document]", *, create_namespace: bool = False, timeout_s: float = WAIT_S
    ) -> "tuple[ApplyResult, ...]":
        """Check all documents, then write them. timeout_s: for an object that is being deleted to be gone."""
        planned = self.plan(documents, create_namespace=create_namespace)
        return tuple(self.apply_planned(planned, timeout_s=timeout_s))

    def apply_planned(
        self,
        planned: "Iterable[Planned]",
        *,
        timeout_s: float = WAIT_S,
        on_conflict: "OnConflict | None" = None,
    ) -> "Iterator[ApplyResult]":
        """Write what was planned, one by one, yielding each result as soon as it is stored.

        Raises Conflicted, before anything is written, for fields that others have set.
        """
        yield from self._applier(timeout_s, on_conflict).write_all(planned)

    def _applier(
        self,
        timeout_s: float,
        on_conflict: "OnConflict | None" = None,
        manager: str = "",
        adopt: tuple[str, ...] = (),
    ) -> "Applier":
        from client.apply import Applier
        from client.conflicts import OnConflict

        return Applier(
            self.store,
            self.keys,
            manager or self._manager,
            wait_gone=lambda view: self._deleter.wait_gone(view, timeout_s=timeout_s),
            say=self._say,
            on_conflict=on_conflict or OnConflict.REFUSE,
            adopt=adopt,
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

    def scale(self, ref: ObjectRef, replicas: int, *, current: int | None = None) -> "Changed":
        """Set how many tasks a deployment has. current: only if it is still that. Raises NotFound, Refused."""
        from client.scale import scale

        return scale(self.store, self.keys, ref, replicas, current=current)

    @property
    def rollout(self) -> "Rollout":
        """History, undo, restart, pause, resume and progress of deployments and daemonsets."""
        from client.rollout import Rollout

        return Rollout(self.store, self.keys, self._waiter, self._now)

    @property
    def sources(self) -> "Sources":
        """Sync, suspend, resume and roll back GitSources."""
        from client.sources import Sources

        return Sources(self.store, self.keys, self._waiter, self._now)

    def forget_secret_key(self) -> str:
        """Take back the published key of secrets, when its private half is lost; return its name."""
        from client.secrets import forget_key

        return forget_key(self.store, self.keys)


__all__ = ["Client", "Snapshot", "find_kind", "make_ref", "not_found"]
