"""Delete: a request that the leader acts upon, and waiting until the object is gone.

What can't be read has no uid that a request could name; it is taken out of the store directly, when forced.
"""

from collections.abc import Callable
from typing import Literal

from client.errors import Contended, NotFound, ObjectUnreadable, Refused
from client.reading import read_object
from client.views import ObjectView
from client.waiting import Waiter
from schemas.keys import Keys
from schemas.request import DeleteRequest
from schemas.timestamps import format_time
from store import codec
from store.api import Compare, Delete, Put, Store, Txn, absent, created_at, unchanged

DELETE_TRIES = 4
Cascade = Literal["background", "foreground", "orphan"]


class Deleter:
    """Deletes objects of one cluster; `now` is seconds since the epoch, shown and never compared."""

    def __init__(self, store: Store, keys: Keys, now: Callable[[], float], waiter: Waiter) -> None:
        self._store = store
        self._keys = keys
        self._now = now
        self._waiter = waiter

    def request(
        self, view: ObjectView, *, grace_s: float | None, is_forced: bool, cascade: Cascade | None = None
    ) -> None:
        """Ask for the deletion of the very object that `view` shows.

        grace_s: seconds from the stop signal to the kill, None for the task's own. cascade: what becomes of what it
        made; None: as was asked before, else background. Raises NotFound, Refused.
        """
        for _ in range(DELETE_TRIES):
            if self._try_request(view, grace_s, is_forced, cascade):
                return
            found = read_object(self._store, view.kind, view.ref, self._keys)
            if found is None or (found.spec_kv is None and view.spec_kv is not None):
                raise NotFound(f'{view.kind.singular} "{view.name}" not found')
            view = found
        raise Contended(f"{view.ref} was changed by others {DELETE_TRIES} times; delete again")

    def request_if(self, view: ObjectView, compares: tuple[Compare, ...]) -> bool:
        """Ask for the deletion of what `view` shows, if it is still just so and `compares` hold; say whether."""
        assert view.spec_kv is not None
        wish = DeleteRequest(uid=view.uid, requested_at=format_time(self._now()), cascade="background")
        put = Put(self._keys.request(view.ref, "delete"), codec.encode(wish.to_json()))
        same = unchanged(view.spec_kv.key, view.spec_kv.mod_revision)
        return self._store.txn(Txn((same, *compares), (put,))).succeeded

    def _try_request(
        self, view: ObjectView, grace_s: float | None, is_forced: bool, cascade: Cascade | None
    ) -> bool:
        if view.spec_kv is None:
            return self._try_request_unwritten(view)
        key = view.spec_kv.key
        if _is_frozen(view):
            if not is_forced:
                raise ObjectUnreadable(
                    f'{view.kind.singular} "{view.name}" can\'t be read ({view.error}), so nobody knows what belongs '
                    f"to it; remove it all the same with: berth delete {view.ref} --force"
                )
            gone = (Delete(key), *((Delete(self._keys.status(view.ref)),) if view.raw else ()))
            return self._store.txn(Txn((unchanged(key, view.spec_kv.mod_revision),), gone)).succeeded
        before = view.request if view.is_terminating else None
        if before and before.grace_s == grace_s and cascade in (None, before.cascade):
            return True
        how = cascade or (before.cascade if before else "background")
        wish = DeleteRequest(
            uid=view.uid, grace_s=grace_s, requested_at=format_time(self._now()), cascade=how
        )
        put = Put(self._keys.request(view.ref, "delete"), codec.encode(wish.to_json()))
        same_object = created_at(key, view.spec_kv.create_revision)
        return self._store.txn(Txn((same_object,), (put,))).succeeded

    def _try_request_unwritten(self, view: ObjectView) -> bool:
        """A node whose agent is gone may have no object, but reports: the leader removes them."""
        if view.kind.name != "Node" or view.is_beating:
            raise Refused(_not_stored(view))
        wish = DeleteRequest(uid="", requested_at=format_time(self._now()))
        put = Put(self._keys.request(view.ref, "delete"), codec.encode(wish.to_json()))
        silent = (absent(self._keys.spec(view.ref)), absent(self._keys.heartbeat(view.name)))
        return self._store.txn(Txn(silent, (put,))).succeeded

    def wait_gone(self, view: ObjectView, *, timeout_s: float) -> None:
        """Wait until that very object is gone; one of the same name made after it does not count."""
        key = view.spec_kv.key if view.spec_kv else self._keys.request(view.ref, "delete")
        created = view.spec_kv.create_revision if view.spec_kv else None

        def is_gone() -> bool | None:
            kv = self._store.get(key).kv
            return True if kv is None or created not in (None, kv.create_revision) else None

        self._waiter.until(
            (key,),
            is_gone,
            timeout_s=timeout_s,
            what=f"for the deletion of {view.ref}; the request stays; see: berth describe {view.ref}",
        )


def _is_frozen(view: ObjectView) -> bool:
    """Say whether the leader would not answer a request: the object can't be read, or its status can't."""
    return not view.raw or (view.is_unreadable and view.kind.name != "Node")


def _not_stored(view: ObjectView) -> str:
    if view.kind.name == "Node":
        return (
            f'node "{view.name}" is alive: it exists by the reports of its agent; stop the agent there, wait until '
            f"the node is NotReady, and delete it then; or keep tasks off it with: berth cordon {view.name}"
        )
    return f'{view.kind.singular} "{view.name}" is built in and can\'t be deleted'
