"""Carrying moves out: wishes to evict that say where to, wave after wave. The leader serves them as budgets allow.

Each move is complete in itself, so that nothing is half done when this ends before its time; what has not begun by then
is taken back.
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from itertools import groupby
from typing import Literal

from client.errors import TimedOut
from client.reading import read_object
from client.waiting import Waiter
from schemas.keys import Keys, task_ref
from schemas.kinds import BY_PLURAL
from schemas.meta import find_condition
from schemas.request import EvictRequest
from schemas.state import TaskState
from schemas.status import TaskStatus
from schemas.timestamps import format_time
from store import codec
from store.api import Delete, Put, Store, Txn, unchanged

READY_TIMEOUT_S = 600.0


@dataclass(frozen=True, slots=True)
class Move:
    """A task that is to leave `source` for `target`, if it still has that binding. wave: lower ones go first."""

    namespace: str
    name: str
    binding_uid: str
    source: str
    target: str
    wave: int

    @property
    def text(self) -> str:
        return f"{self.namespace}/{self.name}"


@dataclass(frozen=True, slots=True)
class Moved:
    """How a move ended. arrived: where it was meant to. elsewhere: on `node`. gone: it changed before it began."""

    move: Move
    kind: Literal["arrived", "elsewhere", "gone"]
    node: str = ""


def carry_out(
    store: Store,
    keys: Keys,
    waiter: Waiter,
    moves: Iterable[Move],
    tell: Callable[[Moved], None],
    *,
    now: Callable[[], float],
    timeout_s: float = READY_TIMEOUT_S,
) -> int:
    """Move tasks, a wave at a time, and tell of each; return how many arrived. timeout_s: of each wave.

    Raises TimedOut. When it ends early, wishes of moves that have not begun are withdrawn.
    """
    arrived = 0
    for _, group in groupby(moves, key=lambda each: each.wave):
        wave = list(group)
        try:
            for move in wave:
                _wish(store, keys, move, now())
            ends = _follow(store, keys, waiter, wave, tell, timeout_s)
        except BaseException:
            for move in wave:
                _withdraw(store, keys, move)
            raise
        arrived += sum(each.kind == "arrived" for each in ends)
    return arrived


def _wish(store: Store, keys: Keys, move: Move, now: float) -> None:
    ref = task_ref(move.namespace, move.name)
    view = read_object(store, BY_PLURAL["tasks"], ref, keys)
    if view is None:
        return
    wish = EvictRequest(
        uid=view.uid, binding_uid=move.binding_uid, to=move.target, requested_at=format_time(now)
    )
    store.txn(Txn((), (Put(keys.request(ref, "evict"), codec.encode(wish.to_json())),)))


def _withdraw(store: Store, keys: Keys, move: Move) -> None:
    """Take a wish back as long as the task has its binding; one that is stopping goes on, and arrives."""
    ref = task_ref(move.namespace, move.name)
    key = keys.request(ref, "evict")
    found = store.get(key).kv
    status = _status(store, keys, move)
    if found is None or status is None or status.binding_uid != move.binding_uid:
        return
    if status.state is TaskState.STOPPING:
        return
    store.txn(Txn((unchanged(key, found.mod_revision),), (Delete(key),)))


def _follow(
    store: Store,
    keys: Keys,
    waiter: Waiter,
    wave: list[Move],
    tell: Callable[[Moved], None],
    timeout_s: float,
) -> list[Moved]:
    ends: dict[Move, Moved] = {}

    def check() -> bool | None:
        for move in wave:
            if move not in ends and (end := _end(store, keys, move)) is not None:
                ends[move] = end
                tell(end)
        return True if len(ends) == len(wave) else None

    refs = [task_ref(move.namespace, move.name) for move in wave]
    watched = tuple(key for ref in refs for key in (keys.status(ref), keys.request(ref, "evict")))
    try:
        waiter.until(watched, check, timeout_s=timeout_s, what="for moves")
    except TimedOut:
        left = ", ".join(move.text for move in wave if move not in ends)
        raise TimedOut(
            f"not moved and ready within {timeout_s:g} s: {left}; what had not begun is taken back; "
            "see: berth events -A"
        ) from None
    return list(ends.values())


def _end(store: Store, keys: Keys, move: Move) -> Moved | None:
    """Return how a move has ended, None while it goes on."""
    status = _status(store, keys, move)
    if status is None:
        return Moved(move, "gone")
    if status.binding_uid == move.binding_uid:
        is_wanted = store.get(keys.request(task_ref(move.namespace, move.name), "evict")).kv is not None
        return None if is_wanted or status.state is TaskState.STOPPING else Moved(move, "gone")
    if not status.node or status.state is not TaskState.RUNNING:
        return Moved(move, "elsewhere", status.node) if status.state is TaskState.SUCCEEDED else None
    ready = find_condition(status.conditions, "Ready")
    if ready is not None and ready.status != "True":
        return None
    return Moved(move, "arrived" if status.node == move.target else "elsewhere", status.node)


def _status(store: Store, keys: Keys, move: Move) -> TaskStatus | None:
    view = read_object(store, BY_PLURAL["tasks"], task_ref(move.namespace, move.name), keys)
    return view.task_status if view is not None else None
