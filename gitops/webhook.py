"""The server of a repository says that there is news: who knows the source's secret may ask for a look, no more.

    POST /v1/webhook/{source}    X-Hub-Signature-256 (GitHub, Gitea, Forgejo) or X-Gitlab-Token

Nothing in the body is believed, or even read but for its signature. The wish goes into etcd, so any controller may be
called, leader or not; one that is there already is enough.
"""

import hashlib
import hmac
import time
from collections.abc import Mapping

from gitops.credentials import read_secret
from gitops.errors import BadCredentials
from gitops.syncer import PLURAL, VERB, parse_source
from schemas.keys import Keys, cluster_ref
from schemas.request import SyncRequest
from schemas.timestamps import format_time
from sealing.keys import KeyPair
from store import codec
from store.api import Put, Store, Txn, absent, unchanged
from store.errors import StoreError

SIGNATURE, TOKEN = "x-hub-signature-256", "x-gitlab-token"
_PREFIX = "sha256="


def is_signed(secret: bytes, headers: Mapping[str, str], body: bytes) -> bool:
    """Say whether the caller proves to know `secret`; headers: their names in lower case. Takes constant time."""
    given = headers.get(SIGNATURE, "")
    if given:
        expected = _PREFIX + hmac.new(secret, body, hashlib.sha256).hexdigest()
        return hmac.compare_digest(expected.encode(), given.lower().encode())
    token = headers.get(TOKEN, "")
    return bool(token) and hmac.compare_digest(secret, token.encode())


def hook(
    store: Store, keys: Keys, key_pair: KeyPair | None, *, name: str, headers: Mapping[str, str], body: bytes
) -> tuple[int, str]:
    """Answer a call: an HTTP status and a sentence."""
    try:
        return _answer(store, keys, key_pair, name, headers, body)
    except StoreError as error:
        return 503, f"etcd does not answer: {error}; call again"
    except BadCredentials:
        return 503, f"the webhook's secret of gitsource/{name} can't be read; see the log of this controller"


def _answer(
    store: Store, keys: Keys, key_pair: KeyPair | None, name: str, headers: Mapping[str, str], body: bytes
) -> tuple[int, str]:
    ref = cluster_ref(PLURAL, name)
    kv = store.get(keys.spec(ref)).kv
    source = parse_source(kv, name) if kv is not None else None
    if kv is None or source is None or source.spec.webhook is None:
        return 404, "there is no source of this name with a webhook"
    place = source.spec.webhook.secret
    secret = read_secret(store, keys, place, key_pair).get(place.key, b"")
    if not secret or not is_signed(secret, headers, body):
        return (
            403,
            f"the signature is missing or wrong; send {SIGNATURE} or {TOKEN} made with the source's secret",
        )
    wish = SyncRequest(requested_at=format_time(time.time()), heal=False)
    key = keys.request(ref, VERB)
    put = Put(key, codec.encode(wish.to_json()))
    store.txn(Txn((absent(key), unchanged(keys.spec(ref), kv.mod_revision)), (put,)))
    return 202, f"gitsource/{name} is looked at"
