"""Whether ssh can use a private key without asking: it says nothing of a passphrase that it may not ask for. Pure."""

import base64
import binascii
import re

_MAGIC = b"openssh-key-v1\0"
_PEM = re.compile(rb"-----BEGIN ([A-Z0-9 ]*)PRIVATE KEY-----\n(.*?)\n-----END \1PRIVATE KEY-----", re.DOTALL)
_PUBLIC = (b"ssh-", b"ecdsa-", b"sk-")


def normal(key: bytes) -> bytes:
    """Return the key as ssh wants it: lines end in a line feed, the last one too."""
    return key.replace(b"\r\n", b"\n").strip() + b"\n"


def why_unusable(key: bytes) -> str:
    """Return what is wrong with a key, empty for nothing; nothing of the key is told."""
    found = _PEM.search(normal(key))
    if found is None:
        half = "is the public half of a key" if key.lstrip().startswith(_PUBLIC) else "is no private key"
        return f"{half}; put in what ssh-keygen writes into the file without .pub"
    kind, body = found.groups()
    if b"ENCRYPTED" in kind or b"ENCRYPTED" in body or (kind == b"OPENSSH " and _is_locked(body)):
        return (
            "has a passphrase, which nobody is there to type; make a key without: ssh-keygen -t ed25519 -N ''"
        )
    return ""


def _is_locked(body: bytes) -> bool:
    """Say whether a key in OpenSSH's own form names a cipher; the form is in PROTOCOL.key of OpenSSH."""
    try:
        raw = base64.b64decode(body)
    except binascii.Error:
        return False  # ssh will say that it can't be read
    return raw.startswith(_MAGIC) and not raw[len(_MAGIC) :].startswith(b"\0\0\0\4none")
