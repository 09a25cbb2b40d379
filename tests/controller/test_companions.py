"""What runs beside a leader: with its term, under its fence, and without hurting it. And sources in its own view."""

import json
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field

import pytest

from controller.companions import Companions, Hook
from controller.server import ApiServer
from schemas.keys import Keys, ObjectRef, cluster_ref
from sealing.keys import KeyPair
from store.api import Delete, Put, Store, Txn, absent
from store.errors import Deposed, InvalidRequest, Rewound
from store.fence import Fence
from store.fenced import FencedStore
from store.memory import MemoryStore
from store.serving import api_address, bind_socket
from tests.controller.harness import Cluster

APP = cluster_ref("gitsources", "app")


@dataclass
class Recorder:
    """A companion that notes what happens to it. fails: raised by its next steps."""

    name = "recorder"
    log: list[str] = field(default_factory=list)
    fails: list[Exception] = field(default_factory=list)
    stores: list[Store] = field(default_factory=list)

    def __call__(
        self, store: Store, keys: Keys, *, key_pair: KeyPair | None, wake: Callable[[], None]
    ) -> "Recorder":
        self.log.append("start")
        self.stores.append(store)
        return self

    def step(self, now: float) -> float | None:
        self.log.append("step")
        if self.fails:
            raise self.fails.pop()
        return now + 5

    def close(self) -> None:
        self.log.append("close")


def write(store: Store, key: str) -> bool:
    return store.txn(Txn((), (Put(key, b"{}"),))).succeeded


def test_a_companion_lives_as_long_as_the_term() -> None:
    recorder = Recorder()
    world = Cluster()
    world.controllers[0] = world.new_controller("c1", starters=(recorder,))
    world.settle()
    assert recorder.log[:2] == ["start", "step"]
    assert "close" not in recorder.log
    (store,) = recorder.stores
    assert write(store, "/berth/x")
    world.store.txn(Txn((), (Delete(world.keys.election, is_prefix=True),)))
    with pytest.raises(Deposed):
        write(store, "/berth/x")
    world.settle()
    assert recorder.log.index("close") < len(recorder.log) - 1 - recorder.log[::-1].index("start")


def test_a_companion_that_dies_is_begun_anew_after_a_while_and_hurts_nobody() -> None:
    store = MemoryStore(lambda: 0.0)
    recorder = Recorder(fails=[ValueError("a bug")])
    companions = Companions(store, Keys(), (recorder,), lambda: Fence("/k", 1), None)
    assert companions.step(100.0) == 110.0
    assert companions.step(105.0) == 110.0
    assert companions.step(110.0) == 115.0
    assert recorder.log == ["start", "step", "close", "start", "step"]


def test_rewound_history_ends_the_life_of_the_controller() -> None:
    recorder = Recorder(fails=[Rewound(2, 1)])
    companions = Companions(MemoryStore(lambda: 0.0), Keys(), (recorder,), lambda: Fence("/k", 1), None)
    with pytest.raises(Rewound):
        companions.step(100.0)


def test_a_fenced_store_tells_a_lost_fence_from_a_failed_comparison() -> None:
    behind = MemoryStore(lambda: 0.0)
    behind.txn(Txn((), (Put("/fence", b""),)))
    fence = Fence("/fence", behind.get("/fence").revision)
    store = FencedStore(behind, fence)
    create = Txn((absent("/a"),), (Put("/a", b"1"),))
    assert store.txn(create).succeeded
    assert not store.txn(create).succeeded
    assert store.txn(Txn((absent("/a"),), (), ())).results == ()
    behind.txn(Txn((), (Delete("/fence"),)))
    behind.txn(Txn((), (Put("/fence", b""),)))
    for txn in (create, Txn((), (Put("/b", b""),))):
        with pytest.raises(Deposed):
            store.txn(txn)
    assert behind.get("/b").kv is None
    with pytest.raises(InvalidRequest):
        store.txn(Txn((), (), (Put("/c", b""),)))


def test_a_hook_gets_what_was_sent_and_answers() -> None:
    world = Cluster()
    world.settle()
    seen: list[tuple[str, str, bytes]] = []

    def hook(
        store: Store, keys: Keys, pair: KeyPair | None, *, name: str, headers: Mapping[str, str], body: bytes
    ) -> tuple[int, str]:
        seen.append((name, headers["x-signed"], body))
        return 202, "thanks"

    with serving(world, hook) as url:
        assert post(f"{url}/v1/webhook/app", b"news", {"X-Signed": "yes"}) == (202, {"message": "thanks"})
        assert seen == [("app", "yes", b"news")]
        assert post(f"{url}/v1/webhook/app", b"x" * (2**22 + 1))[0] == 413
        assert len(seen) == 1
    with serving(world, None) as url:
        assert post(f"{url}/v1/webhook/app", b"news")[0] == 404


@contextmanager
def serving(world: Cluster, hook: Hook | None) -> Iterator[str]:
    listener = bind_socket("127.0.0.1:0")
    listener.listen()  # who comes before the server has started waits
    server = ApiServer(listener, lambda: world.controller, hook=hook)
    server.start()
    try:
        yield api_address(listener, "127.0.0.1")
    finally:
        server.stop()
        listener.close()


def post(url: str, body: bytes, headers: dict[str, str] | None = None) -> tuple[int, object]:
    request = urllib.request.Request(url, body, headers or {}, method="POST")
    try:
        with urllib.request.urlopen(request, timeout=20) as answer:
            return answer.status, json.loads(answer.read())
    except urllib.error.HTTPError as error:
        with error:
            return error.code, None


def put_source(world: Cluster) -> None:
    spec = {"url": "https://host/x.git"}
    raw = {
        "apiVersion": "berth/v1",
        "kind": "GitSource",
        "metadata": {"name": "app", "uid": "u1"},
        "spec": spec,
    }
    world.put(world.keys.spec(APP), raw)
    world.put(world.keys.status(APP), {"kind": "GitSourceStatus", "uid": "u1", "objectCount": 3})
    world.settle()


def left(world: Cluster) -> list[str]:
    return [kv.key for kv in world.store.list("/berth/").kvs if "gitsources" in kv.key]


def test_a_source_goes_with_its_status_that_another_writes_and_its_objects_stay() -> None:
    world = Cluster()
    config = ObjectRef("configmaps", "default", "a")
    metadata = {"name": "a", "namespace": "default", "uid": "u2"}
    world.put(world.keys.spec(config), {"apiVersion": "berth/v1", "kind": "ConfigMap", "metadata": metadata})
    world.put(world.keys.applied(config, "git.app"), {})
    put_source(world)
    assert left(world) == [world.keys.spec(APP), world.keys.status(APP)]
    world.delete(APP)
    world.settle()
    assert left(world) == []
    assert world.store.get(world.keys.spec(config)).kv is not None


def test_the_status_of_a_source_that_somebody_removed_goes_after_it() -> None:
    world = Cluster()
    put_source(world)
    world.remove(world.keys.spec(APP))
    world.settle()
    assert left(world) == []
