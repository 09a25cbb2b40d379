"""The archive: one SQLite file a controller, locked by its process. Thin: what is written comes from `recording`.

    rows      one change of one object each, its JSON compressed
    gaps      where nothing was seen
    meta      how far was seen (`mark`), and before when rows went (`horizon`)

A transaction has whole messages, so that after a crash the file holds whole messages and the mark of the last of them:
what came after it is then a gap, as it was not written. WAL, so that readers keep nobody waiting.
"""

import fcntl
import logging
import os
import sqlite3
import time
import zlib
from collections.abc import Iterable, Iterator
from contextlib import closing, contextmanager, suppress
from pathlib import Path
from typing import IO

from controller.errors import CannotStart
from controller.history.changes import (
    Gap,
    Horizon,
    Listed,
    Mark,
    Message,
    Row,
)
from controller.history.pruning import choose, forget
from controller.history.sizes import DEFAULT_SIZE_BYTES, MIN_SIZE_BYTES
from controller.history.tables import (
    COLUMNS,
    ROW_BYTES,
    TABLES,
    candidates,
    prune_to,
    put_meta,
    read_gaps,
    read_horizon,
    read_mark,
    recorded_of,
    row_of,
    store_rows,
    where,
)

log = logging.getLogger(__name__)

VERSION = 1  # of the tables; another one's file is set aside
PAGE_BYTES = 4096
JOURNAL_BYTES = 1_048_576  # of the size, kept free for the write-ahead log
FULL, AFTER_PRUNING = 0.9, 0.8  # prune above the one, down to the other
BUSY_TIMEOUT_S = 5.0


class Damaged(Exception):
    """The file holds no archive of ours."""


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
        _keep_private(self.path)
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
            mark = read_mark(db)
            for message in messages:
                recorded = recorded_of(db, message, mark)
                store_rows(db, recorded)
                mark = recorded.mark
            if mark is not None:
                put_meta(db, "mark", mark)

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
            pruning = choose(candidates(db, "superseded IS NOT NULL"), excess_bytes)
            if pruning.horizon:
                prune_to(db, pruning.horizon)
        return excess_bytes - pruning.freed_bytes

    def _forget(self, excess_bytes: int) -> None:
        """Remove content of what stands: then that alone is too much."""
        db = self._writer()
        with _transaction(db):
            chosen = forget(list(candidates(db, "superseded IS NULL AND value IS NOT NULL")), excess_bytes)
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
            terms, values = where(namespaces, plural, name)
            rows = db.execute(f"SELECT {COLUMNS} FROM rows WHERE {terms} ORDER BY seq", values)
            found = tuple(row_of(row) for row in rows)
            return found, tuple(read_gaps(db)), read_mark(db), read_horizon(db)

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


def _keep_private(path: Path) -> None:
    """Make the file, for its owner only: those that SQLite puts beside it get the rights that it has by then."""
    os.close(os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600))
    path.chmod(0o600)


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
    db.executescript(TABLES)
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
