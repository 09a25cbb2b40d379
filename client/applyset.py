"""Apply sets: a folder or a repository as the whole of what it has made, so that what left it can be pruned.

    read members -> plan the documents, judge what left -> apply -> remove, in the reverse order

A set is a manager of its own: an object belongs to it exactly while the set's record stands beside it in `applied/`.
The record is written in the transaction that writes the object and goes with it, so nothing can get out of step, and
running an apply again after a failure half-way is safe. Removing goes by a delete request like any other, in a
transaction that compares the object, and that nobody else has claimed it since it was looked at.
"""

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from enum import Enum

from client.applied import NO_CLAIMS, Claims, read_claims
from client.apply import Applier, apply_rank
from client.composing import owner_text, template_key
from client.conflicts import SET_PREFIX, manager_text
from client.delete import Deleter
from client.errors import Contended, Refused
from client.planned import ApplyResult, Planned
from client.reading import keys_of, read_with_template
from client.views import ObjectView, build_view
from schemas.keys import AppliedKey, Family, Keys, ObjectRef, SpecKey, cluster_ref
from schemas.kinds import BY_PLURAL
from schemas.manifest import Document
from schemas.meta import CLUSTER_NAMESPACE, DEFAULT_NAMESPACE, check_dns_label
from store.api import Delete, KeyValue, Store, Txn, unchanged, untouched_since
from store.errors import PermissionDenied

PRUNE_ANNOTATION = "berth/prune"
DISABLED = "disabled"
REMOVE_TRIES = 4  # as an apply's writes


def set_manager(namespace: str, name: str) -> str:
    """Return the manager of a set: sets of one name in two namespaces are two sets. Raises InvalidName."""
    return f"{SET_PREFIX}{check_dns_label(namespace)}.{check_dns_label(name)}"


class Verdict(Enum):
    """What becomes of an object that left its set."""

    PRUNE = "pruned"
    RELEASE = "released"  # the set gives up its record, and the object stays
    KEEP = "kept"  # it stays, and stays in the set
    FORGET = "forgotten"  # it is not there: only the record is left, and goes


@dataclass(frozen=True, slots=True)
class Removal:
    """What becomes of one object that left the set, and why it is not simply pruned. `claims`: who else has it."""

    ref: ObjectRef
    verdict: Verdict
    why: str = ""
    view: ObjectView | None = None
    claims: Claims = NO_CLAIMS


@dataclass(frozen=True, slots=True)
class Members:
    """The objects of a set, and the namespaces in which it was not allowed to look for more."""

    refs: frozenset[ObjectRef]
    unread: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class SetPlan:
    """What an apply of a set would do. `unread`: namespaces in which objects of the set could not be looked for."""

    planned: tuple[Planned, ...]
    removals: tuple[Removal, ...] = ()
    unread: tuple[str, ...] = ()

    def of(self, verdict: Verdict) -> tuple[Removal, ...]:
        return tuple(each for each in self.removals if each.verdict is verdict)


def read_members(store: Store, keys: Keys, manager: str, namespaces: Iterable[str]) -> Members:
    """Return the objects of a set: in all of the cluster, or where one may read. namespaces: where to look then."""
    try:
        return Members(_members_below(store, keys, manager, keys.family_range(Family.APPLIED)))
    except PermissionDenied:
        pass
    found: set[ObjectRef] = set()
    unread: list[str] = []
    for namespace in sorted({*namespaces, CLUSTER_NAMESPACE}):
        try:
            below = f"{keys.family_range(Family.APPLIED)}{namespace}/"
            found |= _members_below(store, keys, manager, below)
        except PermissionDenied:
            unread.append(namespace)
    return Members(frozenset(found), tuple(unread))


def _members_below(store: Store, keys: Keys, manager: str, prefix: str) -> frozenset[ObjectRef]:
    parsed = (keys.parse(kv.key) for kv in store.list(prefix).kvs)
    return frozenset(
        each.ref
        for each in parsed
        if isinstance(each, AppliedKey) and each.manager == manager and each.ref.plural in BY_PLURAL
    )


def known_namespaces(store: Store, keys: Keys, documents: Iterable[Document], home: str) -> frozenset[str]:
    """Return where objects of a set may be: where its documents are, and every namespace that exists."""
    listed = (keys.parse(kv.key) for kv in store.list(_namespaces(keys)).kvs)
    existing = {each.ref.name for each in listed if isinstance(each, SpecKey)}
    named = {document.ref.namespace for document in documents}
    return frozenset({*existing, *named, home, DEFAULT_NAMESPACE})


def _namespaces(keys: Keys) -> str:
    return keys.objects_range(Family.SPEC, CLUSTER_NAMESPACE, "namespaces")


def judge(view: ObjectView | None, managers: Collection[str], own: str) -> tuple[Verdict, str] | None:
    """Return what becomes of an object that left its set, and why; None for one that is being deleted already.

    managers: of the records beside it that are about this very object. own: the set's. Pure.
    """
    if view is None or view.spec_kv is None:
        return Verdict.FORGET, "it is not there any more"
    if view.owner is not None:
        return Verdict.RELEASE, f"{owner_text(view.owner)} has made it"
    if view.is_terminating:
        return None
    if own not in managers:
        return Verdict.FORGET, "somebody else has made it anew"
    if not view.raw:
        return Verdict.KEEP, f"it can't be read: {view.error}"
    if view.annotations.get(PRUNE_ANNOTATION) == DISABLED:
        return Verdict.KEEP, f"its annotation {PRUNE_ANNOTATION} says {DISABLED}"
    others = [each for each in managers if each != own]
    if others:
        return Verdict.RELEASE, f"{' and '.join(map(manager_text, sorted(others)))} applied it too"
    return Verdict.PRUNE, ""


def refuse_empty(documents: Sequence[Document], what: str) -> None:
    """Raise Refused for a set that would lose all it has because there are no documents. what: such as `set web`."""
    if not documents:
        raise Refused(
            f"there is not one document, and {what} would lose every object that it has; if that is what you "
            "want, say so: --allow-empty"
        )


class ApplySet:
    """One set of one cluster: plans and writes its documents, and removes what left it.

    `applier` writes as the manager of the set. home: the namespace that the set is of. adopt: managers whose records
    keep nothing from being pruned, as the set takes their place.
    """

    def __init__(
        self,
        store: Store,
        keys: Keys,
        manager: str,
        *,
        home: str,
        applier: Applier,
        deleter: Deleter,
        adopt: Collection[str] = (),
    ) -> None:
        self._store = store
        self._keys = keys
        self._manager = manager
        self._home = home
        self._applier = applier
        self._deleter = deleter
        self._adopt = tuple(adopt)

    def plan(self, documents: Iterable[Document]) -> SetPlan:
        """Return what an apply would do, what left the set included. Raises InvalidManifest, Refused."""
        wanted = tuple(documents)
        members = read_members(
            self._store,
            self._keys,
            self._manager,
            known_namespaces(self._store, self._keys, wanted, self._home),
        )
        planned = self._applier.plan(wanted)
        used = {cluster_ref("namespaces", document.ref.namespace) for document in wanted}
        left = members.refs - used - {document.ref for document in wanted}
        return SetPlan(planned, self.judge_all(left), members.unread)

    def judge_all(self, left: Collection[ObjectRef]) -> tuple[Removal, ...]:
        """Return what becomes of objects that left the set, in the order of their removal."""
        ordered = sorted(left, key=lambda ref: (apply_rank(ref), ref), reverse=True)
        found = read_with_template(
            self._store, [key for ref in ordered for key in keys_of(ref, self._keys)], self._keys
        )
        claims = read_claims(self._store, self._keys, ordered)
        judged = [each for ref in ordered if (each := self._judge_one(ref, found, claims[ref])) is not None]
        going = {each.ref for each in judged if each.verdict is Verdict.PRUNE}
        return tuple(self._spare_namespace(each, going) for each in judged)

    def _judge_one(self, ref: ObjectRef, found: Mapping[str, KeyValue], claims: Claims) -> Removal | None:
        own = {key: found[key] for key in keys_of(ref, self._keys) if key in found}
        own |= {
            name: found[name] for key in own if (name := template_key(self._keys, key, own[key])) in found
        }
        view = build_view(BY_PLURAL[ref.plural], ref, self._keys, own) if own else None
        made = claims.since(view.spec_kv.create_revision) if view and view.spec_kv else claims
        managers = [name for name in made.forms if name not in self._adopt]
        said = judge(view, managers, self._manager)
        return None if said is None else Removal(ref, *said, view, made)

    def _spare_namespace(self, removal: Removal, going: set[ObjectRef]) -> Removal:
        """Keep a namespace in which there is more than goes with it: it would take no new tasks, and wait for ever."""
        if removal.ref.plural != "namespaces" or removal.verdict is not Verdict.PRUNE:
            return removal
        try:
            inside = self._objects_in(removal.ref.name) - going
        except PermissionDenied:
            why = "what is in it can't be read with your rights"
            return Removal(removal.ref, Verdict.KEEP, why, removal.view, removal.claims)
        if not inside:
            return removal
        more = f" and {len(inside) - 1} more" if len(inside) > 1 else ""
        why = f"{min(inside)}{more} in it would stay"
        return Removal(removal.ref, Verdict.KEEP, why, removal.view, removal.claims)

    def _objects_in(self, namespace: str) -> set[ObjectRef]:
        """Return what people wrote in a namespace and nobody asked to delete yet."""
        ranges = [f"{self._keys.family_range(each)}{namespace}/" for each in (Family.SPEC, Family.SECRETS)]
        parsed = (self._keys.parse(kv.key) for prefix in ranges for kv in self._store.list(prefix).kvs)
        refs = [each.ref for each in parsed if isinstance(each, SpecKey)]
        asked = f"{self._keys.family_range(Family.REQUESTS)}{namespace}/"
        requests = {kv.key for kv in self._store.list(asked).kvs}
        return {ref for ref in refs if self._keys.request(ref, "delete") not in requests}

    def refuse_conflicts(self, plan: SetPlan) -> None:
        """Raise Conflicted if an apply would change fields of others, unless they are to be taken over."""
        self._applier.refuse_conflicts(plan.planned)

    def apply(self, plan: SetPlan) -> Iterator[ApplyResult]:
        """Write the documents in order. Raises Conflicted before anything is written."""
        yield from self._applier.write_all(plan.planned)

    def remove(self, removals: Iterable[Removal]) -> Iterator[Removal]:
        """Carry out removals in order, yielding what became of each; one that changed meanwhile is judged anew."""
        for removal in removals:
            yield self._remove(removal)

    def _remove(self, removal: Removal) -> Removal:
        for _ in range(REMOVE_TRIES):
            if self._try_remove(removal):
                return removal
            again = self.judge_all((removal.ref,))
            if not again:  # somebody else has asked for its deletion
                return removal
            (removal,) = again
        raise Contended(
            f"{removal.ref} was changed by others {REMOVE_TRIES} times while it was to be pruned; apply again"
        )

    def _try_remove(self, removal: Removal) -> bool:
        """Return False if it is not any more as it was judged."""
        records = self._keys.applied_range(removal.ref)
        unclaimed = untouched_since(records, removal.claims.revision)
        match removal.verdict:
            case Verdict.KEEP:
                return True
            case Verdict.PRUNE:
                assert removal.view is not None
                return self._deleter.request_if(removal.view, (unclaimed,))
            case Verdict.RELEASE | Verdict.FORGET:
                own = self._keys.applied(removal.ref, self._manager)
                revision = removal.view.mod_revision if removal.view is not None else 0
                same = unchanged(self._keys.spec(removal.ref), revision)
                compares = (unclaimed,) if removal.verdict is Verdict.RELEASE else (unclaimed, same)
                return self._store.txn(Txn(compares, (Delete(own),))).succeeded
