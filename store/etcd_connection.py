"""Channels to etcd's endpoints: one call at a time goes to the current one, a failed one is left.

pyetcd's own failover is not used: with `time_retry=0.0` it never leaves a dead endpoint, and with more it
bans the only one. Nothing is sent twice, but for one case in which etcd did nothing: the token was refused.
"""

import threading
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import grpc
from pyetcd.etcdrpc import rpc_pb2 as pb
from pyetcd.etcdrpc import rpc_pb2_grpc as stubs

from store.errors import ServerTooOld, StoreError, Unavailable
from store.etcd_errors import Context, Effect, is_bad_token, is_endpoint_failure, text_of, translate

OLDEST_VERSION = (3, 4)  # nested transactions, lease checkpoints and progress requests as Berth needs them
TOKEN_HEADER = "token"
CHANNEL_OPTIONS = [
    ("grpc.max_receive_message_length", -1),  # a watch that catches up sends any size; lists come in pages
    ("grpc.max_send_message_length", -1),  # etcd itself says what is too large
    ("grpc.keepalive_time_ms", 10_000),  # etcd tolerates a ping every 5 s
    ("grpc.keepalive_timeout_ms", 5_000),
    ("grpc.http2.max_pings_without_data", 0),  # a quiet watch must be pinged for ever
    ("grpc.initial_reconnect_backoff_ms", 200),
    ("grpc.min_reconnect_backoff_ms", 2_000),
    ("grpc.max_reconnect_backoff_ms", 2_000),  # gRPC's default is 120 s, far beyond any lease
    ("grpc.enable_retries", 0),  # no hidden retries
    ("grpc.use_local_subchannel_pool", 1),  # a store does not share its connections with another
]

Reply = Any  # pyetcd's generated messages carry no types that mypy could follow


@dataclass(frozen=True)
class EtcdOptions:
    """How to reach etcd. With a certificate, etcd takes its common name for the user."""

    endpoints: tuple[str, ...]  # "host:port", or with http:// or https:// before it
    ca_file: Path | str | None = None  # given: TLS
    cert_file: Path | str | None = None
    key_file: Path | str | None = None
    user: str | None = None
    password: str | None = field(default=None, repr=False)
    timeout_s: float = 5.0  # deadline of every call
    highest_revision: int = 0  # what was seen in an earlier life: history below it is rewound


class Stubs:
    """The services of one channel."""

    def __init__(self, channel: grpc.Channel) -> None:
        self.kv = stubs.KVStub(channel)
        self.watch = stubs.WatchStub(channel)
        self.lease = stubs.LeaseStub(channel)
        self.maintenance = stubs.MaintenanceStub(channel)
        self.auth = stubs.AuthStub(channel)
        # One request and one reply on a stream are, on the wire, a unary call, and need no thread.
        self.keep_alive = channel.unary_unary(
            "/etcdserverpb.Lease/LeaseKeepAlive",
            request_serializer=pb.LeaseKeepAliveRequest.SerializeToString,
            response_deserializer=pb.LeaseKeepAliveResponse.FromString,
        )


class Endpoint:
    """One server. `is_new_enough` is asked of it once."""

    def __init__(self, address: str, options: EtcdOptions) -> None:
        scheme, _, host = address.rpartition("://")
        self.address = address
        self.channel = _channel(host, scheme == "https" or options.ca_file is not None, options)
        self.stubs = Stubs(self.channel)
        self.is_new_enough = False


class Connection:
    """All endpoints, of which one is current, and the token of the user."""

    def __init__(self, options: EtcdOptions) -> None:
        if not options.endpoints:
            raise ValueError("no etcd endpoint given, such as 127.0.0.1:2379")
        self._options = options
        self._endpoints = tuple(Endpoint(address, options) for address in options.endpoints)
        self._current = 0
        self._token: str | None = None
        self._lock = threading.Lock()
        self._is_closed = False

    def call(
        self,
        what: str,
        method: Callable[[Stubs], Any],
        request: Any,
        *,
        effect: Effect = Effect.READ,
        lease_id: int = 0,
        revision: int = 0,
    ) -> Reply:
        """Make one call with a deadline, and raise what fails as an error of the store."""
        endpoint = self.ready_endpoint()
        context = self._context(what, endpoint, effect, lease_id, revision)
        try:
            return self._send(endpoint, method, request, self.metadata(endpoint))
        except grpc.RpcError as error:
            if not (self._options.user and is_bad_token(error)):
                raise self.failed(endpoint, error, context) from error
            self.drop_token()
        try:
            return self._send(endpoint, method, request, self.metadata(endpoint))
        except grpc.RpcError as error:
            raise self.failed(endpoint, error, context) from error

    def open_watch(self, requests: Iterable[Any]) -> tuple[Endpoint, Any]:
        """Open a watch stream at the current endpoint; etcd ends it when its member loses the leader."""
        endpoint = self.ready_endpoint()
        metadata = (*self.metadata(endpoint), ("hasleader", "true"))
        try:
            return endpoint, endpoint.stubs.watch.Watch(iter(requests), metadata=metadata)
        except ValueError as error:  # gRPC: the channel was closed meanwhile
            raise Unavailable("the store was closed by this process") from error

    def watch_failed(self, endpoint: Endpoint, error: grpc.RpcError) -> StoreError:
        """Take note of the end of a watch stream and say it in the words of the store."""
        return self.failed(endpoint, error, self._context("watch", endpoint, Effect.READ, 0, 0))

    def ready_endpoint(self) -> Endpoint:
        """Return the current endpoint, known to be new enough."""
        with self._lock:
            endpoint, is_closed = self._endpoints[self._current], self._is_closed
        if is_closed:
            raise Unavailable("the store was closed by this process")
        if not endpoint.is_new_enough:
            self._check_version(endpoint)
        return endpoint

    def metadata(self, endpoint: Endpoint) -> tuple[tuple[str, str], ...]:
        """Return the headers that say who calls; asks for a token when there is none."""
        if not self._options.user:
            return ()
        with self._lock:
            token = self._token
        if token is None:
            token = self._authenticate(endpoint)
            with self._lock:
                self._token = token
        return ((TOKEN_HEADER, token),) if token else ()

    def drop_token(self) -> None:
        with self._lock:
            self._token = None

    def failed(self, endpoint: Endpoint, error: grpc.RpcError, context: Context) -> StoreError:
        """Leave an endpoint that does not answer, and translate."""
        if is_endpoint_failure(error):
            self._leave(endpoint)
        return translate(error, context)

    def close(self) -> None:
        with self._lock:
            self._is_closed = True
        for endpoint in self._endpoints:
            endpoint.channel.close()

    def _send(self, endpoint: Endpoint, method: Callable[[Stubs], Any], request: Any, metadata: Any) -> Reply:
        try:
            return method(endpoint.stubs)(request, timeout=self._options.timeout_s, metadata=metadata)
        except ValueError as error:  # gRPC: the channel was closed meanwhile
            raise Unavailable("the store was closed by this process") from error

    def _leave(self, endpoint: Endpoint) -> None:
        """Make the next endpoint current, unless another thread did so already."""
        with self._lock:
            if self._endpoints[self._current] is endpoint:
                self._current = (self._current + 1) % len(self._endpoints)

    def _check_version(self, endpoint: Endpoint) -> None:
        try:
            status = self._send(endpoint, lambda s: s.maintenance.Status, pb.StatusRequest(), ())
        except grpc.RpcError as error:
            raise self.failed(endpoint, error, self._context("connect", endpoint)) from error
        require_version(status.version, endpoint.address)
        endpoint.is_new_enough = True

    def _authenticate(self, endpoint: Endpoint) -> str:
        """Return a new token, "" if the server has no users enabled."""
        request = pb.AuthenticateRequest(name=self._options.user, password=self._options.password or "")
        try:
            reply = self._send(endpoint, lambda s: s.auth.Authenticate, request, ())
        except grpc.RpcError as error:
            if "authentication is not enabled" in text_of(error):
                return ""
            raise self.failed(endpoint, error, self._context("authenticate", endpoint)) from error
        return str(reply.token)

    def _context(
        self,
        what: str,
        endpoint: Endpoint,
        effect: Effect = Effect.READ,
        lease_id: int = 0,
        revision: int = 0,
    ) -> Context:
        return Context(what, endpoint.address, self._options.endpoints, effect, lease_id, revision)


def require_version(version: str, address: str) -> None:
    """Raise ServerTooOld for a server older than 3.4."""
    try:
        major, minor = (int(part) for part in version.split(".")[:2])
    except ValueError:
        raise ServerTooOld(f"{address} gives its version as {version!r}: is it etcd?") from None
    if (major, minor) < OLDEST_VERSION:
        raise ServerTooOld(f"{address} runs etcd {version}; Berth needs 3.4 or newer: upgrade etcd")


def _channel(host: str, is_secure: bool, options: EtcdOptions) -> grpc.Channel:
    if not is_secure:
        return grpc.insecure_channel(host, options=CHANNEL_OPTIONS)
    credentials = grpc.ssl_channel_credentials(
        _read(options.ca_file), _read(options.key_file), _read(options.cert_file)
    )
    return grpc.secure_channel(host, credentials, options=CHANNEL_OPTIONS)


def _read(path: Path | str | None) -> bytes | None:
    return None if path is None else Path(path).read_bytes()
