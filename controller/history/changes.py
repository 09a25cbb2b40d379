"""The values of history: what the informer tells, and the rows and gaps that are kept of it. Pure.

An *era* is a stretch in which revisions only grow. Rewound history begins a new one: revision 90 of a restored backup
is another moment than revision 90 before.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field
from enum import StrEnum

from schemas.keys import ObjectRef


class Action(StrEnum):
    """What became of an object. FOUND: it was there already when the archive first saw it."""

    CREATED = "created"
    CHANGED = "changed"
    DELETED = "deleted"
    FOUND = "found"


class Reason(StrEnum):
    """Why nothing was seen for a while."""

    BEGAN = "Began"
    DOWN = "ControllerDown"
    LOST = "WatchLost"
    OVERFLOW = "Overflow"
    FAILED = "WriteFailed"
    REWOUND = "Rewound"


PHRASES = {
    Reason.BEGAN: "the archive began",
    Reason.DOWN: "the controller was down",
    Reason.LOST: "the controller had lost the thread of etcd's changes",
    Reason.OVERFLOW: "the disk was too slow for the changes",
    Reason.FAILED: "the archive could not be written",
    Reason.REWOUND: "the history of etcd was rewound, or it is another etcd",
}


@dataclass(frozen=True, slots=True)
class Stored:
    """An object as it is in etcd. who: the managers whose applied record was written in the same revision.

    uid "" for what has none. value: raw JSON, None for what is not kept, as it can't be read.
    """

    ref: ObjectRef
    revision: int
    generation: int
    uid: str
    value: bytes | None = field(repr=False)
    who: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Gone:
    """An object was removed from etcd."""

    ref: ObjectRef
    revision: int


@dataclass(frozen=True, slots=True)
class ClusterMark:
    """Which cluster it is, as /berth/cluster says; "" and 0 where it says nothing."""

    uid: str = ""
    incarnation: int = 0


@dataclass(frozen=True, slots=True)
class Seen:
    """Changes in the order of their revisions, with nothing missing since the message before. time: when seen."""

    changes: tuple[Stored | Gone, ...]
    until: int
    time: float
    cluster: ClusterMark = ClusterMark()


@dataclass(frozen=True, slots=True)
class Listed:
    """All objects at one revision. What happened since the message before was not seen, and this is why."""

    objects: tuple[Stored, ...]
    revision: int
    time: float
    reason: Reason
    cluster: ClusterMark = ClusterMark()


Message = Seen | Listed


@dataclass(frozen=True, slots=True)
class Mark:
    """How far the archive has seen."""

    era: int
    revision: int
    time: float
    cluster: ClusterMark = ClusterMark()


@dataclass(frozen=True, slots=True)
class Head:
    """The last that is known of an object that exists."""

    revision: int
    generation: int
    uid: str
    digest: str


@dataclass(frozen=True, slots=True)
class Row:
    """One change of one object.

    It is so from `revision` on. What was before is known up to `after`, and nothing in between: for a change that was
    seen, `after` is the revision before. The same holds for `time` and `after_time`. value: raw JSON, None for a
    deletion and for what is not kept. seq: order in the archive; 0 before it is there.
    """

    era: int
    ref: ObjectRef
    revision: int
    generation: int
    uid: str
    action: Action
    time: float
    after: int
    after_time: float
    who: tuple[str, ...] = ()
    value: bytes | None = field(default=None, repr=False)
    digest: str = ""
    seq: int = 0

    @property
    def is_exact(self) -> bool:
        """Its revision is the one of the change, and nothing is missing before it."""
        return self.after == self.revision - 1

    @property
    def is_deletion(self) -> bool:
        return self.action is Action.DELETED

    @property
    def head(self) -> Head:
        return Head(self.revision, self.generation, self.uid, self.digest)


@dataclass(frozen=True, slots=True)
class Gap:
    """Above revision `after` up to `until` nothing was seen; at `until` all objects were listed."""

    era: int
    after: int
    until: int
    reason: Reason
    after_time: float
    until_time: float

    @property
    def text(self) -> str:
        return f"between revisions {self.after} and {self.until} nothing was seen: {PHRASES[self.reason]}"


@dataclass(frozen=True, slots=True)
class Recorded:
    """What a message adds to the archive."""

    rows: tuple[Row, ...]
    gap: Gap | None
    mark: Mark

    def __iter__(self) -> Iterator[Row]:
        return iter(self.rows)


@dataclass(frozen=True, slots=True)
class Horizon:
    """Before this revision of this era, or this time, older rows went. seq 0: nothing went yet."""

    seq: int = 0
    era: int = 0
    revision: int = 0
    time: float = 0.0
