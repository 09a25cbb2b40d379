"""Reads what `-f` names: files, folders, stdin. Parsing and checking is `schemas.manifest`'s."""

import sys
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from difflib import get_close_matches
from pathlib import Path

from client.errors import BadOption
from schemas.errors import InvalidManifest
from schemas.lines import locate
from schemas.manifest import Document, load
from schemas.yamltext import MAX_FILE_BYTES

SUFFIXES = (".yaml", ".yml", ".json")
JSON_SCHEMA = ".schema.json"  # describes manifests and is none; passed over in folders
STDIN = "-"


def load_documents(names: Iterable[str], *, recursive: bool, namespace: str) -> tuple[Document, ...]:
    """Return the checked documents of all files. Raises BadOption, InvalidManifest."""
    return load(read_sources(names, recursive=recursive), default_namespace=namespace)


def read_sources(names: Iterable[str], *, recursive: bool) -> list[tuple[str, bytes]]:
    """Return (name, content) of all files. Raises BadOption."""
    return [source for name in names for source in _read(name, recursive=recursive)]


@contextmanager
def telling_lines(sources: Iterable[tuple[str, bytes]]) -> Iterator[None]:
    """Problems that are found later than in `load` name the line of their field, too."""
    try:
        yield
    except InvalidManifest as error:
        raise InvalidManifest(locate(error.problems, dict(sources))) from None


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
    files = (path for path in found if path.suffix in SUFFIXES and path.is_file())
    paths = sorted(path for path in files if not path.name.endswith(JSON_SCHEMA))
    if not paths:
        below = "" if recursive else "; -R also looks below"
        raise BadOption(f"folder {folder} has no file that ends in {', '.join(SUFFIXES)}{below}")
    for path in paths:
        yield str(path), _read_file(path)


def _seen_from(path: Path) -> str:
    """Return what a relative path is relative to, or the file that may be meant."""
    with suppress(OSError):
        close = get_close_matches(path.name, [each.name for each in path.parent.iterdir()], n=1, cutoff=0.75)
        if close:
            return f" (did you mean {path.parent / close[0]}?)"
    return "" if path.is_absolute() else f" in {Path.cwd()}"


def _read_file(path: Path) -> bytes:
    """Read a bit more than is allowed, so that a large file is refused and not loaded."""
    try:
        with path.open("rb") as file:
            return file.read(MAX_FILE_BYTES + 1)
    except FileNotFoundError:
        raise BadOption(
            f"the path {str(path)!r} does not exist{_seen_from(path)}; give a file or folder that is there, or - for "
            "standard input; a manifest to begin with: berth new --help"
        ) from None
    except OSError as error:
        raise BadOption(f"{path} can't be read: {error.strerror}") from None
