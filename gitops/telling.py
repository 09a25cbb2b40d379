"""What the status of a source says, from what is known of it. Pure; the same knowledge gives the same status.

So a status is written only when something changed: no time in it passes by itself.
"""

from gitops.decide import backoff_s, saturated
from gitops.facts import Commit, Failure, Known, Source
from schemas.gitsource_status import (
    HEALTHY,
    MAX_HISTORY,
    SYNCED,
    GitSourceStatus,
    Rewrite,
    SyncedCommit,
    SyncFailure,
)
from schemas.meta import Condition, set_condition
from schemas.timestamps import format_time

MAX_MESSAGE = 2000  # characters of a failure


def tell(source: Source, before: GitSourceStatus | None, known: Known, now: float) -> GitSourceStatus:
    """Return the status of `source`, going on from the stored one. now: for what happened just now."""
    status = before if before is not None and before.uid == source.uid else GitSourceStatus(uid=source.uid)
    status = _with_applied(source, status, known, now)
    status = _with_live(source, status, known)
    status = _with_failure(status, known)
    status = _with_rewrite(status, known, now)
    if known.generation == source.generation or source.spec.suspend:
        status = status.model_copy(update={"observed_generation": source.generation})
    return _with_conditions(source, status, known, now)


def _with_applied(source: Source, status: GitSourceStatus, known: Known, now: float) -> GitSourceStatus:
    applied = known.just_applied
    if applied is None or known.generation != source.generation:
        return status
    update: dict[str, object] = {"synced_generation": source.generation}
    if status.synced is None or status.synced.commit != applied.id:
        synced = _synced(applied, now)
        kept = tuple(each for each in status.history if each.commit != applied.id)
        update |= {"synced": synced, "history": (synced, *kept)[:MAX_HISTORY], "released": ()}
    return status.model_copy(update=update)


def _synced(commit: Commit, now: float) -> SyncedCommit:
    return SyncedCommit(
        commit=commit.id,
        author=commit.author,
        message=commit.message,
        committed_at=commit.committed_at,
        synced_at=format_time(now),
    )


def _with_live(source: Source, status: GitSourceStatus, known: Known) -> GitSourceStatus:
    """Take in the last look; one at another commit than the synced one says nothing of it."""
    live = known.live
    if live is None or live.generation != source.generation or status.synced is None:
        return status
    if live.commit != status.synced.commit:
        return status
    return status.model_copy(
        update={
            "objects": live.objects,
            "object_count": live.object_count,
            "drift": live.drift,
            "drift_count": live.drift_count,
            "orphaned": live.orphaned,
            "orphaned_count": live.orphaned_count,
            "released": live.released or status.released,
        }
    )


def _with_failure(status: GitSourceStatus, known: Known) -> GitSourceStatus:
    if known.failure is None:
        # a new leader has not failed yet, and what failed before it holds until something went well
        went_well = known.tip is not None and known.live is not None
        return status.model_copy(update={"failure": None}) if went_well else status
    return status.model_copy(update={"failure": _failure(known.failure, known)})


def _failure(failure: Failure, known: Known) -> SyncFailure:
    return SyncFailure(
        reason=failure.reason,
        message=failure.message[:MAX_MESSAGE],
        commit=failure.commit,
        since=format_time(known.failing_since),
        failures=saturated(known.failures),
        retry_after_seconds=int(backoff_s(known.failures)),
    )


def _with_rewrite(status: GitSourceStatus, known: Known, now: float) -> GitSourceStatus:
    """Tell that history was rewritten, until a commit follows that came from the one before."""
    tip = known.tip
    if tip is None or (status.rewrite is not None and status.rewrite.new == tip.commit.id):
        return status
    if tip.rewritten_from:
        found = Rewrite(old=tip.rewritten_from, new=tip.commit.id, seen_at=format_time(now))
        return status.model_copy(update={"rewrite": found})
    return status.model_copy(update={"rewrite": None})


def _with_conditions(source: Source, status: GitSourceStatus, known: Known, now: float) -> GitSourceStatus:
    at = format_time(now)
    conditions = status.conditions
    for found in (_synced_condition(source, status, known, at), _healthy_condition(status, at)):
        if found is not None:
            conditions = set_condition(conditions, found)
    return status.model_copy(update={"conditions": conditions})


def _synced_condition(source: Source, status: GitSourceStatus, known: Known, at: str) -> Condition | None:
    def condition(verdict: str, reason: str, message: str = "") -> Condition:
        return Condition.model_validate(
            {
                "type": SYNCED,
                "status": verdict,
                "reason": reason,
                "message": message,
                "lastTransitionTime": at,
            }
        )

    if status.failure is not None:
        return condition("False", status.failure.reason, status.failure.message)
    if source.spec.suspend:
        return condition("Unknown", "Suspended", "nothing is synced until: berth sync resume")
    if status.synced is None or status.synced_generation != source.generation:
        return condition("Unknown", "Syncing") if known.tip is not None or status.synced is None else None
    if status.drift_count:
        return condition("False", "Drifted", f"{status.drift_count} objects differ from the commit")
    return condition("True", "Synced")


def _healthy_condition(status: GitSourceStatus, at: str) -> Condition | None:
    if status.synced is None:
        return None
    bad = [each for each in status.objects if each.health in ("Degraded", "Missing")]
    moving = [each for each in status.objects if each.health == "Progressing"]
    if bad:
        verdict, reason, message = "False", bad[0].health, f"{bad[0].object}: {bad[0].message}"
    elif moving:
        verdict, reason, message = "Unknown", "Progressing", f"{moving[0].object}: {moving[0].message}"
    else:
        verdict, reason, message = "True", "Healthy", ""
    return Condition.model_validate(
        {"type": HEALTHY, "status": verdict, "reason": reason, "message": message, "lastTransitionTime": at}
    )
