"""What is in the demo image."""

import io
import struct
import tarfile

from tools.image import build_tar, is_static

APPLETS = ["sh", "httpd", "busybox", "wget", "nc", "sleep"]


def members(content: bytes) -> dict[str, tarfile.TarInfo]:
    with tarfile.open(fileobj=io.BytesIO(content)) as archive:
        return {member.name: member for member in archive}


def make_elf(*, header_kinds: list[int]) -> bytes:
    """A 64-bit ELF header followed by program headers of these kinds."""
    header = bytearray(64)
    header[:6] = b"\x7fELF\x02\x01"
    struct.pack_into("<Q", header, 32, 64)
    struct.pack_into("<HH", header, 54, 56, len(header_kinds))
    return bytes(header) + b"".join(struct.pack("<I", kind).ljust(56, b"\0") for kind in header_kinds)


def test_same_busybox_gives_same_bytes() -> None:
    assert build_tar(b"program", APPLETS) == build_tar(b"program", APPLETS[::-1])


def test_applets_are_links_to_busybox() -> None:
    found = members(build_tar(b"program", APPLETS))
    assert {found[f"bin/{name}"].linkname for name in ("sh", "httpd", "wget", "nc", "sleep")} == {"busybox"}
    assert found["bin/busybox"].mode == 0o755
    assert found["bin/busybox"].size == len(b"program")


def test_tmp_is_writable_for_everyone_and_owned_by_root() -> None:
    tmp = members(build_tar(b"program", APPLETS))["tmp"]
    assert (tmp.mode, tmp.uid, tmp.gid, tmp.mtime) == (0o1777, 0, 0, 0)


def test_users_and_page_are_there() -> None:
    content = build_tar(b"program", APPLETS)
    with tarfile.open(fileobj=io.BytesIO(content)) as archive:
        passwd, page = archive.extractfile("etc/passwd"), archive.extractfile("www/index.html")
        assert passwd is not None
        assert page is not None
        assert [line.split(b":")[0] for line in passwd.read().splitlines()] == [b"root", b"nobody"]
        assert b"Berth" in page.read()


def test_program_without_loader_is_static() -> None:
    assert is_static(make_elf(header_kinds=[1, 1, 7]))


def test_program_with_loader_is_not_static() -> None:
    assert not is_static(make_elf(header_kinds=[6, 3, 1]))


def test_script_is_not_static() -> None:
    assert not is_static(b"#!/bin/sh\n")
