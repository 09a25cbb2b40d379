"""Diff: the stored object against what an apply would store, as a unified diff of YAML. Pure."""

import difflib
from typing import Any

import yaml

from client.apply import Planned

_Dumper = getattr(yaml, "CSafeDumper", yaml.SafeDumper)


def to_yaml(value: Any) -> str:
    """Return YAML as the CLI shows it: keys in their order, blocks, no aliases, text as it is."""
    return str(
        yaml.dump(
            value, Dumper=_dumper(), sort_keys=False, allow_unicode=True, default_flow_style=False, width=120
        )
    )


def _dumper() -> Any:  # PyYAML's dumpers are classes without types
    class NoAliases(_Dumper):  # type: ignore[misc, valid-type]
        def ignore_aliases(self, data: object) -> bool:
            return True

    return NoAliases


def unified_diff(planned: Planned) -> str:
    """Return the diff, empty without differences; a line before it names what replaces the task."""
    before = "" if planned.replaced is None else to_yaml(_ordered(planned.replaced))
    after = to_yaml(_ordered(planned.merged))
    if planned.replaced is not None and planned.replaced == planned.merged:
        return ""
    ref = planned.document.ref
    place = f"{ref.namespace}/{ref}" if planned.document.kind.namespaced else str(ref)
    lines = difflib.unified_diff(
        before.splitlines(keepends=True), after.splitlines(keepends=True), f"live/{place}", f"merged/{place}"
    )
    return _mark(planned) + "".join(lines)


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
