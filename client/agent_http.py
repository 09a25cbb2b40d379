"""Connections to agents: HTTP, HTTPS and web sockets, for all verbs that need a node.

    target -> connect (TLS by the context's files) -> a reply, or AgentUnavailable that names the node

The agent's certificate is verified with the same CA as etcd's, and the same client certificate is shown. Every
error says which node, at which address, and what is still known from etcd. No token crosses a network in the clear.
"""

import http.client
import json
import ssl
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager, nullcontext, suppress
from dataclasses import dataclass, field
from typing import TYPE_CHECKING
from urllib.parse import SplitResult, urlsplit

from client.agent_tls import AgentTls, is_in_the_clear
from client.errors import AgentUnavailable

if TYPE_CHECKING:
    from websockets.sync.client import ClientConnection

CONNECT_TIMEOUT_S = 5.0
CLOSE_TIMEOUT_S = 1.0  # a person waits no longer for an agent to say goodbye
MAX_MESSAGE_BYTES = 2**21  # agents send pieces of 64 KiB
MAX_REFUSAL_BYTES = 4_000


@dataclass(frozen=True, slots=True)
class AgentPeer:
    """An agent, and what to say about its node when it does not answer. `last_known`: a clause, or nothing.

    look: the command that tells of what was asked about, or nothing.
    """

    node: str
    api_address: str
    last_known: str = ""
    token: str = field(default="", repr=False)
    look: str = ""

    @property
    def url(self) -> SplitResult:
        """Return the address as a URL; older agents told no scheme."""
        return urlsplit(self.api_address if "//" in self.api_address else f"http://{self.api_address}")

    @property
    def headers(self) -> dict[str, str]:
        return {"Authorization": f"Bearer {self.token}"} if self.token else {}

    def error(self, why: str) -> AgentUnavailable:
        known = f"; {self.last_known}" if self.last_known else ""
        return AgentUnavailable(f"node {self.node} {why}{known}; see: berth get node/{self.node}")


def connect(
    peer: AgentPeer, tls: AgentTls, *, timeout_s: float = CONNECT_TIMEOUT_S
) -> http.client.HTTPConnection:
    """Return a connection that is opened by its first request."""
    url = peer.url
    if url.scheme != "https":
        return http.client.HTTPConnection(url.hostname or "", url.port, timeout=timeout_s)
    return http.client.HTTPSConnection(
        url.hostname or "", url.port, timeout=timeout_s, context=_context(peer, tls)
    )


@contextmanager
def request(
    peer: AgentPeer,
    tls: AgentTls,
    method: str,
    path: str,
    *,
    timeout_s: float | None = CONNECT_TIMEOUT_S,
    chunks: Iterable[bytes] | None = None,
    headers: Mapping[str, str] | None = None,
) -> Iterator[http.client.HTTPResponse]:
    """Send a request and yield the reply, which is 2xx. Raises AgentUnavailable, also from within the block.

    timeout_s: between two pieces of the reply; None waits for ever. chunks: a body of unknown length.
    """
    _refuse_clear(peer)
    with telling(peer, tls):
        connection = connect(peer, tls)
        try:
            connection.connect()
            if connection.sock is not None:
                connection.sock.settimeout(timeout_s)
            wanted = {**peer.headers, **(headers or {})}
            if chunks is not None:
                wanted["Transfer-Encoding"] = "chunked"
            _send(connection, method, path, chunks, wanted)
            reply = connection.getresponse()
            if not 200 <= reply.status < 300:
                raise refusal(peer, reply.status, reply.read(MAX_REFUSAL_BYTES))
            yield reply
        finally:
            connection.close()


def _send(
    connection: http.client.HTTPConnection,
    method: str,
    path: str,
    chunks: Iterable[bytes] | None,
    headers: Mapping[str, str],
) -> None:
    """Send it all. Who refuses a body may close early: then the reply says why, or reading it fails too."""
    with suppress(ConnectionError) if chunks is not None else nullcontext():
        connection.request(
            method, path, body=chunks, headers=dict(headers), encode_chunked=chunks is not None
        )


def open_websocket(peer: AgentPeer, tls: AgentTls, path: str) -> "ClientConnection":
    """Return an open web socket at `path`. Raises AgentUnavailable."""
    from websockets.exceptions import ConnectionClosed, InvalidHandshake, InvalidStatus
    from websockets.sync.client import connect as connect_websocket

    url = peer.url
    is_tls = url.scheme == "https"
    _refuse_clear(peer)
    with telling(peer, tls):
        try:
            opened = connect_websocket(
                f"{'wss' if is_tls else 'ws'}://{url.netloc}{path}",
                ssl=_context(peer, tls) if is_tls else None,
                additional_headers=peer.headers,
                compression=None,  # what goes through is often compressed, or an echo of keys
                proxy=None,  # agents are reached directly, as etcd is
                open_timeout=CONNECT_TIMEOUT_S,
                close_timeout=CLOSE_TIMEOUT_S,
                max_size=MAX_MESSAGE_BYTES,
            )
            return opened.__enter__()  # its caller closes it; entering says so to the library
        except InvalidStatus as error:
            raise refusal(peer, error.response.status_code, bytes(error.response.body or b"")) from None
        except ConnectionClosed:  # while the request was sent: with TLS 1.3 a refused certificate may show so
            raise EOFError("it hung up") from None
        except InvalidHandshake as error:
            if isinstance(error.__cause__, OSError | EOFError):
                raise error.__cause__ from None
            raise peer.error(f"does not speak web sockets at {peer.api_address} ({error})") from None


def _refuse_clear(peer: AgentPeer) -> None:
    if peer.token and is_in_the_clear(peer.url):
        raise peer.error(
            f"serves without TLS at {peer.api_address}, and a token never crosses a network in the clear; "
            "start its agent with --server-cert, --server-key and --client-ca"
        )


@contextmanager
def telling(peer: AgentPeer, tls: AgentTls) -> Iterator[None]:
    """Turn what goes wrong on the way to an agent into AgentUnavailable."""
    try:
        yield
    except ssl.SSLError as error:
        raise peer.error(tls_trouble(peer.api_address, tls, error)) from None
    except (OSError, http.client.HTTPException, EOFError) as error:
        silent = f"no answer within {CONNECT_TIMEOUT_S:.0f} s" if isinstance(error, TimeoutError) else ""
        why = silent or str(error) or type(error).__name__
        hint = f"; {what_may_lack(peer.api_address, tls)}" if isinstance(error, CUT_OFF) else ""
        raise peer.error(f"does not answer at {peer.api_address} ({why}{hint})") from None


CUT_OFF = (http.client.BadStatusLine, EOFError, ConnectionResetError)


def what_may_lack(address: str, tls: AgentTls) -> str:
    """Say why a server may hang up before it answers."""
    if not address.startswith("https://"):
        return "it may want https"
    wanted = "another client certificate" if tls.cert_file else "a client certificate: give --cert and --key"
    return f"it may want {wanted}"


def refusal(peer: AgentPeer, status: int, body: bytes) -> AgentUnavailable:
    """Return the error for a reply that is none of what was asked for."""
    said = _message_of(body)
    if said is None and status in (403, 404, 405, 501):  # ours always say why: this agent lacks the path
        return peer.error(
            f"runs an agent that does not know this ({status}): it is older than this berth; update it"
        )
    if said is None:
        said = body.decode(errors="replace").strip() or f"status {status}"
    if status in (401, 403):
        said = f"it refuses the token of this namespace ({status}: {said})"
    known = f"; {peer.last_known}" if peer.last_known else ""
    look = f"; see: {peer.look}" if peer.look else ""
    return AgentUnavailable(f"node {peer.node} refuses: {said}{known}{look}")


def _message_of(body: bytes) -> str | None:
    """Return the message of `{"message": ...}`, None if it is anything else."""
    try:
        return str(json.loads(body)["message"])
    except (ValueError, KeyError, TypeError):
        return None


def _context(peer: AgentPeer, tls: AgentTls) -> ssl.SSLContext:
    try:
        return tls.context()
    except (OSError, ssl.SSLError) as error:
        files = ", ".join(filter(None, (tls.ca_file, tls.cert_file, tls.key_file)))
        raise peer.error(f"can't be asked: a certificate can't be used ({files}: {error})") from None


def tls_trouble(address: str, tls: AgentTls, error: ssl.SSLError) -> str:
    """Say of a server which file is missing or wrong."""
    if isinstance(error, ssl.SSLCertVerificationError):
        by = f"the CA of {tls.ca_file}" if tls.ca_file else "the system's CAs: give --cacert or BERTH_CACERT"
        return f"shows a certificate at {address} that is not trusted by {by} ({error.verify_message})"
    return f"refuses TLS at {address}, {what_may_lack(address, tls)} ({error.reason or error})"
