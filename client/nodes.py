"""What people may say about a node: cordon, uncordon, fence."""

from client.errors import Contended, NotFound, ObjectUnreadable, Refused
from client.reading import read_object
from client.views import NODE, ObjectView
from schemas.keys import Keys, cluster_ref
from schemas.request import FenceRequest
from schemas.timestamps import format_time
from store import codec, objects
from store.api import Put, Store, Txn

WRITE_TRIES = 4


def require_node(store: Store, keys: Keys, name: str) -> ObjectView:
    """Return a node that has an object or a report. Raises NotFound."""
    view = read_object(store, NODE, cluster_ref("nodes", name), keys)
    if view is None:
        raise NotFound(f'node "{name}" not found; see: berth get nodes')
    return view


def set_unschedulable(store: Store, keys: Keys, name: str, wanted: bool) -> bool:
    """Cordon or uncordon a node, making its object if there is none; say whether anything changed."""
    for _ in range(WRITE_TRIES):
        view = require_node(store, keys, name)
        if not view.raw:
            raise ObjectUnreadable(
                f'node "{name}" can\'t be read ({view.error}); remove it with: berth delete node/{name} --force'
            )
        spec = view.raw.get("spec") or {}
        if bool(spec.get("unschedulable", False)) == wanted and (wanted or not spec.get("drain")):
            return False
        values: dict[tuple[str, ...], object] = {("spec", "unschedulable"): wanted or codec.REMOVED}
        if not wanted:
            values[("spec", "drain")] = codec.REMOVED  # a drain would keep it cordoned
        changed = codec.patch(view.raw, values)
        expected = view.mod_revision or None
        written = objects.write(store, keys.spec(view.ref), changed, expect_mod_revision=expected)
        if isinstance(written, objects.Written):
            return True
    raise Contended(f"node/{name} was changed by others {WRITE_TRIES} times; try again")


def fence(store: Store, keys: Keys, name: str, *, now: float, is_forced: bool) -> None:
    """Assert that a node is dead, so that its tasks may run elsewhere at once.

    Refused for a node that beats, as a wrong assertion makes two copies of what must run once.
    """
    view = require_node(store, keys, name)
    if view.is_beating and not is_forced:
        raise Refused(
            f"node {name} is alive: its heartbeat is fresh. Fencing asserts that nothing of it runs or will run; "
            f"stop its agent and its containers first, or wait until it is NotReady, or say --force"
        )
    uid = view.report.node_uid if view.report else ""
    wish = FenceRequest(node_uid=uid, requested_at=format_time(now))
    key = keys.request(view.ref, "fence")
    store.txn(Txn((), (Put(key, codec.encode(wish.to_json())),)))
