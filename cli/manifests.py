"""Reads what `-f` names: files, folders, stdin. Parsing and checking is `schemas.manifest`'s."""

import sys
from collections.abc import Iterable, Iterator
from pathlib import Path

from client.errors import BadOption
from schemas.manifest import MAX_FILE_BYTES, Document, load

SUFFIXES = (".yaml", ".yml", ".json")
STDIN = "-"


def load_documents(names: Iterable[str], *, recursive: bool, namespace: str) -> tuple[Document, ...]:
    """Return the checked documents of all files. Raises BadOption, InvalidManifest."""
    sources = [source for name in names for source in _read(name, recursive=recursive)]
    return load(sources, default_namespace=namespace)


def _read(name: str, *, recursive: bool) -> Iterator[tuple[str, bytes]]:
    if name == STDIN:
        yield "stdin", sys.stdin.buffer.read(MAX_FILE_BYTES + 1)
        return
    path = Path(name)
    if path.is_dir():
        yield from _read_folder(path, recursive=recursive)
    else:
        yield name, _read_file(path)


def _read_folder(folder: Path, *, recursive: bool) -> Iterator[tuple[str, bytes]]:
    """Files in the order of their names, as in kubectl."""
    found = folder.rglob("*") if recursive else folder.glob("*")
    paths = sorted(path for path in found if path.suffix in SUFFIXES and path.is_file())
    if not paths:
        below = "" if recursive else "; -R also looks below"
        raise BadOption(f"folder {folder} has no file that ends in {', '.join(SUFFIXES)}{below}")
    for path in paths:
        yield str(path), _read_file(path)


def _read_file(path: Path) -> bytes:
    """Read a bit more than is allowed, so that a large file is refused and not loaded."""
    try:
        with path.open("rb") as file:
            return file.read(MAX_FILE_BYTES + 1)
    except FileNotFoundError:
        raise BadOption(f"the path {str(path)!r} does not exist") from None
    except OSError as error:
        raise BadOption(f"{path} can't be read: {error.strerror}") from None
