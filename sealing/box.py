"""Sealed boxes: anybody seals to a public key, only the private key's owner opens (libsodium's crypto_box_seal).

A box says nothing about who sealed it, so what is inside names the place that it is for: a box that was copied to
another name, namespace or task is refused by whoever opens it. docs/adr/0009 tells why, and what this is worth.
"""

import base64
import binascii
import hashlib
import hmac
import json
import os
from collections.abc import Mapping
from dataclasses import dataclass

from schemas.canonical import canonical_json
from sealing.errors import CantOpen
from sealing.keys import KeyPair, check_public

Values = Mapping[str, bytes]
"""Name of a key -> its value in clear."""

_SALT_BYTES, _DIGEST_BYTES = 16, 32  # argon2id's own salt size; as long as the keys


@dataclass(frozen=True, slots=True)
class Place:
    """What a box is for: a Secret as people store it, or (with `task_uid`) its copy for one task on one node."""

    namespace: str
    name: str
    type: str = ""
    task_uid: str = ""

    def __str__(self) -> str:
        return f"secret {self.name!r} of namespace {self.namespace!r}"


def seal(public: str, place: Place, values: Values) -> str:
    """Return `values` sealed to `public` for `place`, as base64; different every time. Raises BadKey."""
    from nacl.public import PublicKey, SealedBox

    sealed = SealedBox(PublicKey(check_public(public))).encrypt(_content(place, values))
    return base64.b64encode(sealed).decode()


def unseal(pair: KeyPair, place: Place, box: str) -> dict[str, bytes]:
    """Return the values in a box. Raises CantOpen; its message holds none of them."""
    from nacl.exceptions import CryptoError
    from nacl.public import PrivateKey, SealedBox

    try:
        content = SealedBox(PrivateKey(pair.private)).decrypt(base64.b64decode(box, validate=True))
    except (CryptoError, binascii.Error, ValueError, TypeError):
        raise CantOpen(f"{place} is damaged, or sealed to another key than {pair.id}") from None
    return _values(content, place)


def _content(place: Place, values: Values) -> bytes:
    data = {key: base64.b64encode(value).decode() for key, value in values.items()}
    return canonical_json({"for": _address(place), "data": data})


def _address(place: Place) -> list[str]:
    return [place.namespace, place.name, place.type, place.task_uid]


def _values(content: bytes, place: Place) -> dict[str, bytes]:
    try:
        parsed = json.loads(content)
        address, data = parsed["for"], parsed["data"]
        values = {str(key): base64.b64decode(value, validate=True) for key, value in data.items()}
    except (ValueError, KeyError, TypeError, AttributeError):
        raise CantOpen(f"{place} was not sealed by Berth") from None
    if address != _address(place):
        raise CantOpen(f"{place} holds a box that was sealed for another place; apply the secret again")
    return values


def digest(place: Place, values: Values, salt: bytes | None = None) -> str:
    """Return a salted, slow hash of `values`, by which the same values are known again without opening a box.

    Argon2id at libsodium's interactive limits (64 MiB, about 0.1 s): who may read it can try guesses, some a
    second, and learns nothing about a random password. salt: 16 bytes, None for fresh ones.
    """
    from nacl.pwhash import argon2id

    salt = salt or os.urandom(_SALT_BYTES)
    hashed = argon2id.kdf(
        _DIGEST_BYTES,
        _content(place, values),
        salt,
        opslimit=argon2id.OPSLIMIT_INTERACTIVE,
        memlimit=argon2id.MEMLIMIT_INTERACTIVE,
    )
    return f"argon2id:{base64.b64encode(salt).decode()}:{base64.b64encode(hashed).decode()}"


def is_digest_of(known: str, place: Place, values: Values) -> bool:
    """Say whether `known` is a digest of these very values; one that can't be read is not."""
    kind, _, rest = known.partition(":")
    try:
        salt = base64.b64decode(rest.partition(":")[0], validate=True)
    except (binascii.Error, ValueError):
        return False
    if kind != "argon2id" or len(salt) != _SALT_BYTES:
        return False
    return hmac.compare_digest(known, digest(place, values, salt))


def box_id(box: str) -> str:
    """Return 16 hex digits that name a box; sealing the same values anew gives another."""
    return hashlib.sha256(box.encode()).hexdigest()[:16]
