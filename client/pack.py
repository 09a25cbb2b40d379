"""Pack a local file or folder as a tar stream, piece by piece: nothing is held in memory or on disk."""

import io
import tarfile
from collections.abc import Callable, Iterator
from pathlib import Path

CHUNK_BYTES = 65_536
Say = Callable[[str], None]


def pack(root: Path, name: str, say: Say) -> Iterator[bytes]:
    """Yield the tar of `root`, which is called `name` in it. Files belong to root, modes are kept.

    Symbolic links stay links; sockets are left out and told. Raises OSError.
    """
    describe = tarfile.TarFile(fileobj=io.BytesIO(), mode="w").gettarinfo
    for path, inside in _walk(root, name):
        member = describe(str(path), inside)
        if member is None:
            say(f"left out {path}: it is a socket")
            continue
        member.uid = member.gid = 0  # the agent gives them to the container's user
        member.uname = member.gname = ""
        yield member.tobuf(tarfile.PAX_FORMAT)
        if member.isreg():
            yield from _content(path, member.size)
    yield b"\0" * 2 * tarfile.BLOCKSIZE


def _walk(path: Path, inside: str) -> Iterator[tuple[Path, str]]:
    yield path, inside
    if path.is_dir() and not path.is_symlink():
        for child in sorted(path.iterdir()):
            yield from _walk(child, f"{inside}/{child.name}")


def _content(path: Path, size_bytes: int) -> Iterator[bytes]:
    """Yield exactly `size_bytes` of a file, and the padding. A file that shrinks meanwhile is an error."""
    left = size_bytes
    with path.open("rb") as file:
        while left:
            chunk = file.read(min(left, CHUNK_BYTES))
            if not chunk:
                raise OSError(f"{path} became shorter while it was copied")
            left -= len(chunk)
            yield chunk
    yield b"\0" * (-size_bytes % tarfile.BLOCKSIZE)
