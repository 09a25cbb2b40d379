"""Puts and deletes in words, for the story."""

import json
from typing import Any

from schemas.keys import BindingKey, Keys, NodeReportKey, StatusKey, TaskReportKey
from schemas.kinds import OWNERS
from store.api import Delete, Put


def tell_op(op: Put | Delete, keys: Keys) -> str:
    """Return what one write says, short."""
    if isinstance(op, Delete):
        return f"removes {op.key}"
    try:
        value = json.loads(op.value)
    except ValueError:
        return f"writes {op.key}"
    match keys.parse(op.key):
        case BindingKey(node, _):
            return _binding(node, value)
        case TaskReportKey(_, _):
            return _report(value)
        case StatusKey(ref) if ref.plural == "tasks":
            return f"says {ref.name} is {value['state']} on {value.get('node') or 'no node'} {_reason(value)}"
        case StatusKey(ref) if ref.plural in OWNERS or ref.plural == "disruptionbudgets":
            known = {name: value[name] for name in _SHOWN if value.get(name)}
            return f"says {ref} has {known}"
        case StatusKey(ref):
            ready = [c for c in value.get("conditions", ()) if c["type"] == "Ready"]
            told = (
                f"says {ref} is ready: {ready[0]['status']} {_reason(ready[0])}"
                if ready
                else f"says {ref} is"
            )
            return f"{told} {_drain(value)}".strip()
        case NodeReportKey(node):
            return f"reports {node}: incarnation {value['incarnation']}, rewound from {value['rewoundFrom']}"
        case _:
            return f"writes {op.key}"


def _drain(value: dict[str, Any]) -> str:
    drain = value.get("drain")
    return f"(of the drain {drain['count']} left: {drain['left']})" if drain else ""


_SHOWN = (
    *("replicas", "readyReplicas", "revision", "current", "ready", "active", "succeeded", "failed"),
    *("lastScheduleTime", "expected", "healthy", "desiredHealthy"),
)


def _reason(value: dict[str, Any]) -> str:
    return f"({value.get('reason')}: {value.get('message', '')})" if value.get("reason") else ""


def _binding(node: str, value: dict[str, Any]) -> str:
    what = f"{value['name']} on {node}, epoch {value['epoch']} ({value['bindingUid']})"
    return f"binds {what}: {value['desired']} {_reason(value)}"


def _report(value: dict[str, Any]) -> str:
    flags = [name for name in ("final", "unbound", "unknown") if value.get(name)]
    states = [f"{c['state']}#{c['attempt']} {c['reason']}".strip() for c in value["containers"]]
    return f"reports {value['name']} ({value['bindingUid']}): {', '.join(states + flags)}"
