"""Diff: the stored object against what an apply would store, as a unified diff of YAML. Pure.

Lines that begin with `#` say what the change does besides: what is stopped and started anew, which fields belong to
others, which stay because others have them.
"""

import difflib
from collections.abc import Iterator
from typing import Any

from client.conflicts import manager_text
from client.planned import Planned
from client.yamltext import to_yaml
from schemas.keys import ObjectRef
from schemas.meta import CLUSTER_NAMESPACE

Json = dict[str, Any]


def unified_diff(planned: Planned) -> str:
    """Return the diff, empty without differences; lines before it say what the change means."""
    if planned.replaced is not None and planned.replaced == planned.merged:
        return ""
    return "".join(_marks(planned)) + _differences(
        planned.document.ref, planned.replaced, planned.merged, "merged"
    )


def removal_diff(ref: ObjectRef, live: Json) -> str:
    """Return the diff of an object that is pruned: all of it goes."""
    return f"# prunes {ref}: it left the set\n" + _differences(ref, live, None, "pruned")


def _differences(ref: ObjectRef, before: Json | None, after: Json | None, becomes: str) -> str:
    texts = ("" if each is None else to_yaml(_ordered(_shown(each))) for each in (before, after))
    old, new = (text.splitlines(keepends=True) for text in texts)
    place = str(ref) if ref.namespace == CLUSTER_NAMESPACE else f"{ref.namespace}/{ref}"
    return "".join(difflib.unified_diff(old, new, f"live/{place}", f"{becomes}/{place}"))


def _shown(raw: Json) -> Json:
    """Of Secrets only what may be seen."""
    if raw.get("kind") != "Secret":
        return raw
    from client.secrets import masked

    return masked(raw)


def _marks(planned: Planned) -> Iterator[str]:
    ref = planned.document.ref
    if planned.replaces:
        yield f"# replaces {ref} (it is stopped and started anew): {', '.join(planned.replaces)}\n"
    if planned.rolls:
        yield f"# rolls {ref} (its tasks are replaced as its strategy says): {', '.join(planned.rolls)}\n"
    for conflict in planned.conflicts:
        yield f"# conflict in {ref} {conflict}\n"
    for kept in planned.kept:
        yield f"# keeps {kept.field} of {ref}, which the manifest leaves out: {manager_text(kept.manager)} has it\n"


def _ordered(value: Any) -> Any:
    """Sort keys: the stored form is canonical, the merged one is as people wrote it."""
    if isinstance(value, dict):
        return {key: _ordered(value[key]) for key in sorted(value)}
    return [_ordered(item) for item in value] if isinstance(value, list) else value
