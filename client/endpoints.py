"""Where deployments are reached: the ready addresses that the leader keeps, read and watched."""

import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from client.reading import at_one_revision
from client.waiting import Waiter
from schemas.keys import EndpointsKey, Keys
from schemas.owned import Endpoint, Endpoints
from store import codec
from store.api import KeyValue, Store
from store.errors import Unavailable
from store.informer import Informer

STEP_EVERY_S = 1.0  # what the informer asks for


@dataclass(frozen=True, slots=True)
class EndpointsView:
    """The ready addresses of one deployment; `error` says why they can't be read. `kv` None: they are gone."""

    namespace: str
    name: str
    addresses: tuple[Endpoint, ...] = ()
    error: str = ""
    kv: KeyValue | None = None

    @property
    def texts(self) -> tuple[str, ...]:
        """Every address as HOST:PORT; of a task that publishes no port there is none."""
        return tuple(f"{each.ip}:{port.host_port}" for each in self.addresses for port in each.ports)


def read_endpoints(
    store: Store, keys: Keys, namespace: str | None, name: str = ""
) -> tuple[EndpointsView, ...]:
    """Return the lists of a namespace (None: of all), or the one called `name`."""
    if name and namespace is not None:
        kv = store.get(keys.endpoints(namespace, name)).kv
        return (_view(namespace, name, kv),) if kv else ()
    kvs = at_one_revision(store, lambda reading: reading.kvs(keys.endpoints_range(namespace)))
    return tuple(view for kv in kvs if (view := _parse(keys, kv.key, kv)) is not None)


def watch_endpoints(
    waiter: Waiter, keys: Keys, namespace: str | None, name: str, say: Callable[[str], None]
) -> Iterator[EndpointsView]:
    """Yield each list, and again whenever it changed. Never ends; an outage is told by `say`, once."""
    woken = threading.Event()
    informer = Informer(waiter.store, (keys.endpoints_range(namespace),), woken.set)
    is_away = False
    try:
        while True:
            woken.clear()
            changes = informer.step(waiter.clock())
            if not informer.synced and informer.last_error is not None:
                raise informer.last_error
            if isinstance(informer.last_error, Unavailable) and not is_away:
                say(f"the watch waits for etcd, addresses may be old: {informer.last_error}")
            is_away = isinstance(informer.last_error, Unavailable)
            for key in sorted({change.key for change in changes}):
                view = _parse(keys, key, informer.get(key))
                if view is not None and name in ("", view.name):
                    yield view
            waiter.pause(woken, STEP_EVERY_S)
    finally:
        informer.close()


def _parse(keys: Keys, key: str, kv: KeyValue | None) -> EndpointsView | None:
    parsed = keys.parse(key)
    return _view(parsed.namespace, parsed.name, kv) if isinstance(parsed, EndpointsKey) else None


def _view(namespace: str, name: str, kv: KeyValue | None) -> EndpointsView:
    if kv is None:
        return EndpointsView(namespace, name)
    raw = codec.decode(kv)
    if isinstance(raw, codec.Unreadable):
        return EndpointsView(namespace, name, (), raw.error, kv)
    try:
        return EndpointsView(namespace, name, Endpoints.parse_stored(raw).addresses, "", kv)
    except ValueError as error:
        return EndpointsView(namespace, name, (), str(error), kv)
