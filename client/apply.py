"""Apply: from checked documents to what is stored.

    read live + last applied -> merge -> check everything -> write, each object comparing its mod_revision

Nothing is written before every document, merged with what is stored, is valid and admitted, and changes no field of
another manager. A write that lost a race is read, merged and checked again; it compares the object and what others
applied to it. The last applied form is written with the object.
"""

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from itertools import groupby, islice

from pydantic import ValidationError

from client.applied import Claims, read_claims, record_form
from client.composing import OWNED_PLURALS, template_key
from client.conflicts import OnConflict
from client.errors import ClientError, Conflicted, Contended, ObjectUnreadable, Refused
from client.merge import three_way, without_nulls
from client.ownership import below, immutable_problems, owned_refusal, template_tasks
from client.planned import ApplyResult, Planned
from client.policy import LivePolicy, read_policy
from client.reading import at_one_revision, keys_of, read_keys, read_with_template
from client.views import ObjectView, build_view
from schemas.errors import InvalidManifest, Problem
from schemas.keys import Keys, ObjectRef, cluster_ref
from schemas.kinds import BY_NAME, KINDS
from schemas.manifest import Document
from schemas.task import Task
from store import codec, objects
from store.api import Compare, Delete, KeyValue, Op, Put, Store, Txn, absent, unchanged, untouched_since
from store.codec import Json
from store.errors import PermissionDenied, RequestTooLarge, StoreError

NOBODY = ""  # a manager that leaves no record
ASK_FIRST = 32  # documents whose keys are read in one transaction
WRITE_TRIES = 4  # as kubectl's patcher
WRITTEN_TOGETHER = 120  # objects a transaction; etcd takes 128 operations
MAX_SHARED_BYTES = 200_000  # larger objects go alone
MAX_TOGETHER_BYTES = 1_400_000  # object and last applied form in one request; etcd takes 1.5 MiB


class Applier:
    """Plans and writes documents for one manager (who applies: `berth`, a set, a GitOps tool), or for NOBODY: then what
    it makes is recorded as nobody's, as what is edited.

    `wait_gone` waits until a Terminating object is gone; `say` takes notices for people. `on_conflict`: what to do
    about fields of other managers. `adopt`: managers whose place it takes: their records of what it applies go.
    """

    def __init__(
        self,
        store: Store,
        keys: Keys,
        manager: str,
        *,
        wait_gone: Callable[[ObjectView], None],
        say: Callable[[str], None] = lambda text: None,
        on_conflict: OnConflict = OnConflict.REFUSE,
        adopt: Collection[str] = (),
    ) -> None:
        self._store = store
        self._keys = keys
        self._manager = manager
        self._wait_gone = wait_gone
        self._say = say
        self._on_conflict = on_conflict
        self._adopt = tuple(adopt)

    def plan(self, documents: Iterable[Document]) -> tuple[Planned, ...]:
        """Return what each document would do, in the order of writing. Raises InvalidManifest, Refused."""
        planned = self.compare(documents)
        policy = at_one_revision(self._store, lambda reading: read_policy(reading, self._keys))
        check(planned, policy)
        return planned

    def compare(self, documents: Iterable[Document]) -> tuple[Planned, ...]:
        """Return what `plan` does, without asking whether it may be written. Raises Refused."""
        ordered = sorted(documents, key=lambda document: apply_rank(document.ref))
        found = self._read(ordered)
        there = [document.ref for document in ordered if self._keys.spec(document.ref) in found]
        claims = read_claims(self._store, self._keys, there)
        return tuple(self._plan_one(document, found, claims) for document in ordered)

    def _read(self, documents: list[Document]) -> dict[str, KeyValue]:
        """Return what is stored about the documents: of many, first which exist at all, as most may be new."""
        if len(documents) > ASK_FIRST:
            own = {each.ref: self._own_keys(each.ref) for each in documents}
            there = read_keys(self._store, [key for keys in own.values() for key in keys])
            documents = [each for each in documents if any(key in there for key in own[each.ref])]
        asked = [key for each in documents for key in self._keys_for(each)]
        return read_with_template(self._store, asked, self._keys)

    def _own_keys(self, ref: ObjectRef) -> tuple[str, ...]:
        """The keys of which one is there if the object exists."""
        return (self._keys.spec(ref), *self._owned_key(ref))

    def _owned_key(self, ref: ObjectRef) -> tuple[str, ...]:
        return (self._keys.owned(ref),) if ref.plural in OWNED_PLURALS else ()

    def write(self, planned: Planned) -> ApplyResult:
        """Write one document; on a lost race read, merge and check again."""
        for _ in range(WRITE_TRIES):
            self.refuse_conflicts((planned,))
            result = self._try_write(planned)
            if result is not None:
                return result
            (planned,) = self.plan((planned.document,))
        ref = planned.document.ref
        raise Contended(f"{ref} was changed by others {WRITE_TRIES} times during the apply; apply again")

    def write_all(self, planned: Iterable[Planned]) -> Iterator[ApplyResult]:
        """Write documents in order, many in a transaction where they allow it, each succeeding or failing alone.

        When one fails, those that were written are told of before the error is raised. Raises Conflicted, before
        anything is written, for fields that belong to others.
        """
        known = tuple(planned)
        self.refuse_conflicts(known)
        for together, group in groupby(known, lambda each: self._may_go_together(each)):
            while some := tuple(islice(group, WRITTEN_TOGETHER)):
                yield from self._write_together(some) if together and len(some) > 1 else map(self.write, some)

    def refuse_conflicts(self, planned: Iterable[Planned]) -> None:
        """Raise Conflicted if one of them would change fields of others, unless these are to be taken over."""
        if self._on_conflict is OnConflict.REFUSE:
            refuse_conflicts(planned)

    def _may_go_together(self, planned: Planned) -> bool:
        return not planned.is_waiting_for_deletion and planned.action != "unchanged"

    def _write_together(self, group: tuple[Planned, ...]) -> Iterator[ApplyResult]:
        """Write a group; who lost a race, or is too large to share, is written alone, in its turn.

        So is each of a refused transaction: who may not write one of its objects may write the others.
        """
        ready = [self._prepare(each) for each in group]
        answers = iter(objects.write_many(self._store, [each for each in ready if each is not None]))
        failure: StoreError | ClientError | InvalidManifest | None = None
        for planned, shared in zip(group, ready, strict=True):
            answer = next(answers) if shared is not None else None
            try:
                if isinstance(answer, objects.Written):
                    yield self._result(planned)
                elif isinstance(answer, StoreError) and not isinstance(answer, PermissionDenied):
                    failure = failure or answer
                elif failure is None:
                    has_changed = isinstance(answer, objects.Conflict)
                    yield self.write(self.plan((planned.document,))[0] if has_changed else planned)
            except (StoreError, ClientError, InvalidManifest) as error:
                failure = failure or error
        if failure is not None:
            raise failure

    def _prepare(self, planned: Planned) -> tuple[objects.Prepared, tuple[Op, ...]] | None:
        """Return the write of one document, None if it is too large to share a transaction."""
        key = self._keys.spec(planned.document.ref)
        try:
            live = planned.live.spec_kv if planned.live else None
            ready = objects.prepare(key, planned.merged, live, compares=self._compares(planned))
        except RequestTooLarge:
            return None
        records = self._records(planned)
        size_bytes = len(ready.value) + sum(len(op.value) for op in records if isinstance(op, Put))
        return (ready, records) if size_bytes <= MAX_SHARED_BYTES else None

    def _keys_for(self, document: Document) -> tuple[str, ...]:
        return keys_of(document.ref, self._keys)

    def _plan_one(
        self, document: Document, found: Mapping[str, KeyValue], claims: Mapping[ObjectRef, Claims]
    ) -> Planned:
        ref = document.ref
        own = {key: found[key] for key in self._keys_for(document) if key in found}
        own |= {
            name: found[name]
            for key, kv in own.items()
            if (name := template_key(self._keys, key, kv)) in found
        }
        live = build_view(document.kind, ref, self._keys, own) if own else None
        if live is not None and live.owner is not None:
            raise owned_refusal(live)
        if live is None or live.spec_kv is None:
            return Planned(document, None, None, without_nulls(document.raw))
        if live.is_terminating:
            return Planned(document, live, None, without_nulls(document.raw))
        if not live.raw:
            raise ObjectUnreadable(
                f'{document.kind.singular} "{ref.name}" in etcd can\'t be read ({live.error}), so nothing can be '
                f"merged with it and nothing was written; look at it with: etcdctl get {live.spec_kv.key}, or "
                f"remove it with: berth delete {ref}{_in_namespace(live)} --force, and apply again"
            )
        made = claims[ref].since(live.spec_kv.create_revision)
        last, others = made.split(self._manager, self._adopt)
        adopted = tuple(name for name in self._adopt if name in claims[ref].forms)
        heeded = tuple(others.forms.values()) if self._on_conflict is OnConflict.REFUSE else ()
        merged = three_way(last, live.raw, document.raw, heeded)
        return Planned(document, live, last, merged, others, adopted)

    def _try_write(self, planned: Planned) -> ApplyResult | None:
        """Return None on a conflict."""
        if planned.live is not None and planned.is_waiting_for_deletion:
            self._say(
                f"{planned.document.ref} is being deleted; waiting until it is gone, then it is created anew"
            )
            self._wait_gone(planned.live)
            return self._put(planned, 0)
        if planned.action == "unchanged":
            return self._remember_only(planned)
        return self._put(planned, planned.live.mod_revision if planned.live else 0)

    def _put(self, planned: Planned, expected: int) -> ApplyResult | None:
        key = self._keys.spec(planned.document.ref)
        records = self._records(planned)
        size_bytes = sum(len(op.value) for op in records if isinstance(op, Put))
        fits = len(codec.encode(planned.merged)) + size_bytes <= MAX_TOGETHER_BYTES
        extra = records if fits else ()
        written = objects.write(
            self._store,
            key,
            planned.merged,
            expect_mod_revision=expected or None,
            extra=extra,
            compares=self._compares(planned),
        )
        if isinstance(written, objects.Conflict):
            return None
        if not fits:
            # then the record follows; if that is lost, the next apply removes too little, never too much
            self._store.txn(Txn((unchanged(key, written.mod_revision),), records))
        return self._result(planned)

    def _compares(self, planned: Planned) -> tuple[Compare, ...]:
        """What is made must not be there as an owner's, which may have come a moment ago; what is changed must be
        claimed by nobody since it was read."""
        ref, since = planned.document.ref, planned.claims.revision
        if planned.live is None:
            return tuple(map(absent, self._owned_key(ref)))
        return (untouched_since(self._keys.applied_range(ref), since),) if since else ()

    @staticmethod
    def _result(planned: Planned) -> ApplyResult:
        generation = planned.live.generation + 1 if planned.replaced is not None and planned.live else 1
        return ApplyResult(planned.document.ref, planned.action, planned.replaces, generation, planned.kept)

    def _remember_only(self, planned: Planned) -> ApplyResult | None:
        """The object stays as it is; only the last applied form may have to follow."""
        assert planned.live is not None
        result = ApplyResult(planned.document.ref, "unchanged", (), planned.live.generation, planned.kept)
        if planned.last_applied == record_form(planned.document) and not planned.adopted:
            return result
        same = unchanged(self._keys.spec(planned.document.ref), planned.live.mod_revision)
        compares = (same, *self._compares(planned))
        return result if self._store.txn(Txn(compares, self._records(planned))).succeeded else None

    def _records(self, planned: Planned) -> tuple[Op, ...]:
        """Return the write of the last applied form; those in whose place it stands go."""
        document = planned.document
        if self._manager == NOBODY:
            return ()
        own = Put(self._keys.applied(document.ref, self._manager), codec.encode(record_form(document)))
        return (own, *(Delete(self._keys.applied(document.ref, each)) for each in planned.adopted))


def refuse_conflicts(planned: Iterable[Planned]) -> None:
    """Raise Conflicted if one of them would change fields of other managers."""
    found = [(str(each.document.ref), one) for each in planned for one in each.conflicts]
    if found:
        raise Conflicted(found)


def apply_rank(ref: ObjectRef) -> tuple[bool, int]:
    """Return by what objects are sorted: what others name comes first, tasks last. Pruning goes the other way."""
    return ref.plural == "tasks", _PLURALS.index(ref.plural)


_PLURALS = [kind.plural for kind in KINDS]


def check(planned: Iterable[Planned], policy: LivePolicy) -> None:
    """Check what would be stored: each alone, then all tasks against what will exist. Raises InvalidManifest."""
    problems: list[Problem] = []
    tasks: list[tuple[Document, Task, str]] = []
    for plan in planned:
        try:
            merged = plan.parsed()
        except ValidationError as error:
            problems.extend(_merge_problems(plan, error))
            continue
        policy.add(merged)
        if plan.replaced is not None:
            found = immutable_problems(plan.document.ref, plan.replaced, plan.merged)
            problems += [
                Problem(plan.document.source, str(plan.document.ref), each.field, each.message)
                for each in found
            ]
        namespace = plan.document.ref.namespace
        tasks += [(plan.document, task, path) for task, path in template_tasks(merged, namespace)]
    for document, task, path in tasks:
        for reason in policy.reasons_against(task):
            problems.append(Problem(document.source, str(document.ref), "", below(reason, path)))
    if problems:
        raise InvalidManifest(tuple(problems))


def missing_namespaces(documents: Iterable[Document], existing: Iterable[str]) -> tuple[str, ...]:
    """Return the namespaces that the documents are in, and that neither exist nor are among them."""
    documents = tuple(documents)
    written = {document.ref.name for document in documents if document.kind.name == "Namespace"}
    used = {document.ref.namespace for document in documents if document.kind.namespaced}
    return tuple(sorted(used - written - set(existing)))


def namespace_document(name: str) -> Document:
    """Return the document of a namespace without any settings."""
    raw: Json = {"apiVersion": "berth/v1", "kind": "Namespace", "metadata": {"name": name}}
    kind = BY_NAME["Namespace"]
    return Document(
        kind, cluster_ref(kind.plural, name), raw, kind.model.parse_written(raw), "--create-namespace"
    )


def _merge_problems(plan: Planned, error: ValidationError) -> list[Problem]:
    return [
        Problem(
            plan.document.source,
            str(plan.document.ref),
            ".".join(str(part) for part in detail["loc"]),
            f"merged with what is stored it is wrong: {detail['msg']}; see: berth diff -f FILE",
        )
        for detail in error.errors(include_url=False)
    ]


def _in_namespace(view: ObjectView) -> str:
    return f" -n {view.namespace}" if view.namespace else ""


def refuse_nothing(documents: Iterable[Document]) -> tuple[Document, ...]:
    """Return the documents as a tuple. Raises Refused when there are none."""
    found = tuple(documents)
    if not found:
        raise Refused("no objects passed to apply: the files hold no documents")
    return found
