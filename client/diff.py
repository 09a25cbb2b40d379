"""Diff: the stored object against what an apply would store, as a unified diff of YAML. Pure."""

import difflib
from typing import Any

from client.planned import Planned
from client.yamltext import to_yaml


def unified_diff(planned: Planned) -> str:
    """Return the diff, empty without differences; a line before it names what replaces the task."""
    before = "" if planned.replaced is None else to_yaml(_ordered(_shown(planned.replaced)))
    after = to_yaml(_ordered(_shown(planned.merged)))
    if planned.replaced is not None and planned.replaced == planned.merged:
        return ""
    ref = planned.document.ref
    place = f"{ref.namespace}/{ref}" if planned.document.kind.namespaced else str(ref)
    lines = difflib.unified_diff(
        before.splitlines(keepends=True), after.splitlines(keepends=True), f"live/{place}", f"merged/{place}"
    )
    return _mark(planned) + "".join(lines)


def _shown(raw: dict[str, Any]) -> dict[str, Any]:
    """Of Secrets only what may be seen."""
    if raw.get("kind") != "Secret":
        return raw
    from client.secrets import masked

    return masked(raw)


def _mark(planned: Planned) -> str:
    if not planned.replaces:
        return ""
    return (
        f"# replaces {planned.document.ref} (it is stopped and started anew): {', '.join(planned.replaces)}\n"
    )


def _ordered(value: Any) -> Any:
    """Sort keys: the stored form is canonical, the merged one is as people wrote it."""
    if isinstance(value, dict):
        return {key: _ordered(value[key]) for key in sorted(value)}
    return [_ordered(item) for item in value] if isinstance(value, list) else value
