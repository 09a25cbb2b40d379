"""`describe` of a Secret: which keys it has and what it is sealed to; never a value, sealed or not. Pure."""

from collections.abc import Sequence

from cli.blocks import NONE, Block, pairs
from cli.cells import plain_status
from cli.describe_object import describe_unreadable, event_rows, rfc1123
from client.views import ObjectView
from schemas.event import Event
from schemas.secret import Secret


def describe_secret(view: ObjectView, events: Sequence[Event], now: float) -> Block:
    """Return name, labels, times, type, the names of the keys, events."""
    if not view.raw:
        return describe_unreadable(view, events, now)
    secret = Secret.parse_stored(view.raw)
    sealed = secret.sealed
    return Block(
        [
            ("Name", view.name),
            ("Namespace", view.namespace),
            ("Labels", pairs(view.labels)),
            ("Annotations", pairs(view.annotations, ": ")),
            ("CreationTimestamp", rfc1123(view.created_at)),
            ("Status", plain_status(view)),
            ("Type", secret.type),
            ("Sealed To", f"key {sealed.to}" if sealed else NONE),
            ("Data", tuple(sealed.keys) if sealed and sealed.keys else NONE),
            ("Events", event_rows(events, now)),
        ]
    )
