"""Secrets leave this process sealed: documents with values in clear become documents with a box in their place.

    written (data, stringData) -> the same values as stored? -> its box stays, else a new one -> merged and written

Seals to the key that the leader publishes at the cluster's key in etcd. Nobody can read a Secret back, not this
client either; that its values are the same is known by a slow salted hash. See docs/design/secrets.md.
"""

from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Any

from client.errors import Contended, Refused
from schemas.keys import Keys, ObjectRef
from schemas.kinds import BY_NAME
from schemas.manifest import Document
from schemas.secret import SealedValues, Secret, has_clear_values, values_of
from sealing.keys import check_public, key_id
from store import codec
from store.api import KeyValue, Put, Store, Txn, unchanged

Json = dict[str, Any]  # Any: JSON of any shape
HIDDEN = "***"


@dataclass(frozen=True, slots=True)
class ClusterKey:
    """The public key that secrets are sealed to, and the name of it."""

    public: str
    id: str


def sealed_documents(store: Store, keys: Keys, documents: Iterable[Document]) -> tuple[Document, ...]:
    """Return the documents with every Secret sealed, in their order.

    Raises Refused when the cluster takes no secrets, or a box is for another key than the cluster's.
    """
    found = tuple(documents)
    secrets = [document for document in found if document.kind.name == "Secret"]
    if not secrets:
        return found
    key = cluster_key(store, keys)
    stored = {document.ref: _stored(store.get(keys.spec(document.ref)).kv) for document in secrets}
    return tuple(
        _sealed(document, stored[document.ref], key) if document.ref in stored else document
        for document in found
    )


def cluster_key(store: Store, keys: Keys) -> ClusterKey:
    """Return the key that this cluster's secrets are sealed to. Raises Refused, BadKey."""
    kv = store.get(keys.cluster).kv
    raw = codec.decode(kv) if kv is not None else {}
    public = raw.get("publicKey") if isinstance(raw, dict) else None
    if not public:
        raise Refused(
            "this cluster takes no secrets, as no key is published to seal them to; make one with: "
            "berth secret keygen FILE, and start its controllers with: berth controller --secret-key FILE"
        )
    check_public(public)
    return ClusterKey(public, key_id(public))


def _stored(kv: KeyValue | None) -> Secret | None:
    """Return the Secret as it is stored, None for none; apply itself tells of one that can't be read."""
    raw = codec.decode(kv) if kv is not None else None
    if not isinstance(raw, dict) or has_clear_values(raw):
        return None
    try:
        return Secret.parse_stored(raw)
    except ValueError:
        return None


def _sealed(document: Document, stored: Secret | None, key: ClusterKey) -> Document:
    secret = document.parsed
    assert isinstance(secret, Secret)
    if secret.sealed is not None:
        if secret.sealed.to != key.id:
            raise Refused(
                f"{document.ref} is sealed to key {secret.sealed.to}, but this cluster's is {key.id}; nothing was "
                "written; seal it anew from its values with: berth create secret"
            )
        return document
    values = _seal(document.ref, secret, stored, key)
    kept = {name: value for name, value in document.raw.items() if name not in ("data", "stringData")}
    raw = {**kept, "sealed": values.to_json()}
    return replace(document, raw=raw, parsed=Secret.parse_stored(raw))


def _seal(ref: ObjectRef, secret: Secret, stored: Secret | None, key: ClusterKey) -> SealedValues:
    """Return the box that is stored when it holds these very values, else a new one."""
    from sealing.box import Place, digest, is_digest_of, seal

    values = values_of(secret)
    place = Place(ref.namespace, ref.name, secret.type)
    if _may_hold(stored, secret, key):
        assert stored is not None
        assert stored.sealed is not None
        if is_digest_of(stored.sealed.digest, place, values):
            return stored.sealed
    return SealedValues(
        to=key.id,
        keys=tuple(sorted(values)),
        box=seal(key.public, place, values),
        digest=digest(place, values),
    )


def _may_hold(stored: Secret | None, written: Secret, key: ClusterKey) -> bool:
    """Say, before anything slow, whether the stored box could hold the written values."""
    if stored is None or stored.sealed is None:
        return False
    names = tuple(sorted(values_of(written)))
    return (stored.type, stored.sealed.to, tuple(sorted(stored.sealed.keys))) == (written.type, key.id, names)


def secret_document(name: str, namespace: str, type_: str, values: dict[str, bytes], source: str) -> Document:
    """Return the document of a new Secret, in clear. Raises InvalidManifest, whose message holds no value."""
    import base64

    from schemas.errors import InvalidManifest
    from schemas.manifest import check_object

    raw: Json = {
        "apiVersion": "berth/v1",
        "kind": BY_NAME["Secret"].name,
        "metadata": {"name": name},
        "type": type_,
        "data": {key: base64.b64encode(value).decode() for key, value in values.items()},
    }
    found = check_object(raw, source, namespace)
    if not isinstance(found, Document):
        raise InvalidManifest(found)
    return found


def forget_key(store: Store, keys: Keys) -> str:
    """Take the public key out of the cluster's key, so that another can be published; return the old one's name.

    What is sealed to the old one stays closed for good without its private key. Raises Refused, Contended.
    """
    for _ in range(4):
        kv = store.get(keys.cluster).kv
        raw = codec.decode(kv) if kv is not None else None
        if kv is None or not isinstance(raw, dict) or not raw.get("publicKey"):
            raise Refused("this cluster has published no key for secrets; there is nothing to forget")
        without = codec.encode(codec.patch(raw, {("publicKey",): codec.REMOVED}))
        if store.txn(
            Txn((unchanged(keys.cluster, kv.mod_revision),), (Put(keys.cluster, without),))
        ).succeeded:
            return key_id(str(raw["publicKey"]))
    raise Contended("the cluster's key was changed by others 4 times; run the command again")


def masked(raw: Json) -> Json:
    """Return a Secret as it may be shown beside another one of it: boxes say only whether they differ."""
    if raw.get("kind") != "Secret":
        return raw
    shown = {key: value for key, value in raw.items() if key not in ("data", "stringData")}
    sealed = raw.get("sealed")
    if isinstance(sealed, dict):
        from sealing.box import box_id

        shown["sealed"] = {
            "to": sealed.get("to"),
            "keys": sealed.get("keys"),
            "box": f"{HIDDEN} (box {box_id(str(sealed.get('box')))})",
        }
    return shown
