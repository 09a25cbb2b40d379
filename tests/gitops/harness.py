"""A syncer on a memory store and real repositories, in virtual time: jobs are done as soon as they are submitted."""

import threading
from collections.abc import Callable
from concurrent.futures import Future
from pathlib import Path
from typing import Any

import yaml

from gitops.actions import Outcome
from gitops.program import Git
from gitops.syncer import Syncer
from gitops.working import Worker
from schemas.gitsource_status import GitSourceStatus
from schemas.keys import ObjectRef, cluster_ref
from sealing.keys import KeyPair
from store.api import Delete, Store, Txn
from store.fence import Fence
from store.fenced import FencedStore
from store.memory import MemoryStore
from tests.client.helpers import KEYS, World, docs, make_object
from tests.gitops.repositories import Repository

ELECTION = f"{KEYS.election}1"


class AtOnce:
    """Does what is submitted at once. `held`: what a test keeps back instead."""

    def __init__(self) -> None:
        self.is_holding = False
        self.held: list[Callable[[], None]] = []

    def submit(self, work: Callable[[], Outcome], /) -> "Future[Outcome]":
        future: Future[Outcome] = Future()

        def run() -> None:
            future.set_result(work())

        if self.is_holding:
            self.held.append(run)
        else:
            run()
        return future


class Sync(World):
    """A world with one leading syncer."""

    def __init__(self, folder: Path, key_pair: KeyPair | None = None) -> None:
        super().__init__()
        self.folder = folder
        self.key_pair = key_pair
        self.jobs = AtOnce()
        self.is_woken = False
        self.home = folder / "home"
        self.home.mkdir()
        self.put(ELECTION, {"identity": "c1"})
        self.syncer = self.new_syncer()

    def _wake(self) -> None:
        self.is_woken = True

    def fenced(self) -> Store:
        kv = self.store.get(ELECTION).kv
        assert kv is not None
        assert isinstance(self.store, MemoryStore)
        return FencedStore(self.store.another_client(), Fence(ELECTION, kv.create_revision))

    def new_syncer(self) -> Syncer:
        store = self.fenced()
        worker = Worker(
            store,
            KEYS,
            Git(self.home, threading.Event()),
            key_pair=self.key_pair,
            scratch=self.home,
            mirrors=self.folder / "mirrors",
            now=self.clock,
        )
        return Syncer(store, KEYS, worker, self.jobs, wake=self._wake)

    def depose(self) -> None:
        """Another controller leads now."""
        kv = self.json_at(ELECTION)
        self.store.txn(Txn((), (Delete(ELECTION),)))
        self.put(ELECTION, kv)

    def settle(self, limit: int = 60) -> float | None:
        """Step until nothing is due; return when something is."""
        for _ in range(limit):
            self.is_woken = False
            due = self.syncer.step(self.clock())
            self.leader.step()
            if not self.is_woken and (due is None or due > self.clock()):
                return due
        raise AssertionError("the syncer does not come to rest")

    def advance(self, seconds: float) -> None:
        """Let time pass, with a step whenever one is due."""
        end = self.clock() + seconds
        while self.clock() < end:
            due = self.settle()
            self.clock.seconds = min(end, max(due or end, self.clock() + 0.001))
        self.settle()

    def source(self, name: str, repository: Repository, **spec: Any) -> None:
        raw = make_object("GitSource", name, url=repository.url, branch="main", **spec)
        self.client.apply(docs(raw))

    def status(self, name: str = "app") -> GitSourceStatus:
        raw = self.json_at(KEYS.status(cluster_ref("gitsources", name)))
        assert raw is not None, f"gitsource/{name} has no status"
        return GitSourceStatus.parse_stored(raw)

    def failure(self, name: str = "app") -> str:
        found = self.status(name).failure
        assert found is not None, "it did not fail"
        return f"{found.reason}: {found.message}"

    @property
    def revision(self) -> int:
        return self.store.get("/x").revision

    def objects(self) -> list[str]:
        """What is stored in namespaces, but for the built-in ones."""
        found = self.keys_under("/berth/spec/") + self.keys_under("/berth/secrets/")
        return sorted(key.removeprefix("/berth/") for key in found if "/_cluster/" not in key)

    def spec_of(self, plural: str, name: str, namespace: str = "default") -> Any:
        return self.json_at(KEYS.spec(ObjectRef(plural, namespace, name)))


def config(name: str, namespace: str | None = None, **data: str) -> str:
    """Return a ConfigMap as text."""
    raw = make_object("ConfigMap", name)
    if namespace is not None:
        raw["metadata"]["namespace"] = namespace
    return yaml.safe_dump({**raw, "data": data or {"a": "1"}})


__all__ = ["AtOnce", "Sync", "config"]
