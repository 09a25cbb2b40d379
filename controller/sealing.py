"""Copies of ConfigMaps and Secrets for the tasks that take them: the only place where the controller opens a box.

A value lives as long as one call: a box is opened with the cluster's private key, and what is in it is sealed to the
key of one node, for one task. Nothing of it is kept, logged or written.
"""

import json
import logging
from collections.abc import Iterable
from dataclasses import dataclass, field, replace

from controller.reconcilers.plan import Plan, PutSealed, SealBinding
from controller.reconcilers.task_config import (
    CONFIG_KEY_MISSING,
    CONFIG_MISSING,
    CONFIG_UNUSABLE,
    NO_CONFIG,
    SECRET_KEY_MISSING,
    SECRET_MISSING,
    SECRET_UNUSABLE,
    TOO_LARGE,
    Lack,
    TaskConfig,
)
from controller.records import NodeRecord
from controller.view import View
from schemas.binding import Binding
from schemas.configmap import ConfigCopy, ConfigMap
from schemas.keys import ObjectRef
from schemas.needs import NO_NEEDS, Need, needs_of
from schemas.owned import ENDPOINTS_FILE, Endpoints, endpoints_copy
from schemas.secret import REGISTRY_TYPES, SealedCopy, Secret
from schemas.task import TaskSpec
from schemas.versioned import Versioned
from sealing.box import Place, box_id, seal, unseal
from sealing.errors import BadKey, SealingError
from sealing.keys import KeyPair, check_public, key_id
from store.codec import Unreadable

log = logging.getLogger(__name__)

MAX_BINDING_BYTES = (
    1_000_000  # etcd takes 1.5 MiB in one request, in which its status and other writes travel, too
)
MAX_KNOWN_COPIES = 10_000  # kinds of need, not tasks: replicas share theirs


@dataclass(slots=True)
class _Survey:
    """What is found of a task's ConfigMaps and Secrets, one after the other; see TaskConfig."""

    secrets: dict[str, str] = field(default_factory=dict)
    config: dict[str, ConfigCopy] = field(default_factory=dict)
    kept_secrets: set[str] = field(default_factory=set)
    kept_config: set[str] = field(default_factory=set)
    lacks: list[Lack] = field(default_factory=list)
    size_bytes: int = 0

    def lack(self, reason: str, message: str) -> None:
        self.lacks.append(Lack(reason, message))

    def result(self, spec_bytes: int) -> TaskConfig:
        if self.size_bytes + spec_bytes > MAX_BINDING_BYTES:
            self.lack(TOO_LARGE, _too_large(self.size_bytes + spec_bytes))
        return TaskConfig(
            self.secrets,
            self.config,
            frozenset(self.kept_secrets),
            frozenset(self.kept_config),
            tuple(self.lacks),
        )


def _too_large(size_bytes: int) -> str:
    return (
        f"the task, with what it takes of ConfigMaps and Secrets, has {size_bytes} bytes, and one can have "
        f"{MAX_BINDING_BYTES}; take single keys of them, or put large files into the image or a hostPath"
    )


class Sealer:
    """Opens Secrets with the cluster's key and seals copies; `pair` is None in a controller without a key file."""

    def __init__(self, view: View, pair: KeyPair | None) -> None:
        self._view = view
        self._pair = pair
        self._verdicts: dict[
            ObjectRef, tuple[int, str]
        ] = {}  # secret -> (mod revision, why it can't be opened)
        self._copies: dict[tuple[ObjectRef, Need], tuple[int, ConfigCopy, int]] = {}
        self._lists: dict[
            ObjectRef, tuple[int, ConfigCopy, int]
        ] = {}  # deployment -> (mod revision, file, size)

    def config_of(self, namespace: str, spec: TaskSpec, size_bytes: int = 0) -> TaskConfig:
        """Return how it stands with what a task takes. size_bytes: of its spec, which the binding holds, too."""
        needs = needs_of(spec)
        if needs is NO_NEEDS:
            return NO_CONFIG
        survey = _Survey()
        for name, need in needs.config_maps.items():
            self._survey_config_map(survey, ObjectRef("configmaps", namespace, name), need)
        for name in needs.endpoints:
            self._survey_endpoints(survey, ObjectRef("deployments", namespace, name))
        for name, need in needs.secrets.items():
            is_for_pulls = name in needs.registries
            self._survey_secret(
                survey, ObjectRef("secrets", namespace, name), need, is_for_pulls=is_for_pulls
            )
        return survey.result(size_bytes)

    def _survey_config_map(self, survey: _Survey, ref: ObjectRef, need: Need) -> None:
        found = self._view.config_map(ref)
        if found is None:
            if need.is_required:
                survey.lack(CONFIG_MISSING, _config_map_missing(ref))
        elif isinstance(found, Unreadable):
            survey.kept_config.add(ref.name)
            survey.lack(CONFIG_UNUSABLE, f"configmap {ref.name} can't be read: {found.error}")
        else:
            copy, size_bytes = self._copy_of(ref, found, need)
            survey.config[ref.name] = copy
            survey.size_bytes += size_bytes
            for key in need.missing({*found.value.data, *found.value.binary_data}):
                survey.lack(CONFIG_KEY_MISSING, _key_missing("configmap", ref, key))

    def _survey_endpoints(self, survey: _Survey, ref: ObjectRef) -> None:
        """Addresses may be none; a list that can't be read keeps what is there."""
        found = self._view.workloads.addresses.get(ref)
        if isinstance(found, Unreadable):
            survey.kept_config.add(endpoints_copy(ref.name))
            return
        copy, size_bytes = self._copy_of_addresses(ref, found)
        survey.config[endpoints_copy(ref.name)] = copy
        survey.size_bytes += size_bytes

    def _copy_of_addresses(
        self, ref: ObjectRef, found: Versioned[Endpoints] | None
    ) -> tuple[ConfigCopy, int]:
        """Return the file of a list, and its size; made once a revision, for all tasks that take it."""
        revision = found.mod_revision if found is not None else 0
        known = self._lists.get(ref)
        if known is None or known[0] != revision:
            addresses = found.value.addresses if found is not None else ()
            shown = [each.model_dump(mode="json", by_alias=True, exclude_none=True) for each in addresses]
            text = json.dumps({"deployment": ref.name, "addresses": shown}, indent=2) + "\n"
            copy = ConfigCopy(data={ENDPOINTS_FILE: text})
            known = self._lists[ref] = (revision, copy, len(text))
        return known[1:]

    def _copy_of(self, ref: ObjectRef, found: Versioned[ConfigMap], need: Need) -> tuple[ConfigCopy, int]:
        """Return what is taken of a ConfigMap, and its size as JSON; made once a revision."""
        known = self._copies.get((ref, need))
        if known is None or known[0] != found.mod_revision:
            values = found.value
            copy = ConfigCopy(data=need.taken(values.data), binary_data=need.taken(values.binary_data))
            if len(self._copies) >= MAX_KNOWN_COPIES:
                self._copies.clear()
            known = self._copies[ref, need] = (found.mod_revision, copy, len(copy.to_bytes()))
        return known[1], known[2]

    def _survey_secret(self, survey: _Survey, ref: ObjectRef, need: Need, *, is_for_pulls: bool) -> None:
        found = self._stored(ref.namespace, ref.name)
        if found is None:
            if need.is_required:
                survey.lack(SECRET_MISSING, _missing(ref, is_for_pulls=is_for_pulls))
            return
        why = _unreadable(ref.name, found) if isinstance(found, Unreadable) else self._why_not(found)
        if not why and isinstance(found, Versioned) and is_for_pulls:
            why = _no_credentials(found.value)
        sealed = found.value.sealed if isinstance(found, Versioned) else None
        if why or sealed is None:
            survey.kept_secrets.add(ref.name)
            survey.lack(SECRET_UNUSABLE, why)
            return
        survey.secrets[ref.name] = box_id(sealed.box)
        survey.size_bytes += len(sealed.box)
        for key in need.missing(sealed.keys):
            survey.lack(SECRET_KEY_MISSING, _key_missing("secret", ref, key))

    def with_copies(self, binding: Binding, config: TaskConfig) -> Binding:
        """Return a new binding with copies of all that its task takes. Raises SealingError."""
        if config is NO_CONFIG:
            return binding
        sealed = self._sealed_copies(binding, config.secrets)
        return binding.model_copy(update={"sealed": sealed, "config": dict(config.config)})

    def _sealed_copies(self, binding: Binding, names: Iterable[str]) -> dict[str, SealedCopy]:
        """Return name -> what the binding's task takes of that Secret, sealed to its node's key.

        There is none for a node that has reported no key: they follow when it has. Raises SealingError.
        """
        made: dict[str, SealedCopy] = {}
        node_key = node_key_of(self._view.nodes[binding.node])
        needs = needs_of(binding.spec).secrets if node_key else {}
        for name in names:
            found = self._stored(binding.namespace, name)
            if name not in needs or not isinstance(found, Versioned) or found.value.sealed is None:
                continue  # it went since the plan was made; the next plan sees that
            values = needs[name].taken(self._open(found.value))
            place = Place(binding.namespace, name, task_uid=binding.task_uid)
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
        made = self._sealed_copies(binding, wish.copies.renew)
        kept = {name: copy for name, copy in binding.sealed.items() if name not in wish.copies.drop}
        config = tuple(sorted(wish.copies.config.items()))
        return PutSealed(wish.binding, tuple(sorted({**kept, **made}.items())), config)

    def _stored(self, namespace: str, name: str) -> Versioned[Secret] | Unreadable | None:
        record = self._view.secrets.get(ObjectRef("secrets", namespace, name))
        return record.spec if record is not None else None

    def _why_not(self, secret: Versioned[Secret]) -> str:
        """Return why a Secret can't be opened, empty when it can; asked once a revision."""
        metadata = secret.value.metadata
        ref = ObjectRef("secrets", metadata.namespace or "", metadata.name)
        known = self._verdicts.get(ref)
        if known is None or known[0] != secret.mod_revision:
            known = self._verdicts[ref] = (secret.mod_revision, self._judge(secret.value))
        return known[1]

    def _judge(self, secret: Secret) -> str:
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


def _missing(ref: ObjectRef, *, is_for_pulls: bool) -> str:
    kind = "docker-registry" if is_for_pulls else "generic"
    return (
        f"secret {ref.name} does not exist in namespace {ref.namespace}; "
        f"make it with: berth create secret {kind} {ref.name} -n {ref.namespace}"
    )


def _config_map_missing(ref: ObjectRef) -> str:
    return (
        f"configmap {ref.name} does not exist in namespace {ref.namespace}; "
        f"make it with: berth create configmap {ref.name} -n {ref.namespace}"
    )


def _key_missing(kind: str, ref: ObjectRef, key: str) -> str:
    return (
        f"{kind} {ref.name} in namespace {ref.namespace} has no key {key}; "
        f"see: berth describe {kind} {ref.name} -n {ref.namespace}"
    )


def _no_credentials(secret: Secret) -> str:
    """Return why a Secret that can be opened is of no use for pulls, empty when it is."""
    if secret.type in REGISTRY_TYPES:
        return ""
    return (
        f"secret {secret.metadata.name} is of type {secret.type} and holds no registry credentials; "
        "make one with: berth create secret docker-registry NAME"
    )


def _unreadable(name: str, found: Unreadable) -> str:
    return f"secret {name} can't be read: {found.error}"
