"""A call of a repository's server: only who knows the secret is heard, and is given no more than a look."""

import hashlib
import hmac
import json

import pytest

from client.secrets import secret_document
from gitops.webhook import hook
from sealing.keys import new_key_pair
from store.errors import Unavailable
from tests.client.helpers import KEYS, World, docs, make_object
from tests.store.faulty import FaultyStore

PAIR = new_key_pair()
BODY = b'{"ref": "refs/heads/main", "repository": {"url": "ext::sh"}}'
REQUEST = "/berth/requests/_cluster/gitsources/app/sync"


@pytest.fixture
def world() -> World:
    world = World()
    world.put(KEYS.cluster, {"clusterUid": "u", "publicKey": PAIR.public})
    values = {"webhook": b"s3cret", "empty": b""}
    world.client.apply([secret_document("git", "default", "Opaque", values, "test")])
    place = {"secret": {"name": "git"}}
    world.client.apply(docs(make_object("GitSource", "app", url="https://host/x.git", webhook=place)))
    return world


def signed(secret: bytes, body: bytes = BODY) -> dict[str, str]:
    return {"x-hub-signature-256": "sha256=" + hmac.new(secret, body, hashlib.sha256).hexdigest()}


def call(world: World, headers: dict[str, str], name: str = "app", body: bytes = BODY) -> tuple[int, str]:
    return hook(world.store, KEYS, PAIR, name=name, headers=headers, body=body)


@pytest.mark.parametrize("headers", [signed(b"s3cret"), {"x-gitlab-token": "s3cret"}])
def test_who_knows_the_secret_has_the_leader_look(world: World, headers: dict[str, str]) -> None:
    assert call(world, headers) == (202, "gitsource/app is looked at")
    found = world.json_at(REQUEST)
    assert (found["kind"], found["heal"]) == ("SyncRequest", False)


@pytest.mark.parametrize(
    "headers",
    [
        {},
        signed(b"other"),
        signed(b""),
        signed(b"s3cret", b"another body"),
        {"x-gitlab-token": "other"},
        {"x-gitlab-token": ""},
        {"x-hub-signature-256": "sha256="},
        {"x-hub-signature-256": "s3cret"},
        {"x-hub-signature-256": "\u00e9"},
        {"x-hub-signature-256": "sha256=0", "x-gitlab-token": "s3cret"},
    ],
)
def test_nobody_else_is_heard(world: World, headers: dict[str, str]) -> None:
    status, message = call(world, headers)
    assert (status, "signature is missing or wrong" in message) == (403, True)
    assert world.json_at(REQUEST) is None


def test_calls_that_come_together_make_one_wish(world: World) -> None:
    call(world, signed(b"s3cret"))
    before = world.store.get(REQUEST).revision
    assert call(world, signed(b"s3cret"))[0] == 202
    assert world.store.get(REQUEST).revision == before


@pytest.mark.parametrize("name", ["nope", "plain", "../../x", ""])
def test_sources_that_nobody_may_call_are_all_alike(world: World, name: str) -> None:
    world.client.apply(docs(make_object("GitSource", "plain", url="https://host/x.git")))
    assert call(world, signed(b"s3cret"), name) == (404, "there is no source of this name with a webhook")


def test_an_empty_secret_opens_nothing(world: World) -> None:
    place = {"secret": {"name": "git", "key": "empty"}}
    world.client.apply(docs(make_object("GitSource", "app", url="https://host/x.git", webhook=place)))
    assert call(world, signed(b""))[0] == 403


def test_a_controller_that_can_not_answer_says_so_and_no_more(world: World) -> None:
    assert hook(world.store, KEYS, None, name="app", headers=signed(b"s3cret"), body=BODY)[0] == 503
    store = FaultyStore(world.store)  # type: ignore[arg-type]  # it is a store in memory
    store.fail_before(Unavailable("away"))
    status, message = hook(store, KEYS, PAIR, name="app", headers=signed(b"s3cret"), body=BODY)  # type: ignore[arg-type]
    assert (status, "s3cret" in message) == (503, False)


def test_what_is_stored_says_nothing_of_the_call(world: World) -> None:
    call(world, signed(b"s3cret"))
    assert "ext::" not in json.dumps(world.json_at(REQUEST))
