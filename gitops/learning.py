"""What a job's outcome changes in what is known of a source. Pure."""

from dataclasses import replace

from gitops.actions import Applied, Apply, Failed, Fetch, Fetched, Job, Look, Looked, Outcome
from gitops.facts import NEVER, Known, Source, Wish


def begin(known: Known, source: Source, job: Job, wish: Wish | None, now: float) -> Known:
    """Return what is known once a job is begun. Another form of the source begins afresh."""
    if known.generation != source.generation:
        known = Known(generation=source.generation, begun=known.begun, begun_at=known.begun_at)
    if isinstance(job, Fetch) and wish is not None and wish.revision != known.begun:
        known = replace(known, begun=wish.revision, begun_at=now)
    return known


def learn(known: Known, source: Source, outcome: Outcome, now: float) -> Known:
    """Return what is known after a job. An outcome of an older form of the source counts for nothing."""
    if known.generation != source.generation:
        return known
    match outcome:
        case Fetched(tip):
            return _cleared(replace(known, tip=tip, fetched_at=now), (Fetch,))
        case Applied(commit, live):
            done = replace(known, just_applied=commit, live=live, looked_at=now, applied_at=now)
            return _cleared(done, (Fetch, Apply, Look))
        case Looked(live):
            live = replace(live, released=known.live.released if known.live is not None else ())
            heals = source.spec.self_heal and live.drift_count > 0
            return _cleared(
                replace(known, live=live, looked_at=now), (Fetch, Look) if heals else (Fetch, Apply, Look)
            )
        case Failed():
            return _failed(known, outcome, now)


def _failed(known: Known, outcome: Failed, now: float) -> Known:
    since = known.failing_since if known.failures else now
    return replace(
        known,
        failure=outcome.failure,
        stage=outcome.stage,
        failures=known.failures + 1,
        failed_at=now,
        failing_since=since,
    )


def _cleared(known: Known, stages: tuple[type[Job], ...]) -> Known:
    """Forget a failure of one of these jobs: it went well now."""
    if known.stage not in stages:
        return known
    return replace(known, failure=None, stage=None, failures=0, failing_since=NEVER)
