"""The tables of the archive, and each statement on them. `archive` owns the connection and its transactions."""

import json
import sqlite3
import zlib
from collections.abc import Iterable, Iterator
from dataclasses import asdict
from typing import Any

from controller.history.changes import (
    Action,
    ClusterMark,
    Gap,
    Head,
    Horizon,
    Listed,
    Mark,
    Message,
    Reason,
    Recorded,
    Row,
)
from controller.history.pruning import Candidate
from controller.history.recording import record_listed, record_seen
from schemas.keys import ObjectRef

ROW_BYTES = 200  # what a row takes besides its content, indexes included


class NotBegun(Exception):
    """The archive holds nothing yet, as it was begun anew: it needs a list first."""


TABLES = """
CREATE TABLE IF NOT EXISTS meta (key TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS gaps (
    seq INTEGER PRIMARY KEY, era INTEGER NOT NULL, after INTEGER NOT NULL, until INTEGER NOT NULL,
    reason TEXT NOT NULL, after_time REAL NOT NULL, until_time REAL NOT NULL);
CREATE TABLE IF NOT EXISTS rows (
    seq INTEGER PRIMARY KEY, era INTEGER NOT NULL, plural TEXT NOT NULL, namespace TEXT NOT NULL, name TEXT NOT NULL,
    revision INTEGER NOT NULL, generation INTEGER NOT NULL, uid TEXT NOT NULL, action TEXT NOT NULL,
    time REAL NOT NULL, after INTEGER NOT NULL, after_time REAL NOT NULL, who TEXT NOT NULL, digest TEXT NOT NULL,
    value BLOB, superseded INTEGER);
CREATE INDEX IF NOT EXISTS rows_of ON rows (plural, namespace, name);
CREATE INDEX IF NOT EXISTS rows_superseded ON rows (superseded) WHERE superseded IS NOT NULL;
CREATE UNIQUE INDEX IF NOT EXISTS rows_live ON rows (plural, namespace, name) WHERE superseded IS NULL;
"""
COLUMNS = "seq, era, plural, namespace, name, revision, generation, uid, action, time, after, after_time, who, digest"


def read_mark(db: sqlite3.Connection) -> Mark | None:
    row = db.execute("SELECT value FROM meta WHERE key = 'mark'").fetchone()
    if row is None:
        return None
    raw = json.loads(row[0])
    return Mark(raw["era"], raw["revision"], raw["time"], ClusterMark(**raw["cluster"]))


def read_horizon(db: sqlite3.Connection) -> Horizon:
    row = db.execute("SELECT value FROM meta WHERE key = 'horizon'").fetchone()
    return Horizon() if row is None else Horizon(**json.loads(row[0]))


def put_meta(db: sqlite3.Connection, key: str, value: Mark | Horizon) -> None:
    db.execute("INSERT OR REPLACE INTO meta VALUES (?, ?)", (key, json.dumps(asdict(value))))


LIVE = "superseded IS NULL"


def read_heads(db: sqlite3.Connection) -> Iterator[tuple[ObjectRef, Head]]:
    found = db.execute(
        f"SELECT plural, namespace, name, revision, generation, uid, digest FROM rows WHERE {LIVE}"
    )
    for plural, namespace, name, *head in found:
        yield ObjectRef(plural, namespace, name), Head(*head)


def read_head(db: sqlite3.Connection, ref: ObjectRef) -> tuple[ObjectRef, Head | None]:
    row = db.execute(
        "SELECT revision, generation, uid, digest FROM rows WHERE plural = ? AND namespace = ? AND name = ? "
        f"AND {LIVE}",
        (ref.plural, ref.namespace, ref.name),
    ).fetchone()
    return ref, None if row is None else Head(*row)


def recorded_of(db: sqlite3.Connection, message: Message, mark: Mark | None) -> Recorded:
    if isinstance(message, Listed):
        return record_listed(message, mark, dict(read_heads(db)))
    if mark is None:
        raise NotBegun
    heads = (read_head(db, ref) for ref in {change.ref for change in message.changes})
    return record_seen(message, mark, {ref: head for ref, head in heads if head is not None})


def store_rows(db: sqlite3.Connection, recorded: Recorded) -> None:
    for row in recorded.rows:
        place = (row.ref.plural, row.ref.namespace, row.ref.name)
        value = None if row.value is None else zlib.compress(row.value)
        (seq,) = db.execute("SELECT coalesce(max(seq), 0) + 1 FROM rows").fetchone()
        db.execute(
            f"UPDATE rows SET superseded = ? WHERE plural = ? AND namespace = ? AND name = ? AND {LIVE}",
            (seq, *place),
        )
        superseded = seq if row.is_deletion else None
        db.execute(
            "INSERT INTO rows (seq, era, plural, namespace, name, revision, generation, uid, action, time, after, "
            "after_time, who, digest, value, superseded) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
            (
                seq, row.era, *place, row.revision, row.generation, row.uid, row.action.value, row.time, row.after,
                row.after_time, ",".join(row.who), row.digest, value, superseded,
            ),
        )  # fmt: skip
    if recorded.gap is not None:
        gap = recorded.gap
        db.execute(
            "INSERT INTO gaps (era, after, until, reason, after_time, until_time) VALUES (?, ?, ?, ?, ?, ?)",
            (gap.era, gap.after, gap.until, gap.reason.value, gap.after_time, gap.until_time),
        )


def candidates(db: sqlite3.Connection, where: str) -> Iterator[Candidate]:
    found = db.execute(
        f"SELECT seq, coalesce(superseded, 0), coalesce(length(value), 0) FROM rows WHERE {where}"
    )
    for seq, superseded, size in found:
        yield Candidate(seq, superseded, size + ROW_BYTES)


def prune_to(db: sqlite3.Connection, horizon: int) -> None:
    era, revision, when = db.execute(
        "SELECT era, revision, time FROM rows WHERE seq = ?", (horizon,)
    ).fetchone()
    db.execute("DELETE FROM rows WHERE superseded <= ?", (horizon,))
    db.execute("DELETE FROM gaps WHERE era < ? OR (era = ? AND until <= ?)", (era, era, revision))
    put_meta(db, "horizon", Horizon(horizon, era, revision, when))


def where(namespaces: Iterable[str] | None, plural: str, name: str) -> tuple[str, list[str]]:
    terms, values = ["1"], []
    if namespaces is not None:
        wanted = sorted(set(namespaces))
        terms.append(f"namespace IN ({', '.join('?' * len(wanted))})")
        values += wanted
    for column, value in (("plural", plural), ("name", name)):
        if value:
            terms.append(f"{column} = ?")
            values.append(value)
    return " AND ".join(terms), values


def row_of(columns: tuple[Any, ...]) -> Row:  # Any: SQLite's values, as `_store` wrote them
    seq, era, plural, namespace, name, revision, generation, uid, action, when, after, since, who, digest = (
        columns
    )
    return Row(
        era,
        ObjectRef(plural, namespace, name),
        revision,
        generation,
        uid,
        Action(action),
        when,
        after,
        since,
        tuple(filter(None, who.split(","))),
        None,
        digest,
        seq,
    )


def read_gaps(db: sqlite3.Connection) -> Iterator[Gap]:
    found = db.execute("SELECT era, after, until, reason, after_time, until_time FROM gaps ORDER BY seq")
    for era, after, until, reason, after_time, until_time in found:
        yield Gap(era, after, until, Reason(reason), after_time, until_time)
