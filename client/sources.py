"""What people want of a GitSource: look now, stop, go on, go back. The leader syncs; here wishes are written.

`rollback` pins the source to a commit (spec.commit) and leaves the branch named, so that `resume` knows where to go
on: what is in the cluster is always what a field of the source says.
"""

from collections.abc import Callable
from dataclasses import dataclass

from client.change import Changed, change_object
from client.errors import Contended, NotFound, Refused
from client.naming import not_found
from client.reading import read_object
from client.views import ObjectView, status_of
from client.waiting import Waiter
from schemas.gitsource import GitSource, GitSourceSpec
from schemas.gitsource_status import GitSourceStatus, SyncedCommit
from schemas.keys import Keys, ObjectRef, cluster_ref
from schemas.kinds import BY_NAME
from schemas.request import SyncRequest
from schemas.timestamps import format_time
from store import codec
from store.api import Put, Store, Txn, created_at

KIND = BY_NAME["GitSource"]
VERB = "sync"
SHORT = 12  # digits of a commit as they are shown; git's own habit for large repositories
MIN_SHORT = 4  # digits that somebody has to type


@dataclass(frozen=True, slots=True)
class Sources:
    """Wishes about sources of one cluster; `now` is seconds since the epoch, shown and never compared."""

    store: Store
    keys: Keys
    waiter: Waiter
    now: Callable[[], float]

    def find(self, name: str) -> ObjectView:
        """Return a source. Raises NotFound, ObjectUnreadable."""
        view = read_object(self.store, KIND, source_ref(name), self.keys)
        if view is None:
            raise not_found(KIND, name, "")
        _ = spec_of(view)
        return view

    def ask(self, name: str) -> int:
        """Ask the leader to look now, and to put right what drifted; return the wish's revision.

        Raises NotFound, Refused for a source that is suspended.
        """
        view = self.find(name)
        if spec_of(view).suspend:
            raise Refused(f"gitsource/{name} is suspended; let it go on with: berth sync resume {name}")
        assert view.spec_kv is not None
        wish = SyncRequest(requested_at=format_time(self.now()))
        put = Put(self.keys.request(view.ref, VERB), codec.encode(wish.to_json()))
        is_same = created_at(view.spec_kv.key, view.spec_kv.create_revision)
        result = self.store.txn(Txn((is_same,), (put,)))
        if not result.succeeded:
            raise Contended(f"gitsource/{name} was made anew meanwhile; run the command again")
        return result.revision

    def wait(self, name: str, revision: int, *, timeout_s: float) -> ObjectView:
        """Wait until the wish of that revision is served; return the source then. Raises TimedOut, NotFound."""
        key = self.keys.request(source_ref(name), VERB)

        def is_served() -> bool | None:
            kv = self.store.get(key).kv
            return True if kv is None or kv.mod_revision > revision else None

        self.waiter.until(
            (key,),
            is_served,
            timeout_s=timeout_s,
            what=f"for gitsource/{name} to be synced; the wish stays; does a controller lead? See: berth version",
        )
        return self.find(name)

    def is_suspended(self, name: str) -> bool:
        return spec_of(self.find(name)).suspend

    def suspend(self, name: str) -> Changed:
        """Leave everything as it is from now on."""
        return self._change(name, {("spec", "suspend"): True})

    def resume(self, name: str) -> Changed:
        """Go on with what the source follows: neither suspended nor pinned after a rollback."""
        spec = spec_of(self.find(name))
        changes: dict[tuple[str, ...], object] = {}
        if spec.suspend:
            changes[("spec", "suspend")] = codec.REMOVED
        if spec.commit is not None and (spec.branch or spec.tag or _was_pinned(self.find(name))):
            changes[("spec", "commit")] = codec.REMOVED
            changes[("metadata", "annotations", PINNED)] = codec.REMOVED
        return self._change(name, changes)

    def rollback(self, name: str, to: str) -> tuple[Changed, SyncedCommit | None, str]:
        """Pin the source to an earlier commit; return what changed, and that commit.

        to: the first digits of a commit of its history, or any whole id; empty for the one before. Raises Refused.
        """
        view = self.find(name)
        found, commit = choose(name, status_of(view, GitSourceStatus), to)
        changes: dict[tuple[str, ...], object] = {
            ("spec", "commit"): commit,
            ("metadata", "annotations", PINNED): "rollback",
        }
        return self._change(name, changes), found, commit

    def _change(self, name: str, changes: dict[tuple[str, ...], object]) -> Changed:
        def change(raw: codec.Json) -> codec.Json:
            return codec.patch(raw, changes) if changes else raw

        return change_object(self.store, self.keys, source_ref(name), change)


PINNED = "berth/pinned-by"  # annotation: spec.commit is of a rollback, and `resume` takes it away


def source_ref(name: str) -> ObjectRef:
    return cluster_ref(KIND.plural, name)


def spec_of(view: ObjectView) -> GitSourceSpec:
    """Return the spec of a source. Raises ObjectUnreadable."""
    parsed = view.parsed
    assert isinstance(parsed, GitSource), "only sources are asked for"
    return parsed.spec


def _was_pinned(view: ObjectView) -> bool:
    return PINNED in view.annotations


def choose(name: str, status: GitSourceStatus | None, to: str) -> tuple[SyncedCommit | None, str]:
    """Return the commit to go back to, from the history of a status, and its id. Raises Refused, NotFound."""
    history = status.history if status is not None else ()
    current = status.synced.commit if status is not None and status.synced is not None else ""
    if not to:
        earlier = [each for each in history if each.commit != current]
        if not earlier:
            raise Refused(
                f"gitsource/{name} has synced no other commit so far; name one with: berth sync rollback {name} "
                "--to COMMIT"
            )
        return earlier[0], earlier[0].commit
    matching = [each for each in history if each.commit.startswith(to)]
    if len(matching) == 1 and len(to) >= MIN_SHORT:
        return matching[0], matching[0].commit
    if len(to) == 40 and not set(to) - set("0123456789abcdef"):
        return None, to
    if len(matching) > 1:
        raise Refused(f"{to} is the beginning of {len(matching)} commits; give more digits")
    known = ", ".join(each.commit[:SHORT] for each in history) or "none"
    raise NotFound(
        f"gitsource/{name} has synced no commit {to!r}; known: {known}; or give all 40 digits of another"
    )
