"""What a program needs beside `Client` itself: a way in, and objects of any form as what `apply` takes."""

import json
import os
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

from client.agent_tls import AgentTls
from client.connect import DEFAULT_NAMESPACE, open_store, resolve
from client.naming import make_ref
from client.views import ObjectView
from client.waiting import Waiter
from schemas.keys import Keys, ObjectRef
from schemas.manifest import Document, load
from schemas.meta import Model

if TYPE_CHECKING:
    from client.client import Client

Written = Model | Mapping[str, Any] | str | bytes  # Any: JSON of any shape


def connect(made: "type[Client]", options: Mapping[str, str]) -> "Client":
    """Return a client of the cluster that `berth` with these global options would speak to.

    options: names as in `client.connect.resolve`; "" is not given. Raises Unreachable, BadOption.
    """
    settings = resolve({name: value for name, value in options.items() if value}, os.environ)
    tls = AgentTls(settings.ca_file, settings.cert_file, settings.key_file)
    return made(open_store(settings), Keys(settings.prefix), agent_tls=tls, namespace=settings.namespace)


def documents(*written: Written, namespace: str = DEFAULT_NAMESPACE) -> tuple[Document, ...]:
    """Return checked documents of models, of mappings, and of YAML or JSON texts, which may hold several.

    namespace: of objects that name none. Of a model only what was set is written, so that defaults stay open.
    Raises InvalidManifest with every problem of all of them.
    """
    sources = [(f"object {number}", _source(each)) for number, each in enumerate(written, 1)]
    return load(sources, default_namespace=namespace)


def quantities(amounts: Mapping[str, str | float] | None = None, /, **more: str | float) -> dict[str, Any]:
    """Return amounts as people write them, for a model: `quantities(cpu="500m", memory="64Mi")`.

    amounts: those whose names are no words of Python, such as {"example.com/fpga": 1}.
    """
    return {**(amounts or {}), **more}


def wait_for(
    client: "Client",
    waiter: Waiter,
    what: tuple[str, str, str],
    is_so: Callable[[ObjectView], object],
    timeout_s: float,
) -> ObjectView:
    """what: kind, name, namespace."""
    kind, name, namespace = what
    found = client.kind(kind)
    ref = make_ref(found, namespace, name)

    def check() -> ObjectView | None:
        view = client.find(kind, name, namespace)
        return view if view is not None and is_so(view) else None

    return waiter.until(_keys(client.keys, ref), check, timeout_s=timeout_s, what=f"for {ref}")


def _keys(keys: Keys, ref: ObjectRef) -> tuple[str, ...]:
    """Return the keys that a view of the object is made of."""
    own = (keys.spec(ref), keys.status(ref), keys.request(ref, "delete"))
    return (*own, keys.node_report(ref.name), keys.heartbeat(ref.name)) if ref.plural == "nodes" else own


def _source(written: Written) -> bytes:
    match written:
        case bytes():
            return written
        case str():
            return written.encode()
        case Model():
            given = written.model_dump(mode="json", by_alias=True, exclude_unset=True, exclude_none=True)
            return json.dumps(given).encode()
        case _:
            return json.dumps(written).encode()
