"""What is known of a source, as values: of its repository, of its objects in the cluster, of the last failure. Pure."""

from dataclasses import dataclass

from schemas.gitsource import GitSourceSpec
from schemas.gitsource_status import Drift, SourceObject
from schemas.kinds import Kind

NEVER = float("-inf")
SOURCE_PREFIX = "git."  # of managers


@dataclass(frozen=True, slots=True)
class Source:
    """A GitSource as it is stored."""

    name: str
    uid: str
    generation: int
    spec: GitSourceSpec

    @property
    def manager(self) -> str:
        """As whom it applies."""
        return f"{SOURCE_PREFIX}{self.name}"

    def may_write(self, kind: Kind) -> bool:
        return self.spec.may_write_kind(kind.name, is_namespaced=kind.namespaced)


@dataclass(frozen=True, slots=True)
class Commit:
    """`message`: its first line. `committed_at`: RFC 3339, as its author's machine had it."""

    id: str
    author: str = ""
    message: str = ""
    committed_at: str = ""


@dataclass(frozen=True, slots=True)
class Tip:
    """What the repository has under the name that is followed.

    rewritten_from: the commit synced before, where it is not among those that this one came from; else empty.
    """

    commit: Commit
    rewritten_from: str = ""


@dataclass(frozen=True, slots=True)
class Live:
    """How the objects of a commit are in the cluster, all of one look. Counts go on where lists end.

    released: what left the repository when the commit was applied, and stays as it is somebody else's, too.
    """

    commit: str
    generation: int  # of the source
    objects: tuple[SourceObject, ...] = ()
    object_count: int = 0
    drift: tuple[Drift, ...] = ()
    drift_count: int = 0
    orphaned: tuple[str, ...] = ()
    orphaned_count: int = 0
    released: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Failure:
    """Why the last try failed. `commit`: of which one; empty where none could be read."""

    reason: str
    message: str
    commit: str = ""


@dataclass(frozen=True, slots=True)
class Wish:
    """Somebody asks for a look now. `revision`: of the request. `heal`: what drifted is put right, too."""

    revision: int
    heal: bool


@dataclass(frozen=True, slots=True)
class Known:
    """What this leader has learned of a source since its term began. Times are the leader's own clock's.

    generation: of the source as all of this was learned. begun: the wish that is being served, and since when.
    just_applied: what this leader applied last. stage: which job failed.
    """

    generation: int = 0
    tip: Tip | None = None
    fetched_at: float = NEVER
    live: Live | None = None
    looked_at: float = NEVER
    applied_at: float = NEVER
    failure: Failure | None = None
    stage: type | None = None
    failures: int = 0
    failed_at: float = NEVER
    failing_since: float = NEVER
    begun: int = 0
    begun_at: float = NEVER
    just_applied: Commit | None = None
