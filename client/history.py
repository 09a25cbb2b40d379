"""What the leader's archive tells: the changes of an object, and what stood at a moment. Reads answers, writes nothing.

A gap is no error by itself: it is one where the answer depends on what was not seen. See docs/design/history.md.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any
from urllib.parse import quote, urlencode

from client.errors import NotFound, Refused
from client.merge import changed_paths
from client.views import ObjectView
from schemas.keys import ObjectRef
from schemas.kinds import BY_PLURAL
from schemas.meta import CLUSTER_NAMESPACE
from store.api import KeyValue
from store.errors import PermissionDenied

if TYPE_CHECKING:
    from client.client import Client

Json = dict[str, Any]  # Any: JSON of any shape

BY_HAND = "by hand"
STAMPED = ("uid", "creationTimestamp")  # of metadata: told in columns of their own, and no person's choice


@dataclass(frozen=True, slots=True)
class Revision:
    """One change of an object. object None: it was deleted, or its content is not kept.

    is_exact: it happened at that revision and time, and nothing is missing before it; else it happened above
    `known_until`, at the latest at `revision`. who: managers that applied it; none: it was changed without a manifest.
    """

    ref: ObjectRef
    revision: int
    generation: int
    uid: str
    action: str
    time: str
    is_exact: bool
    known_until: int
    who: tuple[str, ...]
    object: Json | None
    era: int

    @property
    def is_deletion(self) -> bool:
        return self.action == "deleted"

    @property
    def by(self) -> tuple[str, ...]:
        """Who changed it, as people read it; empty where that is not known."""
        if self.who:
            return self.who
        return (BY_HAND,) if self.known_until == self.revision - 1 and not self.is_deletion else ()


@dataclass(frozen=True, slots=True)
class Gap:
    """Above revision `after` up to `until` nothing was seen, of that era."""

    era: int
    after: int
    until: int
    reason: str
    text: str


@dataclass(frozen=True, slots=True)
class History:
    """revisions: oldest first. omitted: how many older ones there are. gaps: where others may be missing."""

    ref: ObjectRef
    revisions: tuple[Revision, ...]
    gaps: tuple[Gap, ...]
    omitted: int
    notes: tuple[str, ...]
    answer: Json

    def changed(self, index: int) -> tuple[str, ...]:
        """Return the paths that changed in a revision; empty for one without a predecessor of the same object."""
        if index == 0:
            return ()
        before, after = self.revisions[index - 1], self.revisions[index]
        if before.object is None or after.object is None or before.uid != after.uid:
            return ()
        return tuple(changed_paths(comparable(before.object), comparable(after.object)))


@dataclass(frozen=True, slots=True)
class Past:
    """What stood at a moment. unsure: objects of which that is not known, each with why, as people read it."""

    revisions: tuple[Revision, ...]
    unsure: Mapping[ObjectRef, str]
    gaps: tuple[Gap, ...]
    notes: tuple[str, ...]

    def find(self, ref: ObjectRef) -> Revision | None:
        """Return the object as it was, None if there was none. Raises Refused where nobody saw it."""
        if ref in self.unsure:
            raise Refused(self.unsure[ref])
        found = next((each for each in self.revisions if each.ref == ref), None)
        if found is None and self.gaps:
            raise Refused(f"whether there was {ref} then is not known: {self.gaps[0].text}")
        return found


def comparable(raw: Json) -> Json:
    """Return an object without what is stamped on it."""
    metadata = {key: value for key, value in (raw.get("metadata") or {}).items() if key not in STAMPED}
    return {**raw, "metadata": metadata}


def read_history(client: "Client", ref: ObjectRef) -> History:
    """Return what became of an object. Raises Refused, LeaderUnavailable, NotFound where nothing is known of it."""
    path = f"/v1/history/{quote(ref.namespace)}/{ref.plural}/{quote(ref.name)}?least={_newest(client, ref)}"
    answer = client.ask_leader(path, _tokens(client, ref.namespace))
    if not answer["revisions"]:
        raise NotFound(
            f"the leader's history holds nothing of {ref}" + _where(ref) + _gaps_clause(_gaps(answer))
        )
    revisions = tuple(_revision(ref, each) for each in reversed(answer["revisions"]))
    return History(ref, revisions, _gaps(answer), answer["omitted"], _notes(answer), answer)


def _newest(client: "Client", ref: ObjectRef) -> int:
    """Return the revision that the answer must have reached, so that who wrote it a moment ago finds it there."""
    try:
        found = client.store.get(client.keys.spec(ref)).kv
    except PermissionDenied:
        return 0
    return found.mod_revision if found is not None else 0


def _tokens(client: "Client", namespace: str) -> tuple[str, ...] | None:
    return client.readable_namespaces() if namespace in (CLUSTER_NAMESPACE, "*") else (namespace,)


def _where(ref: ObjectRef) -> str:
    return "" if ref.namespace == CLUSTER_NAMESPACE else f" in namespace {ref.namespace}"


def _gaps_clause(gaps: Iterable[Gap]) -> str:
    texts = [gap.text for gap in gaps]
    return "; " + "; ".join(texts) if texts else ""


def _revision(ref: ObjectRef, raw: Json) -> Revision:
    return Revision(
        ref,
        raw["revision"],
        raw["generation"],
        raw["uid"],
        raw["action"],
        raw["time"],
        raw["isExact"],
        raw["knownUntil"],
        tuple(raw["who"]),
        raw["object"],
        raw["era"],
    )


def _gaps(answer: Json) -> tuple[Gap, ...]:
    return tuple(
        Gap(each["era"], each["after"], each["until"], each["reason"], each["text"])
        for each in answer["gaps"]
    )


def _notes(answer: Json) -> tuple[str, ...]:
    """Return what a reader should know besides the gaps."""
    begins = answer["begins"]
    notes = []
    if answer["hasForgotten"] and begins is not None:
        notes.append(
            f"what was replaced before revision {begins['revision']} went, to keep to --history-size"
        )
    if answer.get("isBehind"):
        notes.append("the leader's disk is behind, so the newest changes may be missing")
    return tuple(notes)


@dataclass(frozen=True, slots=True)
class When:
    """A moment as people name it: a revision, a time, or how long ago; exactly one of them."""

    revision: int | None = None
    time: float | None = None
    ago_s: float | None = None

    @property
    def query(self) -> dict[str, str]:
        given = {"revision": self.revision, "time": self.time, "ago": self.ago_s}
        return {name: str(value) for name, value in given.items() if value is not None}


def read_past(
    client: "Client", when: When, namespace: str | None, *, plural: str = "", name: str = ""
) -> Past:
    """Return what stood at a moment. namespace None: in all that one may read. Raises Refused, LeaderUnavailable."""
    place = "*" if namespace is None else namespace
    asked = {**when.query, "namespace": place, "plural": plural, "name": name}
    answer = client.ask_leader(f"/v1/at?{urlencode(asked)}", _tokens(client, place))
    gaps = _gaps(answer)
    sure, unsure = [], {}
    for each in answer["objects"]:
        ref = ObjectRef(each["plural"], each["namespace"], each["name"])
        if each["isSure"]:
            sure.append(_revision(ref, each))
        else:
            unsure[ref] = _unsure(ref, each["known"], gaps)
    return Past(tuple(sure), unsure, gaps, _notes(answer))


def _unsure(ref: ObjectRef, known: Json, gaps: tuple[Gap, ...]) -> str:
    before, after = known["before"], known["after"]
    shown = [f"--at-rev {each}" for each in (before, after) if each is not None]
    tail = f"; known is what it was at {' and '.join(shown)}" if shown else ""
    return f"what {ref} was then is not known{_gaps_clause(gaps)}{tail}"


def view_of(revision: Revision) -> ObjectView:
    """Return an object as it was, as reads of the present return objects; it has no status. Raises Refused."""
    raw = content_of(revision)
    kv = KeyValue("", b"", 0, revision.revision, revision.generation)
    return ObjectView(BY_PLURAL[revision.ref.plural], revision.ref, raw, kv)


def content_of(revision: Revision) -> Json:
    """Return the object as it was stored. Raises Refused where its content is not kept."""
    if revision.object is None:
        raise Refused(no_content(revision))
    return revision.object


def no_content(revision: Revision) -> str:
    return (
        f"the content of {revision.ref} at revision {revision.revision} is not kept: it could not be read, or went "
        "to keep to --history-size"
    )
