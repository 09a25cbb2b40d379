"""What a commit holds, read as data: nothing is ever checked out, so no link, hook, filter or name can do anything.

git ls-tree -r -z -l  ->  entries, checked by these pure functions  ->  git cat-file --batch  ->  contents
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from gitops.errors import BadTree
from schemas.tree import is_kustomization, is_manifest

MAX_LISTING_BYTES = 2**22  # some 40,000 names; a tree may name itself a million times
MAX_FILES = 2000
MAX_FILE_BYTES = 2**20  # as one object may have
MAX_TOTAL_BYTES = 2**24

FOLDER, _LINK, _SUBMODULE = "040000", "120000", "160000"  # modes


@dataclass(frozen=True, slots=True)
class Entry:
    """One line of a tree: what it is, which object has its content, how large that is, and its path."""

    mode: str
    id: str
    size_bytes: int
    path: str


def parse_entries(listing: bytes) -> Iterator[Entry]:
    """Yield the entries of `git ls-tree -r -z -l`. Raises BadTree for a name that is not text."""
    for line in listing.split(b"\0"):
        if not line:
            continue
        head, _, name = line.partition(b"\t")
        mode, _, id_, size = head.decode("ascii").split()
        try:
            path = name.decode("utf-8")
        except UnicodeDecodeError:
            raise BadTree(f"the name {name[:80]!r} is not UTF-8; rename it") from None
        yield Entry(mode, id_, int(size) if size.isdigit() else 0, path)


def manifests(entries: Iterable[Entry], folder: str) -> tuple[Entry, ...]:
    """Return the entries below `folder` that are manifests, by their paths. Raises BadTree for what is refused."""
    found: list[Entry] = []
    for entry in entries:
        _check_place(entry)
        if is_manifest(entry.path, folder=folder) or is_kustomization(entry.path, folder=folder):
            found.append(entry)
    _check_amount(found)
    return tuple(sorted(found, key=lambda each: each.path))


def check_entries(entries: Sequence[Entry]) -> None:
    """Check entries that were asked for by name. Raises BadTree."""
    for entry in entries:
        _check_place(entry)
    _check_amount(entries)


def _check_place(entry: Entry) -> None:
    shown = ascii(entry.path)[1:-1]
    if entry.mode == _LINK:
        raise BadTree(
            f"{shown} is a symbolic link, which is not followed; put the file itself there, or name a folder "
            "without links in spec.path"
        )
    if entry.mode == _SUBMODULE:
        raise BadTree(
            f"{shown} is a submodule, which is not read; put its manifests into the repository, or make a source "
            "of it, too"
        )
    parts = entry.path.split("/")
    if any(part in ("", ".", "..") or part.lower() == ".git" for part in parts):
        raise BadTree(f"{shown} is no path inside the repository; rename it")
    if not entry.path.isprintable():
        raise BadTree(f"{shown} has control characters in its name; rename it")


def _check_amount(found: Sequence[Entry]) -> None:
    if len(found) > MAX_FILES:
        raise BadTree(
            f"there are {len(found)} manifests, and a source may have {MAX_FILES}; name a folder with fewer in "
            "spec.path, and make several sources"
        )
    for entry in found:
        if entry.size_bytes > MAX_FILE_BYTES:
            raise BadTree(
                f"{entry.path} has {entry.size_bytes} bytes, and a manifest may have {MAX_FILE_BYTES}; divide it, "
                "or move it out of the folder of the source"
            )
    total = sum(entry.size_bytes for entry in found)
    if total > MAX_TOTAL_BYTES:
        raise BadTree(f"the manifests have {total} bytes together, and a source may have {MAX_TOTAL_BYTES}")


def parse_contents(entries: Sequence[Entry], output: bytes) -> dict[str, bytes]:
    """Return path -> content from what `git cat-file --batch` said of the entries, in their order. Raises BadTree."""
    contents: dict[str, bytes] = {}
    at = 0
    for entry in entries:
        end = output.find(b"\n", at)
        head = output[at:end].split() if end >= 0 else []
        if len(head) != 3 or head[:2] != [entry.id.encode(), b"blob"] or not head[2].isdigit():
            raise BadTree(f"{entry.path} can't be read from the repository: it is not there as a file")
        start, size = end + 1, int(head[2])
        contents[entry.path] = output[start : start + size]
        at = start + size + 1
    return contents
