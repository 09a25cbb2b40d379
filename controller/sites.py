"""Where tasks are, site by site: bindings, reports, what they use of their node, and which of them can't be read.

A part of the view. What a binding that can't be read, or whose key is missing, holds of a node stays counted.
"""

from collections.abc import Iterator

from controller.records import Site, Slot, TaskRecord
from controller.shelves import Refs, Shelves
from controller.slots import SlotReader
from schemas.binding import Binding
from schemas.keys import ObjectRef, cluster_ref, task_ref
from schemas.report import TaskReport
from schemas.state import FINISHED, ContainerState
from schemas.status import TaskStatus
from schemas.versioned import Versioned
from store.api import KeyValue
from store.codec import Unreadable


class Sites:
    """touched: sites that may differ since somebody emptied it; None: nobody does."""

    def __init__(self, slots: SlotReader, shelves: Shelves) -> None:
        self._slots = slots
        self._shelves = shelves
        self._bound_at: dict[Site, ObjectRef] = {}
        self._reported_at: dict[Site, ObjectRef] = {}
        self._placed: dict[Site, tuple[ObjectRef, TaskStatus]] = {}
        self._place_of: dict[ObjectRef, Site] = {}
        self._frozen_uids: dict[str, frozenset[str]] = {}  # task uid -> its keys that can't be read
        self.touched: set[Site] | None = None

    def tasks_on(self, node: str) -> list[ObjectRef]:
        """Return the tasks that have a binding on `node`, ended or not, or a report of it."""
        record = self._shelves.nodes.get(node)
        if record is None:
            return []
        found = {self._bound_at.get((node, uid)) for uid in record.usage.sites}
        found |= {self._reported_at.get((node, uid)) for uid in record.reported}
        return sorted(ref for ref in found if ref is not None)

    def reports_on(self, node: str) -> Iterator[TaskReport]:
        """Return what was last reported of the tasks of a node."""
        record = self._shelves.nodes.get(node)
        for uid in record.reported if record is not None else ():
            report = self.report_at((node, uid))
            if report is not None:
                yield report

    def binding_at(self, site: Site) -> Binding | None:
        """Return the binding of a site, None if there is none, or none that can be read."""
        ref = self._bound_at.get(site)
        found = self._shelves.tasks[ref].bindings.get(site) if ref in self._shelves.tasks and ref else None
        return found.value if found else None

    def report_at(self, site: Site) -> TaskReport | None:
        """Return the report of a site, None if there is none, or none that can be read."""
        ref = self._reported_at.get(site)
        found = self._shelves.tasks[ref].reports.get(site) if ref in self._shelves.tasks and ref else None
        return found.value if found else None

    def placed_at(self, site: Site) -> ObjectRef | None:
        """Return the task whose status places it at a site, whether its binding is there or not."""
        found = self._placed.get(site)
        return found[0] if found is not None else None

    @property
    def has_unread(self) -> bool:
        """Say whether any binding or report can't be read."""
        return bool(self._frozen_uids)

    def has_unread_of(self, record: TaskRecord) -> bool:
        """Say whether a binding or report of the task can't be read."""
        return bool(self._frozen_uids) and not self._frozen_uids.keys().isdisjoint(_uids_of(record))

    def place(self, ref: ObjectRef, status: Versioned[TaskStatus] | None) -> None:
        """Take in where a status places its task: what that needs stays counted, even without a binding's key."""
        before, after = self._place_of.get(ref), _placed_at(status)
        if before is not None:
            self._placed.pop(before, None)
        self._place_of.pop(ref, None)
        if after is not None and status is not None:
            self._placed[after], self._place_of[ref] = (ref, status.value), after
        if before == after and (after is None or after in self._bound_at):
            return  # its binding counts
        for site in {before, after} - {None}:
            assert site is not None
            self._account(site)

    def set_binding(self, site: Site, text: str, kv: KeyValue | None) -> Refs:
        """Take the binding of a site in; text: its key."""
        slot = self._slots.matching(kv, self._slots.read(Binding, kv), lambda v: (v.node, v.task_uid) == site)
        is_unreadable = isinstance(slot, Unreadable)
        thawed = self._freeze(site[1], text, frozen=is_unreadable)
        readable = slot if isinstance(slot, Versioned) else None
        ref = task_ref(readable.value.namespace, readable.value.name) if readable else None
        record, dirty = self._move(self._bound_at, site, ref)
        if record is not None and readable is not None:
            record.bindings[site] = readable
        node = self._shelves.node(site[0])
        had_sites = bool(node.usage.sites)
        node.unreadable.add(site[1]) if is_unreadable else node.unreadable.discard(site[1])
        self._account(site)
        if had_sites != bool(node.usage.sites):
            dirty += (cluster_ref("nodes", node.name),)
        return dirty + thawed

    def set_report(self, site: Site, text: str, kv: KeyValue | None) -> Refs:
        """Take the report of a site in; text: its key."""
        slot = self._slots.matching(kv, self._slots.read(TaskReport, kv), lambda v: v.task_uid == site[1])
        thawed = self._freeze(site[1], text, frozen=isinstance(slot, Unreadable))
        readable = slot if isinstance(slot, Versioned) else None
        ref = task_ref(readable.value.namespace, readable.value.name) if readable else None
        record, dirty = self._move(self._reported_at, site, ref)
        if record is not None and readable is not None:
            record.reports[site] = readable
        reported = self._shelves.node(site[0]).reported
        reported.discard(site[1]) if readable is None else reported.add(site[1])
        self._account(site)
        if record is not None and readable is not None and readable.value.final:
            dirty += self._shelves.owners(record)
        return dirty + thawed

    def _freeze(self, uid: str, text: str, *, frozen: bool) -> Refs:
        """Note whether the key `text` freezes the task of `uid`; return the tasks for which that differs."""
        keys = self._frozen_uids.get(uid, frozenset())
        if frozen == (text in keys):
            return ()
        left = keys | {text} if frozen else keys - {text}
        if left:
            self._frozen_uids[uid] = left
        else:
            del self._frozen_uids[uid]
        return tuple(ref for ref, record in self._shelves.tasks.items() if uid in _uids_of(record))

    def _move(
        self, refs: dict[Site, ObjectRef], site: Site, ref: ObjectRef | None
    ) -> tuple[TaskRecord | None, Refs]:
        """Take the binding or report of `site` out of the record that had it; return that of `ref`."""
        old_ref = refs.get(site)
        dirty: list[ObjectRef] = []
        if old_ref is not None and old_ref != ref:
            old = self._shelves.record(old_ref)
            if refs is self._bound_at:
                old.bindings.pop(site, None)
            else:
                old.reports.pop(site, None)
            dirty.extend(self._shelves.touched(old))
        if ref is None:
            refs.pop(site, None)
            return None, tuple(dirty)
        refs[site] = ref
        dirty.append(ref)
        return self._shelves.record(ref), tuple(dirty)

    def _account(self, site: Site) -> None:
        """Count what `site` uses on its node: the binding's grants until the final report for that bindingUid."""
        node, uid = site
        binding = self.binding_at(site)
        report = self.report_at(site)
        record = self._shelves.node(node)
        usage, has_key = record.usage, binding is not None or uid in record.unreadable
        if binding is not None:
            ended = report is not None and report.final and report.binding_uid == binding.binding_uid
            usage.set(uid, None if ended else binding.grants)
        elif site in self._placed:
            usage.set(uid, self._placed[site][1].grants)  # its binding's key is missing and will be put back
        elif report is not None and report.unbound and not _is_over(report):
            usage.set_unbound(uid, report.grants_resources, report.ports)
        else:
            usage.set(uid, None)
        usage.note_site(uid, has_key)
        if self.touched is not None:
            self.touched.add(site)


def _is_over(report: TaskReport) -> bool:
    return all(c.state is ContainerState.EXITED for c in report.containers)


def _placed_at(status: Slot[TaskStatus]) -> Site | None:
    """Return the site that a status places its task at; a finished task needs no room."""
    if not isinstance(status, Versioned) or not status.value.node or status.value.state in FINISHED:
        return None
    return status.value.node, status.value.uid


def _uids_of(record: TaskRecord) -> set[str]:
    """Return every uid that the task of this name has or had."""
    uids = {uid for _, uid in (*record.bindings, *record.reports)}
    if isinstance(record.spec, Versioned):
        uids.add(record.spec.value.metadata.uid)
    if isinstance(record.status, Versioned):
        uids.add(record.status.value.uid)
    return uids
