"""Parts of `describe` that all kinds share, and the whole of it for kinds that only have a spec. Pure."""

from collections.abc import Iterable, Sequence
from datetime import UTC, datetime

from cli.ages import UNKNOWN, human_duration
from cli.blocks import NONE, Block, Content, Rows, pairs
from cli.cells import plain_status
from client.views import ObjectView, status_of
from schemas.configmap import ConfigMap
from schemas.event import Event
from schemas.meta import Condition
from schemas.quantity import BYTE_RESOURCES, parse_quantity, show_quantity
from schemas.secret import Secret
from schemas.status import ObjectStatus
from schemas.timestamps import parse_time


def describe_object(view: ObjectView, events: Sequence[Event], now: float) -> Block:
    """Return name, labels, times, the fields of the spec with their defaults, conditions, events."""
    if not view.raw:
        return describe_unreadable(view, events, now)
    parsed = view.kind.model.parse_stored(view.raw)
    assert not isinstance(parsed, (Secret, ConfigMap)), "they have no spec"
    spec = parsed.spec.model_dump(mode="json", by_alias=True)
    return Block(
        [
            ("Name", view.name),
            ("Labels", pairs(view.labels)),
            ("Annotations", pairs(view.annotations, ": ")),
            ("CreationTimestamp", rfc1123(view.created_at) if view.spec_kv else "<none>, as it is built in"),
            ("Status", plain_status(view)),
            *((_title(field), _content(value)) for field, value in spec.items()),
            *_conditions(view),
            ("Events", event_rows(events, now)),
        ]
    )


def _conditions(view: ObjectView) -> list[tuple[str, Content]]:
    """Return what Berth observed of the object, if it says anything of this kind."""
    status = status_of(view, ObjectStatus)
    return [("Conditions", condition_rows(status.conditions))] if status and status.conditions else []


def describe_unreadable(view: ObjectView, events: Sequence[Event], now: float) -> Block:
    """Return what can be said of an object whose stored value can't be read."""
    place = [("Namespace", view.namespace)] if view.namespace else []
    key = view.spec_kv.key if view.spec_kv else UNKNOWN
    return Block(
        [
            ("Name", view.name),
            *place,
            ("Status", "Unreadable"),
            ("Message", view.error),
            ("Key", f"{key} (mod revision {view.mod_revision})"),
            ("What now", f"repair it with etcdctl put, or remove it with: berth delete {view.ref} --force"),
            ("Events", event_rows(events, now)),
        ]
    )


def standing(view: ObjectView) -> list[tuple[str, Content]]:
    """Return what is out of the ordinary about an object that can be read: its status can't, or it goes."""
    if view.is_unreadable:
        return [
            ("Status", "Unreadable"),
            ("Message", f"{view.error}; until it is repaired nothing is decided"),
        ]
    return [("Status", "Terminating")] if view.is_terminating else []


def _title(field: str) -> str:
    """`maxPriority` -> `Max Priority`."""
    return "".join(f" {char}" if char.isupper() else char for char in field).title()


def _content(value: object) -> Content:
    if isinstance(value, dict):
        value = _shown_amounts(value)
        return Block([(key, _content(inner)) for key, inner in value.items()]) if value else NONE
    if isinstance(value, list):
        return tuple(map(str, value))
    return NONE if value is None or value == "" else str(value)


def _shown_amounts(value: dict[str, object]) -> dict[str, object]:
    """Return a map with its amounts of bytes for people; -o yaml has the exact ones."""
    return {
        key: show_quantity(key, parse_quantity(key, inner)) if key in BYTE_RESOURCES else inner
        for key, inner in value.items()
    }


def rfc1123(timestamp: str) -> str:
    """Return `Mon, 02 Jan 2006 15:04:05 +0000`, `<unknown>` for no time."""
    try:
        return datetime.fromtimestamp(parse_time(timestamp), UTC).strftime("%a, %d %b %Y %H:%M:%S +0000")
    except ValueError:
        return UNKNOWN


def event_rows(events: Sequence[Event], now: float) -> Content:
    """Return the events block, oldest first, repeats folded as `2m (x5 over 10m)`."""
    rows = [
        (event.type, event.reason, _event_age(event, now), event.source, event.message)
        for event in sorted(events, key=lambda event: event.last_timestamp)
    ]
    return Rows(("Type", "Reason", "Age", "From", "Message"), rows) if rows else NONE


def _event_age(event: Event, now: float) -> str:
    try:
        last, first = parse_time(event.last_timestamp), parse_time(event.first_timestamp)
    except ValueError:
        return UNKNOWN
    if event.count <= 1:
        return human_duration(now - last)
    return f"{human_duration(now - last)} (x{event.count} over {human_duration(now - first)})"


def condition_rows(conditions: Iterable[Condition]) -> Content:
    """Return type, status, last transition, reason, message."""
    rows = [
        (
            each.type,
            each.status,
            rfc1123(each.last_transition_time),
            each.reason or NONE,
            " ".join(each.message.split()) or NONE,
        )
        for each in conditions
    ]
    return Rows(("Type", "Status", "LastTransitionTime", "Reason", "Message"), rows) if rows else NONE
