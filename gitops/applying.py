"""From the files of a commit to objects, as the manager of one source, and back: how these objects are now.

    files -> documents (checked) -> whose are they? -> planned (merged, admitted) -> written -> pruned -> looked at

Nothing is written before all of a commit is checked. The store carries the leader's fence.
"""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field

from client.apply import Applier, Planned, missing_namespaces
from client.delete import Deleter
from client.merge import changed_paths
from client.policy import read_policy
from client.reading import at_one_revision, read_object
from client.views import ObjectView
from client.waiting import Waiter
from gitops.checking import documents_of
from gitops.errors import Blocked, NotAllowed, PrunesAll
from gitops.facts import Live, Source
from gitops.health import health_of
from schemas.gitsource_status import (
    MAX_DRIFT,
    MAX_OBJECTS,
    MAX_ORPHANS,
    Drift,
    SourceObject,
)
from schemas.keys import AppliedKey, Family, Keys, ObjectRef, cluster_ref
from schemas.kinds import BY_PLURAL
from schemas.manifest import Document
from schemas.meta import CLUSTER_NAMESPACE
from store.api import Store

KEEP = "berth/prune"  # annotation; `disabled` keeps an object that left the repository
MAX_FIELDS = 10  # of one object in a status


@dataclass(frozen=True, slots=True)
class Records:
    """Who has applied what. managers: object -> who keeps a last applied form of it."""

    managers: Mapping[ObjectRef, frozenset[str]] = field(default_factory=dict)

    def of(self, manager: str) -> frozenset[ObjectRef]:
        return frozenset(ref for ref, names in self.managers.items() if manager in names)


class Applying:
    """Writes for sources. now: seconds since the epoch, shown and never compared."""

    def __init__(self, store: Store, keys: Keys, now: Callable[[], float]) -> None:
        self._store = store
        self._keys = keys
        self._now = now

    def apply(self, source: Source, commit: str, files: Mapping[str, bytes]) -> Live:
        """Make the cluster what the commit says, and return how it is then.

        Raises InvalidManifest, SyncError, ClientError, StoreError; the first two before anything is written.
        """
        documents = documents_of(source, files)
        records = self._records(documents, source)
        self._check(source, documents, records)
        gone = records.of(source.manager) - {document.ref for document in documents}
        _check_left(source, documents, gone, records.of(source.manager))
        applier = self._applier(source)
        planned = applier.plan(documents)
        for _ in applier.write_all(planned):
            pass
        self._prune(source, gone)
        return self._live(source, commit, applier.compare(documents), gone)

    def look(self, source: Source, commit: str, files: Mapping[str, bytes]) -> Live:
        """Return how the objects of a commit are; nothing is written. Raises as `apply`."""
        documents = documents_of(source, files)
        records = self._records(documents, source)
        gone = records.of(source.manager) - {document.ref for document in documents}
        return self._live(source, commit, self._applier(source).compare(documents), gone)

    def _applier(self, source: Source) -> Applier:
        return Applier(self._store, self._keys, source.manager, wait_gone=_do_not_wait)

    def _records(self, documents: Iterable[Document], source: Source) -> Records:
        """Read who has applied what, in the namespaces where the source may write or would."""
        places = {document.ref.namespace for document in documents} | set(source.spec.namespaces)
        if "*" in places:
            prefixes = [self._keys.family_range(Family.APPLIED)]
        else:
            prefixes = [
                f"{self._keys.family_range(Family.APPLIED)}{place}/"
                for place in sorted(places | {CLUSTER_NAMESPACE})
            ]
        found: dict[ObjectRef, set[str]] = {}
        for prefix in prefixes:
            for kv in self._store.list(prefix).kvs:
                parsed = self._keys.parse(kv.key)
                if isinstance(parsed, AppliedKey):
                    found.setdefault(parsed.ref, set()).add(parsed.manager)
        return Records({ref: frozenset(names) for ref, names in found.items()})

    def _check(self, source: Source, documents: tuple[Document, ...], records: Records) -> None:
        policy = at_one_revision(self._store, lambda reading: read_policy(reading, self._keys))
        missing = missing_namespaces(documents, policy.namespaces.keys() - policy.terminating)
        if missing:
            raise NotAllowed(
                f"namespace {missing[0]} does not exist; make it with: berth new namespace {missing[0]} | "
                "berth apply -f -"
            )
        for document in documents:
            for other in sorted(records.managers.get(document.ref, frozenset()) - {source.manager}):
                self._check_owner(source, document, other)

    def _check_owner(self, source: Source, document: Document, other: str) -> None:
        """Two sources must not write one object: they would do so in turn, for ever."""
        kind, _, name = other.partition(".")
        if kind != "git" or not name:
            return
        if self._store.get(self._keys.spec(cluster_ref("gitsources", name))).kv is None:
            return  # what a source left that is gone may be taken over
        raise NotAllowed(
            f"{document.source}: {document.ref} is written by gitsource/{name} already, and gitsource/{source.name} "
            "may not write it, too; take it out of one of both repositories"
        )

    def _prune(self, source: Source, gone: Iterable[ObjectRef]) -> None:
        if not source.spec.prune:
            return
        deleter = Deleter(self._store, self._keys, self._now, Waiter(self._store))
        for ref in sorted(gone, key=_last_first):
            view = self._view(ref)
            if view is not None and not view.is_terminating and not _is_kept(view):
                deleter.request(view, grace_s=None, is_forced=False)

    def _view(self, ref: ObjectRef) -> ObjectView | None:
        return read_object(self._store, BY_PLURAL[ref.plural], ref, self._keys)

    def _live(
        self, source: Source, commit: str, planned: tuple[Planned, ...], gone: Iterable[ObjectRef]
    ) -> Live:
        objects = tuple(_object(each) for each in planned)
        drift = tuple(found for each in planned if (found := _drift(each)) is not None)
        orphaned = tuple(
            _place(ref)
            for ref in sorted(gone)
            if (view := self._view(ref)) is not None and not view.is_terminating
        )
        return Live(
            commit,
            source.generation,
            objects[:MAX_OBJECTS],
            len(objects),
            drift[:MAX_DRIFT],
            len(drift),
            orphaned[:MAX_ORPHANS],
            len(orphaned),
        )


def _check_left(
    source: Source, documents: tuple[Document, ...], gone: Iterable[ObjectRef], members: Iterable[ObjectRef]
) -> None:
    """A commit that leaves nothing is a mistake more often than a wish: a wrong path, an empty merge."""
    if source.spec.allow_empty:
        return
    where = f"folder {source.spec.folder}" if source.spec.folder else "the repository"
    if not documents:
        raise PrunesAll(
            f"there is no manifest in {where}; nothing was changed. If nothing is to be there: spec.allowEmpty: true"
        )
    if source.spec.prune and members and set(gone) == set(members):
        raise PrunesAll(
            f"all {len(set(members))} objects of the source are missing from {where}, and would be pruned; nothing was "
            "changed. If that is meant: spec.allowEmpty: true"
        )


def _do_not_wait(view: ObjectView) -> None:
    raise Blocked(f"{view.ref} is being deleted; it is made anew once it is gone")


def _object(planned: Planned) -> SourceObject:
    ref = planned.document.ref
    namespace = "" if ref.namespace == CLUSTER_NAMESPACE else ref.namespace
    if planned.live is None:
        return SourceObject(object=str(ref), namespace=namespace, health="Missing", message="does not exist")
    health, message = health_of(planned.live)
    return SourceObject(object=str(ref), namespace=namespace, health=health, message=message)


def _drift(planned: Planned) -> Drift | None:
    if planned.action == "unchanged":
        return None
    ref = planned.document.ref
    namespace = "" if ref.namespace == CLUSTER_NAMESPACE else ref.namespace
    if planned.replaced is None:
        return Drift(object=str(ref), namespace=namespace)
    fields = tuple(changed_paths(planned.replaced, planned.merged))
    return Drift(object=str(ref), namespace=namespace, fields=fields[:MAX_FIELDS])


def _place(ref: ObjectRef) -> str:
    return str(ref) if ref.namespace == CLUSTER_NAMESPACE else f"{ref.namespace}/{ref}"


def _is_kept(view: ObjectView) -> bool:
    return view.annotations.get(KEEP) == "disabled"


def _last_first(ref: ObjectRef) -> tuple[int, ObjectRef]:
    """What others name goes last."""
    kinds = list(BY_PLURAL)
    return (-kinds.index(ref.plural), ref)
