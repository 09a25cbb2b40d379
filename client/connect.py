"""From options and environment to a store that answers, or to a message that says what to do.

Light to import: gRPC is loaded when a connection is opened, and not before.
"""

import socket
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from client.errors import BadOption, Unreachable

if TYPE_CHECKING:
    from store.api import Store

DEFAULT_ENDPOINT = "http://127.0.0.1:2379"
DEFAULT_PORT = 2379
DEFAULT_PREFIX = "/berth"
DEFAULT_NAMESPACE = "default"
PROBE_BUDGET_S = 1.0  # to find the endpoints that take connections ...
CALL_TIMEOUT_S = 3.5  # ... and to get an answer: together below the 5 s after which a person gives up


@dataclass(frozen=True, slots=True)
class Settings:
    """Where the cluster is and which namespace is meant when none is named."""

    endpoints: tuple[str, ...] = (DEFAULT_ENDPOINT,)
    ca_file: str = ""
    cert_file: str = ""
    key_file: str = ""
    prefix: str = DEFAULT_PREFIX
    namespace: str = DEFAULT_NAMESPACE


def resolve(options: Mapping[str, str], environment: Mapping[str, str]) -> Settings:
    """Return the settings: an option wins over its environment variable, that over the default.

    options: "etcd", "cacert", "cert", "key", "prefix", "namespace" -> value. Raises BadOption.
    """

    def value(name: str, default: str) -> str:
        return options.get(name) or environment.get(f"BERTH_{name.upper()}") or default

    endpoints = tuple(part.strip() for part in value("etcd", DEFAULT_ENDPOINT).split(",") if part.strip())
    settings = Settings(
        endpoints,
        value("cacert", ""),
        value("cert", ""),
        value("key", ""),
        "/" + value("prefix", DEFAULT_PREFIX).strip("/"),
        value("namespace", DEFAULT_NAMESPACE),
    )
    _check(settings)
    return settings


def _check(settings: Settings) -> None:
    if not settings.endpoints:
        raise BadOption("--etcd is empty; write for example --etcd 127.0.0.1:2379")
    if settings.prefix == "/":
        raise BadOption("--prefix is empty; write for example --prefix /berth")
    for endpoint in settings.endpoints:
        _address(endpoint)
    named = (("--cacert", settings.ca_file), ("--cert", settings.cert_file), ("--key", settings.key_file))
    for option, path in named:
        if path and not Path(path).is_file():
            raise BadOption(f"{option} {path}: there is no such file")
    if bool(settings.cert_file) != bool(settings.key_file):
        raise BadOption("--cert and --key belong together: give both or none")


def _address(endpoint: str) -> tuple[str, int]:
    try:
        url = urlsplit(endpoint if "//" in endpoint else f"//{endpoint}")
        port = url.port or DEFAULT_PORT
    except ValueError:
        raise BadOption(
            f"etcd endpoint {endpoint!r} is not of the form host:port or https://host:port"
        ) from None
    if not url.hostname or url.scheme not in ("", "http", "https"):
        raise BadOption(f"etcd endpoint {endpoint!r} is not of the form host:port or https://host:port")
    return url.hostname, port


def with_port(endpoint: str) -> str:
    """Return the endpoint with etcd's port where it names none."""
    host, port = _address(endpoint)
    scheme = f"{endpoint.partition('//')[0]}//" if "//" in endpoint else ""
    return f"{scheme}[{host}]:{port}" if ":" in host else f"{scheme}{host}:{port}"


def open_store(settings: Settings) -> "Store":
    """Return a store whose first endpoint takes connections. Raises Unreachable, BadOption."""
    reachable = _reachable_first(settings.endpoints)
    from store.etcd import EtcdOptions, EtcdStore

    options = EtcdOptions(
        endpoints=tuple(map(with_port, reachable)),
        ca_file=settings.ca_file or None,
        cert_file=settings.cert_file or None,
        key_file=settings.key_file or None,
        timeout_s=CALL_TIMEOUT_S,
    )
    try:
        return EtcdStore(options)
    except OSError as error:
        raise BadOption(f"a certificate can't be read: {error}") from None


def _reachable_first(endpoints: tuple[str, ...]) -> tuple[str, ...]:
    """Order endpoints by whether they take a connection; a list with a dead member then costs no timeout."""
    timeout_s = PROBE_BUDGET_S / len(endpoints)
    failures = {endpoint: _probe(endpoint, timeout_s) for endpoint in endpoints}
    alive = tuple(endpoint for endpoint in endpoints if failures[endpoint] is None)
    if not alive:
        raise Unreachable(unreachable_message(endpoints, "; ".join(str(why) for why in failures.values())))
    return (*alive, *(endpoint for endpoint in endpoints if endpoint not in alive))


def _probe(endpoint: str, timeout_s: float) -> OSError | None:
    try:
        with socket.create_connection(_address(endpoint), timeout_s):
            return None
    except OSError as error:
        return error


def tls_hint(settings: Settings) -> str:
    """Say what may be missing when a server takes connections but gives no answer; empty with a certificate."""
    if not settings.ca_file:
        return "; if etcd wants TLS, give --cacert (or BERTH_CACERT), and --cert and --key for a client certificate"
    return "" if settings.cert_file else "; if etcd wants a client certificate, give --cert and --key"


def unreachable_message(endpoints: tuple[str, ...], why: str) -> str:
    """Say which endpoints were tried and what to do next."""
    listed = ", ".join(endpoints)
    return (
        f"etcd does not answer at {listed} ({why}); check that it runs (etcdctl --endpoints={listed} endpoint "
        "health) and that --etcd or BERTH_ETCD names it"
    )
