"""The parts of GitOps put together, for the leading controller: folders, git, threads, syncer."""

import shutil
import tempfile
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from gitops.actions import Job, Outcome
from gitops.facts import Source
from gitops.program import Git
from gitops.syncer import Syncer, Workshop
from schemas.keys import Keys
from sealing.keys import KeyPair
from store.api import Store

WORKERS = 4  # sources at a time; most of a job is waiting for somebody else's server


class GitOps:
    """Starts a companion for each term. state_dir: keeps mirrors of repositories; None: nowhere."""

    def __init__(self, state_dir: Path | None) -> None:
        self._state_dir = state_dir

    def __call__(
        self, store: Store, keys: Keys, *, key_pair: KeyPair | None, wake: Callable[[], None]
    ) -> "GitCompanion":
        """Return the companion of a term. store: carries the fence of the term."""
        return GitCompanion(store, keys, key_pair, wake, self._state_dir)


class LateWorkshop:
    """A workshop that is made when the first source wants something: what applies manifests is much to load, and most
    clusters have no sources."""

    def __init__(self, make: Callable[[], Workshop]) -> None:
        self._make = make
        self._made: Workshop | None = None
        self._lock = threading.Lock()

    def do(self, source: Source, job: Job, synced: str) -> Outcome:
        """Do one job, as the workshop does it."""
        with self._lock:
            made = self._made = self._made or self._make()
        return made.do(source, job, synced)

    def forget(self, source: Source) -> None:
        """Forget what is known of a source that is gone."""
        with self._lock:
            made = self._made = self._made or self._make()
        made.forget(source)


class GitCompanion:
    """A syncer with its threads and folders; `close` ends them all."""

    name = "gitops"

    def __init__(
        self,
        store: Store,
        keys: Keys,
        key_pair: KeyPair | None,
        wake: Callable[[], None],
        state_dir: Path | None,
    ) -> None:
        self._stopping = threading.Event()
        self._scratch = Path(tempfile.mkdtemp(prefix="berth-git-"))  # credentials lie here while git runs
        self._mirrors = (state_dir or self._scratch) / "mirrors"
        self._store, self._keys, self._key_pair = store, keys, key_pair
        self._pool = ThreadPoolExecutor(WORKERS, "gitops")
        self._syncer = Syncer(store, keys, LateWorkshop(self._worker), self._pool, wake=wake)

    def _worker(self) -> Workshop:
        from gitops.working import Worker

        return Worker(
            self._store,
            self._keys,
            Git(self._scratch, self._stopping),
            key_pair=self._key_pair,
            scratch=self._scratch,
            mirrors=self._mirrors,
            now=time.time,
        )

    def step(self, now: float) -> float | None:
        """One iteration over all sources; git runs in other threads. Raises Rewound."""
        return self._syncer.step(now)

    def close(self) -> None:
        """End git where it runs, and forget everything; what still writes carries a fence."""
        self._stopping.set()
        self._syncer.close()
        self._pool.shutdown(wait=True, cancel_futures=True)
        shutil.rmtree(self._scratch, ignore_errors=True)
