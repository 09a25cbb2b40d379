"""Which agent has a container of a task: etcd says where it is bound, and holds the namespace's token."""

from dataclasses import dataclass
from urllib.parse import quote, urlencode

from client.agent_http import AgentPeer
from client.errors import AgentUnavailable, NotFound, ObjectUnreadable
from client.views import ObjectView
from schemas.cluster import AccessToken
from schemas.keys import Keys
from schemas.status import TaskStatus
from store import codec
from store.api import Store


@dataclass(frozen=True, slots=True)
class AgentTarget:
    """One container of a task, on the node that has it. among: of which it is the first, where none was named."""

    peer: AgentPeer
    namespace: str
    task: str
    uid: str
    container: str
    has_terminal: bool = False  # by its spec
    among: tuple[str, ...] = ()

    def path(self, verb: str, query: list[tuple[str, str]] | None = None) -> str:
        """Return the path of the agent's server for `verb`, such as `exec`."""
        path = f"/v1/{verb}/{self.namespace}/{self.uid}/{quote(self.container)}"
        return f"{path}?{urlencode(query)}" if query else path


def find_target(
    store: Store, keys: Keys, view: ObjectView, container: str | None, *, wanted: str
) -> AgentTarget:
    """Return where a container of a task is. wanted: what can't be had of a task that never ran, `logs`.

    Raises NotFound (no such container), ObjectUnreadable, AgentUnavailable.
    """
    if not view.raw:
        raise ObjectUnreadable(
            f'task "{view.name}" can\'t be read ({view.error}), so nobody knows where it runs'
        )
    name = choose_container(view, container)
    status = view.task_status
    if status is None or not status.node:
        raise AgentUnavailable(_never_ran(view, status, wanted))
    peer = AgentPeer(
        status.node,
        status.api_address,
        last_known(view, status),
        read_token(store, keys, view.namespace),
        f"berth describe {view.ref}",
    )
    if not status.api_address:
        raise peer.error("has not told the address of its agent")
    among = tuple(container_names(view)) if container is None else ()
    return AgentTarget(peer, view.namespace, view.name, view.uid, name, _has_terminal(view, name), among)


def container_names(view: ObjectView) -> list[str]:
    """Return the names of a task's containers, in their order; none of a task that can't be read."""
    spec = view.raw.get("spec") or {}
    return [str(each["name"]) for each in spec.get("containers") or ()]


def choose_container(view: ObjectView, wanted: str | None) -> str:
    """Return the container's name; the first one if none is named. Raises NotFound."""
    names = container_names(view)
    before = [str(each["name"]) for each in view.raw["spec"].get("initContainers") or ()]
    if wanted is not None and wanted not in (*names, *before):
        raise NotFound(
            f'task "{view.name}" has no container "{wanted}"; it has: {", ".join([*names, *before])}'
        )
    return wanted or names[0]


def _has_terminal(view: ObjectView, container: str) -> bool:
    return any(
        each["name"] == container and each.get("tty") is True for each in view.raw["spec"]["containers"]
    )


def _never_ran(view: ObjectView, status: TaskStatus | None, wanted: str) -> str:
    state = status.state if status else "Pending"
    why = f" ({status.message or status.reason})" if status and (status.message or status.reason) else ""
    before = f"; it ran on node {status.previous_node} before" if status and status.previous_node else ""
    return (
        f'task "{view.name}" is {state}{why}, so there is no {wanted}{before}; see: berth describe {view.ref}'
    )


def last_known(view: ObjectView, status: TaskStatus) -> str:
    """Return what etcd still knows of the task, as a clause."""
    since = f" since {status.started_at}" if status.started_at else ""
    exits = [f"exit code {each.exit_code}" for each in status.containers if each.exit_code is not None]
    return ", ".join([f'task "{view.name}" was last known as {status.state}{since}', *exits])


def read_token(store: Store, keys: Keys, namespace: str) -> str:
    """Return the namespace's token for agents. Raises AgentUnavailable, and PermissionDenied of the store."""
    kv = store.get(keys.access(namespace)).kv
    raw = None if kv is None else codec.decode(kv)
    if raw is None or isinstance(raw, codec.Unreadable):
        raise AgentUnavailable(
            f"there is no token of namespace {namespace} at {keys.access(namespace)}; "
            "a controller makes it: is one running? see: berth version"
        )
    return AccessToken.parse_stored(raw).token
