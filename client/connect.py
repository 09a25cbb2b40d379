"""From options and environment to a store that answers, or to a message that says what to do.

Light to import: gRPC is loaded when a connection is opened, and not before.
"""

import re
import socket
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from client.config import Context, choose_context
from client.errors import BadOption, Unreachable

if TYPE_CHECKING:
    from store.api import Store

DEFAULT_ENDPOINT = "http://127.0.0.1:2379"
DEFAULT_PORT = 2379
DEFAULT_PREFIX = "/berth"
DEFAULT_NAMESPACE = "default"
LOCAL_CONTEXT = "local"  # what `berth up` calls the cluster of this machine
USUAL_FOLDER, UP_RECORD = (
    (".local", "share", "berth"),
    "up.json",
)  # where `berth up` keeps it; what it leaves there
PROBE_BUDGET_S = 1.0  # to find the endpoints that take connections ...
CALL_TIMEOUT_S = 3.5  # ... and to get an answer: together below the 5 s after which a person gives up


@dataclass(frozen=True, slots=True)
class Settings:
    """Where the cluster is and which namespace is meant when none is named.

    context: name of the context that any of this came from, "" for none; config_file: where that is written.
    given: what the command line itself said, for verbs that are about settings.
    """

    endpoints: tuple[str, ...] = (DEFAULT_ENDPOINT,)
    ca_file: str = ""
    cert_file: str = ""
    key_file: str = ""
    prefix: str = DEFAULT_PREFIX
    namespace: str = DEFAULT_NAMESPACE
    context: str = ""
    config_file: str = field(default="", compare=False)
    given: Mapping[str, str] = field(default_factory=dict, compare=False, hash=False)


def resolve(options: Mapping[str, str], environment: Mapping[str, str]) -> Settings:
    """Return the settings, once the files that they name are there. Raises BadOption."""
    settings = merge(options, environment)
    _check_files(settings)
    return settings


def merge(options: Mapping[str, str], environment: Mapping[str, str]) -> Settings:
    """Return the settings: an option wins over its environment variable, that over the context and the default.

    options: "etcd", "cacert", "cert", "key", "root", "namespace", "context" -> value. Raises BadOption.
    """
    chosen = choose_context(options, environment)
    context = chosen[1] if chosen else Context("")

    def value(name: str, of_context: str, default: str = "") -> str:
        return options.get(name) or environment.get(f"BERTH_{name.upper()}") or of_context or default

    endpoints = value("etcd", ",".join(context.etcd), DEFAULT_ENDPOINT).split(",")
    settings = Settings(
        tuple(part.strip() for part in endpoints if part.strip()),
        value("cacert", context.cacert),
        value("cert", context.cert),
        value("key", context.key),
        "/" + value("root", context.prefix, DEFAULT_PREFIX).strip("/"),
        value("namespace", context.namespace, DEFAULT_NAMESPACE),
        context.name,
        str(chosen[0].path) if chosen else "",
        dict(options),
    )
    check_settings(settings)
    return settings


def check_settings(settings: Settings) -> None:
    """See that the settings make sense; looks at no file. Raises BadOption."""
    if not settings.endpoints:
        raise BadOption("--etcd is empty; write for example --etcd 127.0.0.1:2379")
    if settings.prefix == "/":
        raise BadOption("--root is empty; write for example --root /berth")
    if not _NAMESPACE.fullmatch(settings.namespace):
        raise BadOption(
            f"namespace {settings.namespace!r} can't exist: a name has at most 63 lower case letters, digits and '-'"
            f"{of_context(settings) if not settings.given.get('namespace') else ''}; see: berth get namespaces"
        )
    for endpoint in settings.endpoints:
        _address(endpoint)
    if bool(settings.cert_file) != bool(settings.key_file):
        raise BadOption(f"--cert and --key belong together: give both or none{of_context(settings)}")


def _check_files(settings: Settings) -> None:
    named = (("cacert", settings.ca_file), ("cert", settings.cert_file), ("key", settings.key_file))
    for name, path in named:
        if not path or Path(path).is_file():
            continue
        if settings.context and not settings.given.get(name):
            raise BadOption(
                f'context "{settings.context}" names {name} {path}, and there is no such file; '
                f"{mend_context(settings, name)}"
            )
        raise BadOption(f"--{name} {path}: there is no such file")


def of_context(settings: Settings) -> str:
    """Return `` (context "local" in FILE)``, "" without a context."""
    return f' (context "{settings.context}" in {settings.config_file})' if settings.context else ""


def mend_context(settings: Settings, name: str) -> str:
    """Say how a file of the context is put right; `berth up` makes those of the cluster on this machine."""
    made = "berth up makes it anew for its own cluster; else " if settings.context == LOCAL_CONTEXT else ""
    return (
        f"{made}name another with: berth config set-context {settings.context} --{name} FILE "
        f"(it is written in {settings.config_file})"
    )


_NAMESPACE = re.compile(r"[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?")  # as schemas.meta, which is heavy to import
_HOST = re.compile(r"[\w.:%-]+")  # names, IPv4, IPv6 with a zone


def _address(endpoint: str) -> tuple[str, int]:
    try:
        url = urlsplit(endpoint if "//" in endpoint else f"//{endpoint}")
        port = url.port or DEFAULT_PORT
    except ValueError:
        raise BadOption(
            f"etcd endpoint {endpoint!r} is not of the form host:port or https://host:port"
        ) from None
    if not url.hostname or not _HOST.fullmatch(url.hostname) or url.scheme not in ("", "http", "https"):
        raise BadOption(f"etcd endpoint {endpoint!r} is not of the form host:port or https://host:port")
    return url.hostname, port


def with_port(endpoint: str) -> str:
    """Return the endpoint with etcd's port where it names none."""
    host, port = _address(endpoint)
    scheme = f"{endpoint.partition('//')[0]}//" if "//" in endpoint else ""
    return f"{scheme}[{host}]:{port}" if ":" in host else f"{scheme}{host}:{port}"


def open_store(settings: Settings) -> "Store":
    """Return a store whose first endpoint takes connections. Raises Unreachable, BadOption."""
    reachable = _reachable_first(settings)
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


def _reachable_first(settings: Settings) -> tuple[str, ...]:
    """Order endpoints by whether they take a connection; a list with a dead member then costs no timeout."""
    endpoints = settings.endpoints
    timeout_s = PROBE_BUDGET_S / len(endpoints)
    failures = {endpoint: _probe(endpoint, timeout_s) for endpoint in endpoints}
    alive = tuple(endpoint for endpoint in endpoints if failures[endpoint] is None)
    if not alive:
        told = "; ".join(str(why) for why in failures.values())
        raise Unreachable(unreachable_message(endpoints, told, settings))
    return (*alive, *(endpoint for endpoint in endpoints if endpoint not in alive))


def _probe(endpoint: str, timeout_s: float) -> OSError | None:
    try:
        with socket.create_connection(_address(endpoint), timeout_s):
            return None
    except socket.gaierror as error:
        host = _address(endpoint)[0]
        return OSError(f"no host of the name {host!r} is known ({error.strerror})")
    except OSError as error:
        return error


def tls_trouble(settings: Settings) -> str:
    """Say what is wrong with the certificates when a server takes connections but gives no answer; "" for nothing.

    It looks at the files and knocks at the server, within 2 s.
    """
    if not settings.ca_file:
        return ""
    from client.tls_trouble import explain

    return explain(settings.endpoints, settings.ca_file, settings.cert_file, settings.key_file)


def tls_hint(settings: Settings) -> str:
    """Say which certificates could be missing, where nothing is wrong with those that are given."""
    if not settings.ca_file:
        return "; if etcd wants TLS, give --cacert (or BERTH_CACERT), and --cert and --key for a client certificate"
    return "" if settings.cert_file else "; if etcd wants a client certificate, give --cert and --key"


def unanswered_message(settings: Settings, why: str) -> str:
    """Say why etcd takes connections but gives no answer, and what to do: one cause, that of the certificates first."""
    if trouble := tls_trouble(settings):
        return f"no connection with etcd at {', '.join(settings.endpoints)}: {trouble}{of_context(settings)}"
    return unreachable_message(settings.endpoints, why, settings) + tls_hint(settings)


def _start_again(settings: Settings) -> str:
    """Say how the cluster is started that `berth up` made; "" for one that it did not make.

    Such a cluster has its CA in `pki/` of its data folder. A context that is moved to another name keeps its files.
    """
    ca = Path(settings.ca_file)
    folder = ca.parent.parent
    if ca.parent.name != "pki" or not (folder / UP_RECORD).exists():
        return ""
    options = "" if folder.parts[-3:] == USUAL_FOLDER else f" --data-dir {folder}"
    options += "" if settings.context == LOCAL_CONTEXT else f" --context {settings.context}"
    return f"start it with: berth up{options}"


def unreachable_message(endpoints: tuple[str, ...], why: str, settings: Settings | None = None) -> str:
    """Say which endpoints were tried, which context named them, and what to do next."""
    listed = ", ".join(endpoints)
    if settings is not None and settings.context:
        then = _start_again(settings) or "choose another with: berth config use-context NAME"
        return f"etcd does not answer at {listed} ({why}){of_context(settings)}; is that cluster up? {then}"
    return (
        f"etcd does not answer at {listed} ({why}); check that it runs (etcdctl --endpoints={listed} endpoint "
        "health) and that --etcd, BERTH_ETCD or a context names it, or start a cluster here with: berth up"
    )
