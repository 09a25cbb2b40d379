"""Reports that are likely to be out of date in a moment, held back for a while.

Each report costs a write of the agent and one of the leader, with their fsyncs, just while many containers start at
once; and most are Running before anybody could have read that they were being created. Nothing that went wrong,
ended, or lasts is held back.
"""

from agent.rollup import is_passing
from schemas.report import TaskReport

PASSING_S = 2.0  # a state on the way to Running is told when it lasts so long


class Passing:
    """Which reports are held, and since when. One thread owns it."""

    def __init__(self) -> None:
        self._held: dict[
            str, tuple[TaskReport, float]
        ] = {}  # task uid -> report, since when it says the same

    def hold_until(self, task_uid: str, report: TaskReport, now: float) -> float | None:
        """Return until when to wait with a new report, None to tell it now."""
        if not is_passing(report):
            self.drop(task_uid)
            return None
        held, since = self._held.get(task_uid, (report, now))
        since = since if held == report else now
        if now >= since + PASSING_S:
            self.drop(task_uid)
            return None
        self._held[task_uid] = report, since
        return since + PASSING_S

    def drop(self, task_uid: str) -> None:
        self._held.pop(task_uid, None)

    def release(self, now: float) -> tuple[str, ...]:
        """Let all reports that are held be told at once; return whose they are."""
        self._held = {uid: (report, now - PASSING_S) for uid, (report, _) in self._held.items()}
        return tuple(sorted(self._held))
