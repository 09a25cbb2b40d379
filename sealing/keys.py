"""Key pairs: one for the cluster, one for each node. The private half stays in a file that its owner alone reads.

pair = ensure_key_pair(Path("pki/secrets.key"))     made on first use
pair.public      what is published: text that anybody may see
pair.id          16 hex digits that name it, in what is sealed to it
"""

import base64
import binascii
import hashlib
import os
import stat
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from uuid import uuid4

from sealing.errors import BadKey

KEY_BYTES = 32  # X25519
_MARK = "berth-private-key-v1"


@dataclass(frozen=True, slots=True)
class KeyPair:
    """`public` is text (base64 of an X25519 key); `private` is never shown, not by repr either."""

    public: str
    private: bytes = field(repr=False)

    @property
    def id(self) -> str:
        return key_id(self.public)


def key_id(public: str) -> str:
    """Return 16 hex digits that name a public key."""
    return hashlib.sha256(public.encode()).hexdigest()[:16]


def check_public(public: str) -> bytes:
    """Return the bytes of a public key. Raises BadKey."""
    try:
        raw = base64.b64decode(public, validate=True)
    except (binascii.Error, ValueError):
        raw = b""
    if len(raw) != KEY_BYTES:
        raise BadKey(f"the public key is not {KEY_BYTES} bytes in base64")
    return raw


def new_key_pair() -> KeyPair:
    """Return a fresh random pair."""
    from nacl.public import PrivateKey

    return _pair_of(bytes(PrivateKey.generate()))


def _pair_of(private: bytes) -> KeyPair:
    from nacl.public import PrivateKey

    public = bytes(PrivateKey(private).public_key)
    return KeyPair(base64.b64encode(public).decode(), private)


def ensure_key_pair(path: Path) -> KeyPair:
    """Return the pair of the file, which is made when it is not there. Raises BadKey, OSError."""
    with suppress(FileExistsError):
        return create_key_pair(path)
    return load_key_pair(path)


def create_key_pair(path: Path) -> KeyPair:
    """Write a fresh pair to a file that its owner alone may read. Raises FileExistsError, OSError.

    The file appears whole or not at all, and two who make it at once get one key: a link never replaces.
    """
    pair = new_key_pair()
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    if path.exists():
        raise FileExistsError(f"{path} is there already")
    temporary = path.with_name(f".{path.name}.{uuid4().hex}")
    handle = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    try:
        with os.fdopen(handle, "w") as file:
            file.write(f"{_MARK} {base64.b64encode(pair.private).decode()}\n")
            file.flush()
            os.fsync(file.fileno())
        os.link(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)
    return pair


def load_key_pair(path: Path) -> KeyPair:
    """Read a pair. Raises BadKey when it is no such file or others may read it, OSError."""
    with path.open("rb") as file:
        mode = stat.S_IMODE(os.fstat(file.fileno()).st_mode)
        text = file.read(4096)
    if mode & 0o077:
        raise BadKey(f"{path} may be read by others (mode {mode:04o}); protect it with: chmod 600 {path}")
    mark, _, encoded = text.decode("ascii", errors="replace").strip().partition(" ")
    try:
        private = base64.b64decode(encoded, validate=True)
    except (binascii.Error, ValueError):
        private = b""
    if mark != _MARK or len(private) != KEY_BYTES:
        raise BadKey(f"{path} holds no private key of Berth; make one with: berth secret keygen FILE")
    return _pair_of(private)
