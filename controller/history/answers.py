"""The answers of history as JSON. Pure: rows, gaps and contents come from the archive, the words from here.

Each answer names the gaps that it touches: {"after": revision, "until": revision, "reason", "text", ...}. Times are
of the controller that kept the archive.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from pydantic_core import from_json

from controller.history.changes import PHRASES, Gap, Horizon, Mark, Reason, Row
from controller.history.lookup import (
    AtRevision,
    AtTime,
    Moment,
    Standing,
    all_standing,
    gaps_at,
    gaps_of,
    newest,
    problem_with,
)
from schemas.keys import ObjectRef
from schemas.timestamps import format_time

Json = dict[str, Any]
Values = Callable[[Iterable[int]], Mapping[int, bytes]]
"""Reads contents: seq -> raw JSON."""

MAX_REVISIONS = 500  # of one object in one answer, the newest
MAX_BYTES = 16_777_216  # of contents in one answer


class CantTell(Exception):
    """A question that history has no answer to; the message says why. status: of HTTP."""

    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.status = status


@dataclass(frozen=True, slots=True)
class Kept:
    """What an archive holds about a question."""

    rows: tuple[Row, ...]
    gaps: tuple[Gap, ...]
    mark: Mark
    horizon: Horizon


def moment_of(asked: Mapping[str, str], mark: Mark, now: float) -> Moment:
    """Return the moment that a question is about: `revision` of the present era, `time`, or seconds `ago`.

    Raises CantTell.
    """
    given = [(name, asked[name]) for name in ("revision", "time", "ago") if asked.get(name)]
    if len(given) != 1:
        raise CantTell(400, "say one of: revision=NUMBER, time=SECONDS since the epoch, ago=SECONDS")
    ((name, text),) = given
    try:
        if name == "revision":
            return AtRevision(mark.era, int(text))
        time = float(text) if name == "time" else now - float(text)
    except ValueError:
        raise CantTell(400, f"{text!r} is no number") from None
    if not 0 <= time <= now:
        raise CantTell(400, f"that time is not in the past: here it is {format_time(now)}")
    return AtTime(time)


def history(kept: Kept, ref: ObjectRef, read: Values) -> Json:
    """Return the changes of one object, newest first, and the gaps in which others may be missing."""
    chosen = list(newest(kept.rows, MAX_REVISIONS, MAX_BYTES))
    contents = read(row.seq for row in chosen)
    touched = gaps_of(kept.rows[len(kept.rows) - len(chosen) :] if chosen else (), kept.gaps)
    return {
        "namespace": ref.namespace,
        "plural": ref.plural,
        "name": ref.name,
        **_reach(kept),
        "revisions": [{**row_json(row), "object": _object(contents.get(row.seq))} for row in chosen],
        "omitted": len(kept.rows) - len(chosen),
        "gaps": [gap_json(gap) for gap in touched],
    }


def at(kept: Kept, moment: Moment, read: Values) -> Json:
    """Return what stood at a moment. Raises CantTell for one that lies outside of the archive."""
    problem = problem_with(moment, kept.mark, kept.horizon)
    if problem:
        raise CantTell(410 if moment.is_beyond(kept.horizon) else 400, problem)
    found = all_standing(kept.rows, moment, kept.gaps)
    contents = _contents(found, read)
    return {
        "at": {"revision": moment.revision}
        if isinstance(moment, AtRevision)
        else {"time": format_time(moment.time)},
        **_reach(kept),
        "objects": [_standing(each, contents) for each in found],
        "gaps": [gap_json(gap) for gap in gaps_at(kept.gaps, moment)],
    }


def _contents(found: Sequence[Standing], read: Values) -> Mapping[int, bytes]:
    contents = read(each.row.seq for each in found if each.row is not None and each.exists)
    if sum(map(len, contents.values())) > MAX_BYTES:
        raise CantTell(413, "that is too much for one answer; ask for one kind, or for one object")
    return contents


def _standing(each: Standing, contents: Mapping[int, bytes]) -> Json:
    """Say what stood; where that is not sure, only what is known before and after."""
    ref = {"namespace": each.ref.namespace, "plural": each.ref.plural, "name": each.ref.name}
    if each.row is None or not each.is_sure:
        known = {
            "before": None if each.row is None else each.row.revision,
            "after": None if each.later is None else each.later.revision,
        }
        return {**ref, "isSure": False, "known": known, "object": None}
    return {**ref, "isSure": True, **row_json(each.row), "object": _object(contents.get(each.row.seq))}


def _reach(kept: Kept) -> Json:
    """Say from where to where this archive reaches."""
    first = next((gap for gap in kept.gaps if gap.era == kept.mark.era and gap.after == 0), None)
    begins = None if first is None else _moment(first.until, first.until_time)
    if kept.horizon.seq:
        begins = _moment(kept.horizon.revision, kept.horizon.time)
    return {
        "begins": begins,
        "until": _moment(kept.mark.revision, kept.mark.time),
        "hasForgotten": bool(kept.horizon.seq),
    }


def _moment(revision: int, time: float) -> Json:
    return {"revision": revision, "time": format_time(time)}


def row_json(row: Row) -> Json:
    """Return one change. isExact: it happened at that revision and time, and nothing before it is missing."""
    return {
        "revision": row.revision,
        "era": row.era,
        "generation": row.generation,
        "uid": row.uid,
        "action": str(row.action),
        "time": format_time(row.time),
        "isExact": row.is_exact and row.after_time == row.time,
        "knownUntil": row.after,
        "who": list(row.who),
    }


def gap_json(gap: Gap) -> Json:
    return {
        "era": gap.era,
        "after": gap.after,
        "until": gap.until,
        "reason": str(gap.reason),
        "text": _text(gap),
        "from": format_time(gap.after_time) if gap.after_time else None,
        "to": format_time(gap.until_time),
    }


def _text(gap: Gap) -> str:
    if gap.reason is Reason.BEGAN:
        return f"before revision {gap.until} nothing was seen: {PHRASES[gap.reason]} there"
    if gap.reason is Reason.REWOUND:
        return f"before revision {gap.until} lies another history: {PHRASES[gap.reason]}"
    return gap.text


def _object(value: bytes | None) -> Json | None:
    """Return the object as it was stored, None where its content is not kept."""
    return None if value is None else from_json(value)
