"""Key pairs and boxes: who can open what, and that nothing tells a value."""

import base64
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sealing.box import Place, digest, is_digest_of, seal, unseal
from sealing.errors import BadKey, CantOpen
from sealing.keys import check_public, create_key_pair, ensure_key_pair, load_key_pair, new_key_pair

PAIR = new_key_pair()
PLACE = Place("default", "regcred", "berth/registry")
VALUES = {"user": b"robot", "password": b"a long and secret word \x00\xff"}


@settings(max_examples=25, deadline=None)
@given(st.dictionaries(st.text("abc.-_", min_size=1), st.binary(max_size=200), max_size=5))
def test_what_was_sealed_is_opened_whole(values: dict[str, bytes]) -> None:
    assert unseal(PAIR, PLACE, seal(PAIR.public, PLACE, values)) == values


def test_a_box_holds_no_value_in_clear_and_no_two_are_alike() -> None:
    first, second = seal(PAIR.public, PLACE, VALUES), seal(PAIR.public, PLACE, VALUES)
    assert first != second
    for value in VALUES.values():
        assert value not in base64.b64decode(first)


@pytest.mark.parametrize(
    "other",
    [
        Place("team-b", "regcred", "berth/registry"),
        Place("default", "other", "berth/registry"),
        Place("default", "regcred", "Opaque"),
        Place("default", "regcred", "berth/registry", task_uid="uid-1"),
    ],
    ids=["namespace", "name", "type", "task"],
)
def test_a_box_that_was_moved_elsewhere_is_refused(other: Place) -> None:
    with pytest.raises(CantOpen, match="another place"):
        unseal(PAIR, other, seal(PAIR.public, PLACE, VALUES))


@pytest.mark.parametrize("box", ["", "no base64!", "AAAA", base64.b64encode(b"x" * 100).decode()])
def test_garbage_and_boxes_for_others_do_not_open(box: str) -> None:
    with pytest.raises(CantOpen):
        unseal(PAIR, PLACE, box)
    with pytest.raises(CantOpen, match="another key"):
        unseal(new_key_pair(), PLACE, seal(PAIR.public, PLACE, VALUES))


def test_what_a_stranger_sealed_in_another_form_is_refused() -> None:
    from nacl.public import PublicKey, SealedBox

    for content in (b"[]", b'{"for": 1}', b'{"for": [], "data": {"a": "?"}}', b"\xff"):
        box = base64.b64encode(SealedBox(PublicKey(check_public(PAIR.public))).encrypt(content)).decode()
        with pytest.raises(CantOpen):
            unseal(PAIR, PLACE, box)


def test_a_digest_knows_the_same_values_again_and_no_others() -> None:
    known = digest(PLACE, VALUES)
    assert is_digest_of(known, PLACE, VALUES)
    assert not is_digest_of(known, PLACE, {**VALUES, "user": b"changed"})
    assert not is_digest_of(known, Place("default", "other"), VALUES)
    assert digest(PLACE, VALUES) != known, "the salt is fresh each time"


@pytest.mark.parametrize("known", ["", "argon2id:", "argon2id:AAAA:AAAA", "md5:AAAA:AAAA", "argon2id:?:?"])
def test_a_digest_that_cannot_be_read_is_of_nothing(known: str) -> None:
    assert not is_digest_of(known, PLACE, VALUES)


def test_a_key_file_is_its_owners_alone_and_never_overwritten(tmp_path: Path) -> None:
    path = tmp_path / "pki" / "secrets.key"
    made = ensure_key_pair(path)
    assert path.stat().st_mode & 0o777 == 0o600
    assert path.parent.stat().st_mode & 0o777 == 0o700
    assert ensure_key_pair(path) == load_key_pair(path) == made
    with pytest.raises(FileExistsError):
        create_key_pair(path)
    assert load_key_pair(path) == made
    assert [each.name for each in path.parent.iterdir()] == ["secrets.key"]


def test_two_that_make_a_key_at_once_get_the_same(tmp_path: Path) -> None:
    start = threading.Barrier(4)

    def make(_: int) -> str:
        start.wait()
        return ensure_key_pair(tmp_path / "key").public

    with ThreadPoolExecutor(4) as pool:
        assert len(set(pool.map(make, range(4)))) == 1


def test_a_key_that_others_may_read_is_not_used(tmp_path: Path) -> None:
    path = tmp_path / "key"
    create_key_pair(path)
    path.chmod(0o640)
    with pytest.raises(BadKey, match="chmod 600"):
        load_key_pair(path)


@pytest.mark.parametrize(
    "text", ["", "berth-private-key-v1", "berth-private-key-v1 AAAA", "-----BEGIN", "\xff"]
)
def test_another_file_is_no_key(tmp_path: Path, text: str) -> None:
    path = tmp_path / "key"
    path.write_text(text)
    path.chmod(0o600)
    with pytest.raises(BadKey, match="berth secret keygen"):
        load_key_pair(path)


def test_a_pair_does_not_show_its_private_half() -> None:
    assert repr(PAIR.private) not in repr(PAIR)
    assert base64.b64encode(PAIR.private).decode() not in repr(PAIR)


@pytest.mark.parametrize("public", ["", "AAAA", "no base64!"])
def test_what_is_no_public_key_seals_nothing(public: str) -> None:
    with pytest.raises(BadKey):
        seal(public, PLACE, VALUES)
