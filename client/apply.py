"""Apply: from checked documents to what is stored.

    read live + last applied -> merge -> check everything -> write, each object comparing its mod_revision

Nothing is written before every document, merged with what is stored, is valid and admitted. A write that
lost a race is read, merged and checked again. The last applied form is written with the object.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from itertools import groupby, islice
from typing import Literal

from pydantic import ValidationError

from client.composing import OWNED_PLURALS, template_key
from client.errors import ClientError, Contended, ObjectUnreadable, Refused
from client.merge import changed_paths, three_way, without_nulls
from client.ownership import below, immutable_problems, owned_refusal, template_tasks
from client.policy import LivePolicy, read_policy
from client.reading import at_one_revision, keys_of, read_keys, read_with_template
from client.views import ObjectView, build_view
from schemas.errors import InvalidManifest, Problem
from schemas.keys import Keys, ObjectRef, cluster_ref
from schemas.kinds import BY_NAME, KINDS, WrittenObject
from schemas.manifest import Document
from schemas.task import LIVE_FIELDS, Task, template_hash
from store import codec, objects
from store.api import Compare, KeyValue, Put, Store, Txn, absent, unchanged
from store.codec import Json
from store.errors import PermissionDenied, RequestTooLarge, StoreError

ASK_FIRST = 32  # documents whose keys are read in one transaction
WRITE_TRIES = 4  # as kubectl's patcher
WRITTEN_TOGETHER = 120  # objects a transaction; etcd takes 128 operations
MAX_SHARED_BYTES = 200_000  # larger objects go alone
MAX_TOGETHER_BYTES = 1_400_000  # object and last applied form in one request; etcd takes 1.5 MiB

Action = Literal["created", "configured", "unchanged"]


@dataclass(frozen=True, slots=True)
class ApplyResult:
    """What became of one document. `replaces`: changed fields for which the task is stopped and started anew."""

    ref: ObjectRef
    action: Action
    replaces: tuple[str, ...] = ()
    generation: int = 0


@dataclass(frozen=True, slots=True)
class Planned:
    """One document, what is stored under its name, and what would be. `live` None: there is nothing."""

    document: Document
    live: ObjectView | None
    last_applied: Json | None
    merged: Json

    @property
    def is_waiting_for_deletion(self) -> bool:
        return self.live is not None and self.live.is_terminating

    @property
    def replaced(self) -> Json | None:
        """The stored object that `merged` goes on from; None when the object is made anew."""
        return None if self.live is None or self.is_waiting_for_deletion else self.live.raw

    @property
    def action(self) -> Action:
        if self.replaced is None:
            return "created"
        return "unchanged" if self.merged == self.replaced else "configured"

    def parsed(self) -> WrittenObject:
        """Return the model of what would be stored. Raises pydantic.ValidationError."""
        document = self.document
        return (
            document.parsed if self.merged == document.raw else document.kind.model.parse_stored(self.merged)
        )

    @property
    def replaces(self) -> tuple[str, ...]:
        return () if self.replaced is None else replacing_fields(self.replaced, self.merged)


def replacing_fields(old: Json, new: Json) -> tuple[str, ...]:
    """Return the changed fields for which a task is replaced; empty for live changes and other kinds."""
    if new.get("kind") != "Task":
        return ()
    old_spec, new_spec = old.get("spec") or {}, new.get("spec") or {}
    if template_hash(old_spec) == template_hash(new_spec):
        return ()
    frozen = [{k: v for k, v in spec.items() if k not in LIVE_FIELDS} for spec in (old_spec, new_spec)]
    return tuple(changed_paths(frozen[0], frozen[1], "spec"))


class Applier:
    """Plans and writes documents for one manager (who applies: `berth`, a GitOps tool).

    `wait_gone` waits until a Terminating object is gone; `say` takes notices for people.
    """

    def __init__(
        self,
        store: Store,
        keys: Keys,
        manager: str,
        *,
        wait_gone: Callable[[ObjectView], None],
        say: Callable[[str], None] = lambda text: None,
    ) -> None:
        self._store = store
        self._keys = keys
        self._manager = manager
        self._wait_gone = wait_gone
        self._say = say

    def plan(self, documents: Iterable[Document]) -> tuple[Planned, ...]:
        """Return what each document would do, in the order of writing. Raises InvalidManifest, Refused."""
        planned = self.compare(documents)
        policy = at_one_revision(self._store, lambda reading: read_policy(reading, self._keys))
        check(planned, policy)
        return planned

    def compare(self, documents: Iterable[Document]) -> tuple[Planned, ...]:
        """Return what `plan` does, without asking whether it may be written. Raises Refused."""
        ordered = sorted(documents, key=lambda document: KINDS.index(document.kind))
        found = self._read(ordered)
        return tuple(self._plan_one(document, found) for document in ordered)

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
            result = self._try_write(planned)
            if result is not None:
                return result
            (planned,) = self.plan((planned.document,))
        ref = planned.document.ref
        raise Contended(f"{ref} was changed by others {WRITE_TRIES} times during the apply; apply again")

    def write_all(self, planned: Iterable[Planned]) -> Iterator[ApplyResult]:
        """Write documents in order, many in a transaction where they allow it, each succeeding or failing alone.

        When one fails, those that were written are told of before the error is raised.
        """
        for together, group in groupby(planned, lambda each: self._may_go_together(each)):
            while some := tuple(islice(group, WRITTEN_TOGETHER)):
                yield from self._write_together(some) if together and len(some) > 1 else map(self.write, some)

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

    def _prepare(self, planned: Planned) -> tuple[objects.Prepared, tuple[Put, ...]] | None:
        """Return the write of one document, None if it is too large to share a transaction."""
        key = self._keys.spec(planned.document.ref)
        try:
            live = planned.live.spec_kv if planned.live else None
            ready = objects.prepare(key, planned.merged, live, compares=self._unowned(planned))
        except RequestTooLarge:
            return None
        extra = (self._record(planned),) if keeps_applied(planned.document) else ()
        size_bytes = len(ready.value) + sum(len(put.value) for put in extra)
        return (ready, extra) if size_bytes <= MAX_SHARED_BYTES else None

    def _keys_for(self, document: Document) -> tuple[str, ...]:
        return (*keys_of(document.ref, self._keys), self._keys.applied(document.ref, self._manager))

    def _plan_one(self, document: Document, found: Mapping[str, KeyValue]) -> Planned:
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
        last = _last_applied(found.get(self._keys.applied(ref, self._manager)))
        return Planned(document, live, last, three_way(last, live.raw, document.raw))

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
        record = self._record(planned)
        fits = len(codec.encode(planned.merged)) + len(record.value) <= MAX_TOGETHER_BYTES
        extra = (record,) if fits and keeps_applied(planned.document) else ()
        written = objects.write(
            self._store,
            key,
            planned.merged,
            expect_mod_revision=expected or None,
            extra=extra,
            compares=self._unowned(planned),
        )
        if isinstance(written, objects.Conflict):
            return None
        if not fits and keeps_applied(planned.document):
            # then the record follows; if that is lost, the next apply removes too little, never too much
            self._store.txn(Txn((unchanged(key, written.mod_revision),), (record,)))
        return self._result(planned)

    def _unowned(self, planned: Planned) -> tuple[Compare, ...]:
        """What is made must not be there as an owner's, which may have come a moment ago."""
        return () if planned.live else tuple(map(absent, self._owned_key(planned.document.ref)))

    @staticmethod
    def _result(planned: Planned) -> ApplyResult:
        generation = planned.live.generation + 1 if planned.replaced is not None and planned.live else 1
        return ApplyResult(planned.document.ref, planned.action, planned.replaces, generation)

    def _remember_only(self, planned: Planned) -> ApplyResult | None:
        """The object stays as it is; only the last applied form may have to follow."""
        assert planned.live is not None
        result = ApplyResult(planned.document.ref, "unchanged", (), planned.live.generation)
        if planned.last_applied == planned.document.raw or not keeps_applied(planned.document):
            return result
        compare = unchanged(self._keys.spec(planned.document.ref), planned.live.mod_revision)
        return result if self._store.txn(Txn((compare,), (self._record(planned),))).succeeded else None

    def _record(self, planned: Planned) -> Put:
        document = planned.document
        return Put(self._keys.applied(document.ref, self._manager), codec.encode(document.raw))


def keeps_applied(document: Document) -> bool:
    """Say whether the last applied form is kept: never that of a Secret, of which nothing is kept but its box."""
    return document.kind.name != "Secret"


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


def _last_applied(kv: KeyValue | None) -> Json | None:
    """An unreadable record counts as none: then nothing is removed."""
    raw = None if kv is None else codec.decode(kv)
    return None if isinstance(raw, codec.Unreadable) else raw


def _in_namespace(view: ObjectView) -> str:
    return f" -n {view.namespace}" if view.namespace else ""


def refuse_nothing(documents: Iterable[Document]) -> tuple[Document, ...]:
    """Return the documents as a tuple. Raises Refused when there are none."""
    found = tuple(documents)
    if not found:
        raise Refused("no objects passed to apply: the files hold no documents")
    return found
