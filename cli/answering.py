"""Answers to questions about the whole cluster: from the leader, or computed here by the same pure functions.

The leader's API may not be reachable from here. Who may read all of etcd gets the answer all the same, from a listing
at one revision; that this was done is said on stderr.
"""

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any
from urllib.parse import quote, urlencode

from cli.session import note
from client.errors import LeaderUnavailable, Refused
from schemas.keys import ObjectRef

if TYPE_CHECKING:
    from client.client import Client
    from controller.snapshots import Frozen

Json = dict[str, Any]
About = tuple[tuple[ObjectRef, ...], str, bool]
"""Tasks and a node that a question is about besides what waits and stands; and whether all that stands may move."""

NOTHING: About = ((), "", False)
EVERYTHING: About = ((), "", True)


def ask_why(client: "Client", ref: ObjectRef, node: str, now: float) -> Json:
    """Raises Refused, LeaderUnavailable where nobody can answer."""

    def compute(frozen: "Frozen") -> Json:
        from controller import answers

        return answers.why(frozen, ref, node)

    path = f"/v1/why/{ref.namespace}/{ref.name}" + (f"?node={quote(node)}" if node else "")
    return _either(
        client, lambda: client.ask_leader(path, (ref.namespace,)), ((ref,), "", False), compute, now
    )


def ask_shares(client: "Client", now: float) -> Json:
    def compute(frozen: "Frozen") -> Json:
        from controller import answers

        return answers.share_table(frozen, None)

    def remote() -> Json:
        return client.ask_leader("/v1/shares", client.readable_namespaces())

    return _either(client, remote, NOTHING, compute, now)


def ask_plan(client: "Client", question: Json, namespaces: tuple[str, ...], now: float) -> Json:
    """Return what would become of tasks that come and go; see `controller.foresight`."""

    def compute(frozen: "Frozen") -> Json:
        import json

        from controller import foresight

        return foresight.plan(frozen, foresight.parse_question(json.dumps(question).encode()), None)

    def remote() -> Json:
        return client.ask_leader("/v1/plan", namespaces or client.readable_namespaces(), question)

    return _either(client, remote, NOTHING, compute, now)


def ask_drain(client: "Client", node: str, now: float, *, ignore_daemonsets: bool) -> Json:
    def compute(frozen: "Frozen") -> Json:
        from controller import foresight

        return foresight.drain(frozen, node, None, ignore_daemonsets=ignore_daemonsets)

    def remote() -> Json:
        path = f"/v1/drain/{quote(node)}?ignoreDaemonsets={int(ignore_daemonsets)}"
        return client.ask_leader(path, client.readable_namespaces())

    return _either(client, remote, ((), node, False), compute, now)


def ask_rebalance(client: "Client", question: Mapping[str, str], now: float) -> Json:
    """question: parameters as `controller.repacking` reads them."""

    def compute(frozen: "Frozen") -> Json:
        from controller import repacking

        return repacking.rebalance_plan(frozen, repacking.parse_asked(question), None)

    def remote() -> Json:
        return client.ask_leader(f"/v1/rebalance?{urlencode(question)}", client.readable_namespaces())

    return _either(client, remote, EVERYTHING, compute, now)


def ask_consolidate(client: "Client", question: Mapping[str, str], now: float) -> Json:
    def compute(frozen: "Frozen") -> Json:
        from controller import repacking

        return repacking.consolidate_plan(frozen, repacking.parse_asked(question), None)

    def remote() -> Json:
        return client.ask_leader(f"/v1/consolidate?{urlencode(question)}", client.readable_namespaces())

    return _either(client, remote, EVERYTHING, compute, now)


def _either(
    client: "Client",
    remote: Callable[[], Json],
    asked: About,
    compute: "Callable[[Frozen], Json]",
    now: float,
) -> Json:
    from store.errors import PermissionDenied

    try:
        return {**remote(), "computedBy": "leader"}
    except (LeaderUnavailable, PermissionDenied) as error:
        try:
            frozen = _frozen(client, asked, now)
        except PermissionDenied as denied:
            raise LeaderUnavailable(
                f"{error}; and it can't be computed here, as that takes the right to read all of etcd ({denied})"
            ) from None
        note(f"Note: computed here from etcd at revision {frozen.revision}, as {error}")
        return _told(compute, frozen)


def _frozen(client: "Client", asked: About, now: float) -> "Frozen":
    from controller.scheduler.schedule import Policy
    from controller.snapshots import Asked, frozen_from

    listing = client.store.list(client.keys.root)
    return frozen_from(listing.kvs, client.keys, Policy(), Asked(*asked), now, revision=listing.revision)


def _told(compute: "Callable[[Frozen], Json]", frozen: "Frozen") -> Json:
    from controller.answers import BadQuestion

    try:
        return {**compute(frozen), "computedBy": "berth"}
    except BadQuestion as error:
        raise Refused(str(error)) from None
