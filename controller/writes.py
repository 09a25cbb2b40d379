"""From plans and decisions to transactions: the only place that turns what the leader wants into puts and deletes.

Raw JSON stays: an existing value is patched with what this version knows, so that fields of newer versions survive.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache

from controller.reconcilers.plan import (
    AdoptBinding,
    CreateBinding,
    GiveUpBinding,
    Intent,
    Plan,
    PutCluster,
    PutNodeStatus,
    PutSealed,
    PutTaskStatus,
    RemoveBinding,
    RemoveNodeReports,
    RemoveObject,
    RemoveRequest,
    ReplaceBinding,
    SealBinding,
    StopBinding,
    UpdateBinding,
)
from schemas.binding import Binding, Desired, StopReason
from schemas.keys import Keys, ObjectRef
from schemas.meta import Model
from schemas.quantity import format_duration
from schemas.status import TaskStatus
from schemas.versioned import Versioned
from store.api import Compare, Delete, Op, Put, absent, unchanged
from store.batch import Write
from store.codec import encode, patch


@dataclass(frozen=True, slots=True)
class Bind:
    """A decision to be written: `status` and `binding` are new; `status_before` is what was read."""

    ref: ObjectRef
    spec_revision: int
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


def write_of(plan: Plan, keys: Keys, statuses: Versioned[Model] | None) -> Write | None:
    """Return one transaction for all intents of a plan, None if there is nothing to do.

    `statuses` is the stored status that the plan was made from.
    """
    if not plan.intents:
        return None
    compares: list[Compare] = [
        unchanged(keys.spec(plan.ref), plan.reads.spec),
        unchanged(keys.status(plan.ref), plan.reads.status),
    ]
    ops: list[Op] = []
    for intent in plan.intents:
        compares.extend(_compares(intent, plan.ref, keys))
        ops.extend(_ops(intent, plan.ref, keys, statuses))
    return Write(plan.ref, tuple(compares), tuple(ops))


def _compares(intent: Intent, ref: ObjectRef, keys: Keys) -> Iterator[Compare]:
    match intent:
        case (
            StopBinding(versioned)
            | UpdateBinding(versioned)
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
        case RemoveNodeReports(node):
            yield absent(keys.heartbeat(node))
        case _:
            return


def _ops(intent: Intent, ref: ObjectRef, keys: Keys, before: Versioned[Model] | None) -> Iterator[Op]:
    match intent:
        case StopBinding():
            yield Put(_binding_key(intent.binding.value, keys), encode(_stopped(intent)))
        case UpdateBinding(versioned, labels, generation, spec):
            live: dict[tuple[str, ...], object] = {
                ("labels",): dict(labels),
                ("generation",): generation,
                ("spec",): spec.to_json(),
            }
            yield Put(_binding_key(versioned.value, keys), encode(patch(versioned.raw, live)))
        case PutSealed(versioned, copies):
            sealed = {name: copy.to_json() for name, copy in copies}
            yield Put(
                _binding_key(versioned.value, keys), encode(patch(versioned.raw, {("sealed",): sealed}))
            )
        case SealBinding():
            raise AssertionError("a wish for copies was not filled")  # by controller.sealing, before this
        case AdoptBinding(versioned, incarnation):
            adopted = encode(patch(versioned.raw, {("incarnation",): incarnation}))
            yield Put(_binding_key(versioned.value, keys), adopted)
        case CreateBinding(binding) | ReplaceBinding(_, binding):
            yield Put(_binding_key(binding, keys), binding.to_bytes())
        case RemoveBinding(versioned) | GiveUpBinding(versioned):
            yield Delete(_binding_key(versioned.value, keys))
        case PutTaskStatus(status) | PutNodeStatus(status):
            yield Put(keys.status(ref), merged(before, status))
        case PutCluster(cluster):
            yield Put(keys.cluster, encode(cluster.to_json()))
        case RemoveObject():
            yield from _removal(ref, keys)
        case RemoveRequest(verb):
            yield Delete(keys.request(ref, verb))
        case RemoveNodeReports(node):
            yield Delete(keys.reports_range(node), is_prefix=True)


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
        unchanged(keys.spec(bind.ref), bind.spec_revision),
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
