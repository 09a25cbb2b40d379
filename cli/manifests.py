"""Reads what `-f` names: files, folders, folders for kustomize, stdin; and the file of variables.

Parsing and checking is that of `schemas.tree`.
"""

import gc
import os
import sys
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from difflib import get_close_matches
from pathlib import Path
from typing import Annotated

import typer

from cli.session import note
from client.errors import BadOption
from client.kustomize import build, is_kustomized
from schemas.errors import InvalidManifest, Problem
from schemas.lines import locate
from schemas.manifest import Document
from schemas.tree import SUFFIXES, check_sources, is_manifest
from schemas.variables import Variables, read_variables
from schemas.yamltext import MAX_FILE_BYTES

STDIN = "-"
Source = tuple[str, bytes]

Files = Annotated[
    list[str], typer.Option("-f", "--filename", help="File, folder, or - for stdin; repeatable.")
]
SomeFiles = Annotated[
    list[str] | None, typer.Option("-f", "--filename", help="File, folder, or - for stdin; repeatable.")
]
Recursive = Annotated[bool, typer.Option("-R", "--recursive", help="Also read the folders below.")]
Vars = Annotated[
    str,
    typer.Option(
        "--vars", metavar="FILE", help="Put these variables in for ${NAME}: YAML, or lines NAME=VALUE."
    ),
]


@dataclass(frozen=True, slots=True)
class Manifests:
    """What was read: (name, content) of each file, the checked documents of all, and what is wrong with others."""

    sources: tuple[Source, ...]
    documents: tuple[Document, ...]
    problems: tuple[Problem, ...] = ()


def read_manifests(
    names: Iterable[str],
    *,
    recursive: bool,
    namespace: str,
    vars_file: str = "",
    may_be_empty: bool = False,
    more: Iterable[Source] = (),
) -> Manifests:
    """Read and check all files. may_be_empty: a folder without manifests is no error. more: what was read elsewhere.

    Raises BadOption, InvalidManifest.
    """
    read = check_manifests(
        names,
        recursive=recursive,
        namespace=namespace,
        vars_file=vars_file,
        may_be_empty=may_be_empty,
        more=more,
    )
    if read.problems:
        raise InvalidManifest(read.problems)
    return read


def check_manifests(
    names: Iterable[str],
    *,
    recursive: bool,
    namespace: str,
    vars_file: str = "",
    may_be_empty: bool = False,
    more: Iterable[Source] = (),
) -> Manifests:
    """Read all files, and return what is right and what is wrong. Raises BadOption; InvalidManifest for variables."""
    variables = _read_variables(vars_file)
    skipped = os.path.realpath(vars_file) if vars_file else ""
    files = (
        source
        for name in names
        for source in _read(name, recursive=recursive, may_be_empty=may_be_empty)
        if os.path.realpath(source[0]) != skipped
    )
    sources = (*files, *more)
    with _without_collector():
        tree = check_sources(sources, default_namespace=namespace, variables=variables)
    if tree.unused and not tree.problems:
        note(f"Note: {vars_file} gives {', '.join(tree.unused)}, which nothing uses")
    return Manifests(sources, tree.documents, tree.problems)


@contextmanager
def _without_collector() -> Iterator[None]:
    """What is read stays, and has no cycles: of many documents, looking for some takes a tenth of the time."""
    gc.disable()
    try:
        yield
    finally:
        gc.enable()


def _read_variables(path: str) -> Variables | None:
    return read_variables(path, _read_file(Path(path))) if path else None


@contextmanager
def telling_lines(sources: Iterable[Source]) -> Iterator[None]:
    """Problems that are found later than in `load` name the line of their field, too."""
    try:
        yield
    except InvalidManifest as error:
        raise InvalidManifest(locate(error.problems, dict(sources))) from None


def _read(name: str, *, recursive: bool, may_be_empty: bool) -> Iterator[Source]:
    if name == STDIN:
        yield "stdin", sys.stdin.buffer.read(MAX_FILE_BYTES + 1)
        return
    path = Path(name)
    if not path.is_dir():
        yield name, _read_file(path)
        return
    found = list(_read_folder(path, recursive=recursive))
    if not found and not may_be_empty:
        below = "" if recursive else "; -R also looks below"
        raise BadOption(f"folder {path} has no file that ends in {', '.join(SUFFIXES)}{below}")
    yield from found


def _read_folder(folder: Path, *, recursive: bool) -> Iterator[Source]:
    """Files in the order of their names, as in kubectl; hidden ones are passed over, as a repository's `.git`."""
    if is_kustomized(folder):
        yield f"kustomize build {folder}", build(folder)
        return
    try:
        inside = sorted(folder.iterdir())
    except OSError as error:
        raise BadOption(f"folder {folder} can't be read: {error.strerror}") from None
    for path in inside:
        if path.name.startswith("."):
            continue
        if path.is_dir():
            if recursive and not path.is_symlink():
                yield from _read_folder(path, recursive=True)
        elif is_manifest(path.name) and path.is_file():
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
