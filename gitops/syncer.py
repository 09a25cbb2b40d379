"""The leader's companion that keeps the cluster like the repositories say: one `step(now)` over all sources.

    watch of sources, statuses, requests -> decide (pure) -> a job for a worker, or a status -> its outcome, later

It lives for one term: the store carries the leader's fence, and what it knows is gone with it. `step` reads its own
cache, decides, and writes statuses; git and the writing of objects are jobs, of which a source has one at a time.
"""

import logging
from collections.abc import Callable, Mapping
from concurrent.futures import Future
from dataclasses import dataclass, field
from typing import Protocol

from pydantic import ValidationError

from gitops.actions import Answer, Failed, Job, Outcome, Rest
from gitops.decide import decide
from gitops.facts import Known, Source, Wish
from gitops.learning import begin, learn
from gitops.telling import tell
from schemas.gitsource import GitSource
from schemas.gitsource_status import GitSourceStatus
from schemas.keys import Family, Keys, ObjectRef, cluster_ref
from schemas.meta import CLUSTER_NAMESPACE
from schemas.request import DeleteRequest, SyncRequest
from store import codec
from store.api import Delete, KeyValue, Put, Store, Txn, unchanged
from store.errors import Deposed, Rewound, StoreError
from store.informer import Informer

log = logging.getLogger(__name__)

PLURAL, VERB = "gitsources", "sync"
WRITE_AGAIN_S = 5.0  # after a status could not be written


class Jobs(Protocol):
    """Where slow work goes: an executor of threads; in tests, at once or when the test says so."""

    def submit(self, work: Callable[[], Outcome], /) -> "Future[Outcome]": ...


class Workshop(Protocol):
    """Who does the slow work; see `gitops.working.Worker`."""

    def do(self, source: Source, job: Job, synced: str) -> Outcome: ...

    def forget(self, source: Source) -> None: ...


@dataclass(slots=True)
class _Care:
    """What this leader holds of one source. stored: the status as last read or written, with its revision.

    answered: the wish that was taken away last, which the cache may still show.
    """

    source: Source
    known: Known = field(default_factory=Known)
    running: "Future[Outcome] | None" = None
    stored: GitSourceStatus | None = None
    stored_revision: int = 0
    answered: int = 0
    rest_until: float = 0.0


class Syncer:
    """Made at the beginning of a term and closed at its end."""

    def __init__(
        self, store: Store, keys: Keys, workshop: Workshop, jobs: Jobs, *, wake: Callable[[], None]
    ) -> None:
        self._store = store
        self._keys = keys
        self._workshop = workshop
        self._jobs = jobs
        self._wake = wake
        families = (Family.SPEC, Family.STATUS, Family.REQUESTS)
        self._ranges = [keys.objects_range(family, CLUSTER_NAMESPACE, PLURAL) for family in families]
        self._informer = Informer(store, tuple(self._ranges), wake)
        self._cares: dict[str, _Care] = {}
        self.is_over = False

    def step(self, now: float) -> float | None:
        """Do what is due for each source; return when to be called again. Raises Rewound."""
        if self.is_over:
            return None
        self._informer.step(now)
        if not self._informer.synced:
            return self._informer.next_step_at(now)
        sources = self._sources()
        self._let_go(sources)
        for name, source in sources.items():
            care = self._cares.setdefault(name, _Care(source))
            if care.source.uid != source.uid:
                continue  # a job for its predecessor still runs
            care.source = source
            try:
                self._attend(care, now)
            except Deposed:
                self.is_over = True
                return None
            except Rewound:
                raise
            except StoreError as error:
                log.warning("source not attended to source=%s error=%s", name, error)
                care.rest_until = now + WRITE_AGAIN_S
        timers = [care.rest_until for care in self._cares.values() if care.running is None]
        return min([self._informer.next_step_at(now), *timers])

    # What is stored

    def _sources(self) -> dict[str, Source]:
        """Return name -> source; one that can't be read, or is to be deleted, is left alone."""
        found: dict[str, Source] = {}
        for kv in self._informer.items(self._ranges[0]):
            source = parse_source(kv, kv.key.removeprefix(self._ranges[0]))
            if source is not None and not self._is_leaving(source):
                found[source.name] = source
        return found

    def _is_leaving(self, source: Source) -> bool:
        kv = self._informer.get(self._keys.request(cluster_ref(PLURAL, source.name), "delete"))
        if kv is None:
            return False
        raw = codec.decode(kv)
        try:
            return not isinstance(raw, dict) or DeleteRequest.parse_stored(raw).uid in ("", source.uid)
        except ValidationError:
            return True

    def _wish(self, care: _Care) -> Wish | None:
        kv = self._informer.get(self._keys.request(cluster_ref(PLURAL, care.source.name), VERB))
        if kv is None or kv.mod_revision <= care.answered:
            return None
        raw = codec.decode(kv)
        try:
            heal = isinstance(raw, dict) and SyncRequest.parse_stored(raw).heal
        except ValidationError:
            heal = False
        return Wish(kv.mod_revision, heal)

    def _let_go(self, sources: Mapping[str, Source]) -> None:
        """Forget sources that are gone, or that are others of the same name; their statuses go with them."""
        for name, care in list(self._cares.items()):
            source = sources.get(name)
            is_gone = source is None or source.uid != care.source.uid
            if is_gone and (care.running is None or care.running.done()):
                self._workshop.forget(care.source)
                del self._cares[name]

    def _read_status(self, care: _Care) -> None:
        """Take in a status that is newer than what is held; own writes are held before the cache has them."""
        kv = self._informer.get(self._keys.status(cluster_ref(PLURAL, care.source.name)))
        if kv is None or kv.mod_revision <= care.stored_revision:
            return
        raw = codec.decode(kv)
        try:
            care.stored = GitSourceStatus.parse_stored(raw) if isinstance(raw, dict) else None
        except ValidationError:
            care.stored = None
        care.stored_revision = kv.mod_revision

    # What is done

    def _attend(self, care: _Care, now: float) -> None:
        self._read_status(care)
        if care.running is not None and not care.running.done():
            return
        if care.running is not None:
            self._take(care, care.running.result(), now)
            care.running = None
            if self.is_over:
                return
        if now < care.rest_until and self._is_resting(care):
            return
        self._act(care, now)

    def _take(self, care: _Care, outcome: Outcome, now: float) -> None:
        before = care.known.failure
        care.known = learn(care.known, care.source, outcome, now)
        care.rest_until = 0.0
        if isinstance(outcome, Failed):
            self.is_over = outcome.is_over
            if outcome.failure != before:
                reason, message = outcome.failure.reason, outcome.failure.message
                log.warning("sync failed source=%s reason=%s error=%s", care.source.name, reason, message)

    def _is_resting(self, care: _Care) -> bool:
        """Say whether nothing came up since it was decided to rest."""
        wish = self._wish(care)
        return care.known.generation == care.source.generation and wish is None

    def _act(self, care: _Care, now: float) -> None:
        wish = self._wish(care)
        match decide(care.source, care.stored, care.known, wish, now):
            case Answer(served):
                care.rest_until = now if self._tell(care, now, served) else now + WRITE_AGAIN_S
            case Rest(until):
                care.rest_until = until if self._tell(care, now, None) else now + WRITE_AGAIN_S
            case job:
                care.known = begin(care.known, care.source, job, wish, now)
                synced = care.stored.synced.commit if care.stored and care.stored.synced else ""
                source = care.source
                care.running = self._jobs.submit(lambda: self._workshop.do(source, job, synced))
                care.running.add_done_callback(lambda done: self._wake())

    def _tell(self, care: _Care, now: float, served: Wish | None) -> bool:
        """Write the status if it says something new, and take a served wish away with it.

        Return False if something changed that the cache has not shown yet. Raises StoreError.
        """
        status = tell(care.source, care.stored, care.known, now)
        ref = cluster_ref(PLURAL, care.source.name)
        ops: list[Put | Delete] = []
        compares = [unchanged(self._keys.spec(ref), self._spec_revision(care.source))]
        if status != care.stored:
            compares.append(unchanged(self._keys.status(ref), care.stored_revision))
            ops.append(Put(self._keys.status(ref), self._encoded(ref, status)))
        if served is not None:
            compares.append(unchanged(self._keys.request(ref, VERB), served.revision))
            ops.append(Delete(self._keys.request(ref, VERB)))
        if not ops:
            return True
        result = self._store.txn(Txn(tuple(compares), tuple(ops)))
        if result.succeeded and status != care.stored:
            self._log(care, status)
            care.stored, care.stored_revision = status, result.revision
        if result.succeeded and served is not None:
            care.answered = served.revision
        return result.succeeded

    def _encoded(self, ref: ObjectRef, status: GitSourceStatus) -> bytes:
        """Patch what is stored, so that fields of a newer version stay."""
        kv = self._informer.get(self._keys.status(ref))
        raw = codec.decode(kv) if kv is not None else {}
        known = {field.alias or name for name, field in GitSourceStatus.model_fields.items()}
        kept = {key: value for key, value in raw.items() if key not in known} if isinstance(raw, dict) else {}
        return codec.encode({**kept, **status.to_json()})

    def _spec_revision(self, source: Source) -> int:
        kv = self._informer.get(self._keys.spec(cluster_ref(PLURAL, source.name)))
        return kv.mod_revision if kv is not None else 0

    @staticmethod
    def _log(care: _Care, status: GitSourceStatus) -> None:
        before = care.stored.synced.commit if care.stored and care.stored.synced else ""
        if status.synced is not None and status.synced.commit != before:
            log.info(
                "source synced source=%s commit=%s objects=%d",
                care.source.name, status.synced.commit, status.object_count,
            )  # fmt: skip

    def close(self) -> None:
        """Stop watching; the owner of worker and store ends them."""
        self._informer.close()


def parse_source(kv: KeyValue, name: str) -> Source | None:
    """Return a stored source, None for one that can't be read."""
    raw = codec.decode_object(kv)
    try:
        parsed = None if isinstance(raw, codec.Unreadable) else GitSource.parse_stored(raw)
    except ValidationError:
        parsed = None
    if parsed is None or parsed.metadata.name != name:
        return None
    return Source(name, parsed.metadata.uid, kv.version, parsed.spec)
