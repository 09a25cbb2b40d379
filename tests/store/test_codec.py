"""Canonical JSON, unreadable values, and patches that keep what they do not know."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from schemas.canonical import canonical_hash
from store.api import KeyValue
from store.codec import REMOVED, Unreadable, decode, decode_object, encode, patch

json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=20,
)
json_objects = st.dictionaries(st.text(), json_values, max_size=5)


def stored(value: bytes) -> KeyValue:
    return KeyValue("/k", value, 5, 7, 1)


@given(json_objects)
def test_what_is_encoded_is_decoded(value: dict[str, Any]) -> None:
    assert decode(stored(encode(value))) == value


@given(json_objects)
def test_order_of_fields_does_not_matter(value: dict[str, Any]) -> None:
    backwards = dict(reversed(value.items()))
    assert encode(backwards) == encode(value)
    assert canonical_hash(backwards) == canonical_hash(value)


def test_encoding_is_compact_sorted_utf8() -> None:
    assert encode({"b": [1, 2], "a": "ä"}) == '{"a":"ä","b":[1,2]}'.encode()
    assert canonical_hash({}) == "44136fa355b3678a"


@pytest.mark.parametrize("value", [float("nan"), float("inf"), "\ud800"])
def test_what_json_can_not_say_is_refused(value: Any) -> None:
    with pytest.raises(ValueError, match=r"."):
        encode({"a": value})


@pytest.mark.parametrize(
    "value",
    [
        b"",
        b"{",
        b"[1]",
        b"null",
        b'"text"',
        b'{"a": NaN}',
        b'{"a": "\\ud800"}',
        b"\xff\xfe{",
        b"[" * 100_000,
        b'{"a": ' + b"1" * 5000 + b"}",
    ],
)
def test_what_is_no_json_object_is_unreadable(value: bytes) -> None:
    found = decode(stored(value))
    assert isinstance(found, Unreadable)
    assert (found.key, found.uid, found.mod_revision) == ("/k", None, 7)
    assert found.error


@given(st.binary(max_size=30))
def test_no_value_breaks_the_decoder(value: bytes) -> None:
    assert isinstance(decode(stored(value)), dict | Unreadable)


@pytest.mark.parametrize("metadata", [b"{}", b'{"uid":""}', b'{"uid":3}', b"[]", b"null"])
def test_an_object_without_uid_is_unreadable(metadata: bytes) -> None:
    assert isinstance(decode_object(stored(b'{"metadata":' + metadata + b"}")), Unreadable)


def test_a_patch_replaces_what_it_names_and_keeps_the_rest() -> None:
    raw = {"spec": {"replicas": 1, "futureField": [1]}, "status": None}
    patched = patch(raw, {("spec", "replicas"): 3, ("status", "phase"): "x", ("spec", "gone"): REMOVED})
    assert patched == {"spec": {"replicas": 3, "futureField": [1]}, "status": {"phase": "x"}}
    assert raw == {"spec": {"replicas": 1, "futureField": [1]}, "status": None}
    assert patch(patched, {("spec", "futureField"): REMOVED, ("no", "where"): REMOVED}) == {
        "spec": {"replicas": 3},
        "status": {"phase": "x"},
    }
