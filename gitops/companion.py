"""The parts of GitOps put together, for the leading controller: folders, git, threads, syncer."""

import shutil
import tempfile
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from gitops.program import Git
from gitops.syncer import Syncer
from gitops.working import Worker
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
        mirrors = (state_dir or self._scratch) / "mirrors"
        worker = Worker(
            store,
            keys,
            Git(self._scratch, self._stopping),
            key_pair=key_pair,
            scratch=self._scratch,
            mirrors=mirrors,
            now=time.time,
        )
        self._pool = ThreadPoolExecutor(WORKERS, "gitops")
        self._syncer = Syncer(store, keys, worker, self._pool, wake=wake)

    def step(self, now: float) -> float | None:
        """One iteration over all sources; git runs in other threads. Raises Rewound."""
        return self._syncer.step(now)

    def close(self) -> None:
        """End git where it runs, and forget everything; what still writes carries a fence."""
        self._stopping.set()
        self._syncer.close()
        self._pool.shutdown(wait=True, cancel_futures=True)
        shutil.rmtree(self._scratch, ignore_errors=True)
