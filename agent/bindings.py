"""What the store says to this agent: its bindings, its own reports, the cluster; parsed once a revision.

An unreadable binding is not an absent one: it is kept apart, and its task is left as it is.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass

from schemas.binding import Binding
from schemas.cluster import Cluster
from schemas.keys import BindingKey, Keys, NodeReportKey, TaskReportKey
from schemas.report import NodeReport, TaskReport
from store import codec
from store.api import KeyValue, Store
from store.errors import StoreError
from store.informer import Informer


@dataclass(frozen=True, slots=True)
class UnreadableBinding:
    """A stored binding that can't be parsed; `access_hash` and the rest are unknown."""

    key: str
    error: str


class BindingBook:
    """The agent's cache of the store. One thread steps it; lookups from other threads see whole values."""

    def __init__(self, store: Store, keys: Keys, node: str, notify: Callable[[], None]) -> None:
        self._keys, self._node = keys, node
        prefixes = (keys.bindings_range(node), keys.reports_range(node), keys.cluster)
        self._informer = Informer(store, prefixes, notify)
        self._bindings: dict[str, Binding | UnreadableBinding] = {}
        self._reports: dict[str, TaskReport] = {}
        self._offered: dict[str, tuple[bytes, TaskReport]] = {}  # on its way to the store, by task uid
        self._lost: set[str] = set()
        self._node_report_lost = False
        self._cluster_kv: KeyValue | None = None
        self._cluster: Cluster | codec.Unreadable | None = None

    def step(self, now: float) -> set[str]:
        """Follow the store; return the uids of the tasks that something changed about. Raises Rewound."""
        dirty = set()
        for change in self._informer.step(now):
            match self._keys.parse(change.key):
                case BindingKey(_, task_uid):
                    self._take_binding(task_uid, change.new)
                    dirty.add(task_uid)
                case TaskReportKey(_, task_uid):
                    if self._take_report(task_uid, change.new):
                        dirty.add(task_uid)
                case NodeReportKey():
                    self._node_report_lost = change.new is None or not _is_node_report(change.new)
        return dirty

    def close(self) -> None:
        self._informer.close()

    @property
    def synced(self) -> bool:
        return self._informer.synced

    @property
    def healthy(self) -> bool:
        """Everything was read, and nothing says that the cache is behind."""
        return self._informer.healthy

    @property
    def last_error(self) -> StoreError | None:
        """Why the cache may be behind."""
        return self._informer.last_error

    def require_rights(self) -> None:
        """Raise PermissionDenied when the store's user may not read what an agent needs, and never could."""
        if self._informer.refusal is not None:
            raise self._informer.refusal

    @property
    def revision(self) -> int:
        """The revision that the bindings reflect."""
        return self._informer.revision_of(self._keys.bindings_range(self._node))

    def wrote(self, key: str, revision: int) -> None:
        """Note that a report was written; may be called from any thread."""
        self._informer.wrote(key, revision)

    def read_again(self) -> None:
        """Have the next step read everything anew instead of trusting the watch."""
        self._informer.relist()

    @property
    def is_behind(self) -> bool:
        """The next step reads anew; nothing will wake its owner for that."""
        return self._informer.is_behind

    def next_step_at(self, now: float) -> float:
        """Return when to step again if nothing notifies earlier."""
        return self._informer.next_step_at(now)

    def binding(self, task_uid: str) -> Binding | UnreadableBinding | None:
        return self._bindings.get(task_uid)

    def bindings(self) -> Iterator[Binding]:
        return (each for each in tuple(self._bindings.values()) if isinstance(each, Binding))

    def task_uids(self) -> set[str]:
        """Return the tasks that have a binding or a report."""
        return set(self._bindings) | set(self._reports)

    def binding_uids(self) -> set[str]:
        return {each.binding_uid for each in self.bindings()}

    def offered(self, task_uid: str, value: bytes, report: TaskReport) -> None:
        """Note what this agent writes about a task: when the store shows these very bytes, they need no parsing.

        Nor are they news, unless the report is final: what waits for an end waits until the store has it.
        """
        self._offered[task_uid] = value, report

    def reported(self, task_uid: str) -> TaskReport | None:
        """Return the task's report as the store has it."""
        return self._reports.get(task_uid)

    def unreadable(self) -> tuple[str, ...]:
        """Return the keys of bindings that can't be read."""
        found = self._bindings.values()
        return tuple(sorted(each.key for each in found if isinstance(each, UnreadableBinding)))

    def cluster(self) -> Cluster | codec.Unreadable | None:
        """Return the cluster's key, None if there is none."""
        kv = self._informer.get(self._keys.cluster)
        if kv is not self._cluster_kv:
            self._cluster_kv, self._cluster = kv, _parse_cluster(kv)
        return self._cluster

    def take_lost(self, task_uid: str) -> bool:
        """Say, once, that the task's report vanished from the store."""
        lost = task_uid in self._lost
        self._lost.discard(task_uid)
        return lost

    def take_node_report_lost(self) -> bool:
        lost, self._node_report_lost = self._node_report_lost, False
        return lost

    def _take_binding(self, task_uid: str, kv: KeyValue | None) -> None:
        if kv is None:
            self._bindings.pop(task_uid, None)
        else:
            self._bindings[task_uid] = _parse_binding(kv, task_uid)

    def _take_report(self, task_uid: str, kv: KeyValue | None) -> bool:
        """Take in what the store has of the task's report; say whether it is news."""
        self._reports.pop(task_uid, None)
        self._lost.discard(task_uid)
        if kv is None:
            self._offered.pop(task_uid, None)
            self._lost.add(task_uid)
            return True
        value, own = self._offered.get(task_uid, (None, None))
        if own is not None and value == kv.value:
            del self._offered[task_uid]
            self._reports[task_uid] = own
            return own.final
        try:
            self._reports[task_uid] = _parse_report(kv)
        except ValueError:
            self._lost.add(task_uid)  # garbage in our own report: it is written again
        return True


def _parse_cluster(kv: KeyValue | None) -> Cluster | codec.Unreadable | None:
    if kv is None:
        return None
    raw = codec.decode(kv)
    if isinstance(raw, codec.Unreadable):
        return raw
    try:
        return Cluster.parse_stored(raw)
    except ValueError as error:
        return codec.Unreadable(kv.key, None, f"not a cluster: {error}", kv.mod_revision)


def _parse_report(kv: KeyValue) -> TaskReport:
    """Raises ValueError."""
    raw = codec.decode(kv)
    if isinstance(raw, codec.Unreadable):
        raise ValueError(raw.error)
    return TaskReport.parse_stored(raw)


def _is_node_report(kv: KeyValue) -> bool:
    """Garbage in our own report is written again, as if it were lost."""
    raw = codec.decode(kv)
    try:
        return not isinstance(raw, codec.Unreadable) and NodeReport.parse_stored(raw) is not None
    except ValueError:
        return False


def _parse_binding(kv: KeyValue, task_uid: str) -> Binding | UnreadableBinding:
    binding = Binding.parse_bytes(kv.value) or _parse_closely(kv)
    if isinstance(binding, UnreadableBinding):
        return binding
    if binding.task_uid != task_uid:
        return UnreadableBinding(kv.key, f"it names task uid {binding.task_uid}")
    return binding


def _parse_closely(kv: KeyValue) -> Binding | UnreadableBinding:
    """Return what is wrong with a binding, or what it says all the same."""
    raw = codec.decode(kv)
    if isinstance(raw, codec.Unreadable):
        return UnreadableBinding(kv.key, raw.error)
    try:
        return Binding.parse_stored(raw)
    except ValueError as error:
        return UnreadableBinding(kv.key, " ".join(str(error).split()))
