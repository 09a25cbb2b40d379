"""What goes wrong with a real etcd and its client library, one test a trap (docs/design, the store)."""

import gc
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from concurrent import futures
from contextlib import contextmanager
from pathlib import Path

import grpc
import pytest
from pyetcd.etcdrpc import rpc_pb2 as pb
from pyetcd.etcdrpc import rpc_pb2_grpc as services

from store.api import Delete, Put, Store, Txn, Watch
from store.errors import (
    LeaseExpired,
    NoSpace,
    OutcomeUnknown,
    PermissionDenied,
    Rewound,
    ServerTooOld,
    StoreError,
    Unavailable,
    WatchLost,
)
from store.etcd import PAGE_BYTES, EtcdOptions, EtcdStore, next_page_keys
from store.etcd_connection import require_version
from store.informer import Informer
from tests.store.harness import events_of
from tests.support.etcd import EtcdServer, Tls
from tests.support.fixtures import require_etcd
from tests.support.ports import free_port
from tests.support.wait import PATIENCE_S, eventually

pytestmark = pytest.mark.etcd

MIB = 1 << 20


def put(store: Store, key: str, value: bytes = b"v", lease_id: int = 0) -> int:
    return store.txn(Txn((), (Put(key, value, lease_id),))).revision


def fill(store: Store, prefix: str, *, count: int, size_bytes: int) -> int:
    """Put `count` values under `prefix`; return the revision of the last."""
    revision = 0
    for start in range(0, count, 100):
        numbers = range(start, min(start + 100, count))
        revision = store.txn(
            Txn((), tuple(Put(f"{prefix}{i:06}", b"x" * size_bytes) for i in numbers))
        ).revision
    return revision


def error_of(watch: Watch) -> StoreError:
    """Poll until the watch fails, and return why."""

    def fails() -> StoreError | None:
        try:
            while watch.poll() is not None:
                pass
        except StoreError as error:
            return error
        return None

    found = eventually(fails)
    assert found is not None
    return found


def step_until(informer: Informer, check: Callable[[], bool], timeout_s: float = PATIENCE_S) -> None:
    """Run the informer, in real time, until something is so."""

    def stepped() -> bool:
        informer.step(time.monotonic())
        return check()

    eventually(stepped, timeout_s)


def test_a_list_of_13_000_keys_comes_at_one_revision(etcd_store: EtcdStore, own_prefix: str) -> None:
    revision = fill(etcd_store, own_prefix, count=13_000, size_bytes=512)
    listing = etcd_store.list(own_prefix)
    assert len(listing.kvs) == 13_000
    assert listing.revision == revision
    assert [kv.key for kv in listing.kvs] == sorted(kv.key for kv in listing.kvs)


def test_a_list_of_large_values_comes_too(etcd_store: EtcdStore, own_prefix: str) -> None:
    for i in range(12):
        put(etcd_store, f"{own_prefix}{i:02}", bytes([i]) * MIB)
    assert [kv.value[0] for kv in etcd_store.list(own_prefix).kvs] == list(range(12))


@pytest.mark.parametrize(
    ("keys", "size_bytes"), [(64, 64 * MIB), (64, 64 * 600), (100, 100 * 65_536), (1, 1)]
)
def test_a_page_is_as_long_as_the_last_one_lets_expect(keys: int, size_bytes: int) -> None:
    following = next_page_keys(keys, size_bytes)
    assert following == 1 or following * size_bytes // keys <= PAGE_BYTES


def test_a_watch_catches_up_over_4_mib(etcd_store: EtcdStore, own_prefix: str) -> None:
    start = etcd_store.get(own_prefix).revision + 1
    for i in range(8):
        put(etcd_store, f"{own_prefix}{i}", bytes([i]) * MIB)
    watch = etcd_store.watch((own_prefix,), start, lambda: None)
    assert [event.kv.value[0] for event in events_of(watch, 8) if event.kv] == list(range(8))
    watch.close()


def test_an_expired_lease_is_not_refreshed(etcd_store: EtcdStore, own_prefix: str) -> None:
    """etcd answers TTL 0 and no error."""
    with pytest.raises(LeaseExpired):
        etcd_store.keep_alive(0x7777)


def test_a_hundred_watches_are_few_threads(etcd_server: EtcdServer, own_prefix: str) -> None:
    before = threading.active_count()
    store = etcd_server.store()
    revision = store.get(own_prefix).revision
    watches = [store.watch((f"{own_prefix}{i}/",), revision + 1, lambda: None) for i in range(100)]
    for i in range(100):
        put(store, f"{own_prefix}{i}/x")
    for watch in watches:
        assert len(events_of(watch, 1)) == 1
    assert threading.active_count() - before <= 4
    store.close()
    eventually(lambda: threading.active_count() <= before)


def test_closing_the_store_ends_its_watches(etcd_server: EtcdServer, own_prefix: str) -> None:
    store = etcd_server.store()
    watch = store.watch((own_prefix,), store.get(own_prefix).revision + 1, lambda: None)
    store.close()
    assert isinstance(error_of(watch), WatchLost)
    for call in (lambda: store.get("a"), lambda: store.watch(("/a/",), 1, lambda: None), store.status):
        with pytest.raises(Unavailable, match="closed"):
            call()


def test_threads_that_race_see_no_rewound_history(etcd_store: EtcdStore, own_prefix: str) -> None:
    def work(number: int) -> None:
        for i in range(50):
            put(etcd_store, f"{own_prefix}{number}", str(i).encode())
            etcd_store.get(f"{own_prefix}{i}")

    with futures.ThreadPoolExecutor(8) as pool:
        for done in [pool.submit(work, number) for number in range(8)]:
            done.result()


def test_a_silent_server_is_noticed_by_the_idle_watchdog(own_etcd: EtcdServer) -> None:
    writer, reader = own_etcd.store(), own_etcd.store(timeout_s=0.5)
    informer = Informer(reader, ("/b/",), lambda: None, idle_timeout_s=1.0)
    step_until(informer, lambda: informer.healthy)
    own_etcd.pause()
    step_until(informer, lambda: isinstance(informer.last_error, Unavailable))
    own_etcd.resume()
    put(writer, "/b/1")
    step_until(informer, lambda: informer.healthy and informer.get("/b/1") is not None)
    informer.close()


def test_every_call_has_a_deadline(own_etcd: EtcdServer) -> None:
    store = own_etcd.store(timeout_s=0.3)
    lease = store.grant_lease(60)
    own_etcd.pause()
    reads = (lambda: store.get("a"), lambda: store.list("a/"), lambda: store.keep_alive(lease), store.status)
    writes = (
        lambda: put(store, "a"),
        lambda: store.grant_lease(60),
        lambda: store.revoke_lease(lease),
        lambda: store.compact(1),
    )
    started = time.monotonic()
    for read in reads:
        with pytest.raises(Unavailable) as caught:
            read()
        assert type(caught.value) is Unavailable
    for write_call in writes:
        with pytest.raises(OutcomeUnknown):
            write_call()
    assert time.monotonic() - started < PATIENCE_S  # without one a call waits as long as the server does
    own_etcd.resume()


def test_a_restarted_server_is_found_again_at_once(own_etcd: EtcdServer) -> None:
    """pyetcd bans its only endpoint for 300 s, gRPC waits up to 120 s before it connects again."""
    store = own_etcd.store()
    put(store, "/b/1")
    own_etcd.kill()
    for _ in range(5):
        with pytest.raises(Unavailable) as caught:
            put(store, "/b/1")
    assert own_etcd.endpoint in str(caught.value)
    assert type(caught.value) is Unavailable  # refused connections: nothing was sent
    own_etcd.start()
    eventually(lambda: answers(store))


def answers(store: Store) -> bool:
    try:
        store.get("a")
    except Unavailable:
        return False
    return True


def test_a_lost_stream_is_resumed_after_the_last_event(own_etcd: EtcdServer) -> None:
    store = own_etcd.store()
    informer = Informer(store, ("/b/",), lambda: None)
    put(store, "/b/0")
    step_until(informer, lambda: informer.healthy)
    own_etcd.restart()
    eventually(lambda: answers(store))
    put(store, "/b/1")
    store.txn(Txn((), (Delete("/b/0"),)))
    step_until(informer, lambda: informer.healthy and [kv.key for kv in informer.items("/b/")] == ["/b/1"])
    informer.close()


def test_compaction_while_away_is_bridged_by_a_list(own_etcd: EtcdServer) -> None:
    store = own_etcd.store()
    put(store, "/b/goes")
    informer = Informer(store, ("/b/",), lambda: None)
    step_until(informer, lambda: informer.healthy)
    own_etcd.restart()
    eventually(lambda: answers(store))
    put(store, "/b/comes")
    gone = store.txn(Txn((), (Delete("/b/goes"),))).revision
    store.compact(gone)
    changes = []
    eventually(lambda: changes.extend(informer.step(time.monotonic())) or len(changes) == 2)
    assert {change.key: change.new is None for change in changes} == {"/b/comes": False, "/b/goes": True}
    informer.close()


def test_a_dead_endpoint_is_left_for_the_next(own_etcd: EtcdServer) -> None:
    """pyetcd with `time_retry=0.0` would stay at the dead one for ever."""
    dead = f"127.0.0.1:{free_port()}"
    store = own_etcd.store(endpoints=(dead, own_etcd.endpoint))
    with pytest.raises(Unavailable, match=dead):
        put(store, "/a")
    put(store, "/a")
    watch = store.watch(("/b/",), store.get("/b/").revision + 1, lambda: None)
    put(store, "/b/1")
    assert len(events_of(watch, 1)) == 1


def test_a_member_cut_off_from_its_cluster_loses_its_watches(tmp_path: Path) -> None:
    """Its watches would stay silent, and its signs of life would go on, were a leader not demanded of it."""
    require_etcd()
    with EtcdServer.cluster(tmp_path, 3) as (first, second, third):
        store = first.store(timeout_s=1.0)
        watch = store.watch(("/b/",), store.get("/b/").revision + 1, lambda: None)
        put(second.store(), "/b/1")
        assert len(events_of(watch, 1)) == 1
        second.kill()
        third.kill()
        assert isinstance(error_of(watch), WatchLost)


def test_a_client_goes_over_to_another_member_and_sees_no_rewound_history(tmp_path: Path) -> None:
    require_etcd()
    with EtcdServer.cluster(tmp_path, 3) as members:
        store = members[0].store(endpoints=tuple(member.endpoint for member in members), timeout_s=1.0)
        informer = Informer(store, ("/b/",), lambda: None)
        put(store, "/b/1")
        step_until(informer, lambda: informer.healthy)
        members[0].kill()
        eventually(lambda: answers(store))
        last = eventually(lambda: put(store, "/b/2"))
        step_until(informer, lambda: informer.healthy and informer.revision == last)
        informer.close()


def test_a_quiet_watch_shows_signs_of_life(
    etcd_store: EtcdStore, own_prefix: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("store.etcd_watch.ASK_LIFE_AFTER_S", 0.05)
    watch = etcd_store.watch((own_prefix,), etcd_store.get(own_prefix).revision + 1, lambda: None)
    lives = []
    eventually(lambda: lives.append(watch.poll()) or lives.count(()) >= 4)
    assert set(lives) == {None, ()}
    watch.close()


def test_a_restored_backup_is_rewound_history(own_etcd: EtcdServer, tmp_path: Path) -> None:
    store = own_etcd.store()
    informer = Informer(own_etcd.store(), ("/b/",), lambda: None)
    put(store, "/b/1")
    own_etcd.snapshot(tmp_path / "backup")
    last = fill(store, "/b/", count=3, size_bytes=1)
    last = put(store, "/b/2")
    step_until(informer, lambda: informer.revision == last)
    own_etcd.restore(tmp_path / "backup")
    with pytest.raises(Rewound) as caught:
        eventually(lambda: answers(store) and None)
    assert caught.value.seen == last
    with pytest.raises(Rewound):
        step_until(informer, lambda: False)
    remembered = own_etcd.store(highest_revision=last)
    with pytest.raises(Rewound):
        remembered.get("a")
    with pytest.raises(Rewound):
        own_etcd.store(highest_revision=last).list("/b/", revision=last)


def test_a_full_server_says_so(tmp_path: Path) -> None:
    require_etcd()
    with EtcdServer(tmp_path / "etcd", quota_bytes=4 * MIB) as server:
        store = server.store()
        with pytest.raises(NoSpace, match="compact and defragment"):
            fill(store, "/b/", count=100_000, size_bytes=10_000)  # the alarm comes some writes later
        eventually(lambda: store.status().alarms == ("NOSPACE",))
        assert store.list("/b/").kvs


GRANTS = {"agent": (("readwrite", "/ok/"), ("read", "/one")), "other": (("read", "/other/"),)}


@contextmanager
def server_with_users(folder: Path, *flags: str) -> Iterator[EtcdServer]:
    require_etcd()
    with EtcdServer(folder, flags=flags) as server:
        put(server.store(), "/one")
        server.enable_users(GRANTS)
        yield server


def test_a_watch_without_permission_says_so(tmp_path: Path) -> None:
    with server_with_users(tmp_path) as server:
        store = server.store(user="agent", password="agent")
        allowed = store.watch(("/ok/",), 1, lambda: None)
        eventually(lambda: allowed.poll() == ())
        assert isinstance(error_of(store.watch(("/no/",), 1, lambda: None)), WatchLost)  # may be an old token
        denied = error_of(store.watch(("/no/",), 1, lambda: None))
        assert isinstance(denied, PermissionDenied)
        assert "grant" in str(denied)
        again = store.watch(("/ok/", "/one"), 2, lambda: None)
        put(store, "/ok/1")
        assert [event.key for event in events_of(allowed, 1)] == ["/ok/1"]
        assert {event.key for event in events_of(again, 2)} == {"/one", "/ok/1"}


def test_an_informer_reads_what_it_may_and_names_what_it_may_not(tmp_path: Path) -> None:
    with server_with_users(tmp_path) as server:
        store = server.store(user="agent", password="agent")
        informer = Informer(store, ("/ok/", "/one"), lambda: None)
        put(store, "/ok/1")
        step_until(informer, lambda: informer.healthy)
        assert len(informer) == 2
        denied = Informer(store, ("/other/",), lambda: None)
        denied.step(0)
        assert isinstance(denied.last_error, PermissionDenied)
        with pytest.raises(PermissionDenied, match=server.endpoint):
            put(store, "/one")


def test_a_token_that_expired_is_asked_for_again(tmp_path: Path) -> None:
    with server_with_users(tmp_path, "--auth-token-ttl=1") as server:
        store = server.store(user="agent", password="agent")
        informer = Informer(store, ("/ok/",), lambda: None, idle_timeout_s=0.5)
        step_until(informer, lambda: informer.healthy)
        time.sleep(2.5)  # etcd looks every second for tokens that were not used for one
        put(store, "/ok/1")
        time.sleep(2.5)
        step_until(informer, lambda: informer.healthy and informer.get("/ok/1") is not None)
        informer.close()


@pytest.mark.parametrize(("user", "password"), [("agent", "wrong"), (None, None)])
def test_a_wrong_or_missing_password_is_said(tmp_path: Path, user: str | None, password: str | None) -> None:
    said = pytest.raises(PermissionDenied, match="check the user and password")
    with server_with_users(tmp_path) as server, said:
        server.store(user=user, password=password).get("/ok/1")


def test_a_user_given_to_a_server_without_users_is_no_error(etcd_server: EtcdServer) -> None:
    assert etcd_server.store(user="agent", password="agent").get("/a").revision


def test_the_common_name_of_a_certificate_is_the_user(tmp_path: Path) -> None:
    require_etcd()
    tls = Tls.create(tmp_path / "tls")
    with EtcdServer(tmp_path / "etcd", tls=tls) as server:
        server.enable_users(GRANTS)
        cert, key = tls.issue("agent")
        store = server.store(cert_file=cert, key_file=key)
        put(store, "/ok/1")
        watch = store.watch(("/ok/",), 2, lambda: None)
        assert len(events_of(watch, 1)) == 1
        with pytest.raises(PermissionDenied):
            store.get("/other/1")
        assert isinstance(
            error_of(server.store(cert_file=cert, key_file=key).watch(("/no/",), 1, lambda: None)),
            PermissionDenied,
        )
        with pytest.raises(Unavailable, match=server.endpoint):
            server.store(ca_file=tls.issue("stranger")[0], cert_file=cert, key_file=key).get("/ok/1")


class OldServer(services.MaintenanceServicer):
    """An etcd that only knows its version."""

    def __init__(self, version: str) -> None:
        self._version = version

    def Status(self, request: object, context: object) -> object:  # noqa: N802
        return pb.StatusResponse(version=self._version)


def test_a_server_older_than_3_4_is_refused_with_words() -> None:
    server = grpc.server(futures.ThreadPoolExecutor(1))
    services.add_MaintenanceServicer_to_server(OldServer("3.3.27"), server)
    port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    store = EtcdStore(EtcdOptions((f"127.0.0.1:{port}",)))
    for call in (lambda: store.get("a"), lambda: store.watch(("/a/",), 1, lambda: None)):
        with pytest.raises(ServerTooOld, match=r"runs etcd 3\.3\.27; Berth needs 3\.4"):
            call()
    store.close()
    server.stop(None).wait()


@pytest.mark.parametrize("version", ["3.4.0", "3.5.9-rc.1", "3.10.1", "4.0.0"])
def test_newer_servers_are_taken(version: str) -> None:
    require_version(version, "here")


@pytest.mark.parametrize("version", ["3.3.99", "2.3", "", "what"])
def test_older_ones_are_not(version: str) -> None:
    with pytest.raises(ServerTooOld):
        require_version(version, "here")


def test_nothing_else_imports_grpc() -> None:
    """A process that forks must not have it; who only reads schemas or simulates needs no etcd client."""
    modules = "api memory objects informer lease election batch codec fence"
    code = (
        f"import sys\nfor m in {modules.split()}: __import__('store.' + m)\nassert 'grpc' not in sys.modules"
    )
    root = Path(__file__).parents[2]
    subprocess.run([sys.executable, "-c", code], cwd=root, check=True, timeout=60)


def test_no_call_of_grpc_is_left_after_close(etcd_server: EtcdServer) -> None:
    """Its finalizer takes a lock: at the end of the interpreter, with gRPC's threads stopped, that can hang."""
    gc.collect()
    gc.disable()  # what hangs together in a circle stays until then
    try:
        before = count_calls()
        store = etcd_server.store()
        woken = threading.Event()
        watch = store.watch(("/left/",), 1, woken.set)
        assert woken.wait(PATIENCE_S)
        assert count_calls() == before + 1
        watch.close()
        store.close()
        assert count_calls() == before
    finally:
        gc.enable()


def count_calls() -> int:
    return sum(isinstance(each, grpc.Call) and isinstance(each, grpc.Future) for each in gc.get_objects())
