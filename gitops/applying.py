"""From the files of a commit to objects, as the manager of one source, and back: how these objects are now.

    files -> documents (checked) -> whose are they? -> planned (merged, admitted) -> written -> pruned -> looked at

Nothing is written before all of a commit is checked. The store carries the leader's fence.
"""

import logging
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace

from client.apply import Applier, missing_namespaces
from client.applyset import ApplySet, Removal, Verdict
from client.conflicts import SET_PREFIX, SOURCE_PREFIX, OnConflict, manager_text
from client.delete import Deleter
from client.merge import changed_paths
from client.planned import Planned
from client.policy import read_policy
from client.reading import at_one_revision
from client.views import ObjectView
from client.waiting import Waiter
from gitops.errors import Blocked, NotAllowed, PrunesAll
from gitops.facts import Live, Source
from gitops.health import health_of
from schemas.gitsource import EVERY_NAMESPACE
from schemas.gitsource_status import (
    MAX_DRIFT,
    MAX_OBJECTS,
    MAX_ORPHANS,
    Drift,
    GitSourceStatus,
    SourceObject,
)
from schemas.keys import AppliedKey, Family, Keys, ObjectRef, cluster_ref
from schemas.kinds import BY_PLURAL
from schemas.manifest import Document
from schemas.meta import CLUSTER_NAMESPACE
from store import codec
from store.api import Delete, Store, Txn

log = logging.getLogger(__name__)

MAX_FIELDS = 10  # of one object in a status


@dataclass(frozen=True, slots=True)
class _Desk:
    """What one source is written with. manager: as whom."""

    applier: Applier
    own: ApplySet


class Applying:
    """Writes for sources. now: seconds since the epoch, shown and never compared."""

    def __init__(self, store: Store, keys: Keys, now: Callable[[], float]) -> None:
        self._store = store
        self._keys = keys
        self._deleter = Deleter(store, keys, now, Waiter(store))

    def apply(self, source: Source, commit: str, documents: tuple[Document, ...]) -> Live:
        """Make the cluster what the commit says, and return how it is then.

        Raises InvalidManifest, SyncError, ClientError, StoreError; the first two before anything is written.
        """
        desk = self._desk(source)
        self._check_namespaces(documents)
        planned = desk.applier.plan(documents)
        left = self._taken_over(source, planned)
        members = self._members(source)
        gone = members - {document.ref for document in documents}
        _check_left(source, documents, gone, members)
        for _ in desk.applier.write_all(planned):
            pass
        for key in left:
            self._store.txn(Txn((), (Delete(key),)))
        released: list[str] = []
        if source.spec.prune:
            for done in desk.own.remove(desk.own.judge_all(gone)):
                released += [_place(done.ref)] if done.verdict is Verdict.RELEASE else []
                log.info(
                    "object left source source=%s object=%s outcome=%s reason=%s",
                    source.name, _place(done.ref), done.verdict.value, done.why,
                )  # fmt: skip
        return replace(self.look(source, commit, documents), released=tuple(released[:MAX_ORPHANS]))

    def look(self, source: Source, commit: str, documents: tuple[Document, ...]) -> Live:
        """Return how the objects of a commit are; nothing is written. Raises as `apply`."""
        desk = self._desk(source)
        planned = desk.applier.compare(documents)
        self._taken_over(source, planned)
        gone = self._members(source) - {document.ref for document in documents}
        return _live(source, commit, planned, desk.own.judge_all(gone))

    def _desk(self, source: Source) -> _Desk:
        """The repository is the truth: fields that people have set are taken over."""
        applier = Applier(
            self._store,
            self._keys,
            source.manager,
            wait_gone=_do_not_wait,
            on_conflict=OnConflict.TAKE_OVER,
        )
        home = source.spec.default_namespace
        own = ApplySet(
            self._store, self._keys, source.manager, home=home, applier=applier, deleter=self._deleter
        )
        return _Desk(applier, own)

    def _members(self, source: Source) -> frozenset[ObjectRef]:
        """Return what the source has applied, where it still may write."""
        family = self._keys.family_range(Family.APPLIED)
        places = {CLUSTER_NAMESPACE, *source.spec.namespaces}
        prefixes = (
            [family] if EVERY_NAMESPACE in places else [f"{family}{place}/" for place in sorted(places)]
        )
        parsed = (self._keys.parse(kv.key) for prefix in prefixes for kv in self._store.list(prefix).kvs)
        return frozenset(
            each.ref
            for each in parsed
            if isinstance(each, AppliedKey)
            and each.manager == source.manager
            and each.ref.plural in BY_PLURAL
            and source.may_write(BY_PLURAL[each.ref.plural])
        )

    def _check_namespaces(self, documents: tuple[Document, ...]) -> None:
        policy = at_one_revision(self._store, lambda reading: read_policy(reading, self._keys))
        missing = missing_namespaces(documents, policy.namespaces.keys() - policy.terminating)
        if missing:
            raise NotAllowed(
                f"namespace {missing[0]} does not exist; make it with: berth new namespace {missing[0]} | "
                "berth apply -f -"
            )

    def _taken_over(self, source: Source, planned: Iterable[Planned]) -> tuple[str, ...]:
        """Return the records of other sources that keep these objects no more. Raises NotAllowed for those that do:
        two that keep one object would write it in turn, for ever."""
        left: list[str] = []
        for each in planned:
            document = each.document
            for other in sorted(each.claims.forms):
                if self._keeps(other, document.ref):
                    raise NotAllowed(
                        f"{document.source}: {document.ref} is kept by {manager_text(other)} already, and "
                        f"gitsource/{source.name} must not keep it, too; take it out of one of both"
                    )
                if other.startswith(SOURCE_PREFIX):
                    left.append(self._keys.applied(document.ref, other))
        return tuple(left)

    def _keeps(self, manager: str, ref: ObjectRef) -> bool:
        """Say whether a set or another source keeps an object; people do not, nor a source that is gone, nor one whose
        repository has it no more."""
        if manager.startswith(SET_PREFIX):
            return True
        if not manager.startswith(SOURCE_PREFIX):
            return False
        other = cluster_ref("gitsources", manager.removeprefix(SOURCE_PREFIX))
        if self._store.get(self._keys.spec(other)).kv is None:
            return False
        status = self._store.get(self._keys.status(other)).kv
        raw = codec.decode(status) if status is not None else None
        try:
            return not isinstance(raw, dict) or _has(GitSourceStatus.parse_stored(raw), _place(ref))
        except ValueError:
            return True


def _has(status: GitSourceStatus, place: str) -> bool:
    """Say whether a repository still has an object; a status that names neither all orphans nor all objects can't tell,
    so that it counts as there."""
    if place in status.orphaned:
        return False
    if status.orphaned_count == len(status.orphaned) or status.object_count > len(status.objects):
        return True
    return place in {f"{each.namespace}/{each.object}".lstrip("/") for each in status.objects}


def _live(source: Source, commit: str, planned: Sequence[Planned], removals: Iterable[Removal]) -> Live:
    objects = tuple(map(_object, planned))
    drift = tuple(found for each in planned if (found := _drift(each)) is not None)
    orphaned = tuple(_place(each.ref) for each in removals if each.verdict in (Verdict.PRUNE, Verdict.KEEP))
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
    source: Source,
    documents: tuple[Document, ...],
    gone: frozenset[ObjectRef],
    members: frozenset[ObjectRef],
) -> None:
    """A commit that leaves nothing is a mistake more often than a wish: a wrong path, an empty merge."""
    if source.spec.allow_empty:
        return
    where = f"folder {source.spec.folder}" if source.spec.folder else "the repository"
    if not documents:
        raise PrunesAll(
            f"there is no manifest in {where}; nothing was changed. If nothing is to be there: spec.allowEmpty: true"
        )
    if source.spec.prune and members and gone == members:
        raise PrunesAll(
            f"all {len(members)} objects of the source are missing from {where}, and would be pruned; nothing was "
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
