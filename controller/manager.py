"""A controller: cache and view always, the leader's work while it leads.

Order of start, as in Kubernetes' controller-runtime: health, caches synced, election, loops. The core is one actor
that owns view and term; lease, writes and compaction are actors of their own.
"""

import logging
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from controller.compactor import Compactor
from controller.companions import Companions, Starter
from controller.electing import LEASE_TTL_S, Electing
from controller.errors import CannotStart
from controller.leader import Term
from controller.packing import Packer, PackNow
from controller.questions import Questions
from controller.reconcilers.collection import FinishedPolicy
from controller.recorder import Recorder
from controller.scheduler.program import Limits
from controller.scheduler.schedule import Policy
from controller.snapshots import Asked, Frozen
from controller.source import Random
from controller.view import View
from controller.writer import Writer
from schemas.cluster import LeaderInfo
from schemas.keys import Keys
from schemas.versioned import Versioned
from sealing.keys import KeyPair, key_id
from store.api import Store
from store.election import Leader
from store.errors import Unavailable
from store.fence import Fence
from store.informer import Informer
from store.loop import Actor

if TYPE_CHECKING:
    from controller.history.keeper import Keeper

log = logging.getLogger(__name__)

IDLE_STEP_S = 60.0  # without timers of its own the core waits for a wake


@dataclass(frozen=True, slots=True)
class ControllerSettings:
    """Settings of one controller; each has its unit and reason.

    prefix: root of all keys. identity: shown as the leader's name. api_address: where its read API answers.
    lease_ttl_s: seconds after which a dead leader is replaced. strategy: binpack or spread.
    key_pair: the cluster's, which opens Secrets; None leads too, and tasks that need a Secret wait.
    finished: when tasks of nobody's that have ended are removed. packing: how long the optimiser may search.
    """

    identity: str
    prefix: str = "/berth"
    api_address: str = ""
    version: str = ""
    lease_ttl_s: int = LEASE_TTL_S
    policy: Policy = field(default_factory=Policy)
    key_pair: KeyPair | None = None
    finished: FinishedPolicy = field(default_factory=FinishedPolicy)
    packing: Limits = field(default_factory=Limits)


@dataclass(frozen=True, slots=True)
class Health:
    """What /readyz says."""

    synced: bool
    leading: bool
    role: str
    error: str


class Controller:
    """The actors of one controller process. `wakes` are set by the shell before anything runs."""

    name = "core"

    def __init__(
        self,
        store: Store,
        settings: ControllerSettings,
        random_source: Random,
        *,
        saw_rewind: bool = False,
        wake_core: Callable[[], None] = lambda: None,
        history: "Keeper | None" = None,
        packer: Packer | None = None,
        starters: tuple[Starter, ...] = (),
    ) -> None:
        """history: takes down what the informer sees; None: nobody does."""
        self._settings = settings
        self._packer = packer or PackNow()
        self._random = random_source
        self._saw_rewind = saw_rewind
        self._spent: Fence | None = None
        self._is_away = False
        self.keys = Keys(settings.prefix)
        self.store, self.key_pair = store, settings.key_pair
        self.view = View(self.keys)
        self.history = history
        self.informer = Informer(store, (self.keys.root,), wake_core, observer=history)
        info = LeaderInfo(
            identity=settings.identity, api_address=settings.api_address, version=settings.version
        )
        self.electing = Electing(store, self.keys, info, wake_core, lease_ttl_s=settings.lease_ttl_s)
        self.writer = Writer(store, wake_core)
        self.compactor = Compactor(store, self.keys, self._fence)
        self.companions = Companions(store, self.keys, starters, self._fence, settings.key_pair)
        self._beside = (self.companions,) if starters else ()
        self._recorder = Recorder(store, self.keys, settings.identity)
        self.questions = Questions(wake_core)
        self.term: Term | None = None
        self.refusal: CannotStart | None = None  # why it must not lead; its shell ends it

    @property
    def actors(self) -> tuple[Actor, ...]:
        """In the order of their start."""
        return (self, self.electing, self.writer, self.compactor, *self._beside)

    def _fence(self) -> Fence | None:
        term = self.term  # read once: another thread asks
        return term.fence if term else None

    def step(self, now: float) -> float | None:
        """One iteration of the core: cache, view, term. Raises Rewound: then begin afresh with `saw_rewind`."""
        incarnation = self._incarnation
        changes = self.informer.step(now)
        dirty = [ref for change in changes for ref in self.view.apply(change)]
        if self.term is not None and changes:
            self.term.changed([change.key for change in changes], dict.fromkeys(dirty), now)
        if self.informer.refusal is not None:
            raise self.informer.refusal
        self._tell_outage()
        self._check_key()
        if self.refusal is not None:
            self._end_term()
            return now + IDLE_STEP_S
        if 0 < incarnation < self._incarnation:
            self._saw_rewind = False  # the rewind has been answered, by this controller or another
        self._follow_election(now)
        due = self.term.step(now, self.informer.revision) if self.term else None
        self.questions.answer(lambda asked: self._frozen(asked, now))
        if self.term is not None and self.term.is_over:
            why = "deposed" if self.term.fenced_off else "lost track"
            log.warning("term is over identity=%s reason=%s", self._settings.identity, why)
            self._end_term()
        return min(self.informer.next_step_at(now), now + IDLE_STEP_S if due is None else due)

    def _frozen(self, asked: Asked, now: float) -> Frozen | None:
        term = self.term
        return (
            term.freeze(asked, now, self.informer.revision) if term is not None and not term.is_over else None
        )

    def _check_key(self) -> None:
        """Two keys in one cluster would make Secrets come and go with the leader: one with another key leads never."""
        pair, cluster = self._settings.key_pair, self.view.cluster
        published = cluster.value.public_key if isinstance(cluster, Versioned) else None
        if pair is not None and published is not None and published != pair.public:
            self.refusal = CannotStart(
                f"the key of --secret-key is {pair.id}, but secrets of this cluster are sealed to {key_id(published)}; "
                "start this controller with the cluster's key file, or, if that is lost for good: "
                "berth secret forget-key --force, and apply all secrets again"
            )

    def _tell_outage(self) -> None:
        """Say once when the store stops answering, and when it answers again."""
        error = self.informer.last_error
        away = isinstance(error, Unavailable)
        if away and not self._is_away:
            log.warning("store does not answer, containers go on meanwhile error=%s", error)
        elif self._is_away and not away:
            log.info("store answers again")
        self._is_away = away

    def _follow_election(self, now: float) -> None:
        role = self.electing.role
        fence = role.fence if isinstance(role, Leader) and self.electing.keeper.alive(now) else None
        if self.term is not None and self.term.fence != fence:
            self._end_term()
        if self.term is None and fence is not None and self._may_lead(fence):
            log.info("leading identity=%s fence=%d", self._settings.identity, fence.create_revision)
            self.term = Term(
                self.view,
                self.keys,
                self.writer,
                self._recorder,
                fence,
                self._settings.policy,
                self._random,
                saw_rewind=self._saw_rewind,
                now=now,
                key_pair=self._settings.key_pair,
                finished=self._settings.finished,
                packer=self._packer,
                packing=self._settings.packing,
            )
            self.companions.wake()

    def _may_lead(self, fence: Fence) -> bool:
        """Say whether the cache is as new as this leadership, and so shows all that leaders before it wrote.

        They could write while their key lived; one watch gives one order, so their writes come before its end.
        """
        if fence == self._spent or not self.informer.synced:
            return False
        kvs = self.informer.items(self.keys.election)
        oldest = min(kvs, key=lambda kv: (kv.create_revision, kv.key), default=None)
        return oldest is not None and Fence(oldest.key, oldest.create_revision) == fence

    def _end_term(self) -> None:
        """A fence serves one term: the next one must not meet writes of this one that are still under way."""
        if self.term is not None:
            self._spent = self.term.fence
            self.electing.renounce(self.term.fence)
            self.term.end()
            self.term = None
            self.companions.wake()

    @property
    def _incarnation(self) -> int:
        cluster = self.view.cluster
        return cluster.value.incarnation if isinstance(cluster, Versioned) else 0

    def health(self) -> Health:
        """Return what health and readiness say; reads single attributes only, from any thread."""
        error = self.informer.last_error
        return Health(
            synced=self.informer.synced,
            leading=self.term is not None,
            role="Leader" if self.term else type(self.electing.role).__name__,
            error=str(error) if error else "",
        )

    def close(self) -> None:
        """Stop watching; the store is the caller's."""
        self.questions.close()
        self.informer.close()
