"""The archive: one SQLite file a controller, locked by its process. Thin: what is written comes from `recording`.

    rows      one change of one object each, its JSON compressed
    gaps      where nothing was seen
    meta      how far was seen (`mark`), and before when rows went (`horizon`)

A transaction has whole messages, so that after a crash the file holds whole messages and the mark of the last of them:
what came after it is then a gap, as it was not written. WAL, so that readers keep nobody waiting.
"""

import fcntl
import json
import logging
import os
import sqlite3
import time
import zlib
from collections.abc import Iterable, Iterator
from contextlib import closing, contextmanager, suppress
from dataclasses import asdict
from pathlib import Path
from typing import IO, Any

from controller.errors import CannotStart
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
from controller.history.pruning import Candidate, choose, forget
from controller.history.recording import record_listed, record_seen
from schemas.keys import ObjectRef

log = logging.getLogger(__name__)

VERSION = 1  # of the tables; another one's file is set aside
PAGE_BYTES = 4096
JOURNAL_BYTES = 1_048_576  # of the size, kept free for the write-ahead log
MIN_SIZE_BYTES = 4_194_304  # less holds too little to be of use
DEFAULT_SIZE_BYTES = 67_108_864  # 64 MiB: some 90,000 changes of a deployment of 650 bytes
FULL, AFTER_PRUNING = 0.9, 0.8  # prune above the one, down to the other
BUSY_TIMEOUT_S = 5.0
ROW_BYTES = 200  # what a row takes besides its content, indexes included

_TABLES = """
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
_COLUMNS = "seq, era, plural, namespace, name, revision, generation, uid, action, time, after, after_time, who, digest"


class Damaged(Exception):
    """The file holds no archive of ours."""


class NotBegun(Exception):
    """The archive holds nothing yet, as it was begun anew: it needs a list first."""


class FileLock:
    """Held by one process. Raises CannotStart when another has it, or when the folder can't be written."""

    def __init__(self, path: Path) -> None:
        self._file: IO[str] | None = None
        try:
            path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            opened = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
            self._file = os.fdopen(opened, "r+", encoding="utf-8")  # held as long as the process
            fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            self.release()
            raise CannotStart(
                f"--history-file: {path.with_suffix('')} is in use by another controller; give each its own"
            ) from None
        except OSError as error:
            raise CannotStart(
                f"--history-file: can't use {path}: {error.strerror or error}; name a file in a folder that this "
                "user may write"
            ) from None

    def release(self) -> None:
        if self._file is not None:
            self._file.close()
            self._file = None


class Archive:
    """Reads and writes one file. `write` and `close` belong to one thread; each `read` opens its own connection.

    Raises sqlite3.Error for what the disk does not do; whoever writes decides what that costs.
    """

    def __init__(self, path: Path, size_bytes: int = DEFAULT_SIZE_BYTES) -> None:
        self.path = path
        self._pages = (max(size_bytes, MIN_SIZE_BYTES) - JOURNAL_BYTES) // PAGE_BYTES
        self._db: sqlite3.Connection | None = None

    def open(self) -> None:
        """Open the file; one that is damaged is set aside, with a message, and begun anew."""
        try:
            self._open()
        except (sqlite3.DatabaseError, Damaged) as error:
            if not is_damage(error):
                raise
            self.set_aside(error)
            self._open()

    def _open(self) -> None:
        self.close()
        db = sqlite3.connect(self.path, timeout=BUSY_TIMEOUT_S, isolation_level=None, check_same_thread=False)
        try:
            db.execute(f"PRAGMA page_size = {PAGE_BYTES}")
            db.execute("PRAGMA auto_vacuum = INCREMENTAL")  # so that a file whose size was lowered shrinks
            db.execute("PRAGMA journal_mode = WAL")
            db.execute("PRAGMA synchronous = NORMAL")  # after a power cut the last changes may be a gap
            db.execute("PRAGMA wal_autocheckpoint = 128")
            db.execute(f"PRAGMA journal_size_limit = {JOURNAL_BYTES}")
            _check(db)
            self._db = db
            self._shrink(db)
            db.execute(f"PRAGMA max_page_count = {self._pages}")
            os.chmod(self.path, 0o600)
        except BaseException:
            self._db = None
            db.close()
            raise

    def _shrink(self, db: sqlite3.Connection) -> None:
        (pages,) = db.execute("PRAGMA page_count").fetchone()
        if pages > self._pages:
            self._make_room(db, 0)
            db.executescript("PRAGMA incremental_vacuum")  # `execute` would take one step of many

    def set_aside(self, error: Exception) -> None:
        """Move a damaged file away, for whoever wants to look at it."""
        self.close()
        aside = self.path.with_name(f"{self.path.name}.damaged-{time.strftime('%Y%m%dT%H%M%S')}")
        with suppress(FileNotFoundError):
            self.path.replace(aside)
        for tail in ("-wal", "-shm"):
            self.path.with_name(self.path.name + tail).unlink(missing_ok=True)
        log.error("history can't be read, it is set aside and begun anew file=%s error=%s", aside, error)

    def close(self) -> None:
        if self._db is not None:
            self._db.close()
            self._db = None

    # Writing

    def write(self, *messages: Message) -> None:
        """Store what messages tell, in one transaction. Raises NotBegun, sqlite3.Error."""
        db = self._writer()
        self._make_room(db, sum(map(_size_of, messages)))
        with _transaction(db):
            mark = _mark(db)
            for message in messages:
                recorded = _recorded(db, message, mark)
                _store(db, recorded)
                mark = recorded.mark
            if mark is not None:
                _put_meta(db, "mark", mark)

    def _writer(self) -> sqlite3.Connection:
        if self._db is None:
            self.open()
        assert self._db is not None
        return self._db

    def _make_room(self, db: sqlite3.Connection, coming_bytes: int) -> None:
        """Remove the oldest rows before the file is full."""
        limit = self._pages * PAGE_BYTES
        used = self._used_bytes(db)
        if used + coming_bytes <= limit * FULL:
            return
        left = self.prune(int(used + coming_bytes - limit * AFTER_PRUNING))
        if left > 0:
            self._forget(left)

    def prune(self, excess_bytes: int) -> int:
        """Remove the oldest rows of so many bytes; return how many more there should be."""
        db = self._writer()
        with _transaction(db):
            pruning = choose(_candidates(db, "superseded IS NOT NULL"), excess_bytes)
            if pruning.horizon:
                _prune(db, pruning.horizon)
        return excess_bytes - pruning.freed_bytes

    def _forget(self, excess_bytes: int) -> None:
        """Remove content of what stands: then that alone is too much."""
        db = self._writer()
        with _transaction(db):
            chosen = forget(list(_candidates(db, "superseded IS NULL AND value IS NOT NULL")), excess_bytes)
            db.executemany("UPDATE rows SET value = NULL WHERE seq = ?", [(seq,) for seq in chosen])
        if chosen:
            log.warning(
                "history is too small for what stands, so content of objects went objects=%d; raise --history-size",
                len(chosen),
            )

    def _used_bytes(self, db: sqlite3.Connection) -> int:
        (pages,), (free,) = (
            db.execute(f"PRAGMA {name}").fetchone() for name in ("page_count", "freelist_count")
        )
        return int(pages - free) * PAGE_BYTES

    # Reading, from any thread

    def read(
        self, namespaces: Iterable[str] | None, plural: str = "", name: str = ""
    ) -> tuple[tuple[Row, ...], tuple[Gap, ...], Mark | None, Horizon]:
        """Return rows without content, gaps, mark and horizon, of one moment. namespaces None: all."""
        with self._reader() as db:
            where, values = _filter(namespaces, plural, name)
            rows = db.execute(f"SELECT {_COLUMNS} FROM rows WHERE {where} ORDER BY seq", values)
            found = tuple(_row(row) for row in rows)
            return found, tuple(_gaps(db)), _mark(db), _horizon(db)

    def values(self, seqs: Iterable[int]) -> dict[int, bytes]:
        """Return seq -> raw JSON of the rows that have any."""
        with self._reader() as db:
            found = {}
            for seq in seqs:
                row = db.execute("SELECT value FROM rows WHERE seq = ?", (seq,)).fetchone()
                if row is not None and row[0] is not None:
                    found[seq] = zlib.decompress(row[0])
            return found

    @contextmanager
    def _reader(self) -> Iterator[sqlite3.Connection]:
        uri = f"{self.path.absolute().as_uri()}?mode=ro"
        with closing(sqlite3.connect(uri, uri=True, timeout=BUSY_TIMEOUT_S, isolation_level=None)) as db:
            db.execute("BEGIN")
            yield db


def is_damage(error: Exception) -> bool:
    """Say whether the file itself is wrong, and not the disk, a lock, or what is asked of it."""
    if type(error) is sqlite3.DatabaseError:  # its subclasses are for all else
        return True
    return isinstance(error, Damaged) or "malformed" in str(error)


def _check(db: sqlite3.Connection) -> None:
    """Make the tables. Raises Damaged, sqlite3.Error."""
    (version,) = db.execute("PRAGMA user_version").fetchone()
    if version not in (0, VERSION):
        raise Damaged(f"it is of version {version}, and this controller knows version {VERSION}")
    (told,) = db.execute("PRAGMA quick_check(1)").fetchone()
    if told != "ok":
        raise Damaged(told)
    db.executescript(_TABLES)
    db.execute(f"PRAGMA user_version = {VERSION}")


@contextmanager
def _transaction(db: sqlite3.Connection) -> Iterator[None]:
    db.execute("BEGIN IMMEDIATE")
    try:
        yield
    except BaseException:
        with suppress(sqlite3.Error):
            db.execute("ROLLBACK")
        raise
    db.execute("COMMIT")


def _size_of(message: Message) -> int:
    changes = message.objects if isinstance(message, Listed) else message.changes
    return sum(ROW_BYTES + len(getattr(each, "value", None) or b"") // 2 for each in changes)


def _mark(db: sqlite3.Connection) -> Mark | None:
    row = db.execute("SELECT value FROM meta WHERE key = 'mark'").fetchone()
    if row is None:
        return None
    raw = json.loads(row[0])
    return Mark(raw["era"], raw["revision"], raw["time"], ClusterMark(**raw["cluster"]))


def _horizon(db: sqlite3.Connection) -> Horizon:
    row = db.execute("SELECT value FROM meta WHERE key = 'horizon'").fetchone()
    return Horizon() if row is None else Horizon(**json.loads(row[0]))


def _put_meta(db: sqlite3.Connection, key: str, value: Mark | Horizon) -> None:
    db.execute("INSERT OR REPLACE INTO meta VALUES (?, ?)", (key, json.dumps(asdict(value))))


_LIVE = "superseded IS NULL"


def _heads(db: sqlite3.Connection) -> Iterator[tuple[ObjectRef, Head]]:
    found = db.execute(
        f"SELECT plural, namespace, name, revision, generation, uid, digest FROM rows WHERE {_LIVE}"
    )
    for plural, namespace, name, *head in found:
        yield ObjectRef(plural, namespace, name), Head(*head)


def _head(db: sqlite3.Connection, ref: ObjectRef) -> tuple[ObjectRef, Head | None]:
    row = db.execute(
        "SELECT revision, generation, uid, digest FROM rows WHERE plural = ? AND namespace = ? AND name = ? "
        f"AND {_LIVE}",
        (ref.plural, ref.namespace, ref.name),
    ).fetchone()
    return ref, None if row is None else Head(*row)


def _recorded(db: sqlite3.Connection, message: Message, mark: Mark | None) -> Recorded:
    if isinstance(message, Listed):
        return record_listed(message, mark, dict(_heads(db)))
    if mark is None:
        raise NotBegun
    heads = (_head(db, ref) for ref in {change.ref for change in message.changes})
    return record_seen(message, mark, {ref: head for ref, head in heads if head is not None})


def _store(db: sqlite3.Connection, recorded: Recorded) -> None:
    for row in recorded.rows:
        place = (row.ref.plural, row.ref.namespace, row.ref.name)
        value = None if row.value is None else zlib.compress(row.value)
        (seq,) = db.execute("SELECT coalesce(max(seq), 0) + 1 FROM rows").fetchone()
        db.execute(
            f"UPDATE rows SET superseded = ? WHERE plural = ? AND namespace = ? AND name = ? AND {_LIVE}",
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


def _candidates(db: sqlite3.Connection, where: str) -> Iterator[Candidate]:
    found = db.execute(
        f"SELECT seq, coalesce(superseded, 0), coalesce(length(value), 0) FROM rows WHERE {where}"
    )
    for seq, superseded, size in found:
        yield Candidate(seq, superseded, size + ROW_BYTES)


def _prune(db: sqlite3.Connection, horizon: int) -> None:
    era, revision, when = db.execute(
        "SELECT era, revision, time FROM rows WHERE seq = ?", (horizon,)
    ).fetchone()
    db.execute("DELETE FROM rows WHERE superseded <= ?", (horizon,))
    db.execute("DELETE FROM gaps WHERE era < ? OR (era = ? AND until <= ?)", (era, era, revision))
    _put_meta(db, "horizon", Horizon(horizon, era, revision, when))


def _filter(namespaces: Iterable[str] | None, plural: str, name: str) -> tuple[str, list[str]]:
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


def _row(columns: tuple[Any, ...]) -> Row:  # Any: SQLite's values, as `_store` wrote them
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


def _gaps(db: sqlite3.Connection) -> Iterator[Gap]:
    found = db.execute("SELECT era, after, until, reason, after_time, until_time FROM gaps ORDER BY seq")
    for era, after, until, reason, after_time, until_time in found:
        yield Gap(era, after, until, Reason(reason), after_time, until_time)
