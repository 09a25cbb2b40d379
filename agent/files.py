"""Files of ConfigMaps and Secrets in a folder that containers see: all of them change at once, or none.

    folder/app.ini -> ..data/app.ini        what the container opens
    folder/..data  -> ..<hash of content>   replaced by a rename when the content changes, as in Kubernetes

Whoever reads while they change sees the old files or the new ones, whole. Callers may race: a lock on the folder
keeps them apart.
"""

import fcntl
import hashlib
import os
import shutil
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from agent.config import File

_DATA = "..data"
_FOLDER_MODE = 0o755  # whatever user the container has; what is above the folder is for the agent's user only


def write_files(folder: Path, files: Sequence[File]) -> bool:
    """Make `folder` hold exactly `files`; say whether anything changed. Raises OSError."""
    folder.mkdir(parents=True, exist_ok=True)
    folder.chmod(_FOLDER_MODE)
    with _locked(folder):
        name = f"..{_digest(files)}"
        data = folder / _DATA
        if data.is_symlink() and os.readlink(data) == name and (folder / name).is_dir():
            return False
        _write_version(folder, name, files)
        _point(data, name)
        _link_entries(folder, {file.path.split("/")[0] for file in files})
        _remove_versions(folder, name)
    return True


@contextmanager
def _locked(folder: Path) -> Iterator[None]:
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)


def _digest(files: Sequence[File]) -> str:
    """The name of a version can be seen by who can see the files; it tells no more than they do."""
    digest = hashlib.sha256()
    for file in sorted(files, key=lambda each: each.path):
        for part in (file.path.encode(), oct(file.mode).encode(), file.content):
            digest.update(len(part).to_bytes(8, "big") + part)
    return digest.hexdigest()[:32]


def _write_version(folder: Path, name: str, files: Sequence[File]) -> None:
    version = folder / name
    shutil.rmtree(version, ignore_errors=True)  # what an agent that died left half made
    version.mkdir()
    for file in files:
        path = version / file.path
        path.parent.mkdir(parents=True, exist_ok=True)
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(descriptor, "wb") as writer:
            writer.write(file.content)
            os.fchmod(descriptor, file.mode)
    for each in (version, *(path for path in version.rglob("*") if path.is_dir())):
        each.chmod(_FOLDER_MODE)


def _point(link: Path, target: str) -> None:
    """Make `link` a symbolic link to `target`, in one step."""
    temporary = link.with_name("..new")
    temporary.unlink(missing_ok=True)
    temporary.symlink_to(target)
    temporary.replace(link)


def _link_entries(folder: Path, names: set[str]) -> None:
    for name in names:
        if not (folder / name).is_symlink():
            _point(folder / name, f"{_DATA}/{name}")
    for each in folder.iterdir():
        if not each.name.startswith("..") and each.name not in names:
            each.unlink()


def _remove_versions(folder: Path, current: str) -> None:
    for each in folder.iterdir():
        if each.name.startswith("..") and each.name not in (_DATA, current):
            shutil.rmtree(each, ignore_errors=True)
