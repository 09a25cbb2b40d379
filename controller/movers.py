"""Which tasks may be moved only to use the nodes better, and what that costs. Pure but for what it looks up.

A move is an eviction that nobody needs. So whatever would lose by it stays: what its owner says, what exists once, what
starts together, what runs to an end and is not tried again, what has its data on its node.
"""

from controller.records import TaskRecord
from controller.view import View
from schemas.binding import Binding
from schemas.job import Job
from schemas.owned import OwnerReference
from schemas.report import TaskReport
from schemas.task import TaskSpec
from schemas.timestamps import parse_time
from schemas.versioned import Versioned


def why_it_stays(spec: TaskSpec, owner: OwnerReference | None, retries: int | None) -> str:
    """Return what keeps a task where it is, empty if nothing does. retries: of its job, None without one."""
    if owner is not None and owner.kind == "DaemonSet":
        return "a DaemonSet keeps it here"
    if spec.rebalance == "never":
        return "rebalance: never"
    if spec.node_name is not None:
        return "it is for this very node"
    if spec.exactly_one:
        return "exactlyOne: there would be none meanwhile"
    if spec.gang is not None:
        return "it is one of a gang"
    if any(volume.host_path is not None for volume in spec.volumes):
        return "it uses a folder of its node"
    if retries == 0:
        return "its job does not try again"
    if retries is None and spec.restart_policy == "Never":
        return "it runs once"
    return ""


def retries_of(view: View, record: TaskRecord) -> int | None:
    """Return how often the job of a task tries again, None for one that is of no job. A job unread counts as 0."""
    if record.owner is None or record.owner.kind != "Job":
        return None
    ref = view.workloads.owner_ref(record)
    found = view.workloads.objects.get(ref) if ref is not None else None
    job = found.spec.value if found is not None and isinstance(found.spec, Versioned) else None
    return job.spec.backoff_limit if isinstance(job, Job) else 0


def lost_s(binding: Binding, report: TaskReport | None, now: float) -> float:
    """Return the seconds of work that a move throws away: of what serves for ever none."""
    if binding.spec.restart_policy == "Always" or report is None:
        return 0.0
    texts = [each.started_at for each in report.containers if each.started_at]
    try:
        return max((now - parse_time(each) for each in texts), default=0.0)
    except ValueError:
        return 0.0  # an agent of another make
