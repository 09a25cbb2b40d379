"""Changes of one stored object that are no apply: label, annotate, patch, edit.

The last applied form is left alone: what is set here and is in no manifest stays over later applies, and what a
manifest says wins again with its next apply (see `client.merge`). A change is checked like an apply before it is
written; what was wrong before the change is not held against it.
"""

from collections.abc import Callable
from dataclasses import dataclass

from client.errors import Contended, ObjectUnreadable, Refused
from client.naming import not_found
from client.ownership import below, immutable_problems, owned_refusal, template_tasks
from client.planned import replacing_fields
from client.policy import LivePolicy, read_policy
from client.reading import at_one_revision, read_object
from client.views import ObjectView
from schemas.errors import InvalidManifest, Problem
from schemas.keys import Keys, ObjectRef
from schemas.kinds import BY_PLURAL, Kind
from schemas.manifest import Document, check_object
from schemas.secret import has_clear_values
from store import codec, objects
from store.api import Store
from store.codec import Json

WRITE_TRIES = 4  # as an apply


@dataclass(frozen=True, slots=True)
class Changed:
    """`replaces`: changed fields for which a task is stopped and started anew."""

    ref: ObjectRef
    before: Json
    after: Json
    replaces: tuple[str, ...] = ()

    @property
    def is_change(self) -> bool:
        return self.before != self.after


def change_object(
    store: Store, keys: Keys, ref: ObjectRef, change: Callable[[Json], Json], *, dry_run: bool = False
) -> Changed:
    """Write what `change` makes of the stored object; it is called again when somebody else was faster.

    Raises NotFound, Refused, InvalidManifest, Contended, and whatever `change` raises.
    """
    for _ in range(WRITE_TRIES):
        view = _readable(store, keys, ref)
        after = change(view.raw)
        if after == view.raw:
            return Changed(ref, view.raw, after)
        policy = at_one_revision(store, lambda reading: read_policy(reading, keys))
        check_change(view, after, policy)
        changed = Changed(ref, view.raw, after, replacing_fields(view.raw, after))
        if dry_run:
            return changed
        expected = view.mod_revision or None
        written = objects.write(store, keys.spec(ref), after, expect_mod_revision=expected)
        if isinstance(written, objects.Written):
            return changed
    raise Contended(f"{ref} was changed by others {WRITE_TRIES} times; try again")


def _readable(store: Store, keys: Keys, ref: ObjectRef) -> ObjectView:
    kind = BY_PLURAL[ref.plural]
    view = read_object(store, kind, ref, keys)
    if view is None:
        raise not_found(kind, ref.name, ref.namespace)
    if view.owner is not None:
        raise owned_refusal(view)
    if not view.raw:
        raise ObjectUnreadable(
            f'{kind.singular} "{ref.name}" can\'t be read ({view.error}), so nothing in it can be changed; '
            f"remove it with: berth delete {ref} --force"
        )
    return view


def check_change(view: ObjectView, after: Json, policy: LivePolicy) -> None:
    """Check what would be stored. Raises Refused for another identity, InvalidManifest for what is newly wrong."""
    for path in (
        ("apiVersion",),
        ("kind",),
        ("metadata", "name"),
        ("metadata", "namespace"),
        ("metadata", "uid"),
    ):
        if _at(view.raw, path) != _at(after, path):
            raise Refused(
                f"{'.'.join(path)} of {view.ref} can't be changed; make another object with: berth apply -f FILE"
            )
    try:
        codec.encode(after)
    except (TypeError, ValueError) as error:  # YAML has values that JSON has not
        raise InvalidManifest(
            (Problem(str(view.ref), "", "", f"can't be stored as JSON: {error}"),)
        ) from None
    if has_clear_values(after):
        raise Refused(
            f"values of {view.ref} are sealed before they are stored; write them with: berth apply -f FILE"
        )
    frozen = immutable_problems(view.ref, view.raw, after)
    if frozen:
        raise InvalidManifest(frozen)
    old = {(problem.field, problem.message) for problem in _problems(view.kind, view.ref, view.raw, policy)}
    new = _problems(view.kind, view.ref, after, policy)
    wrong = tuple(problem for problem in new if (problem.field, problem.message) not in old)
    if wrong:
        raise InvalidManifest(wrong)


def _at(raw: Json, path: tuple[str, ...]) -> object:
    value: object = raw
    for part in path:
        value = value.get(part) if isinstance(value, dict) else None
    return value or None


def _problems(kind: Kind, ref: ObjectRef, raw: Json, policy: LivePolicy) -> tuple[Problem, ...]:
    found = check_object(raw, str(ref), ref.namespace if kind.namespaced else "default")
    if not isinstance(found, Document):
        return found
    return tuple(
        Problem(str(ref), "", "", below(reason, path))
        for task, path in template_tasks(found.parsed, ref.namespace)
        for reason in policy.reasons_against(task)
    )


def with_entries(field: str, values: dict[str, str | None], *, overwrite: bool) -> Callable[[Json], Json]:
    """Return the change that sets (or with None removes) entries of metadata.labels or .annotations.

    The change raises Refused for a key that has another value already, unless `overwrite`.
    """

    def change(raw: Json) -> Json:
        current = dict((raw.get("metadata") or {}).get(field) or {})
        for key, value in values.items():
            if value is None:
                current.pop(key, None)
            elif not overwrite and current.get(key, value) != value:
                raise Refused(
                    f"{key!r} has the value {current[key]!r} already; say --overwrite to replace it"
                )
            else:
                current[key] = value
        if current == ((raw.get("metadata") or {}).get(field) or {}):
            return raw
        return codec.patch(raw, {("metadata", field): current or codec.REMOVED})

    return change
