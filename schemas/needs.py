"""What a task takes of ConfigMaps and Secrets: which objects, which of their keys, and what must be there. Pure."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import TypeVar

from schemas.configmap import KeyRef, KeyToPath
from schemas.registry import DOCKER_CONFIG
from schemas.roles import all_containers
from schemas.task import Container, TaskSpec, Volume

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Need:
    """What is taken of one object. keys: their names, None for all that it has.

    required: keys that must be there. is_required: the object must be.
    """

    keys: frozenset[str] | None = frozenset()
    required: frozenset[str] = frozenset()
    is_required: bool = False

    def taken(self, values: Mapping[str, T]) -> dict[str, T]:
        """Return those of the object's values that are taken."""
        return {key: value for key, value in values.items() if self.keys is None or key in self.keys}

    def missing(self, present: Iterable[str]) -> tuple[str, ...]:
        """Return the keys that must be there and are not among `present`."""
        return tuple(sorted(self.required.difference(present)))

    def __or__(self, other: "Need") -> "Need":
        keys = None if self.keys is None or other.keys is None else self.keys | other.keys
        return Need(keys, self.required | other.required, self.is_required or other.is_required)


@dataclass(frozen=True, slots=True)
class Needs:
    """By name of the object. registries: the Secrets that images are pulled with. endpoints: names of deployments."""

    config_maps: Mapping[str, Need] = field(default_factory=dict)
    secrets: Mapping[str, Need] = field(default_factory=dict)
    registries: frozenset[str] = frozenset()
    endpoints: frozenset[str] = frozenset()


NO_NEEDS = Needs()


def needs_of(spec: TaskSpec) -> Needs:
    """Return what a task takes, over all of its containers and volumes."""
    if not takes_any(spec):
        return NO_NEEDS
    config_maps: dict[str, Need] = {}
    secrets: dict[str, Need] = {}
    for is_secret, name, need in _all(spec):
        found = secrets if is_secret else config_maps
        found[name] = found[name] | need if name in found else need
    registries = frozenset(each.name for each in spec.image_pull_secrets)
    return Needs(config_maps, secrets, registries, endpoints_taken(spec))


def endpoints_taken(spec: TaskSpec) -> frozenset[str]:
    """Return the names of the deployments whose addresses a task takes as files."""
    return frozenset(each.endpoints.deployment for each in spec.volumes if each.endpoints is not None)


def takes_any(spec: TaskSpec) -> bool:
    """Say, quickly, whether a task takes anything; most take nothing."""
    return (
        bool(spec.image_pull_secrets)
        or any(map(_is_taken, spec.volumes))
        or any(
            each.env_from or any(variable.value_from for variable in each.env)
            for each in all_containers(spec)
        )
    )


def file_volumes(spec: TaskSpec) -> tuple[Volume, ...]:
    """Return the volumes whose files the agent writes: of ConfigMaps, Secrets and endpoints."""
    return tuple(filter(_is_taken, spec.volumes))


def _is_taken(volume: Volume) -> bool:
    return any(source is not None for source in (volume.config_map, volume.secret, volume.endpoints))


def _all(spec: TaskSpec) -> Iterator[tuple[bool, str, Need]]:
    """Yield (of a Secret, name, need) for each place of the spec that takes something."""
    for secret in spec.image_pull_secrets:
        key = frozenset({DOCKER_CONFIG})
        yield True, secret.name, Need(key, key, is_required=True)
    for container in all_containers(spec):
        yield from _of_environment(container)
    for volume in spec.volumes:
        if volume.config_map is not None:
            asked = volume.config_map
            yield False, asked.name, _of_files(asked.items, optional=asked.optional)
        elif volume.secret is not None:
            sealed = volume.secret
            yield True, sealed.secret_name, _of_files(sealed.items, optional=sealed.optional)


def _of_environment(container: Container) -> Iterator[tuple[bool, str, Need]]:
    for source in container.env_from:
        whole = source.secret_ref or source.config_map_ref
        if whole is not None:
            yield source.secret_ref is not None, whole.name, Need(None, is_required=not whole.optional)
    for variable in container.env:
        if variable.value_from is not None:
            secret, config = variable.value_from.secret_key_ref, variable.value_from.config_map_key_ref
            one = secret or config
            if one is not None:
                yield secret is not None, one.name, _of_key(one)


def _of_key(ref: KeyRef) -> Need:
    key = frozenset({ref.key})
    return Need(key, frozenset() if ref.optional else key, is_required=not ref.optional)


def _of_files(items: tuple[KeyToPath, ...], *, optional: bool) -> Need:
    keys = frozenset(each.key for each in items)
    return Need(keys or None, frozenset() if optional else keys, is_required=not optional)
