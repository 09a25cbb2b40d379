"""What to do next about one source. Pure: (source, status, what is known, wish, now) -> one action.

    Fetch -> is the commit new, or the source? -> Apply -> Look
                          |  no                             |
                          Look, every interval -> drift and selfHeal? -> Apply

A failure waits before the next try. Nothing is done twice because of a status: that is told by `gitops.telling`.
"""

from gitops.actions import Action, Answer, Apply, Fetch, Look, Rest
from gitops.facts import Known, Source, Tip, Wish
from schemas.gitsource_status import GitSourceStatus

BACKOFF_S = 5.0  # after the first failure; doubles ...
MAX_BACKOFF_S = 180.0  # ... up to this, so that a repository that is mended is found within minutes
PROGRESS_S = 3.0  # between two looks while something starts; a look only reads


def backoff_s(failures: int) -> float:
    """Return the seconds to wait after so many failures in a row."""
    return min(MAX_BACKOFF_S, BACKOFF_S * 2.0 ** min(failures - 1, 16)) if failures > 0 else 0.0


def saturated(failures: int) -> int:
    """Return the count of failures as it is told: it ends where the wait stops to grow."""
    count = 1
    while count < failures and backoff_s(count) < MAX_BACKOFF_S:
        count += 1
    return min(count, failures)


def decide(
    source: Source, status: GitSourceStatus | None, known: Known, wish: Wish | None, now: float
) -> Action:
    """Return the one thing to do next."""
    is_served = wish is not None and known.begun == wish.revision
    if wish is not None and (source.spec.suspend or (is_served and known.failed_at >= known.begun_at)):
        return Answer(wish)
    if source.spec.suspend:
        return Rest(float("inf"))
    if known.generation != source.generation or (wish is not None and not is_served):
        return Fetch()
    if known.failures and now < known.failed_at + backoff_s(known.failures):
        return Rest(known.failed_at + backoff_s(known.failures))
    if known.tip is None or now >= _fetch_due(source, known):
        return Fetch()
    return _after_fetch(source, status, known, wish, now)


def _after_fetch(
    source: Source, status: GitSourceStatus | None, known: Known, wish: Wish | None, now: float
) -> Action:
    """Decide with what the repository has."""
    tip = known.tip
    assert tip is not None
    if not is_synced(source, status, known, tip) or (
        wish and wish.heal and known.applied_at < known.begun_at
    ):
        return Apply(tip)
    if now >= look_due(source, known):
        return Look(tip)
    if (
        source.spec.self_heal
        and known.live
        and known.live.drift
        and now >= known.applied_at + source.spec.interval
    ):
        return Apply(tip)
    if wish is not None:
        return Answer(wish)
    return Rest(min(_fetch_due(source, known), look_due(source, known)))


def is_synced(source: Source, status: GitSourceStatus | None, known: Known, tip: Tip) -> bool:
    """Say whether this commit was applied, for this very form of the source: by this leader, or as the status says."""
    if known.just_applied is not None and known.just_applied.id == tip.commit.id:
        return True
    return (
        status is not None
        and status.uid == source.uid
        and status.synced is not None
        and status.synced.commit == tip.commit.id
        and status.synced_generation == source.generation
    )


def _fetch_due(source: Source, known: Known) -> float:
    return known.fetched_at + source.spec.interval


def look_due(source: Source, known: Known) -> float:
    """Return when to look next: sooner while something starts; at once when nothing was seen of the commit."""
    live = known.live
    if (
        live is None
        or known.tip is None
        or (live.commit, live.generation) != (known.tip.commit.id, source.generation)
    ):
        return known.looked_at if live is None else known.fetched_at
    is_moving = any(each.health == "Progressing" for each in live.objects)
    return known.looked_at + (PROGRESS_S if is_moving else source.spec.interval)
