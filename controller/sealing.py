"""Copies of Secrets for the nodes that need them: the only place in the controller where a value is in clear.

A value lives as long as one call: a box is opened with the cluster's private key, and what is in it is sealed to the
key of one node, for one task. Nothing of it is kept, logged or written.
"""

import logging
from collections.abc import Iterable
from dataclasses import replace

from controller.reconcilers.plan import Plan, PutSealed, SealBinding
from controller.reconcilers.pull_secrets import NO_SECRETS, PullSecrets
from controller.records import NodeRecord
from controller.view import View
from schemas.keys import ObjectRef
from schemas.secret import REGISTRY_TYPES, SealedCopy, Secret
from schemas.task import TaskSpec
from schemas.versioned import Versioned
from sealing.box import Place, box_id, seal, unseal
from sealing.errors import BadKey, SealingError
from sealing.keys import KeyPair, check_public, key_id
from store.codec import Unreadable

log = logging.getLogger(__name__)


class Sealer:
    """Opens Secrets with the cluster's key and seals copies; `pair` is None in a controller without a key file."""

    def __init__(self, view: View, pair: KeyPair | None) -> None:
        self._view = view
        self._pair = pair
        self._verdicts: dict[
            ObjectRef, tuple[int, str]
        ] = {}  # secret -> (mod revision, why it can't be used)

    def pull_secrets(self, namespace: str, spec: TaskSpec) -> PullSecrets:
        """Return how it stands with the Secrets that a task names."""
        if not spec.image_pull_secrets:
            return NO_SECRETS
        usable: dict[str, str] = {}
        missing: dict[str, str] = {}
        unusable: dict[str, str] = {}
        for name in dict.fromkeys(each.name for each in spec.image_pull_secrets):
            found = self._stored(namespace, name)
            if found is None:
                missing[name] = _missing(namespace, name)
            elif isinstance(found, Versioned) and not (why := self._why_not(found)):
                usable[name] = box_id(found.value.sealed.box) if found.value.sealed else ""
            else:
                unusable[name] = why if isinstance(found, Versioned) else _unreadable(name, found)
        return PullSecrets(usable, missing, unusable)

    def copies(
        self, namespace: str, names: Iterable[str], *, task_uid: str, node: str
    ) -> dict[str, SealedCopy]:
        """Return name -> copy of each Secret, sealed to the key of a node for one task. Raises SealingError.

        There is none for a node that has reported no key: they follow when it has.
        """
        made: dict[str, SealedCopy] = {}
        node_key = node_key_of(self._view.nodes[node])
        if not node_key:
            return made
        for name in names:
            found = self._stored(namespace, name)
            if not isinstance(found, Versioned) or found.value.sealed is None:
                continue  # it went since the plan was made; the next plan sees that
            values = self._open(found.value)
            place = Place(namespace, name, task_uid=task_uid)
            made[name] = SealedCopy(
                of=box_id(found.value.sealed.box), to=key_id(node_key), box=seal(node_key, place, values)
            )
        return made

    def fill(self, plan: Plan) -> Plan:
        """Put real copies in the place of each wish for them. Raises SealingError."""
        if not any(isinstance(intent, SealBinding) for intent in plan.intents):
            return plan
        filled = tuple(
            self._filled(intent) if isinstance(intent, SealBinding) else intent for intent in plan.intents
        )
        return replace(plan, intents=filled)

    def _filled(self, wish: SealBinding) -> PutSealed:
        binding = wish.binding.value
        made = self.copies(binding.namespace, wish.copies.renew, task_uid=binding.task_uid, node=binding.node)
        kept = {name: copy for name, copy in binding.sealed.items() if name not in wish.copies.drop}
        return PutSealed(wish.binding, tuple(sorted({**kept, **made}.items())))

    def _stored(self, namespace: str, name: str) -> Versioned[Secret] | Unreadable | None:
        record = self._view.secrets.get(ObjectRef("secrets", namespace, name))
        return record.spec if record is not None else None

    def _why_not(self, secret: Versioned[Secret]) -> str:
        """Return why a Secret can't be used to pull images, empty when it can; asked once a revision."""
        metadata = secret.value.metadata
        ref = ObjectRef("secrets", metadata.namespace or "", metadata.name)
        known = self._verdicts.get(ref)
        if known is None or known[0] != secret.mod_revision:
            known = self._verdicts[ref] = (secret.mod_revision, self._judge(secret.value))
        return known[1]

    def _judge(self, secret: Secret) -> str:
        name = secret.metadata.name
        if secret.type not in REGISTRY_TYPES:
            return (
                f"secret {name} is of type {secret.type} and holds no registry credentials; "
                f"make one with: berth create secret docker-registry NAME"
            )
        try:
            self._open(secret)
        except SealingError as error:
            return str(error)
        return ""

    def _open(self, secret: Secret) -> dict[str, bytes]:
        """Raises SealingError."""
        metadata = secret.metadata
        if self._pair is None:
            raise SealingError(
                f"secret {metadata.name} can't be opened, as the controller that leads has no key; "
                "start it with --secret-key FILE"
            )
        if secret.sealed is None:
            raise SealingError(f"secret {metadata.name} is not sealed; apply it with: berth apply")
        if secret.sealed.to != self._pair.id:
            raise SealingError(
                f"secret {metadata.name} is sealed to key {secret.sealed.to}, but the cluster's is {self._pair.id}; "
                "apply it again"
            )
        place = Place(metadata.namespace or "", metadata.name, secret.type)
        return unseal(self._pair, place, secret.sealed.box)


def node_key_of(record: NodeRecord) -> str:
    """Return the public key that a node has reported, empty when there is none or it is none."""
    reported = record.report.value.public_key if isinstance(record.report, Versioned) else None
    if not reported:
        return ""
    try:
        check_public(reported)
    except BadKey:
        return ""
    return reported


def _missing(namespace: str, name: str) -> str:
    return (
        f"secret {name} does not exist in namespace {namespace}; "
        f"make it with: berth create secret docker-registry {name} -n {namespace}"
    )


def _unreadable(name: str, found: Unreadable) -> str:
    return f"secret {name} can't be read: {found.error}"
