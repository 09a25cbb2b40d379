"""Archives that a container sends: what is good is unpacked, and nothing is written outside of the target."""

import errno
import io
import os
import tarfile
import tempfile
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from client.pack import pack
from client.unpack import unpack

Member = tuple[tarfile.TarInfo, bytes]


def member(name: str, content: bytes = b"", *, kind: bytes = tarfile.REGTYPE, **fields: object) -> Member:
    info = tarfile.TarInfo(name)
    info.type, info.size = kind, len(content)
    for field, value in fields.items():
        setattr(info, field, value)
    return info, content


def folder(name: str, **fields: object) -> Member:
    return member(name, kind=tarfile.DIRTYPE, **{"mode": 0o755, **fields})


def link(name: str, to: str) -> Member:
    return member(name, kind=tarfile.SYMTYPE, linkname=to)


def hard(name: str, to: str) -> Member:
    return member(name, kind=tarfile.LNKTYPE, linkname=to)


def archive(members: Iterable[Member]) -> io.BytesIO:
    file = io.BytesIO()
    with tarfile.open(fileobj=file, mode="w") as made:
        for info, content in members:
            made.addfile(info, io.BytesIO(content))
    file.seek(0)
    return file


def test_modes_links_and_contents_are_kept_but_for_setuid(tmp_path: Path) -> None:
    sent = archive(
        [
            folder("r", mode=0o555),
            member("r/a", b"one", mode=0o4775),
            link("r/in", "a"),
            hard("r/same", "r/a"),
            folder("r/d", mode=0o700),
            link("r/d/up", "../a"),
        ]
    )
    assert unpack(sent, tmp_path / "got", print) == 0
    got = tmp_path / "got"
    assert {each: (got / each).stat().st_mode & 0o7777 for each in (".", "a", "d")} == {
        ".": 0o555,
        "a": 0o755,
        "d": 0o700,
    }
    assert (got / "in").readlink() == Path("a")
    assert (got / "same").samefile(got / "a")
    assert (got / "d" / "up").read_bytes() == b"one"


@pytest.mark.parametrize(
    ("members", "why"),
    [
        ([member("/r/x", b"!")], "its name leads out"),
        ([member("r/../../x", b"!")], "its name leads out"),
        ([link("r/x", "/etc/passwd")], "symbolic link that leads out of the folder, to /etc/passwd"),
        ([link("r/x", "../out")], "symbolic link that leads out of the folder, to ../out"),
        ([hard("r/x", "/etc/passwd")], "link that leads out"),
        ([hard("r/x", "r/../../out")], "link that leads out"),
        ([folder("r/d"), link("r/l", "d"), member("r/l/x", b"!")], "through the symbolic link l"),
        ([folder("r/d"), link("r/l", "d"), hard("r/x", "r/l/y")], "through the symbolic link l"),
        ([link("r/s", "fine"), hard("r/x", "r/s")], "a link to the symbolic link s"),
        ([member("r/x", kind=tarfile.FIFOTYPE)], "a device or a pipe"),
        ([member("r/x", kind=tarfile.CHRTYPE)], "a device or a pipe"),
    ],
)
def test_hostile_member_is_left_out_and_told(tmp_path: Path, members: list[Member], why: str) -> None:
    told: list[str] = []
    sent = archive([folder("r"), *members, member("r/fine", b"fine")])
    assert unpack(sent, tmp_path / "got", told.append) == 1
    assert why in told[0]
    assert (tmp_path / "got" / "fine").read_bytes() == b"fine"
    assert [each.name for each in tmp_path.iterdir()] == ["got"]


def test_archive_that_is_cut_off_is_an_error(tmp_path: Path) -> None:
    whole = archive([folder("r"), member("r/a", b"\0" * 5000), member("r/b", b"two")]).getvalue()
    end = len(whole.rstrip(b"\0")) // tarfile.BLOCKSIZE * tarfile.BLOCKSIZE + tarfile.BLOCKSIZE
    assert unpack(io.BytesIO(whole[: end + 2 * tarfile.BLOCKSIZE]), tmp_path / "whole", print) == 0
    for cut in (end + tarfile.BLOCKSIZE, end, end - 2 * tarfile.BLOCKSIZE, 3000):
        with pytest.raises(tarfile.TarError):
            unpack(io.BytesIO(whole[:cut]), tmp_path / f"cut-{cut}", print)


def test_link_that_is_there_already_is_not_followed(tmp_path: Path) -> None:
    (tmp_path / "precious").write_text("mine")
    (tmp_path / "got").mkdir()
    (tmp_path / "got" / "out").symlink_to(tmp_path / "precious")
    (tmp_path / "got" / "in").symlink_to("other")
    (tmp_path / "got" / "other").write_text("mine")
    sent = archive([folder("r"), member("r/out", b"theirs"), member("r/in", b"theirs")])
    assert unpack(sent, tmp_path / "got", print) == 1
    assert (tmp_path / "precious").read_text() == (tmp_path / "got" / "other").read_text() == "mine"
    assert (tmp_path / "got" / "in").read_text() == "theirs"


names = st.lists(st.sampled_from(["a", "b", "..", "r", "", "."]), min_size=1, max_size=4).map("/".join)
targets = st.lists(st.sampled_from(["a", "b", "..", "/", "outside"]), min_size=1, max_size=4).map("/".join)
members = st.one_of(
    st.builds(member, names, st.just(b"!")),
    st.builds(folder, names),
    st.builds(link, names, targets),
    st.builds(hard, names, targets),
)


def goes_round(path: Path) -> bool:
    """A link that leads to itself leads nowhere, and `realpath` has no answer for it."""
    try:
        path.stat()
    except OSError as error:
        return error.errno == errno.ELOOP
    return False


@settings(max_examples=100, deadline=None)
@given(st.lists(members, max_size=8))
def test_nothing_outside_of_the_target_changes(sent: list[Member]) -> None:
    with tempfile.TemporaryDirectory() as made:
        base = Path(made)
        (base / "outside").mkdir()
        (base / "outside" / "a").write_text("mine")
        with suppress(OSError, tarfile.TarError):  # a file where a folder should be: it ends there
            unpack(archive([folder("r"), *sent]), base / "got", lambda text: None)
        assert sorted(each.name for each in base.iterdir()) == ["got", "outside"]
        assert [each.name for each in (base / "outside").iterdir()] == ["a"]
        assert (base / "outside" / "a").read_text() == "mine"
        assert (base / "outside" / "a").stat().st_nlink == 1
        for each in filter(lambda path: not goes_round(path), (base / "got").rglob("*")):
            assert f"{os.path.realpath(each)}/".startswith(f"{os.path.realpath(base / 'got')}/")


def test_packed_folder_unpacks_as_it_was(tmp_path: Path) -> None:
    source = tmp_path / "source"
    (source / "deep").mkdir(parents=True)
    (source / "deep" / "file").write_bytes(b"x" * 70_000)
    (source / "deep" / "file").chmod(0o640)
    (source / "empty").touch()
    (source / "link").symlink_to("deep")
    sent = io.BytesIO(b"".join(pack(source, "source", print)))
    assert unpack(sent, tmp_path / "got", print) == 0
    assert (tmp_path / "got" / "deep" / "file").read_bytes() == b"x" * 70_000
    assert (tmp_path / "got" / "deep" / "file").stat().st_mode & 0o777 == 0o640
    assert (tmp_path / "got" / "empty").read_bytes() == b""
    assert (tmp_path / "got" / "link").readlink() == Path("deep")
