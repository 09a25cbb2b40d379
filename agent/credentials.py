"""Credentials for pulls: the copies of Secrets in a binding, opened with this node's key for as long as one pull takes.

Credentials go to the registry that they are for and to no other, and into no log, message or label.
"""

from collections.abc import Iterable
from dataclasses import dataclass

from agent.runtime.api import PullSecrets
from schemas.errors import SchemaError
from schemas.registry import DOCKER_CONFIG, RegistryAuth, auths_for, parse_docker_config
from schemas.secret import SealedCopy
from sealing.box import Place, unseal
from sealing.errors import CantOpen
from sealing.keys import KeyPair


@dataclass(frozen=True, slots=True)
class Credentials:
    """What there is for one image, the closest first; `notes` say of each Secret that could not be used why."""

    auths: tuple[RegistryAuth, ...] = ()
    notes: tuple[str, ...] = ()

    def without_values(self, text: str) -> str:
        """Return `text` with every password in it made unreadable."""
        for auth in self.auths:
            for value in (auth.password, auth.identity_token):
                text = text.replace(value, "***") if value else text
        return text


def credentials_for(image: str, secrets: PullSecrets | None, pair: KeyPair | None) -> Credentials:
    """Return the credentials among a task's Secrets for the registry of `image`."""
    if secrets is None:
        return Credentials()
    if pair is None:
        return Credentials(notes=("this node has no key to open secrets with",))
    found: list[RegistryAuth] = []
    notes: list[str] = []
    copies = dict(secrets.copies)
    for name in secrets.names:
        try:
            found.extend(_open(name, copies.get(name), secrets, pair))
        except (CantOpen, SchemaError) as error:
            notes.append(str(error))
    auths = auths_for(image, found)
    if found and not auths:
        hosts = ", ".join(sorted({auth.host for auth in found}))
        notes.append(f"its imagePullSecrets are for other registries: {hosts}")
    return Credentials(auths, tuple(notes))


def _open(name: str, copy: SealedCopy | None, secrets: PullSecrets, pair: KeyPair) -> Iterable[RegistryAuth]:
    if copy is None or copy.to != pair.id:
        raise CantOpen(f"secret {name} is not sealed to this node's key yet")
    values = unseal(pair, Place(secrets.namespace, name, task_uid=secrets.task_uid), copy.box)
    return parse_docker_config(values.get(DOCKER_CONFIG, b""))
