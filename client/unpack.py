"""Unpack a tar stream that a container sent, which may be hostile: nothing is written outside of the target.

Three nets: names and links are judged as text; nothing is written through a symbolic link below the target; and
the standard library's `data` filter has the last word. What is refused is left out and told; the rest is
unpacked. Modes are kept, but for setuid, setgid, sticky and what others than the owner may write; files belong to
whoever unpacks.
"""

import os
import posixpath
import shutil
import tarfile
from collections.abc import Callable
from pathlib import Path
from typing import IO, cast

PERMISSIONS = 0o755  # as the `data` filter: what others could write in the container, they can't write here
END_BYTES = 2 * tarfile.BLOCKSIZE  # of zeros, which end an archive
Say = Callable[[str], None]


def unpack(stream: IO[bytes], target: Path, say: Say, *, root: str = "") -> int:
    """Write the archive's one file or folder as `target`; return how many members were left out.

    root: "/" for an archive of a whole container, in which all names begin with that.
    Raises tarfile.TarError for what is no archive, OSError for what can't be written.
    """
    left_out = 0
    folders: list[tuple[Path, int]] = []
    counted = _Counted(stream)
    with tarfile.open(fileobj=cast(IO[bytes], counted), mode="r|") as archive:
        for member in archive:
            if root:
                member = _rooted(member, root)
            name = below_root(member.name)
            why = why_refused(member, name) or _why_unsafe(member, name, target)
            if why:
                left_out += 1
                say(f"left out {member.name}: {why}")
            else:
                _write(archive, member, target / name, target, folders)
            archive.members.clear()  # type: ignore[attr-defined]  # it keeps every member; the stubs lack it
        if counted.drain() < archive.offset + END_BYTES:
            raise tarfile.ReadError("it lacks its end")
    for folder, mode in reversed(folders):  # at last, as a folder may be read-only
        folder.chmod(mode)
    return left_out


class _Counted:
    """A stream that counts its bytes: the standard library takes a cut off archive for a whole one."""

    def __init__(self, stream: IO[bytes]) -> None:
        self._stream = stream
        self._bytes = 0

    def read(self, size: int = -1) -> bytes:
        data = self._stream.read(size)
        self._bytes += len(data)
        return data

    def drain(self) -> int:
        """Read to the end; return how many bytes there were."""
        while self.read(tarfile.RECORDSIZE):
            pass
        return self._bytes


def _rooted(member: tarfile.TarInfo, root: str) -> tarfile.TarInfo:
    """Give the archive of `/` a root with a name, as all others have; hard links name members too."""
    linked = "root/" + member.linkname.removeprefix(root) if member.islnk() else member.linkname
    return member.replace(name="root/" + member.name.removeprefix(root), linkname=linked, deep=False)


def below_root(name: str) -> str:
    """Return the member's path below the archive's one root, empty for the root itself."""
    return "/".join([part for part in name.split("/") if part not in ("", ".")][1:])


def why_refused(member: tarfile.TarInfo, name: str) -> str:
    """Return why a member is not even tried, judged by its words alone; empty if it may be. Pure."""
    if member.name.startswith("/") or ".." in member.name.split("/"):
        return "its name leads out of the folder"
    if member.issym():
        reached = posixpath.normpath(posixpath.join(posixpath.dirname(name), member.linkname))
        if member.linkname.startswith("/") or reached == ".." or reached.startswith("../"):
            return f"it is a symbolic link that leads out of the folder, to {member.linkname}"
    if member.islnk() and (member.linkname.startswith("/") or ".." in member.linkname.split("/")):
        return f"it is a link that leads out of the folder, to {member.linkname}"
    if not (member.isreg() or member.isdir() or member.issym() or member.islnk()):
        return "it is a device or a pipe"
    if not name and not (member.isreg() or member.isdir()):
        return "it is a link"
    return ""


def _why_unsafe(member: tarfile.TarInfo, name: str, target: Path) -> str:
    """Return why writing the member would leave the target on this disk, empty if it would not."""
    linked = below_root(member.linkname) if member.islnk() else ""
    for each in (name, linked):
        for parent in Path(each).parents if each else ():
            if parent.parts and (target / parent).is_symlink():
                return f"it would be reached through the symbolic link {parent}"
    if linked and (target / linked).is_symlink():
        return f"it is a link to the symbolic link {linked}"
    if not name:
        return ""
    moved = member.replace(name=name, linkname=linked or member.linkname, deep=False)
    try:
        tarfile.data_filter(moved, str(target))
    except tarfile.FilterError as error:
        return str(error)
    return ""


def _write(
    archive: tarfile.TarFile,
    member: tarfile.TarInfo,
    path: Path,
    target: Path,
    folders: list[tuple[Path, int]],
) -> None:
    """Write one member. folders: takes new folders with their modes."""
    if member.isdir():
        if not path.is_dir():
            path.mkdir()
            folders.append((path, member.mode & PERMISSIONS))
        return
    if path.is_symlink() and path != target:
        path.unlink()
    if member.isreg():
        _write_file(archive, member, path)
        return
    path.unlink(missing_ok=True)
    if member.issym():
        path.symlink_to(member.linkname)
    else:
        os.link(target / below_root(member.linkname), path, follow_symlinks=False)


def _for_its_writer_alone(path: str, flags: int) -> int:
    """Create files 0600: nobody else reads a key while it is being copied."""
    return os.open(path, flags, 0o600)


def _write_file(archive: tarfile.TarFile, member: tarfile.TarInfo, path: Path) -> None:
    content = archive.extractfile(member)
    assert content is not None, "a regular file has content"
    with open(path, "wb", opener=_for_its_writer_alone) as file:
        shutil.copyfileobj(content, file)
        os.fchmod(file.fileno(), member.mode & PERMISSIONS)
    os.utime(path, (member.mtime, member.mtime))
