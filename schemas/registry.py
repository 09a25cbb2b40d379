"""Credentials of image registries: which registry an image is of, and which of some credentials are for it. Pure.

The form is that of Docker's `config.json`: {"auths": {"registry.example.com": {"username": .., "password": ..}}}.
"""

import base64
import binascii
import json
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

from schemas.errors import SchemaError

DOCKER_CONFIG = ".dockerconfigjson"  # the key of a Secret that holds them, as in Kubernetes
DOCKER_HUB = "docker.io"
_HUB_NAMES = frozenset({"docker.io", "index.docker.io", "registry-1.docker.io", "registry.hub.docker.com"})


@dataclass(frozen=True, slots=True)
class RegistryAuth:
    """Who one is at a registry. `path`: only for repositories below it, empty for all of the host."""

    host: str
    path: str
    username: str = field(repr=False)
    password: str = field(repr=False)
    identity_token: str = field(default="", repr=False)


def docker_config(server: str, username: str, password: str, email: str = "") -> bytes:
    """Return the content of a registry Secret for one registry."""
    login = base64.b64encode(f"{username}:{password}".encode()).decode()
    entry = {"username": username, "password": password, "auth": login}
    if email:
        entry["email"] = email
    return json.dumps({"auths": {server: entry}}, sort_keys=True).encode()


def parse_docker_config(content: bytes) -> tuple[RegistryAuth, ...]:
    """Return the credentials of a `config.json`. Raises SchemaError, whose message holds no value."""
    try:
        auths = json.loads(content)["auths"]
        found = tuple(_auth(server, entry) for server, entry in auths.items())
    except (ValueError, KeyError, TypeError, AttributeError, binascii.Error):
        found = ()
    if not found:
        raise SchemaError(
            f"{DOCKER_CONFIG} must be Docker's config.json with credentials: "
            '{"auths": {"REGISTRY": {"username": "...", "password": "..."}}}'
        )
    return found


def _auth(server: str, entry: dict[str, Any]) -> RegistryAuth:
    username, password = str(entry.get("username") or ""), str(entry.get("password") or "")
    if not password and entry.get("auth"):
        decoded = base64.b64decode(entry["auth"], validate=True).decode()
        username, _, password = decoded.partition(":")
    token = str(entry.get("identitytoken") or "")
    if not (username and password) and not token:
        raise ValueError("no credentials")
    host, path = _split_server(server)
    return RegistryAuth(host, path, username, password, token)


def _split_server(server: str) -> tuple[str, str]:
    """`https://index.docker.io/v1/` -> docker.io; `registry.example.com/team` -> its host and path."""
    bare = server.partition("://")[2] or server
    host, _, path = bare.strip("/").partition("/")
    host = host.lower()
    if host in _HUB_NAMES:
        return DOCKER_HUB, "" if path in ("v1", "v2") else path
    return host, "" if path in ("v1", "v2") else path


def registry_of(image: str) -> tuple[str, str]:
    """Return host and repository of an image, by Docker's rule: a first part with a dot, a colon, or localhost."""
    name = image.partition("@")[0]
    first, slash, rest = name.partition("/")
    if slash and ("." in first or ":" in first or first == "localhost"):
        host = first.lower()
        return (DOCKER_HUB if host in _HUB_NAMES else host), _without_tag(rest)
    return DOCKER_HUB, _without_tag(name)


def _without_tag(repository: str) -> str:
    folder, slash, last = repository.rpartition("/")
    return f"{folder}{slash}{last.partition(':')[0]}"


def auths_for(image: str, auths: Iterable[RegistryAuth]) -> tuple[RegistryAuth, ...]:
    """Return the credentials that are for the registry of `image`, those with the longest path first.

    Credentials never go to another host than the one that they are for.
    """
    host, repository = registry_of(image)
    fitting = [auth for auth in auths if auth.host == host and _is_below(repository, auth.path)]
    return tuple(sorted(fitting, key=lambda auth: -len(auth.path)))


def _is_below(repository: str, path: str) -> bool:
    return not path or repository == path or repository.startswith(f"{path}/")
