"""What a container takes of ConfigMaps and Secrets: from the copies in its binding to variables and files. Pure.

A Secret's copy is opened with this node's key just before a container is created, or its files are written. What is
returned holds values in clear and goes to no log, label, report or message; messages name objects and keys only.
"""

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass

from agent.errors import ConfigError
from schemas.binding import Binding
from schemas.configmap import KeyRef, KeyToPath, config_values
from schemas.owned import ENDPOINTS_FILE, endpoints_copy
from schemas.task import Container, EndpointsVolume, EnvFrom, EnvVar, Volume
from sealing.box import Place, unseal
from sealing.errors import CantOpen
from sealing.keys import KeyPair

_VARIABLE = re.compile(r"[-._a-zA-Z][-._a-zA-Z0-9]*")  # Kubernetes' rule for envFrom; other keys are left out
_READABLE = 0o644
_SHORTEST_MASKED = 4  # to mask shorter words would make a message unreadable, and hide nothing


@dataclass(frozen=True, slots=True)
class File:
    """A file of a volume; `path` is relative to its folder."""

    path: str
    mode: int
    content: bytes


@dataclass(frozen=True, slots=True)
class Environment:
    """Variables of one container, and which of their values nobody may be told."""

    values: Mapping[str, str]
    secret: frozenset[str] = frozenset()

    def without_values(self, text: str) -> str:
        """Return `text` with every secret value in it made unreadable."""
        for value in sorted(self.secret, key=len, reverse=True):
            text = text.replace(value, "***") if len(value) >= _SHORTEST_MASKED else text
        return text


class Sources:
    """The ConfigMaps and Secrets of one binding; each Secret is opened once. Methods raise ConfigError."""

    def __init__(self, binding: Binding, pair: KeyPair | None) -> None:
        self._binding = binding
        self._pair = pair
        self._opened: dict[str, dict[str, bytes]] = {}

    def config_map(self, name: str) -> dict[str, bytes] | None:
        """Return key -> value, None when there is no such ConfigMap."""
        copy = self._binding.config.get(name)
        try:
            return config_values(copy) if copy is not None else None
        except ValueError as error:
            raise ConfigError(f"configmap {name}: {error}") from None

    def secret(self, name: str) -> dict[str, bytes] | None:
        """Return key -> value in clear, None when there is no such Secret."""
        copy = self._binding.sealed.get(name)
        if copy is None:
            return None
        if self._pair is None:
            raise ConfigError(f"secret {name} can't be opened: this node has no key")
        if copy.to != self._pair.id:
            raise ConfigError(f"secret {name} is not sealed to this node's key yet")
        if name not in self._opened:
            place = Place(self._binding.namespace, name, task_uid=self._binding.task_uid)
            try:
                self._opened[name] = unseal(self._pair, place, copy.box)
            except CantOpen as error:
                raise ConfigError(str(error)) from None
        return self._opened[name]

    def key(self, ref: KeyRef, *, is_secret: bool) -> bytes | None:
        """Return the value of one key, None when it may be missing and is."""
        kind = "secret" if is_secret else "configmap"
        values = self.secret(ref.name) if is_secret else self.config_map(ref.name)
        if values is not None and ref.key in values:
            return values[ref.key]
        if ref.optional:
            return None
        raise ConfigError(
            _missing(kind, ref.name, self._binding.namespace, None if values is None else ref.key)
        )

    def whole(self, name: str, *, is_secret: bool, optional: bool) -> dict[str, bytes]:
        """Return all values of one object, none when it may be missing and is."""
        values = self.secret(name) if is_secret else self.config_map(name)
        if values is None and not optional:
            kind = "secret" if is_secret else "configmap"
            raise ConfigError(_missing(kind, name, self._binding.namespace, None))
        return values or {}


def _missing(kind: str, name: str, namespace: str, key: str | None) -> str:
    if key is None:
        return f"{kind} {name} is not there, or has not reached this node; see: berth get {kind} {name} -n {namespace}"
    return f"{kind} {name} has no key {key}; see: berth describe {kind} {name} -n {namespace}"


def environment_of(container: Container, sources: Sources) -> Environment:
    """Return the container's own variables: envFrom first, then env; the last of a name wins. Raises ConfigError."""
    values: dict[str, str] = {}
    secret: set[str] = set()
    for source in container.env_from:
        found = _all_of(source, sources)
        values |= found
        secret |= set(found.values()) if source.secret_ref is not None else set()
    for variable in container.env:
        value = _value_of(variable, sources)
        if value is not None:
            values[variable.name] = value
            if variable.value_from is not None and variable.value_from.secret_key_ref is not None:
                secret.add(value)
    return Environment(values, frozenset(secret))


def _all_of(source: EnvFrom, sources: Sources) -> dict[str, str]:
    ref, is_secret = source.secret_ref or source.config_map_ref, source.secret_ref is not None
    assert ref is not None
    values = sources.whole(ref.name, is_secret=is_secret, optional=ref.optional)
    kind = "secret" if is_secret else "configmap"
    return {
        source.prefix + key: _text(value, kind, ref.name, key)
        for key, value in values.items()
        if _VARIABLE.fullmatch(source.prefix + key)
    }


def _value_of(variable: EnvVar, sources: Sources) -> str | None:
    """Return the value, None for a variable that stays unset."""
    if variable.value_from is None:
        return variable.value
    secret, config = variable.value_from.secret_key_ref, variable.value_from.config_map_key_ref
    ref = secret or config
    assert ref is not None
    value = sources.key(ref, is_secret=secret is not None)
    kind = "secret" if secret is not None else "configmap"
    return None if value is None else _text(value, kind, ref.name, ref.key)


def _text(value: bytes, kind: str, name: str, key: str) -> str:
    try:
        text = value.decode()
    except UnicodeDecodeError:
        text = "\0"
    if "\0" in text:
        raise ConfigError(f"key {key} of {kind} {name} is no text and can't be a variable; take it as a file")
    return text


def files_of(volume: Volume, sources: Sources) -> tuple[File, ...]:
    """Return the files of a volume, each path once. Raises ConfigError."""
    if volume.endpoints is not None:
        return _address_files(volume.endpoints, sources)
    secret, config = volume.secret, volume.config_map
    if secret is not None:
        name, items, mode, optional = secret.secret_name, secret.items, secret.default_mode, secret.optional
    else:
        assert config is not None
        name, items, mode, optional = config.name, config.items, config.default_mode, config.optional
    values = sources.whole(name, is_secret=secret is not None, optional=optional)
    wanted = items or tuple(KeyToPath(key=key, path=key) for key in sorted(values))
    files: dict[str, File] = {}
    for each in wanted:
        if each.key in values:
            chosen = mode if each.mode is None else each.mode
            files[each.path] = File(each.path, chosen, values[each.key])
        elif not optional:
            kind = "secret" if secret is not None else "configmap"
            raise ConfigError(f"volume {volume.name}: {kind} {name} has no key {each.key}")
    _check_paths(volume.name, files)
    return tuple(files.values())


def _address_files(volume: EndpointsVolume, sources: Sources) -> tuple[File, ...]:
    """Return the list of a deployment's addresses, for programs that read lines and for those that read JSON."""
    values = sources.config_map(endpoints_copy(volume.deployment)) or {}
    content = values.get(ENDPOINTS_FILE, b'{"addresses": []}\n')
    lines = sorted(
        f"{_in_brackets(each['ip'])}:{port['hostPort']}\n"
        for each in json.loads(content)["addresses"]
        for port in [p for p in each.get("ports", ()) if volume.port in (None, p.get("name"))][:1]
    )
    addresses = File("addresses", _READABLE, "".join(lines).encode())
    return addresses, File(ENDPOINTS_FILE, _READABLE, content)


def _in_brackets(ip: str) -> str:
    return f"[{ip}]" if ":" in ip else ip


def _check_paths(volume: str, files: Mapping[str, File]) -> None:
    for path in files:
        parts = path.split("/")
        for index in range(1, len(parts)):
            folder = "/".join(parts[:index])
            if folder in files:
                raise ConfigError(
                    f"volume {volume}: path {folder} is a file and, for {path}, a folder; change items"
                )
