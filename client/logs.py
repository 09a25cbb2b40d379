"""Logs come from the agent that ran the task; etcd only says which one that is, and holds the token.

GET {apiAddress}/v1/logs/{namespace}/{task uid}/{container}?follow=&tail=&previous=&timestamps=
"""

import http.client
import json
from collections.abc import Iterator
from dataclasses import dataclass
from urllib.parse import urlencode, urlsplit

from client.errors import LogsUnavailable, NotFound, ObjectUnreadable
from client.views import ObjectView
from schemas.cluster import AccessToken
from schemas.keys import Keys
from schemas.status import TaskStatus
from store import codec
from store.api import Store

CONNECT_TIMEOUT_S = 5.0
READ_TIMEOUT_S = 30.0  # between two pieces of what is there already
CHUNK_BYTES = 65_536


@dataclass(frozen=True, slots=True)
class LogOptions:
    """`tail`: number of last lines, None for all. `previous`: of the attempt before this one."""

    follow: bool = False
    tail: int | None = None
    previous: bool = False
    timestamps: bool = False

    def query(self) -> str:
        wanted = {
            "follow": str(self.follow).lower(),
            "previous": str(self.previous).lower(),
            "timestamps": str(self.timestamps).lower(),
        }
        return urlencode(wanted if self.tail is None else {**wanted, "tail": self.tail})


@dataclass(frozen=True, slots=True)
class LogSource:
    """Where the logs of one container are, and what to say when they can't be had."""

    api_address: str
    path: str
    token: str
    node: str
    last_known: str


def find_source(store: Store, keys: Keys, view: ObjectView, container: str | None) -> LogSource:
    """Return where the logs of a task are. Raises NotFound (no such container), LogsUnavailable."""
    if not view.raw:
        raise ObjectUnreadable(
            f'task "{view.name}" can\'t be read ({view.error}), so nobody knows where it runs'
        )
    status = view.task_status
    name = _choose_container(view, container)
    if status is None or not status.node:
        raise LogsUnavailable(_never_ran(view, status))
    last_known = _last_known(view, status)
    if not status.api_address:
        raise LogsUnavailable(
            f"node {status.node} has not told where its logs can be read; {last_known}; "
            f"see: berth describe node/{status.node}"
        )
    path = f"/v1/logs/{view.namespace}/{view.uid}/{name}"
    return LogSource(status.api_address, path, _token(store, keys, view.namespace), status.node, last_known)


def _choose_container(view: ObjectView, wanted: str | None) -> str:
    names = [str(each["name"]) for each in view.raw["spec"]["containers"]]
    if wanted is not None and wanted not in names:
        raise NotFound(f'task "{view.name}" has no container "{wanted}"; it has: {", ".join(names)}')
    return wanted or names[0]


def _never_ran(view: ObjectView, status: TaskStatus | None) -> str:
    state = status.state if status else "Pending"
    why = f" ({status.message or status.reason})" if status and (status.message or status.reason) else ""
    before = f"; it ran on node {status.previous_node} before" if status and status.previous_node else ""
    return f'task "{view.name}" is {state}{why}, so there are no logs{before}; see: berth describe {view.ref}'


def _last_known(view: ObjectView, status: TaskStatus) -> str:
    since = f" since {status.started_at}" if status.started_at else ""
    exits = [f"exit code {each.exit_code}" for each in status.containers if each.exit_code is not None]
    return ", ".join([f'task "{view.name}" was last known as {status.state}{since}', *exits])


def _token(store: Store, keys: Keys, namespace: str) -> str:
    kv = store.get(keys.access(namespace)).kv
    raw = None if kv is None else codec.decode(kv)
    if raw is None or isinstance(raw, codec.Unreadable):
        raise LogsUnavailable(
            f"there is no log token of namespace {namespace} at {keys.access(namespace)}; "
            "a controller makes it: is one running? see: berth version"
        )
    return AccessToken.parse_stored(raw).token


def stream(source: LogSource, options: LogOptions) -> Iterator[bytes]:
    """Yield the bytes of a log as they come. Raises LogsUnavailable."""
    connection = _connect(source)
    try:
        headers = {"Authorization": f"Bearer {source.token}"}
        connection.request("GET", f"{source.path}?{options.query()}", headers=headers)
        response = connection.getresponse()
        if response.status != http.HTTPStatus.OK:
            raise LogsUnavailable(_refusal(source, response))
        if connection.sock is not None:
            connection.sock.settimeout(None if options.follow else READ_TIMEOUT_S)  # a quiet log is no error
        while chunk := response.read1(CHUNK_BYTES):
            yield chunk
    except (OSError, http.client.HTTPException) as error:
        raise LogsUnavailable(
            f"node {source.node} does not answer at {source.api_address} ({error}); {source.last_known}; "
            f"see: berth get node/{source.node}"
        ) from None
    finally:
        connection.close()


def _connect(source: LogSource) -> http.client.HTTPConnection:
    address = source.api_address if "//" in source.api_address else f"http://{source.api_address}"
    url = urlsplit(address)
    make = http.client.HTTPSConnection if url.scheme == "https" else http.client.HTTPConnection
    return make(url.hostname or "", url.port, timeout=CONNECT_TIMEOUT_S)


def _refusal(source: LogSource, response: http.client.HTTPResponse) -> str:
    said = _message_of(response.read(2000).decode(errors="replace"))
    if response.status in (http.HTTPStatus.UNAUTHORIZED, http.HTTPStatus.FORBIDDEN):
        said = f"it refuses the token of this namespace ({response.status})"
    return f"node {source.node} gives no logs: {said or response.reason}; {source.last_known}"


def _message_of(body: str) -> str:
    """Return the message of `{"message": ...}`, or the text as it is."""
    try:
        return str(json.loads(body)["message"])
    except (ValueError, KeyError, TypeError):
        return body.strip()
