"""From plans and decisions to transactions: the only place that turns what the leader wants into puts and deletes.

Raw JSON stays: an existing value is patched with what this version knows, so that fields of newer versions survive.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cache
from typing import Any

from controller.reconcilers.plan import (
    AdoptBinding,
    CreateBinding,
    CreateOwned,
    GiveUpBinding,
    Intent,
    OrphanOwned,
    Plan,
    PutCause,
    PutCluster,
    PutEndpoints,
    PutGangCommit,
    PutNodeStatus,
    PutOwnerStatus,
    PutRevision,
    PutSealed,
    PutTaskStatus,
    Reads,
    RemoveBinding,
    RemoveEndpoints,
    RemoveGangCommit,
    RemoveNodeReports,
    RemoveObject,
    RemoveOwned,
    RemoveRequest,
    RemoveRevision,
    ReplaceBinding,
    RunBinding,
    SealBinding,
    StopBinding,
    UpdateBinding,
)
from schemas.binding import Binding, Desired, StopReason
from schemas.keys import Keys, ObjectRef
from schemas.meta import Model
from schemas.owned import Owned, OwnedMeta, Revision, orphaned
from schemas.quantity import format_duration
from schemas.status import TaskStatus
from schemas.timestamps import format_time
from schemas.versioned import Versioned
from store.api import Compare, Delete, Op, Put, absent, unchanged
from store.batch import Write
from store.codec import encode, patch

OWNABLE = frozenset({"tasks", "jobs"})  # kinds that owners make


@dataclass(frozen=True, slots=True)
class Stamps:
    """What the shell knows and a plan does not. composed: the JSON of something owned. now: seconds since 1970."""

    uid: Callable[[], str]
    composed: Callable[[ObjectRef], dict[str, Any]]
    now: float


@dataclass(frozen=True, slots=True)
class Bind:
    """A decision to be written: `status` and `binding` are new; `reads`, `status_before` are what was read."""

    ref: ObjectRef
    reads: Reads
    status_before: Versioned[TaskStatus] | None
    status: TaskStatus
    binding: Binding
    replaces: Versioned[Binding] | None


def merged(before: Versioned[Model] | None, model: Model) -> bytes:
    """Return `model` as JSON over the stored object: known fields replaced, unknown ones kept."""
    known = _names_of(type(model))
    kept = {key: value for key, value in before.raw.items() if key not in known} if before else {}
    return encode({**kept, **model.to_json()}) if kept else model.to_bytes()


@cache
def _names_of(model: type[Model]) -> frozenset[str]:
    return frozenset(field.alias or name for name, field in model.model_fields.items())


def write_of(
    plan: Plan, keys: Keys, statuses: Versioned[Model] | None, stamps: Stamps | None = None
) -> Write | None:
    """Return one transaction for all intents of a plan, None if there is nothing to do.

    `statuses` is the stored status that the plan was made from; `stamps` are needed for what owners make.
    """
    if not plan.intents:
        return None
    compares: list[Compare] = [
        *_unchanged_object(plan.ref, plan.reads, keys),
        unchanged(keys.status(plan.ref), plan.reads.status),
    ]
    ops: list[Op] = []
    for intent in plan.intents:
        compares.extend(_compares(intent, plan.ref, keys))
        ops.extend(_ops(intent, plan.ref, keys, statuses, stamps))
    return Write(plan.ref, tuple(compares), tuple(ops), touched(plan))


def _unchanged_object(ref: ObjectRef, reads: Reads, keys: Keys) -> Iterator[Compare]:
    """What a person wrote goes before what an owner wrote; where neither is, neither may have come."""
    yield unchanged(keys.spec(ref), reads.spec)
    if ref.plural in OWNABLE and not reads.spec:
        yield unchanged(keys.owned(ref), reads.owned)


def touched(plan: Plan) -> tuple[ObjectRef, ...]:
    """Return what else than its own object a plan writes about: nothing of that may be under way meanwhile."""
    return tuple(dict.fromkeys(_others(plan)))


def _others(plan: Plan) -> Iterator[ObjectRef]:
    yield from plan.beside
    for intent in plan.intents:
        match intent:
            case CreateOwned(ref) | RemoveOwned(ref) | OrphanOwned(ref):
                yield ref
            case PutEndpoints(ref, before, endpoints):
                yield ObjectRef("endpoints", ref.namespace, ref.name)
                listed = {each.task for each in before.value.addresses} if before is not None else set()
                for each in endpoints.addresses:
                    if each.task not in listed:  # it may be about to be told to stop
                        yield ObjectRef("tasks", ref.namespace, each.task)
            case RemoveEndpoints(ref):
                yield ObjectRef("endpoints", ref.namespace, ref.name)


def _compares(intent: Intent, ref: ObjectRef, keys: Keys) -> Iterator[Compare]:
    match intent:
        case PutTaskStatus():  # by far the most
            return
        case (
            StopBinding(versioned)
            | UpdateBinding(versioned)
            | RunBinding(versioned)
            | PutSealed(versioned)
            | RemoveBinding(versioned)
            | AdoptBinding(versioned)
            | ReplaceBinding(versioned)
        ):
            yield unchanged(_binding_key(versioned.value, keys), versioned.mod_revision)
        case GiveUpBinding(versioned):
            yield unchanged(_binding_key(versioned.value, keys), versioned.mod_revision)
            yield absent(keys.heartbeat(versioned.value.node))
        case RemoveRequest(verb, revision):
            yield unchanged(keys.request(ref, verb), revision)
        case CreateBinding(binding):
            yield absent(_binding_key(binding, keys))
        case CreateOwned(new):
            yield from (absent(key) for key in (keys.spec(new), keys.owned(new), keys.status(new)))
        case RemoveOwned(other, owned, stop):
            yield unchanged(keys.owned(other), owned.mod_revision)
            if stop is not None:
                yield from _compares(stop, other, keys)
        case OrphanOwned(other, owned):
            yield unchanged(keys.owned(other), owned.mod_revision)
            yield absent(keys.spec(other))
        case PutRevision(owner, number):
            yield absent(keys.revision(ref.namespace, owner.uid, number))
        case PutCause(kept):
            yield unchanged(_revision_key(kept.value, ref, keys), kept.mod_revision)
        case PutEndpoints(deployment, before):
            yield unchanged(_endpoints_key(deployment, keys), before.mod_revision if before else 0)
        case RemoveEndpoints(deployment, before):
            yield unchanged(_endpoints_key(deployment, keys), before.mod_revision)
        case PutGangCommit(commit):
            yield absent(keys.gang(commit.uid))
        case RemoveGangCommit(kept_commit):
            yield unchanged(keys.gang(kept_commit.value.uid), kept_commit.mod_revision)
        case RemoveNodeReports(node):
            yield absent(keys.heartbeat(node))
        case _:
            return


def _ops(
    intent: Intent,
    ref: ObjectRef,
    keys: Keys,
    before: Versioned[Model] | None,
    stamps: Stamps | None = None,
) -> Iterator[Op]:
    match intent:
        case PutTaskStatus(status) | PutNodeStatus(status) | PutOwnerStatus(status):
            yield Put(keys.status(ref), merged(before, status))
        case CreateOwned() | RemoveOwned() | OrphanOwned() | PutRevision() | RemoveRevision():
            yield from _owning_ops(intent, ref, keys, stamps)
        case PutCause(kept, cause):
            yield Put(_revision_key(kept.value, ref, keys), encode(patch(kept.raw, {("cause",): cause})))
        case PutEndpoints(deployment, _, endpoints):
            yield Put(_endpoints_key(deployment, keys), endpoints.to_bytes())
        case RemoveEndpoints(deployment):
            yield Delete(_endpoints_key(deployment, keys))
        case StopBinding():
            yield Put(_binding_key(intent.binding.value, keys), encode(_stopped(intent)))
        case RunBinding(versioned):
            started = encode(patch(versioned.raw, {("desired",): Desired.RUN.value}))
            yield Put(_binding_key(versioned.value, keys), started)
        case PutGangCommit(commit):
            yield Put(keys.gang(commit.uid), encode(commit.to_json()))
        case RemoveGangCommit(kept_commit):
            yield Delete(keys.gang(kept_commit.value.uid))
        case UpdateBinding(versioned, labels, generation, spec):
            live: dict[tuple[str, ...], object] = {
                ("labels",): dict(labels),
                ("generation",): generation,
                ("spec",): spec.to_json(),
            }
            yield Put(_binding_key(versioned.value, keys), encode(patch(versioned.raw, live)))
        case PutSealed(versioned, copies, config):
            held: dict[tuple[str, ...], object] = {
                ("sealed",): {name: copy.to_json() for name, copy in copies},
                ("config",): {name: copy.to_json() for name, copy in config},
            }
            yield Put(_binding_key(versioned.value, keys), encode(patch(versioned.raw, held)))
        case SealBinding():
            raise AssertionError("a wish for copies was not filled")  # by controller.sealing, before this
        case AdoptBinding(versioned, incarnation):
            adopted = encode(patch(versioned.raw, {("incarnation",): incarnation}))
            yield Put(_binding_key(versioned.value, keys), adopted)
        case CreateBinding(binding) | ReplaceBinding(_, binding):
            yield Put(_binding_key(binding, keys), binding.to_bytes())
        case RemoveBinding(versioned) | GiveUpBinding(versioned):
            yield Delete(_binding_key(versioned.value, keys))
        case PutCluster(cluster):
            yield Put(keys.cluster, encode(cluster.to_json()))
        case RemoveObject():
            yield from _removal(ref, keys)
        case RemoveRequest(verb):
            yield Delete(keys.request(ref, verb))
        case RemoveNodeReports(node):
            yield Delete(keys.reports_range(node), is_prefix=True)


def _owning_ops(
    intent: CreateOwned | RemoveOwned | OrphanOwned | PutRevision | RemoveRevision,
    ref: ObjectRef,
    keys: Keys,
    stamps: Stamps | None,
) -> Iterator[Op]:
    match intent:
        case RemoveOwned(other, _, stop):
            yield Delete(keys.owned(other))
            if stop is not None:
                yield from _ops(stop, other, keys, None)
        case RemoveRevision(owner_uid, number):
            yield Delete(keys.revision(ref.namespace, owner_uid, number))
        case CreateOwned(other):
            assert stamps is not None
            yield Put(keys.owned(other), _new_owned(intent, stamps).to_bytes())
        case OrphanOwned(other):
            assert stamps is not None
            yield Put(keys.spec(other), encode(orphaned(stamps.composed(other))))
            yield Delete(keys.owned(other))
        case PutRevision(owner, number):
            assert stamps is not None
            revision = Revision(
                owner=owner,
                number=number,
                hash=intent.hash,
                template=dict(intent.template),
                created_at=format_time(stamps.now),
                cause=intent.cause,
            )
            yield Put(keys.revision(ref.namespace, owner.uid, number), encode(revision.to_json()))


def _new_owned(intent: CreateOwned, stamps: Stamps) -> Owned:
    metadata = OwnedMeta(
        name=intent.ref.name,
        namespace=intent.ref.namespace,
        uid=stamps.uid(),
        creation_timestamp=format_time(stamps.now),
        labels=dict(intent.labels),
        annotations=dict(intent.annotations),
    )
    return Owned(
        kind="Job" if intent.ref.plural == "jobs" else "Task",
        metadata=metadata,
        owner=intent.owner,
        revision=intent.revision,
        index=intent.index,
        node_name=intent.node_name,
        scheduled_at=intent.scheduled_at,
    )


def _revision_key(kept: Revision, ref: ObjectRef, keys: Keys) -> str:
    return keys.revision(ref.namespace, kept.owner.uid, kept.number)


def _endpoints_key(deployment: ObjectRef, keys: Keys) -> str:
    return keys.endpoints(deployment.namespace, deployment.name)


def _removal(ref: ObjectRef, keys: Keys) -> Iterator[Op]:
    yield Delete(keys.spec(ref))
    yield Delete(keys.owned(ref))
    yield Delete(keys.status(ref))
    yield Delete(keys.applied_range(ref), is_prefix=True)
    yield Delete(keys.requests_range(ref), is_prefix=True)
    if ref.plural == "namespaces":
        yield Delete(keys.access(ref.name))


def _stopped(intent: StopBinding) -> dict[str, object]:
    values: dict[tuple[str, ...], object] = {
        ("desired",): Desired.STOP.value,
        ("reason",): intent.reason.value,
        ("message",): intent.message,
    }
    if intent.binding.value.sealed:
        values[("sealed",)] = {}  # what is to stop pulls nothing
    if intent.binding.value.config:
        values[("config",)] = {}
    if intent.binding.value.discovery:
        values[("discovery",)] = {}
    if intent.grace_s is not None:
        values[("spec", "grace")] = format_duration(intent.grace_s)
    return patch(intent.binding.raw, values)


def _binding_key(binding: Binding, keys: Keys) -> str:
    return keys.binding(binding.node, binding.task_uid)


def bind_write(bind: Bind, keys: Keys) -> Write:
    """Return the transaction that binds: etcd itself admits one current binding per task.

    On an unreachable node the old binding becomes Stop in the same transaction, and waits for its agent. If the
    node came back unseen, nothing moves: its heartbeat is compared, so that its agent finds Stop or is left alone.
    """
    binding_key = _binding_key(bind.binding, keys)
    compares = [
        *_unchanged_object(bind.ref, bind.reads, keys),
        unchanged(keys.status(bind.ref), bind.status_before.mod_revision if bind.status_before else 0),
        absent(keys.request(bind.ref, "delete")),
        absent(binding_key),
    ]
    ops: list[Op] = [
        Put(keys.status(bind.ref), merged(bind.status_before, bind.status)),
        Put(binding_key, bind.binding.to_bytes()),
    ]
    if bind.replaces is not None:
        stop = StopBinding(bind.replaces, StopReason.UNREACHABLE, f"bound to {bind.binding.node} instead")
        compares.extend(_compares(stop, bind.ref, keys))
        compares.append(absent(keys.heartbeat(bind.replaces.value.node)))
        ops.extend(_ops(stop, bind.ref, keys, None))
    return Write(bind.ref, tuple(compares), tuple(ops))
