"""Judges what a look at a cluster found. Pure.

The checks run in the order in which they are listed below; without etcd only those that need none.
"""

from collections.abc import Callable, Iterable, Iterator

from client.doctor_etcd import check_certificates, check_etcd, check_quota
from client.doctor_findings import Api, Findings, Node, Task
from client.doctor_verdicts import LISTED, Check, Verdict, count, fail, listed, passed, warn
from schemas.state import TaskState

__all__ = ["Check", "Verdict", "judge"]

SKEW_WARN_S = 2.0  # a Date header counts whole seconds, so less than that means nothing
SKEW_FAIL_S = 30.0
PENDING_S = 300.0
TERMINATING_S = 300.0  # ten times the default grace
COMPACTION_LATE_S = 3600.0  # the leader does it every 5 minutes while anything is written


def judge(findings: Findings) -> tuple[Check, ...]:
    """Return all checks, what is broken about etcd itself first."""
    checks = [check for each in ALWAYS for check in each(findings)]
    if findings.store_error:
        checks.append(
            warn(
                "cluster",
                "the rest was not checked, as etcd gives no answer",
                "mend etcd, then: berth doctor",
            )
        )
        return tuple(checks)
    return (*checks, *(check for each in WITH_ETCD for check in each(findings)))


def _denied(found: Findings) -> Iterator[Check]:
    if found.denied:
        yield warn(
            "access",
            f"not all was checked, as your user may not read {listed(found.denied)}",
            "berth auth whoami; run doctor as an admin",
        )


def is_seen(found: Findings, family: str) -> bool:
    """Say whether our user may read a whole family of keys, so that what was not found there is not there."""
    return not any(f"/{family}/" in each for each in found.denied)


def _cluster(found: Findings) -> Iterator[Check]:
    cluster = found.cluster
    if cluster.error:
        yield fail(
            "cluster", f"the cluster's key can't be read: {cluster.error}", "restore it from a backup of etcd"
        )
    elif not cluster.is_there:
        yield fail(
            "cluster",
            "nothing is initialised under this root: etcd was wiped, or --root names another",
            "berth controller (the first one initialises); or name the root: berth --root PATH doctor",
        )
    elif cluster.recovering:
        yield fail(
            "cluster",
            f"history was rewound to incarnation {cluster.incarnation}, and placements are being rebuilt",
            "wait; if it lasts, look at the leader's log",
        )
    else:
        yield passed("cluster", f"initialised, incarnation {cluster.incarnation}")


def _controllers(found: Findings) -> Iterator[Check]:
    if not found.candidates:
        yield fail("controllers", "no controller leads, so nothing is placed or removed", "berth controller")
        return
    leader, *standbys = found.candidates
    text = f"{leader.identity} leads, {len(standbys)} on standby"
    yield (
        passed("controllers", text)
        if standbys
        else warn(
            "controllers",
            f"{text}: if it dies, nobody takes over",
            "start another on a second host: berth controller",
        )
    )
    for each in found.candidates:
        if each.api.error:
            yield warn(
                "controllers",
                f"the API of {each.identity} gives no answer: {each.api.error}",
                f"curl {each.api.address}/healthz",
            )


def _nodes(found: Findings) -> Iterator[Check]:
    if not found.nodes:
        yield warn("nodes", "there is no node, so no task can run", "berth agent")
        return
    are_reports_seen = is_seen(found, "reports")
    bad = [check for node in found.nodes for check in _node(node) if are_reports_seen or node.ready != "True"]
    yield from bad
    if not bad:
        how = "an agent that answers" if are_reports_seen else "reports that your user may not read"
        yield passed("nodes", f"{count(len(found.nodes), 'node')}, all Ready with {how}")


def _node(node: Node) -> Iterator[Check]:
    look = f"berth describe node/{node.name}"
    if node.unreadable:
        yield fail("nodes", f"node {node.name} can't be read: {node.unreadable}", look)
    elif node.ready != "True":
        beat = "" if node.is_beating else ", and its agent does not beat"
        yield fail("nodes", f"node {node.name} is not Ready ({node.reason or 'no reason told'}){beat}", look)
    elif not node.has_report:
        yield fail("nodes", f"node {node.name} is Ready and has no report", look)
    elif node.api is not None and node.api.error:
        text = f"the agent of node {node.name} is not to be reached, so there are no logs of it: {node.api.error}"
        yield warn("nodes", text, f"curl {node.api.address}/healthz")


def _versions(found: Findings) -> Iterator[Check]:
    parts = {"this client": found.client_version}
    parts |= {f"controller {each.identity}": each.version for each in found.candidates if each.version}
    parts |= {f"node {each.name}": each.agent_version for each in found.nodes if each.agent_version}
    other = [f"{who} {version}" for who, version in parts.items() if version != found.client_version]
    if other:
        text = f"not all run version {found.client_version} as this client does: {listed(other)}"
        yield warn("versions", text, "update them, controllers first")
    else:
        yield passed("versions", f"all run {found.client_version}")


def _clocks(found: Findings) -> Iterator[Check]:
    apis: dict[str, Api] = {f"controller {each.identity}": each.api for each in found.candidates}
    apis |= {f"node {each.name}": each.api for each in found.nodes if each.api is not None}
    offsets = {who: api.clock_offset_s for who, api in apis.items() if api.clock_offset_s is not None}
    bad = {who: offset for who, offset in offsets.items() if abs(offset) > SKEW_WARN_S}
    for who, offset in bad.items():
        text = f"the clock of {who} is {abs(offset):.0f} s {'ahead of' if offset > 0 else 'behind'} ours"
        yield (fail if abs(offset) > SKEW_FAIL_S else warn)(
            "clocks", text, "timedatectl status, on both machines"
        )
    if offsets and not bad:
        yield passed("clocks", f"{count(len(offsets), 'clock')} within {SKEW_WARN_S:.0f} s of ours")


def _unreadable(found: Findings) -> Iterator[Check]:
    for key, error in list(found.unreadable.items())[:LISTED]:
        yield fail("objects", f"{key} can't be read: {error}", f"etcdctl get {key}")
    if len(found.unreadable) > LISTED:
        yield fail(
            "objects", f"{len(found.unreadable) - LISTED} more keys can't be read", "berth doctor -o json"
        )
    if not found.unreadable:
        yield passed("objects", "every key can be read")


def _orphans(found: Findings) -> Iterator[Check]:
    if not (is_seen(found, "bindings") and is_seen(found, "reports")):
        return
    if found.unbound:
        yield warn(
            "orphans",
            f"containers run that no binding names: {listed(found.unbound)}; their agents stop them after 24 h",
            "docker ps --filter label=berth.task-uid, on that node",
        )
    if found.stray_bindings:
        yield warn(
            "orphans",
            f"bindings name nodes that do not exist: {listed(found.stray_bindings)}",
            "start that node's agent again, or: berth node fence NAME",
        )
    if not (found.unbound or found.stray_bindings):
        yield passed("orphans", "no container without binding, no binding without node")


def _stuck(found: Findings) -> Iterator[Check]:
    stuck = [check for task in found.tasks for check in _task(task, found.now)]
    yield from stuck[:LISTED]
    if len(stuck) > LISTED:
        yield warn("tasks", f"{len(stuck) - LISTED} more tasks are stuck", "berth get tasks -A -o wide")
    if not stuck:
        yield passed("tasks", f"{count(found.task_count, 'task')}, none of them stuck")


def _task(task: Task, now: float) -> Iterator[Check]:
    where = "" if task.namespace == "default" else f" -n {task.namespace}"
    look = f"berth describe {task.ref}{where}"
    minutes = (now - task.since) / 60
    why = f": {task.reason}" if task.reason else ""
    if task.is_terminating:
        if task.since and now - task.since > TERMINATING_S:
            yield warn("tasks", f"{task.ref}{where} is Terminating for {minutes:.0f} minutes{why}", look)
    elif task.state is TaskState.LOST:
        yield warn("tasks", f"{task.ref}{where} is Lost{why}", look)
    elif task.state is TaskState.PENDING and task.since and now - task.since > PENDING_S:
        yield warn("tasks", f"{task.ref}{where} is Pending for {minutes:.0f} minutes{why}", look)


def _owners(found: Findings) -> Iterator[Check]:
    """A rollout passes through times in which not all is available; only one that lasts is worth a word."""
    lasting = [
        each for each in found.owners if each.condition != "Available" or found.now - each.since > PENDING_S
    ]
    for each in lasting[:LISTED]:
        where = "" if each.namespace == "default" else f" -n {each.namespace}"
        text = f"{each.ref}{where} has {each.condition}={each.status}: {each.why}"
        yield warn("workloads", text, f"berth describe {each.ref}{where}")
    if len(lasting) > LISTED:
        more = f"{len(lasting) - LISTED} more are not as they should be"
        yield warn("workloads", more, "berth get deployments,daemonsets,jobs,cronjobs -A")
    if not lasting:
        yield passed("workloads", f"{count(found.owner_count, 'owner')} of tasks, none of them in trouble")


def _queues(found: Findings) -> Iterator[Check]:
    """Nothing is said where all is well: most clusters have one queue, without any guarantee."""
    for each in found.queues[:LISTED]:
        yield warn("queues", f"{each.ref}: {each.why}", "berth shares")


def _compaction(found: Findings) -> Iterator[Check]:
    if found.compacted_at:
        age_s = found.now - found.compacted_at
        text = f"history was last compacted {age_s / 60:.0f} minutes ago"
        # A cluster in which nothing is written has nothing to compact, so only a full database makes it matter.
        yield passed("compaction", text) if age_s < COMPACTION_LATE_S else _quiet(text)
    elif found.oldest_at and found.now - found.oldest_at > COMPACTION_LATE_S:
        yield warn(
            "compaction",
            "history was never compacted, and etcd only grows",
            "berth version: does a controller lead?",
        )
    else:
        yield passed("compaction", "nothing was compacted yet: the cluster is young")


def _quiet(text: str) -> Check:
    return passed("compaction", f"{text}: that is fine where nothing is written")


Judge = Callable[[Findings], Iterable[Check]]
ALWAYS: tuple[Judge, ...] = (check_etcd, check_quota, check_certificates)
WITH_ETCD: tuple[Judge, ...] = (
    _denied,
    _cluster,
    _controllers,
    _nodes,
    _versions,
    _clocks,
    _unreadable,
    _orphans,
    _stuck,
    _owners,
    _queues,
    _compaction,
)
