"""Event: something that happened to an object, counted. Written by the leader, kept for an hour."""

from typing import Literal

from schemas.meta import Model


class Event(Model):
    """Repeats of (object, type, reason, message, source) raise `count` and `lastTimestamp`."""

    kind: Literal["Event"] = "Event"
    namespace: str
    object_kind: str
    object_name: str
    object_uid: str
    type: Literal["Normal", "Warning"]
    reason: str
    message: str
    source: str
    count: int = 1
    first_timestamp: str
    last_timestamp: str
