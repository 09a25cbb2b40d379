"""Looks at a cluster from outside: etcd's members, all keys, our own APIs, the certificates. It writes nothing.

    settings -> examine -> Findings -> doctor_checks.judge -> Checks

It works also where etcd does not: then the findings say so, and hold what can be seen without.
"""

import re
import socket
import time
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from email.utils import parsedate_to_datetime
from http.client import HTTPException
from urllib.parse import urlsplit

from client.agent_http import AgentPeer, connect
from client.agent_tls import AgentTls
from client.certificates import inspect_files
from client.connect import Settings, open_store, tls_hint, tls_trouble, with_port
from client.doctor_findings import Api, Candidate, Findings, Member, Node
from client.doctor_walk import Walk, trouble, walk
from client.errors import ClientError
from client.version import berth_version
from schemas.keys import Keys
from schemas.meta import find_condition
from store.errors import PermissionDenied, StoreError

HTTP_TIMEOUT_S = 3.0
AT_ONCE = 16  # requests under way
MAX_METRICS_BYTES = 4 * 2**20  # etcd's own figures are about 100 KiB
_QUOTA = re.compile(rb"^etcd_server_quota_backend_bytes ([0-9.e+]+)$", re.MULTILINE)


def examine(settings: Settings, now: Callable[[], float] = time.time) -> Findings:
    """Return what there is to see. now: seconds since the epoch."""
    tls = AgentTls(settings.ca_file, settings.cert_file, settings.key_file)
    with ThreadPoolExecutor(AT_ONCE) as pool:
        members = tuple(pool.map(lambda each: _member(settings, each, tls), settings.endpoints))
    known = Findings(
        now(),
        berth_version(),
        inspect_files(settings.ca_file, settings.cert_file, settings.key_file),
        members,
    )
    try:
        with_keys = _walk(settings)
    except (ClientError, StoreError) as error:
        return replace(known, store_error=str(error))
    return _with_walk(known, with_keys, tls, now)


def _walk(settings: Settings) -> Walk:
    """Raises ClientError, StoreError."""
    store = open_store(settings)
    try:
        return walk(store, Keys(settings.prefix), settings.namespace)
    finally:
        store.close()


def _member(settings: Settings, endpoint: str, tls: AgentTls) -> Member:
    """Ask one member of etcd. The first read opens the connection, the second one is timed."""
    key = Keys(settings.prefix).cluster
    alone = replace(settings, endpoints=(endpoint,))
    if why := _takes_no_connection(endpoint):
        return Member(endpoint, why)
    try:
        store = open_store(alone)
    except ClientError as error:
        return Member(endpoint, str(error))
    try:
        _read(store.get, key)
        begun = time.monotonic()
        _read(store.get, key)
        latency_s = time.monotonic() - begun
        status = store.status()
    except StoreError as error:
        return Member(endpoint, tls_trouble(alone) or f"{error}{tls_hint(alone)}")
    finally:
        store.close()
    return Member(
        endpoint,
        "",
        status.version,
        status.db_size_bytes,
        _quota(endpoint, tls),
        status.alarms,
        status.member_id,
        status.leader_id,
        latency_s,
    )


def _takes_no_connection(endpoint: str) -> str:
    """Return why nobody listens there, "" if somebody does."""
    url = urlsplit(f"//{with_port(endpoint).rpartition('//')[2]}")
    try:
        with socket.create_connection((url.hostname or "", url.port or 0), HTTP_TIMEOUT_S):
            return ""
    except OSError as error:
        return error.strerror or str(error)


def _read(get: Callable[[str], object], key: str) -> None:
    try:
        get(key)
    except PermissionDenied:
        return  # also an answer of the whole cluster


def _quota(endpoint: str, tls: AgentTls) -> int:
    """Return the quota that etcd tells among its metrics, 0 where it does not."""
    scheme = "https" if tls.ca_file or endpoint.startswith("https") else "http"
    address = f"{scheme}://{with_port(endpoint).rpartition('//')[2]}"
    try:
        connection = connect(AgentPeer("etcd", address), tls, timeout_s=HTTP_TIMEOUT_S)
        try:
            connection.request("GET", "/metrics")
            found = _QUOTA.search(connection.getresponse().read(MAX_METRICS_BYTES))
        finally:
            connection.close()
    except (OSError, HTTPException, ClientError):
        return 0
    return int(float(found[1])) if found else 0


def _with_walk(known: Findings, found: Walk, tls: AgentTls, now: Callable[[], float]) -> Findings:
    leaders = [leader for _, leader in sorted(found.leaders, key=lambda each: each[0])]
    ready = {name: _ready(found, name) for name in sorted(found.node_names())}
    addresses = {
        name: report.api_address
        for name, report in found.node_reports.items()
        if report.api_address and ready[name][0] == "True"
    }
    asked = dict.fromkeys(
        [*(leader.api_address for leader in leaders if leader.api_address), *addresses.values()]
    )
    apis = _ask(asked, tls, now)
    return replace(
        known,
        denied=tuple(found.denied),
        cluster=found.cluster,
        candidates=tuple(
            Candidate(each.identity, each.version, apis.get(each.api_address, Api(each.api_address)))
            for each in leaders
        ),
        nodes=tuple(_node(found, name, ready[name], apis.get(addresses.get(name, ""))) for name in ready),
        tasks=trouble(found),
        task_count=sum(1 for _ in found.task_refs()),
        owners=tuple(found.owners),
        queues=tuple(found.queues),
        owner_count=sum(1 for _ in found.owner_refs()),
        unreadable=found.unreadable,
        stray_bindings=found.stray_bindings(),
        unbound=tuple(found.unbound),
        compacted_at=found.compacted_at,
        oldest_at=min((each for each in found.created_at.values() if each), default=0.0),
    )


def _ready(found: Walk, name: str) -> tuple[str, str]:
    """Return the status and the reason of a node's Ready condition."""
    status = found.nodes.get(name)
    condition = find_condition(status.conditions, "Ready") if status else None
    return (condition.status, condition.message or condition.reason) if condition else ("Unknown", "")


def _node(found: Walk, name: str, ready: tuple[str, str], api: Api | None) -> Node:
    report = found.node_reports.get(name)
    return Node(
        name,
        *ready,
        name in found.beating,
        report is not None,
        found.broken_nodes.get(name, ""),
        report.agent_version if report else "",
        api,
    )


def _ask(addresses: Iterable[str], tls: AgentTls, now: Callable[[], float]) -> dict[str, Api]:
    """Ask all APIs at once; address -> what it said."""
    with ThreadPoolExecutor(AT_ONCE) as pool:
        return {api.address: api for api in pool.map(lambda each: _api(each, tls, now), addresses)}


def _api(address: str, tls: AgentTls, now: Callable[[], float]) -> Api:
    """Ask for health, and compare the Date of the reply, which counts whole seconds, with our clock."""
    try:
        connection = connect(AgentPeer("api", address), tls, timeout_s=HTTP_TIMEOUT_S)
        try:
            before = now()
            connection.request("GET", "/healthz")
            reply = connection.getresponse()
            reply.read(1000)
            between = (before + now()) / 2
        finally:
            connection.close()
    except (OSError, HTTPException, ClientError) as error:
        return Api(address, f"{address}: {str(error) or type(error).__name__}")
    if reply.status != 200:
        return Api(address, f"{address} answers with status {reply.status}")
    date = reply.headers.get("Date")
    try:
        told = parsedate_to_datetime(date).timestamp() + 0.5 if date else None
    except ValueError:
        told = None
    return Api(address, "", None if told is None else told - between)
