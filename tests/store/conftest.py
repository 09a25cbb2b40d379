"""Stores for the contract suite: every test there runs against memory and against a real etcd."""

import itertools
from collections.abc import Iterator
from pathlib import Path

import pytest

from store.api import Store
from store.etcd import EtcdStore
from store.memory import MemoryStore
from tests.store.harness import EtcdHarness, Harness, ManualClock, MemoryHarness
from tests.support.etcd import EtcdServer
from tests.support.fixtures import etcd_server, require_etcd

__all__ = ["etcd_server"]

_numbers = itertools.count(1)


@pytest.fixture(params=["memory", pytest.param("etcd", marks=pytest.mark.etcd)])
def harness(request: pytest.FixtureRequest) -> Iterator[Harness]:
    """A store, keys of its own under `harness.prefix`, and what only time can do to it."""
    prefix = f"/t{next(_numbers)}/"
    if request.param == "memory":
        clock = ManualClock()
        yield MemoryHarness(MemoryStore(clock), prefix, clock)
        return
    server: EtcdServer = request.getfixturevalue("etcd_server")
    store = server.store()
    yield EtcdHarness(store, prefix)
    store.close()


@pytest.fixture
def store(harness: Harness) -> Store:
    return harness.store


@pytest.fixture
def prefix(harness: Harness) -> str:
    return harness.prefix


@pytest.fixture
def etcd_store(etcd_server: EtcdServer) -> Iterator[EtcdStore]:
    store = etcd_server.store()
    yield store
    store.close()


@pytest.fixture
def own_prefix() -> str:
    """Keys that no other test uses."""
    return f"/t{next(_numbers)}/"


@pytest.fixture
def own_etcd(tmp_path: Path) -> Iterator[EtcdServer]:
    """An etcd that the test may break."""
    require_etcd()
    with EtcdServer(tmp_path / "etcd") as server:
        yield server
