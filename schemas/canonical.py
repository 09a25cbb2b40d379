"""One text for one JSON value, so that templates can be compared by hash."""

import hashlib
import json

_ENCODER = json.JSONEncoder(
    sort_keys=True,
    separators=(",", ":"),
    ensure_ascii=False,
    allow_nan=False,
    check_circular=False,  # values are trees: what people write can't contain itself, and looking takes a quarter
)


def canonical_json(value: object) -> bytes:
    """Return `value` as UTF-8 JSON with sorted keys and no spaces. Raises ValueError for NaN and half surrogates."""
    return _ENCODER.encode(value).encode()


def canonical_hash(value: object) -> str:
    """Return 16 hex digits of the SHA-256 of the canonical JSON."""
    return hashlib.sha256(canonical_json(value)).hexdigest()[:16]
