"""What the leader says of a GitSource: what is synced, how it is, what differs, and what went wrong.

It holds no time that passes by itself and no count that goes on for ever, so that it is written only when
something changed.
"""

from typing import Literal

from schemas.meta import Condition, Model

MAX_OBJECTS = 200  # named in a status; more are counted
MAX_DRIFT = 50
MAX_ORPHANS = 50
MAX_HISTORY = 10  # commits that can be gone back to by `berth sync rollback`

SYNCED, HEALTHY = "Synced", "Healthy"  # types of conditions

Health = Literal["Healthy", "Progressing", "Degraded", "Suspended", "Missing"]


class SyncedCommit(Model):
    """A commit that was applied. `message`: its first line. Times are for people."""

    commit: str
    author: str = ""
    message: str = ""
    committed_at: str = ""
    synced_at: str = ""


class SourceObject(Model):
    """An object of the source. `object` is kind/name; `namespace` is empty for kinds without one."""

    object: str
    namespace: str = ""
    health: Health
    message: str = ""


class Drift(Model):
    """An object that is not as the commit says. `fields` that differ; none: it is missing."""

    object: str
    namespace: str = ""
    fields: tuple[str, ...] = ()


class SyncFailure(Model):
    """Why the last try failed. `commit`: of which one, empty where none could be read.

    `failures` counts up to where the time between two tries stops to grow, which is `retryAfterSeconds` then.
    """

    reason: str
    message: str
    commit: str = ""
    since: str = ""
    failures: int = 1
    retry_after_seconds: int = 0


class Rewrite(Model):
    """History of what is followed was rewritten (a force-push): `old` is not among what `new` came from."""

    old: str
    new: str
    seen_at: str = ""


class GitSourceStatus(Model):
    """`syncedGeneration`: of the source's spec by which `synced` was applied.

    `orphaned`: what is in the repository no more, and is the source's still. `released`: what left it with the synced
    commit, and was not pruned, as others have applied it, too.
    """

    kind: Literal["GitSourceStatus"] = "GitSourceStatus"
    uid: str
    observed_generation: int = 0
    synced_generation: int = 0
    synced: SyncedCommit | None = None
    history: tuple[SyncedCommit, ...] = ()
    object_count: int = 0
    objects: tuple[SourceObject, ...] = ()
    drift_count: int = 0
    drift: tuple[Drift, ...] = ()
    orphaned_count: int = 0
    orphaned: tuple[str, ...] = ()
    released: tuple[str, ...] = ()
    failure: SyncFailure | None = None
    rewrite: Rewrite | None = None
    conditions: tuple[Condition, ...] = ()
