"""`berth diff --at-rev A..B`: what changed between two revisions, as the leader's history has it."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

from cli.past import NO_SECRETS, parse_revision
from cli.refs import Target, parse_targets
from cli.session import Session, note, out
from client.diff import past_diff
from client.errors import BadOption, Refused
from client.history import Past, Revision, When, content_of, read_past
from client.naming import make_ref
from schemas.keys import ObjectRef
from schemas.meta import CLUSTER_NAMESPACE

if TYPE_CHECKING:
    from client.client import Client

NOW = When(ago_s=0.0)


def diff_past(session: Session, at_rev: str, what: Sequence[str], files: Sequence[str]) -> int:
    """Print the differences; return 1 if there are some, else 0. Raises BadOption, Refused."""
    if files:
        raise BadOption("--at-rev compares what was stored, and no files; leave -f out")
    before, after = parse_range(at_rev)
    targets = parse_targets(what) if what else (None,)
    found = []
    with session.client() as client:
        for target in targets:
            found += _differences(session, client, target, before, after)
    out("".join(found), end="")
    return 1 if found else 0


def parse_range(text: str) -> tuple[When, When]:
    """Return the moments of `A..B`; without B it is now. Raises BadOption."""
    first, dots, second = text.partition("..")
    if not dots:
        raise BadOption(f"--at-rev {text!r} names one revision; write A..B, or A.. for what changed since")
    return When(revision=parse_revision(first)), When(revision=parse_revision(second)) if second else NOW


def _differences(
    session: Session, client: "Client", target: Target | None, before: When, after: When
) -> list[str]:
    if target is not None and target.kind.name == "Secret":
        raise BadOption(NO_SECRETS)
    namespaced = target is None or target.kind.namespaced
    place = session.namespace if namespaced else CLUSTER_NAMESPACE
    plural = "" if target is None else target.kind.plural
    names = () if target is None else target.names
    pasts = [
        read_past(client, when, place, plural=plural, name=names[0] if len(names) == 1 else "")
        for when in (before, after)
    ]
    if target is not None and names:
        refs = [make_ref(target.kind, session.namespace, name) for name in names]
        return _compare(pasts, before, after, refs)
    for past in pasts:
        _tell(past)
    unsure = {ref for past in pasts for ref in past.unsure}  # told of already
    refs = sorted({each.ref for past in pasts for each in past.revisions} - unsure)
    return _compare(pasts, before, after, refs, strict=False)


def _tell(past: Past) -> None:
    for text in (*(gap.text for gap in past.gaps), *past.unsure.values(), *past.notes):
        note(f"Note: {text}")


def _compare(
    pasts: Sequence[Past], before: When, after: When, refs: Sequence[ObjectRef], *, strict: bool = True
) -> list[str]:
    found = []
    for ref in refs:
        try:
            old, new = (past.find(ref) for past in pasts)
            text = "" if old == new else _one(ref, (before, old), (after, new))
        except Refused as error:  # of many objects those are shown of which something is known
            if strict:
                raise
            note(f"Note: {error}")
            continue
        if text:
            found.append(text)
    return found


def _one(ref: ObjectRef, old: tuple[When, Revision | None], new: tuple[When, Revision | None]) -> str:
    sides = [(_name(when), None if side is None else content_of(side)) for when, side in (old, new)]
    return past_diff(ref, sides[0], sides[1])


def _name(when: When) -> str:
    return "now" if when.revision is None else f"rev-{when.revision}"
