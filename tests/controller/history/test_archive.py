"""The archive and its keeper with real SQLite: damage, locks, crashes, full and slow disks, and what is never kept."""

import json
import os
import random
import signal
import sqlite3
import subprocess
import sys
from pathlib import Path

import pytest

from controller.errors import CannotStart
from controller.history import keeper as keeper_module
from controller.history.archive import Archive, FileLock
from controller.history.changes import Action, Listed, Message, Reason, Seen, Stored
from controller.history.lookup import AtRevision
from controller.history.recording import digest_of
from controller.history.sizes import MIN_SIZE_BYTES
from schemas.keys import ObjectRef
from store.api import Put, Txn
from store.codec import encode
from tests.controller.history.helpers import KEYS, WEB, Witness, deployment, ref_of

ROOT = Path(__file__).parents[3]


@pytest.fixture
def world(tmp_path: Path) -> Witness:
    return Witness(tmp_path / "history.db")


def size_of(path: Path) -> int:
    return sum(each.stat().st_size for each in path.parent.glob(f"{path.name}*"))


def test_only_one_process_has_a_file(tmp_path: Path) -> None:
    lock = FileLock(tmp_path / "history.db.lock")
    with pytest.raises(CannotStart, match=r"history.db is in use by another controller"):
        FileLock(tmp_path / "history.db.lock")
    lock.release()
    FileLock(tmp_path / "history.db.lock").release()


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
def test_folder_that_can_not_be_written_is_told(tmp_path: Path) -> None:
    tmp_path.chmod(0o500)
    with pytest.raises(CannotStart, match="folder that this user may write"):
        FileLock(tmp_path / "sub" / "history.db.lock")


def test_managers_are_known_from_the_revision(world: Witness) -> None:
    world.look()
    world.put(by="ci", n=1)
    world.put(n=2)
    world.put(by="berth", n=3)
    world.delete()
    world.look()
    rows = world.kept().rows
    assert [row.who for row in rows] == [("ci",), (), ("berth",), ()]
    assert [row.action for row in rows] == [Action.CREATED, Action.CHANGED, Action.CHANGED, Action.DELETED]


@pytest.mark.parametrize("junk", [b"no database at all" * 400, b"SQLite format 3\0" + b"\xff" * 9000])
def test_damaged_file_is_set_aside_and_begun_anew(world: Witness, tmp_path: Path, junk: bytes) -> None:
    world.path.write_bytes(junk)
    world.put(n=1)
    world.look()
    assert [row.ref for row in world.kept().rows] == [WEB]
    (aside,) = tmp_path.glob("history.db.damaged-*")
    assert aside.read_bytes() == junk


def test_file_that_is_damaged_while_in_use_is_begun_anew(world: Witness) -> None:
    for number in range(200):
        world.put(ref_of(f"a{number}"), n=number)
    world.look()
    world.end()
    world.begin()
    world.look()
    with world.path.open("r+b") as file:  # all pages but the first
        file.seek(4096)
        file.write(b"\xee" * (world.path.stat().st_size - 4096))
    world.archive.close()  # what SQLite remembers of the pages would hide it
    world.put(ref_of("new"), n=1)
    world.look()
    world.clock.now += keeper_module.RETRY_S
    world.look()
    assert len(world.kept().rows) == 201


def test_file_of_another_version_is_set_aside(world: Witness, tmp_path: Path) -> None:
    world.look()
    world.end()
    with sqlite3.connect(world.path) as db:
        db.execute("PRAGMA user_version = 99")
    db.close()
    world.begin()
    world.look()
    assert list(tmp_path.glob("history.db.damaged-*"))
    assert world.kept().mark.era == 1


WRITER = """
import sys
from pathlib import Path
from tests.controller.history.helpers import Witness, ref_of

world = Witness(Path(sys.argv[1]))
world.look()
for number in range(100_000):
    revision = world.put(ref_of(f"a{number % 50}"), n=number, text="x" * 500)
    world.look()
    print(revision, flush=True)
"""


def test_crash_in_the_middle_of_writes_leaves_whole_messages(world: Witness) -> None:
    for acknowledged in (20, 200):
        told = _killed_writer(world.path, acknowledged)
        kept = world.kept()
        assert kept.mark.revision >= told
        seen = [row for row in kept.rows if row.era == kept.mark.era and not row.is_deletion]
        revisions = [row.revision for row in seen if row.is_exact]
        assert revisions == list(range(revisions[0], kept.mark.revision + 1))
        with sqlite3.connect(world.path) as db:
            assert db.execute("PRAGMA integrity_check").fetchone() == ("ok",)
        db.close()


def _killed_writer(path: Path, acknowledged: int) -> int:
    """Run a writer, kill it after so many writes, and return the last revision that it said was written."""
    with subprocess.Popen(
        [sys.executable, "-c", WRITER, str(path)], stdout=subprocess.PIPE, cwd=ROOT, text=True
    ) as process:
        assert process.stdout is not None
        told = [int(process.stdout.readline()) for _ in range(acknowledged)]
        process.send_signal(signal.SIGKILL)
        told += [int(line) for line in process.stdout if line.endswith("\n")]
    return told[-1]


def test_file_keeps_to_its_size_and_to_what_stands(world: Witness) -> None:
    world.archive = Archive(world.path, MIN_SIZE_BYTES)
    world.keeper.archive = world.archive
    world.put(ref_of("old"), n=1)
    draw = random.Random(1)
    for number in range(250):
        world.put(ref_of(f"a{number % 5}"), text=draw.randbytes(30_000).hex())
        world.look()
        assert size_of(world.path) <= MIN_SIZE_BYTES + 65_536, number
    kept = world.kept()
    assert kept.horizon.revision > 100
    for ref in (ref_of("old"), *(ref_of(f"a{number}") for number in range(5))):
        found = world.at_revision(kept.mark.revision, ref)
        assert world.value(found) == world.state[ref]


def test_size_that_is_too_small_for_what_stands_costs_content_and_tells(world: Witness) -> None:
    world.archive = Archive(world.path, MIN_SIZE_BYTES)
    world.keeper.archive = world.archive
    draw = random.Random(2)
    for number in range(100):
        world.put(ref_of(f"a{number}"), text=draw.randbytes(30_000).hex())
        world.look()
    assert size_of(world.path) <= MIN_SIZE_BYTES + 65_536
    contents = world.archive.values(row.seq for row in world.kept().rows)
    assert 20 < len(contents) < 100
    assert len(world.kept().rows) == 100


def test_lowered_size_shrinks_the_file(world: Witness) -> None:
    world.archive = Archive(world.path, 4 * MIN_SIZE_BYTES)
    world.keeper.archive = world.archive
    draw = random.Random(3)
    for _ in range(180):
        world.put(text=draw.randbytes(30_000).hex())
        world.look()
    world.end()
    assert size_of(world.path) > MIN_SIZE_BYTES
    world.begin(MIN_SIZE_BYTES)
    world.look()
    world.end()
    assert size_of(world.path) <= MIN_SIZE_BYTES


class BrokenDisk(Archive):
    """Fails as long as `is_full`."""

    is_full = True

    def write(self, *messages: Message) -> None:
        if self.is_full:
            raise sqlite3.OperationalError("database or disk is full")
        super().write(*messages)


def test_full_disk_becomes_a_gap(world: Witness) -> None:
    world.put(n=1)
    world.look()
    world.keeper.archive = BrokenDisk(world.path)
    for number in (2, 3):
        world.put(n=number)
        world.look()
    BrokenDisk.is_full = False
    world.clock.now += keeper_module.RETRY_S
    world.look()
    world.put(n=4)
    world.look()
    kept = world.kept()
    assert [gap.reason for gap in kept.gaps] == [Reason.BEGAN, Reason.FAILED]
    assert not world.at_revision(3).is_sure
    assert world.value(world.at_revision(4)) == world.true_at(4)[WEB]
    assert world.value(world.at_revision(5)) == world.true_at(5)[WEB]


def test_what_waits_is_bounded_and_overflow_becomes_a_gap(
    world: Witness, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(keeper_module, "MAX_WAITING", 5)
    world.put(n=0)
    world.look()
    for number in range(1, 20):  # the disk is busy: nobody steps the keeper
        world.put(n=number)
        world.see()
        assert len(world.keeper._waiting) <= 5
    world.keeper.step(world.clock())
    world.put(n=99)
    world.look()
    kept = world.kept()
    assert [gap.reason for gap in kept.gaps] == [Reason.BEGAN, Reason.OVERFLOW]
    assert world.value(world.at_revision(kept.mark.revision)) == world.state[WEB]


def test_secrets_are_never_kept(world: Witness) -> None:
    world.look()
    secret = {"apiVersion": "berth/v1", "kind": "Secret", "metadata": {"name": "s", "uid": "u"}}
    sealed = {**secret, "sealed": {"box": "BOXED", "to": "0" * 16}}
    for key, value in (
        (KEYS.spec(ref_of("s", "secrets")), sealed),
        ("/berth/spec/default/secrets/s", {**secret, "stringData": {"password": "hunter2"}}),
        (KEYS.spec(ref_of("odd")), {**secret, "stringData": {"password": "hunter2"}}),
        (KEYS.spec(ref_of("odd", "tasks")), {**secret, "kind": "secret", "data": {"p": "hunter2"}}),
    ):
        world.memory.txn(Txn((), (Put(key, encode(value)),)))
    world.memory.txn(
        Txn((), (Put(KEYS.spec(ref_of("broken")), b'{"kind": "Secret", "data": {"p": "hunter2"}'),))
    )
    world.look()
    world.end()
    world.begin()
    world.look()
    rows = world.kept().rows
    assert [row.ref.name for row in rows] == ["broken"]
    assert world.archive.values(row.seq for row in rows) == {}


def test_what_owners_make_is_no_spec(world: Witness) -> None:
    world.look()
    owned = KEYS.owned(ObjectRef("tasks", "default", "web-1-0"))
    world.memory.txn(Txn((), (Put(owned, encode(deployment("web-1-0", "u"))),)))
    world.look()
    assert world.kept().rows == ()


def test_rewound_history_begins_an_era(world: Witness) -> None:
    world.look()
    for number in range(5):
        world.put(n=number)
    world.look()
    before = world.kept().mark
    world.memory.rewind(3)
    world.look()
    world.lose_watch()
    world.look()
    kept = world.kept()
    assert kept.mark.era == before.era + 1
    assert [gap.reason for gap in kept.gaps] == [Reason.BEGAN, Reason.REWOUND]
    assert world.value(world.at_revision(3)) == world.states[3][WEB]
    old = world.at(AtRevision(before.era, 5))
    assert world.value(old) == world.states[5][WEB]


def test_backup_that_caught_up_while_nobody_looked_begins_an_era(world: Witness) -> None:
    for number in range(5):
        world.put(n=number)
    world.look()
    world.end()
    world.rewind(5)
    world.put(n=7)
    for _ in range(20):
        world.noise()
    world.begin()
    world.look()
    assert world.kept().mark.era == 2


def test_raised_incarnation_begins_an_era_only_after_a_gap(world: Witness) -> None:
    def raise_to(incarnation: int) -> None:
        cluster = {"kind": "Cluster", "clusterUid": "c", "incarnation": incarnation}
        world.memory.txn(Txn((), (Put(KEYS.cluster, encode(cluster)),)))
        world.noise()

    raise_to(1)
    world.put(n=1)
    world.look()
    raise_to(2)
    world.look()
    assert world.kept().mark.era == 1
    world.end()
    raise_to(3)
    world.begin()
    world.look()
    assert world.kept().mark.era == 2


def test_orderly_restart_without_changes_makes_no_gap(world: Witness) -> None:
    world.put(n=1)
    world.noise()
    world.look()
    world.end()
    world.begin()
    world.look()
    assert [gap.reason for gap in world.kept().gaps] == [Reason.BEGAN]


def test_resync_makes_no_gap(world: Witness) -> None:
    world.put(n=1)
    world.look()
    for number in range(2, 6):
        world.clock.now += 700.0  # each look lists again
        world.put(n=number)
        world.look()
    kept = world.kept()
    assert [gap.reason for gap in kept.gaps] == [Reason.BEGAN]
    assert len(kept.rows) == 5


def test_message_is_written_as_a_whole_or_not_at_all(world: Witness) -> None:
    world.look()
    good = Stored(ref_of("a"), 50, 1, "u", b"{}")
    bad = Stored(ref_of("b"), 51, 1, "u", b"{}", who=(7,))  # type: ignore[arg-type]
    with pytest.raises(TypeError):
        world.archive.write(Seen((good, bad), 51, 2000.0))
    assert world.kept().rows == ()
    world.archive.write(Seen((good,), 51, 2000.0))
    assert [row.digest for row in world.kept().rows] == [digest_of(b"{}")]


def test_list_of_an_archive_that_has_seen_it_all_adds_nothing(world: Witness) -> None:
    world.put(n=1)
    world.look()
    kept = world.kept()
    row = kept.rows[0]
    stored = Stored(WEB, row.revision, 1, row.uid, json.dumps({}).encode())
    world.archive.write(Listed((stored,), kept.mark.revision, 9000.0, Reason.REWOUND))
    assert world.kept().mark.era == 2
