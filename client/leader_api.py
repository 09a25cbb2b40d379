"""Questions to the leader: its address is in the election key, the tokens that show what one may know are in etcd.

    leader's address -> HTTP(S) by the context's files -> JSON, or LeaderUnavailable / Refused

A refusal of a question is Refused, with the leader's own words; everything on the way to it is LeaderUnavailable, and
then who may read all of etcd can compute the answer himself. No token crosses a network in the clear.
"""

import http.client
import json
import ssl
from collections.abc import Iterable
from typing import Any
from urllib.parse import urlsplit

from client.agent_http import CUT_OFF, tls_trouble, what_may_lack
from client.agent_target import read_token
from client.agent_tls import AgentTls, is_in_the_clear
from client.errors import AgentUnavailable, LeaderUnavailable, Refused
from schemas.cluster import AccessToken, LeaderInfo
from schemas.keys import AccessKey, Family, Keys
from store import codec
from store.api import Store
from store.errors import PermissionDenied

CONNECT_TIMEOUT_S = 3.0
ANSWER_TIMEOUT_S = 120.0  # `why` decides again for each change that could help
LISTENS_AT_HOME = "controllers listen on their own host only, unless --listen says otherwise"
NOT_OURS = (404, 405)  # of a leader that does not know the question; ours come with a message


def tokens_of(store: Store, keys: Keys, namespaces: Iterable[str] | None) -> tuple[str, ...]:
    """Return the tokens of some namespaces, or of all that can be read. Raises LeaderUnavailable for a missing one."""
    if namespaces is None:
        try:
            found = store.list(keys.family_range(Family.ACCESS)).kvs
        except PermissionDenied:
            return ()
        return tuple(
            token for kv in found if isinstance(keys.parse(kv.key), AccessKey) and (token := _token(kv.value))
        )
    try:
        return tuple(read_token(store, keys, namespace) for namespace in sorted(set(namespaces)))
    except AgentUnavailable as error:
        raise LeaderUnavailable(str(error)) from None


def _token(value: bytes) -> str:
    try:
        return AccessToken.parse_stored(json.loads(value)).token
    except ValueError:
        return ""


def ask(
    leader: LeaderInfo | None, tls: AgentTls, tokens: Iterable[str], path: str, body: codec.Json | None = None
) -> Any:  # Any: JSON that is checked where it is read
    """Return the leader's answer. Raises LeaderUnavailable, Refused."""
    if leader is None:
        raise LeaderUnavailable("no controller leads; see: berth version")
    if not leader.api_address:
        raise LeaderUnavailable(f"the leader {leader.identity} has not told where its API is")
    if is_in_the_clear(urlsplit(leader.api_address)):
        raise LeaderUnavailable(
            f"the leader {leader.identity} serves without TLS at {leader.api_address}, and a token never crosses a "
            "network in the clear; start it with --server-cert, --server-key and --client-ca"
        )
    shown = ",".join(tokens)
    if not shown:
        raise LeaderUnavailable("there is no token of a namespace that you may read")
    try:
        status, said = _exchange(leader.api_address, tls, shown, path, body)
    except ssl.SSLError as error:
        raise LeaderUnavailable(
            f"the leader {leader.identity} {tls_trouble(leader.api_address, tls, error)}"
        ) from None
    except (OSError, http.client.HTTPException) as error:
        hint = what_may_lack(leader.api_address, tls) if isinstance(error, CUT_OFF) else LISTENS_AT_HOME
        raise LeaderUnavailable(
            f"the leader {leader.identity} does not answer at {leader.api_address} "
            f"({error or type(error).__name__}); {hint}"
        ) from None
    return _read(leader, status, said)


def _exchange(
    address: str, tls: AgentTls, tokens: str, path: str, body: codec.Json | None
) -> tuple[int, bytes]:
    connection = _connect(address, tls)
    try:
        connection.connect()
        if connection.sock is not None:
            connection.sock.settimeout(ANSWER_TIMEOUT_S)
        headers = {"Authorization": f"Bearer {tokens}", "Content-Type": "application/json"}
        data = None if body is None else codec.encode(body)
        connection.request("GET" if data is None else "POST", path, body=data, headers=headers)
        reply = connection.getresponse()
        return reply.status, reply.read()
    finally:
        connection.close()


def _connect(address: str, tls: AgentTls) -> http.client.HTTPConnection:
    url = urlsplit(address)
    if url.scheme == "https":
        return http.client.HTTPSConnection(
            url.hostname or "", url.port, timeout=CONNECT_TIMEOUT_S, context=tls.context()
        )
    return http.client.HTTPConnection(url.hostname or "", url.port, timeout=CONNECT_TIMEOUT_S)


def _read(leader: LeaderInfo, status: int, said: bytes) -> Any:
    try:
        answer = json.loads(said)
    except ValueError:
        answer = None
    if status == 200 and isinstance(answer, dict):
        return answer
    message = answer.get("message") if isinstance(answer, dict) else None
    if message is None and status in NOT_OURS:
        raise LeaderUnavailable(
            f"the leader {leader.identity} is older than this berth and can't answer; update it"
        )
    if status == 503 or message is None:
        raise LeaderUnavailable(
            f"the leader {leader.identity} can't answer now ({message or f'status {status}'})"
        )
    raise Refused(str(message))
