"""Rollouts of deployments and daemonsets: their history, going back, starting anew, pausing, waiting.

People write spec, the leader never does: going back writes an old template into the spec again.
"""

from collections.abc import Callable
from dataclasses import dataclass

from client.change import Changed, change_object
from client.errors import BadOption, NotFound, Refused, TimedOut
from client.naming import not_found
from client.owners import tasks_of_owner
from client.ownership import template_path
from client.reading import read_object
from client.rollout_state import RolloutState, check_rolls_out, rollout_state
from client.views import ObjectView
from client.waiting import Waiter
from schemas.canonical import canonical_hash
from schemas.keys import Keys, ObjectRef
from schemas.kinds import BY_PLURAL
from schemas.owned import Revision
from schemas.timestamps import format_time
from store import codec
from store.api import Store
from store.codec import Json

RESTARTED_AT = "berth/restartedAt"
CHANGE_CAUSE = "berth/change-cause"
TEMPLATE = ("spec", "template")


def read_revisions(store: Store, keys: Keys, view: ObjectView) -> tuple[Revision, ...]:
    """Return the kept templates of an owner, oldest first; those that can't be read are left out."""
    found: list[Revision] = []
    for kv in store.list(keys.revisions_range(view.ref.namespace, view.uid)).kvs:
        raw = codec.decode(kv)
        try:
            found += [] if isinstance(raw, codec.Unreadable) else [Revision.parse_stored(raw)]
        except ValueError:
            continue
    return tuple(sorted(found, key=lambda each: each.number))


@dataclass(frozen=True, slots=True)
class Rollout:
    """The rollouts of one cluster. `now`: seconds since the epoch."""

    store: Store
    keys: Keys
    waiter: Waiter
    now: Callable[[], float]

    def history(self, ref: ObjectRef) -> tuple[Revision, ...]:
        """Return the kept templates, oldest first; of equal ones the newest. Raises NotFound, BadOption."""
        kept = read_revisions(self.store, self.keys, self._view(ref))
        newest = {each.hash: each.number for each in kept}
        return tuple(each for each in kept if newest[each.hash] == each.number)

    def undo(self, ref: ObjectRef, to_revision: int = 0) -> Changed:
        """Write an older template into the spec again; 0: the one before. Raises NotFound, Refused."""
        view = self._view(ref)
        _refuse_paused(view, "undone")
        wanted = _older(view, read_revisions(self.store, self.keys, view), to_revision)

        def change(raw: Json) -> Json:
            cause = wanted.cause or codec.REMOVED
            return codec.patch(
                raw, {TEMPLATE: wanted.template, ("metadata", "annotations", CHANGE_CAUSE): cause}
            )

        return self._change(ref, change)

    def restart(self, ref: ObjectRef) -> Changed:
        """Replace all tasks, as far at a time as the strategy allows. Raises NotFound, Refused, BadOption."""
        _refuse_paused(self._view(ref), "restarted")
        moment = format_time(self.now())
        path = (*TEMPLATE, "metadata", "annotations", RESTARTED_AT)
        return self._change(ref, lambda raw: codec.patch(raw, {path: moment}))

    def pause(self, ref: ObjectRef) -> Changed:
        """Keep a deployment as it is, whatever its template says. Raises NotFound, Refused, BadOption."""
        return self._set_paused(ref, True)

    def resume(self, ref: ObjectRef) -> Changed:
        return self._set_paused(ref, False)

    def state(self, ref: ObjectRef) -> RolloutState:
        """Return how far a rollout has come now. Raises NotFound, BadOption."""
        return rollout_state(self._view(ref))

    def follow(
        self,
        ref: ObjectRef,
        tell: Callable[[str], None],
        *,
        timeout_s: float = float("inf"),
        revision: int = 0,
        judge: Callable[[ObjectView], RolloutState] = rollout_state,
    ) -> RolloutState:
        """Wait for the end of a rollout, telling each step; return how it ended.

        revision: give up when the newest is another one. Raises NotFound, BadOption, TimedOut with what was last seen.
        """
        last = ""

        def check() -> RolloutState | None:
            nonlocal last
            view = self._read(ref)
            if revision:
                _check_revision(view, read_revisions(self.store, self.keys, view), revision)
            state = judge(view)
            if state.verdict == "waiting" and state.text != last:
                tell(state.text)
            last = state.text
            return None if state.verdict == "waiting" else state

        watched = (self.keys.status(ref), self.keys.spec(ref))
        try:
            return self.waiter.until(watched, check, timeout_s=timeout_s, what=f"for {ref}")
        except TimedOut as error:
            trouble = self._trouble(ref)
            raise TimedOut(f"{error}; last seen: {last}{trouble} See: berth describe {ref}") from None

    def _trouble(self, ref: ObjectRef) -> str:
        """Say what the first task that does not run says for itself, empty if none says anything."""
        for view in tasks_of_owner(self.store, self.keys, self._read(ref)):
            status = view.task_status
            if status is not None and status.reason not in ("", "Completed"):
                return f" {view.ref}: {status.reason}: {status.message}.".replace("..", ".")
        return ""

    def _read(self, ref: ObjectRef) -> ObjectView:
        kind = BY_PLURAL[ref.plural]
        view = read_object(self.store, kind, ref, self.keys)
        if view is None:
            raise not_found(kind, ref.name, ref.namespace)
        return view

    def _view(self, ref: ObjectRef) -> ObjectView:
        view = self._read(ref)
        check_rolls_out(view)
        return view

    def _change(self, ref: ObjectRef, change: Callable[[Json], Json]) -> Changed:
        return change_object(self.store, self.keys, ref, change)

    def _set_paused(self, ref: ObjectRef, wanted: bool) -> Changed:
        view = self._view(ref)
        if view.kind.name != "Deployment":
            raise BadOption(f"{ref} can't be paused or resumed; only deployments can")

        def change(raw: Json) -> Json:
            if bool(raw["spec"].get("paused", False)) is wanted:
                raise Refused(f"{ref} is already paused" if wanted else f"{ref} is not paused")
            return codec.patch(raw, {("spec", "paused"): True if wanted else codec.REMOVED})

        return self._change(ref, change)


def template_hash_of(view: ObjectView) -> str:
    """Return the hash of the template that the spec has now, as kept templates tell theirs."""
    path = template_path(view.kind.name) or ()
    found: Json = view.raw
    for part in path:
        found = found[part]
    return canonical_hash(found)


def _older(view: ObjectView, kept: tuple[Revision, ...], wanted: int) -> Revision:
    """Return the revision to go back to. Raises NotFound, Refused."""
    see = f"see: berth rollout history {view.ref}"
    current = template_hash_of(view)
    if wanted:
        found = next((each for each in kept if each.number == wanted), None)
        if found is None:
            raise NotFound(f"{view.ref} has no revision {wanted}; {see}")
        return found
    older = [each for each in kept if each.hash != current]
    if not older:
        raise Refused(f"{view.ref} has no other revision to go back to; {see}")
    return older[-1]


def _refuse_paused(view: ObjectView, what: str) -> None:
    if (view.raw.get("spec") or {}).get("paused", False):
        raise Refused(f"{view.ref} is paused and can't be {what}; first run: berth rollout resume {view.ref}")


def _check_revision(view: ObjectView, kept: tuple[Revision, ...], wanted: int) -> None:
    newest = kept[-1].number if kept else 0
    if newest and newest != wanted:
        raise Refused(
            f"{view.ref} is at revision {newest} and not {wanted}; see: berth rollout history {view.ref}"
        )
