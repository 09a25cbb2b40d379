"""What must hold of ConfigMaps and Secrets, whatever fails.

of each transaction   a new binding carries all that its task must have; a Secret's copy opens with its node's key
of the hosts          a container is created with values that once stood in the store, never without
in the end            who waits for a key lacks it; copies in bindings are those of what is stored
"""

import base64
import hashlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

from agent.config import Sources, environment_of
from agent.errors import ConfigError
from agent.runtime.api import Create
from controller.reconcilers.task_config import REASONS
from schemas.binding import Binding, Desired
from schemas.configmap import ConfigMap
from schemas.keys import Family, ObjectRef
from schemas.needs import needs_of
from schemas.roles import find_container
from schemas.secret import Secret
from schemas.status import TaskStatus
from schemas.task import TaskSpec
from sealing.box import Place, unseal
from sealing.keys import KeyPair
from sim.stored import Stored


def pair_of(name: str) -> KeyPair:
    """Return the key pair of the cluster or of a node: the same in every run."""
    from nacl.public import PrivateKey

    private = hashlib.sha256(name.encode()).digest()
    public = bytes(PrivateKey(private).public_key)
    return KeyPair(base64.b64encode(public).decode(), private)


CLUSTER_PAIR = pair_of("cluster")
NODE_PAIRS = {name: pair_of(name) for name in ("n1", "n2", "n3")}


@dataclass(slots=True)
class Configuring:
    """`values`: of every ConfigMap and Secret that there ever was, (name, key) -> values in clear."""

    stored: Stored
    fail: Callable[[str], None]
    values: dict[tuple[str, str], set[str]] = field(default_factory=dict)

    def check_binding(self, binding: Binding) -> None:
        """Check a binding that was made anew."""
        lacking = self.lacking(binding)
        if lacking:
            self.fail(f"{binding.name} is bound to {binding.node} without {lacking[0]}")

    def lacking(self, binding: Binding) -> list[str]:
        """Return which keys a binding must carry and does not, such as `settings/color`."""
        needs, sources = needs_of(binding.spec), Sources(binding, NODE_PAIRS[binding.node])
        found = []
        for name, need in needs.config_maps.items():
            found += [f"{name}/{key}" for key in need.missing(sources.config_map(name) or {})]
        for name, need in needs.secrets.items():
            copy = binding.sealed.get(name)
            place = Place(binding.namespace, name, task_uid=binding.task_uid)
            opened = unseal(NODE_PAIRS[binding.node], place, copy.box) if copy is not None else {}
            found += [f"{name}/{key}" for key in need.missing(opened)]
        return found

    def check_create(self, op: Create, node: str) -> str:
        """Return why a container can't be created, as a host does that reads its copies; "" if it can.

        What it is given must have been said by somebody.
        """
        container = find_container(op.binding.spec, op.journal.container)
        if container is None:
            return ""
        try:
            given = environment_of(container, Sources(op.binding, NODE_PAIRS[node])).values
        except ConfigError as error:
            return str(error)
        for variable in container.env:
            source = variable.value_from
            ref = (source.secret_key_ref or source.config_map_key_ref) if source is not None else None
            if ref is not None and given.get(variable.name) not in self.values.get((ref.name, ref.key), ()):
                self.fail(
                    f"{op.journal.name} is created with {variable.name}={given.get(variable.name)}, which nobody said"
                )
        return ""

    # In the end

    def check_end(self) -> None:
        """When all is at rest."""
        for kv in self.stored.client().list(self.stored.keys.family_range(Family.BINDINGS)).kvs:
            binding: Binding | None = self.stored.parse(Binding, kv)
            if binding is not None and binding.desired is Desired.RUN:
                self._check_copies(binding)

    def check_waiting(self, ref: ObjectRef, spec: TaskSpec, status: TaskStatus) -> None:
        """Check a task without a node when all is at rest."""
        missing = self.missing(spec)
        if status.reason in REASONS and not missing:
            self.fail(f"{ref} waits, and what it waits for is there: {status.message}")
        if missing and status.reason not in REASONS:
            self.fail(f"{ref} lacks {missing[0]}, and says {status.reason or 'nothing'}")

    def missing(self, spec: TaskSpec) -> list[str]:
        """Return what a task must have that is not stored."""
        have, needs = {*self._stored_values()}, needs_of(spec)
        both = (*needs.config_maps.items(), *needs.secrets.items())
        return [f"{name}/{key}" for name, need in both for key in need.required if (name, key) not in have]

    def _check_copies(self, binding: Binding) -> None:
        """Copies follow what is stored; what is gone from the store may be gone from them."""
        have, sources = self._stored_values(), Sources(binding, NODE_PAIRS[binding.node])
        for container in binding.spec.containers:
            for variable in container.env:
                ref = variable.value_from and (
                    variable.value_from.secret_key_ref or variable.value_from.config_map_key_ref
                )
                if not ref or (ref.name, ref.key) not in have:
                    continue
                is_secret = variable.value_from is not None and variable.value_from.secret_key_ref is not None
                value = sources.key(ref, is_secret=is_secret)
                if value is None or value.decode() != have[ref.name, ref.key]:
                    self.fail(
                        f"the binding of {binding.name} has another {ref.name}/{ref.key} than is stored"
                    )

    def _stored_values(self) -> dict[tuple[str, str], str]:
        return dict(self._all_stored())

    def _all_stored(self) -> Iterator[tuple[tuple[str, str], str]]:
        for ref, config in self.stored.of_kind(ConfigMap, "configmaps"):
            for key, text in config.data.items() if config is not None else ():
                yield (ref.name, key), text
        for kv in self.stored.client().list(self.stored.keys.family_range(Family.SECRETS)).kvs:
            secret: Secret | None = self.stored.parse(Secret, kv)
            if secret is not None and secret.sealed is not None:
                name = secret.metadata.name
                opened = unseal(CLUSTER_PAIR, Place("default", name, secret.type), secret.sealed.box)
                yield from (((name, key), value.decode()) for key, value in opened.items())
