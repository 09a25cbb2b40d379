"""`describe configmap`: its values, as they are no secret. Pure."""

from collections.abc import Sequence

from cli.blocks import NONE, Block, pairs
from cli.describe_object import describe_unreadable, event_rows, rfc1123
from cli.related import Related
from client.views import ObjectView
from schemas.event import Event


def describe(view: ObjectView, related: Related, events: Sequence[Event], now: float) -> Block:
    """Return name, labels and values; of binary ones their length in base64."""
    if not view.raw:
        return describe_unreadable(view, events, now)
    data = view.raw.get("data") or {}
    binary = view.raw.get("binaryData") or {}
    return Block(
        [
            ("Name", view.name),
            ("Namespace", view.namespace),
            ("Labels", pairs(view.labels)),
            ("Annotations", pairs(view.annotations, ": ")),
            ("CreationTimestamp", rfc1123(view.created_at)),
            (
                "Data",
                Block([(key, tuple(data[key].splitlines()) or ("",)) for key in sorted(data)])
                if data
                else NONE,
            ),
            (
                "BinaryData",
                Block([(key, f"{len(binary[key])} characters of base64") for key in sorted(binary)])
                if binary
                else NONE,
            ),
            ("Events", event_rows(events, now)),
        ]
    )
