"""Secrets in the client: nothing leaves it in clear, and nothing of a value is shown."""

from typing import Any

import pytest

from client.diff import unified_diff
from client.errors import ObjectUnreadable, Refused
from schemas.keys import ObjectRef
from schemas.secret import Secret
from sealing.box import Place, unseal
from sealing.keys import KeyPair, new_key_pair
from store import objects
from store.errors import ValuesInClear
from tests.client.helpers import KEYS, World, docs, make_task

PAIR = new_key_pair()
KEY = KEYS.spec(ObjectRef("secrets", "default", "s"))
WORD = "hunter2hunter2"


@pytest.fixture
def world() -> World:
    made = World()
    publish(made, PAIR)
    return made


def publish(world: World, pair: KeyPair) -> None:
    world.put(KEYS.cluster, {"kind": "Cluster", "clusterUid": "c", "publicKey": pair.public})


def make_secret(value: str = WORD, **more: Any) -> dict[str, Any]:
    raw = {
        "apiVersion": "berth/v1",
        "kind": "Secret",
        "metadata": {"name": "s"},
        "stringData": {"password": value},
    }
    return {**raw, **more}


def opened(world: World, pair: KeyPair = PAIR) -> dict[str, bytes]:
    stored = Secret.parse_stored(world.json_at(KEY))
    assert stored.sealed is not None
    return unseal(pair, Place("default", "s", stored.type), stored.sealed.box)


def all_values(world: World) -> bytes:
    return b"\n".join(kv.value for kv in world.store.list("/").kvs)


def test_what_is_stored_is_sealed_and_only_the_cluster_opens_it(world: World) -> None:
    assert world.apply(make_secret()) == [("secret/s", "created")]
    assert KEY == "/berth/secrets/default/s"
    assert opened(world) == {"password": WORD.encode()}
    assert set(world.json_at(KEY)) == {"apiVersion", "kind", "metadata", "sealed"}
    assert world.json_at(KEY)["sealed"]["keys"] == ["password"]
    assert WORD.encode() not in all_values(world)
    (record,) = world.keys_under("/berth/applied/")
    assert set(world.json_at(record)) == {"apiVersion", "kind", "metadata"}


def test_the_same_values_change_nothing_and_others_do(world: World) -> None:
    world.apply(make_secret())
    before = world.json_at(KEY)
    assert world.apply(make_secret()) == [("secret/s", "unchanged")]
    assert world.json_at(KEY) == before
    assert world.apply(make_secret("another")) == [("secret/s", "configured")]
    assert opened(world) == {"password": b"another"}
    assert world.json_at(KEY)["metadata"]["uid"] == before["metadata"]["uid"]


def test_a_label_changes_without_sealing_anew(world: World) -> None:
    world.apply(make_secret())
    before = world.json_at(KEY)
    assert world.apply(make_secret(metadata={"name": "s", "labels": {"a": "b"}})) == [
        ("secret/s", "configured")
    ]
    assert world.json_at(KEY)["sealed"] == before["sealed"]
    assert world.json_at(KEY)["metadata"]["labels"] == {"a": "b"}


def test_a_new_key_of_the_cluster_seals_anew(world: World) -> None:
    world.apply(make_secret())
    other = new_key_pair()
    publish(world, other)
    assert world.apply(make_secret()) == [("secret/s", "configured")]
    assert opened(world, other) == {"password": WORD.encode()}


def test_a_cluster_without_a_key_takes_no_secret_and_other_objects_are_not_written_either() -> None:
    world = World()
    with pytest.raises(Refused, match="berth secret keygen FILE"):
        world.apply(make_secret(), make_task())
    assert world.keys_under("/") == []
    assert world.apply(make_task()) == [("task/web", "created")]


def test_a_sealed_manifest_can_be_kept_and_applied_where_it_belongs(world: World) -> None:
    world.apply(make_secret())
    sealed = {key: value for key, value in world.json_at(KEY).items() if key != "metadata"}
    world.client.delete(world.client.get("secrets", "s"))
    manifest = {**sealed, "metadata": {"name": "s"}}
    assert world.apply(manifest) == [("secret/s", "created")]
    assert world.apply(manifest) == [("secret/s", "unchanged")]
    assert opened(world) == {"password": WORD.encode()}
    publish(world, new_key_pair())
    with pytest.raises(Refused, match="nothing was written"):
        world.apply(manifest)


def test_a_diff_shows_that_values_differ_and_neither_of_them(world: World) -> None:
    world.apply(make_secret())
    assert unified_diff(world.client.plan(docs(make_secret()))[0]) == ""
    text = unified_diff(world.client.plan(docs(make_secret("another-value")))[0])
    assert text.count("***") == 2
    for hidden in (WORD, "another-value", world.json_at(KEY)["sealed"]["box"]):
        assert hidden not in text
    world.client.delete(world.client.get("secrets", "s"))
    assert WORD not in unified_diff(world.client.plan(docs(make_secret()))[0])


def test_values_that_somebody_wrote_in_clear_are_not_shown_or_merged(world: World) -> None:
    world.put(KEY, {**make_secret(), "metadata": {"name": "s", "namespace": "default", "uid": "u"}})
    view = world.client.get("secrets", "s")
    assert view.is_unreadable
    assert view.raw == {}
    assert WORD not in view.error
    with pytest.raises(ObjectUnreadable) as refusal:
        world.apply(make_secret("another"))
    assert WORD not in str(refusal.value)


def test_the_one_function_that_writes_refuses_values_in_clear(world: World) -> None:
    with pytest.raises(ValuesInClear):
        objects.write(world.store, KEY, make_secret(), expect_mod_revision=None)
    assert world.keys_under("/berth/secrets/") == []


def test_the_clusters_key_can_be_forgotten_once(world: World) -> None:
    assert world.client.forget_secret_key() == PAIR.id
    assert "publicKey" not in world.json_at(KEYS.cluster)
    with pytest.raises(Refused, match="nothing to forget"):
        world.client.forget_secret_key()
