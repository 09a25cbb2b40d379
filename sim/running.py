"""What must hold of the runs of CronJobs, whatever fails.

of each transaction   a run is started once, at its time, not while the CronJob is suspended, and with concurrencyPolicy
                      Forbid not beside another
in the end            no more finished jobs are kept than the history limits say
"""

from collections.abc import Callable
from dataclasses import dataclass, field

from schemas.job import CronJob
from schemas.keys import ObjectRef
from schemas.meta import find_condition
from schemas.owned import Owned
from schemas.workload_status import JobStatus
from sim.stored import Stored


@dataclass(slots=True)
class Running:
    """`runs`: (CronJob's uid, when) -> uid of the job that was started for it."""

    stored: Stored
    fail: Callable[[str], None]
    runs: dict[tuple[str, str], str] = field(default_factory=dict)

    def check_started(self, ref: ObjectRef, owned: Owned) -> None:
        """Check a job that was just made for a CronJob."""
        owner = ObjectRef("cronjobs", ref.namespace, owned.owner.name)
        other = self.runs.setdefault((owned.owner.uid, owned.scheduled_at), owned.metadata.uid)
        if other != owned.metadata.uid:
            self.fail(f"{owner} started its run of {owned.scheduled_at} twice")
        cronjob: CronJob | None = self.stored.read(CronJob, self.stored.keys.spec(owner))
        if cronjob is None or cronjob.metadata.uid != owned.owner.uid:
            self.fail(f"{owner} is gone, and {ref} was started for it")
            return
        if cronjob.spec.suspend:
            self.fail(f"{owner} is suspended, and {ref} was started")
        beside = [each for each in self._jobs(owned.owner.uid) if each != ref and not self._end(each)]
        if beside and cronjob.spec.concurrency_policy == "Forbid":
            self.fail(f"{owner} started {ref} while {beside[0]} goes on")

    def _jobs(self, owner_uid: str) -> list[ObjectRef]:
        return [
            ref for ref, owned in self.stored.owned() if ref.plural == "jobs" and owned.owner.uid == owner_uid
        ]

    def _end(self, ref: ObjectRef) -> str:
        status: JobStatus | None = self.stored.read(JobStatus, self.stored.keys.status(ref))
        for kind in ("Complete", "Failed"):
            found = find_condition(status.conditions, kind) if status is not None else None
            if found is not None and found.status == "True":
                return kind
        return ""

    def check_end(self) -> None:
        """When all is at rest."""
        for ref, cronjob in self.stored.of_kind(CronJob, "cronjobs"):
            if cronjob is None:
                continue
            ends = [self._end(each) for each in self._jobs(cronjob.metadata.uid)]
            limits = {
                "Complete": cronjob.spec.successful_jobs_history_limit,
                "Failed": cronjob.spec.failed_jobs_history_limit,
            }
            for kind, limit in limits.items():
                if ends.count(kind) > limit:
                    self.fail(f"{ref} keeps {ends.count(kind)} jobs that are {kind}, and {limit} are wanted")

    def rewound(self) -> None:
        """History went back: what was started may be started again."""
        self.runs.clear()
