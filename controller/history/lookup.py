"""Answers from rows and gaps: what stood at a moment, what became of one object, and which gaps that touches. Pure.

Nothing is guessed: of a moment in a gap only that is told which holds whatever happened there.
"""

from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from controller.history.changes import Gap, Horizon, Mark, Row
from schemas.keys import ObjectRef


@dataclass(frozen=True, slots=True)
class AtRevision:
    """The moment right after a revision of an era."""

    era: int
    revision: int

    def is_at_or_after(self, row: Row) -> bool:
        return (row.era, row.revision) <= (self.era, self.revision)

    def is_before(self, row: Row) -> bool:
        return row.era > self.era or row.revision > self.revision

    def is_known_before(self, row: Row) -> bool:
        """Say whether what stood before `row` still stood at this moment."""
        return row.era > self.era or self.revision <= row.after

    def is_inside(self, gap: Gap) -> bool:
        return gap.era == self.era and gap.after < self.revision < gap.until

    def is_beyond(self, horizon: Horizon) -> bool:
        """Say whether rows that it takes may have gone."""
        return (self.era, self.revision) < (horizon.era, horizon.revision)

    def __str__(self) -> str:
        return f"revision {self.revision}"


@dataclass(frozen=True, slots=True)
class AtTime:
    """A moment by the controller's clock, in seconds since the epoch."""

    time: float

    def is_at_or_after(self, row: Row) -> bool:
        return row.time <= self.time

    def is_before(self, row: Row) -> bool:
        return row.time > self.time

    def is_known_before(self, row: Row) -> bool:
        return self.time <= row.after_time

    def is_inside(self, gap: Gap) -> bool:
        return gap.after_time < self.time < gap.until_time

    def is_beyond(self, horizon: Horizon) -> bool:
        return bool(horizon.seq) and self.time < horizon.time


Moment = AtRevision | AtTime


@dataclass(frozen=True, slots=True)
class Standing:
    """What is known of one object at a moment.

    row: what stood then; a deletion, or None, where there was nothing. later: the next change that is known.
    is_sure: nothing that was not seen could have made it otherwise.
    """

    ref: ObjectRef
    row: Row | None
    later: Row | None
    is_sure: bool

    @property
    def exists(self) -> bool:
        return self.row is not None and not self.row.is_deletion


def by_object(rows: Iterable[Row]) -> dict[ObjectRef, list[Row]]:
    """Return the rows of each object in the order in which they were written."""
    found: dict[ObjectRef, list[Row]] = defaultdict(list)
    for row in sorted(rows, key=lambda each: each.seq):
        found[row.ref].append(row)
    return found


def standing(ref: ObjectRef, rows: Sequence[Row], moment: Moment, gaps: Iterable[Gap]) -> Standing:
    """Return what stood at a moment. rows: all of that object, in order."""
    before = [row for row in rows if moment.is_at_or_after(row)]
    later = next((row for row in rows if moment.is_before(row)), None)
    row = before[-1] if before else None
    if later is not None and not moment.is_known_before(later):
        return Standing(ref, row, later, is_sure=False)
    is_there = row is not None and not row.is_deletion
    is_sure = is_there or not any(moment.is_inside(gap) for gap in gaps)  # it could have come and gone
    return Standing(ref, row, later, is_sure)


def all_standing(rows: Iterable[Row], moment: Moment, gaps: Sequence[Gap]) -> tuple[Standing, ...]:
    """Return each object that stood at a moment, or may have, in order of kind, namespace and name."""
    found = (standing(ref, each, moment, gaps) for ref, each in sorted(by_object(rows).items()))
    return tuple(each for each in found if each.exists or not each.is_sure)


def gaps_at(gaps: Iterable[Gap], moment: Moment) -> tuple[Gap, ...]:
    """Return the gaps in which a moment lies."""
    return tuple(gap for gap in gaps if moment.is_inside(gap))


def gaps_of(rows: Sequence[Row], gaps: Iterable[Gap]) -> tuple[Gap, ...]:
    """Return the gaps in which changes of an object may be missing, from the first that is known of it on.

    rows: all of that object, in order. Without rows every gap is one in which it may have come and gone.
    """
    if not rows:
        return tuple(gaps)
    first = (rows[0].era, rows[0].after)
    return tuple(gap for gap in gaps if (gap.era, gap.until) > first and not _is_known_across(rows, gap))


def _is_known_across(rows: Sequence[Row], gap: Gap) -> bool:
    """Say whether the object stood when the gap began, and each change of it until its end is known."""
    before = [row for row in rows if (row.era, row.revision) <= (gap.era, gap.after)]
    if not before or before[-1].is_deletion or before[-1].era != gap.era:
        return False
    inside = [row for row in rows if row.era == gap.era and gap.after < row.revision <= gap.until]
    return all(row.is_exact and not row.is_deletion for row in inside)


def problem_with(moment: Moment, mark: Mark, horizon: Horizon) -> str:
    """Return why nothing can be told of a moment, "" if something can."""
    if moment.is_beyond(horizon):
        return (
            f"what stood at {_shown(moment)} went from the archive, which keeps to its size; "
            f"it begins at revision {horizon.revision}"
        )
    if isinstance(moment, AtRevision) and moment.revision > mark.revision:
        return f"revision {moment.revision} has not come yet; the archive is at revision {mark.revision}"
    return ""


def _shown(moment: Moment) -> str:
    return str(moment) if isinstance(moment, AtRevision) else "that time"


def newest(rows: Sequence[Row], limit: int, limit_bytes: int) -> Iterator[Row]:
    """Yield the newest rows that fit, newest first; at least one."""
    size = 0
    for count, row in enumerate(reversed(rows)):
        size += len(row.value or b"")
        if count >= limit or (count and size > limit_bytes):
            return
        yield row
