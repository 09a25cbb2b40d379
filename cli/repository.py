"""Manifests from a git repository: `--repo URL --rev REF --path FOLDER`, read as a GitSource reads it.

Nothing is checked out. On the way to an ssh repository your own keys and agent are used.
"""

import os
import shutil
import tempfile
import threading
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from cli.session import note
from client.errors import BadOption
from schemas.errors import InvalidManifest
from schemas.manifest import Document
from schemas.tree import clear_secrets, is_kustomization

if TYPE_CHECKING:
    from gitops.mirror import Mirror, Wanted
    from gitops.program import Access

SHORT = 12  # digits of a commit as it is shown

Repo = Annotated[
    str,
    typer.Option("--repo", metavar="URL", help="In place of -f: a git repository, or a folder that is one."),
]
Rev = Annotated[
    str, typer.Option("--rev", metavar="REF", help="With --repo: a branch, tag or whole commit id.")
]
Folder = Annotated[
    str, typer.Option("--path", metavar="FOLDER", help="With --repo: only this folder, and below.")
]


def read_repository(
    url: str, rev: str, *, folder: str, may_be_empty: bool = False
) -> list[tuple[str, bytes]]:
    """Return (path, content) of the manifests of a commit. may_be_empty: none at all is no error. Raises BadOption."""
    from gitops.errors import SyncError
    from gitops.mirror import Mirror
    from gitops.program import Access, Git

    access, within = Access(_full(url), _own_keys(os.environ)), folder.strip("/")
    _check(access.url, rev, folder)
    with tempfile.TemporaryDirectory(prefix="berth-plan-") as home:
        mirror = Mirror(Git(Path(home), threading.Event()), Path(home) / "mirror")
        try:
            commit = _fetch(mirror, access, rev)
            found = mirror.files(commit, within)
            said = mirror.commit(commit)
        except SyncError as error:
            raise BadOption(f"--repo {url}: {error}") from None
    kustomized = [path for path in found if is_kustomization(path, folder=within)]
    if kustomized:
        raise BadOption(
            f"--repo {url}: {kustomized[0]} is for kustomize, which is not run on a commit; "
            "clone the repository, and name the folder with -f"
        )
    if not found and not may_be_empty:
        place = f"folder {within}" if within else "it"
        raise BadOption(f"--repo {url}: {place} has no manifest in commit {commit[:SHORT]}")
    note(f"commit {commit[:SHORT]} by {said.author}: {said.message}")
    return sorted(found.items())


def refuse_clear_secrets(documents: Iterable[Document]) -> None:
    """Raise InvalidManifest for Secrets in clear, as a GitSource does: who reads the repository reads them."""
    problems = tuple(clear_secrets(documents))
    if problems:
        raise InvalidManifest(problems)


def _fetch(mirror: "Mirror", access: "Access", rev: str) -> str:
    """Have what `rev` names, a branch before a tag of that name; return the commit's id. Raises SyncError."""
    from gitops.errors import RefMissing

    names = _wanted(rev)
    for number, wanted in enumerate(names, 1):
        try:
            return mirror.fetch(access, wanted, mirror.tip(access, wanted))
        except RefMissing:
            if number == len(names):
                raise RefMissing(f"it has no {_named(names)}") from None
    raise AssertionError("there is at least one name to try")


def _named(names: "Sequence[Wanted]") -> str:
    """Return in words what was looked for: `branch or tag 'v1'`."""
    first, *more = map(str, names)
    return (
        f"{first.partition(' ')[0]} or {more[0]}; a commit is named by all its 40 digits" if more else first
    )


def _wanted(rev: str) -> "tuple[Wanted, ...]":
    from gitops.mirror import Wanted

    if not rev:
        return (Wanted("HEAD"),)
    if len(rev) == 40 and all(each in "0123456789abcdef" for each in rev):
        return (Wanted("HEAD", rev),)
    return (Wanted(f"refs/heads/{rev}"), Wanted(f"refs/tags/{rev}"))


def _check(url: str, rev: str, folder: str) -> None:
    """Raise BadOption for what can't be in a GitSource either."""
    from pydantic import ValidationError

    from schemas.gitsource import GitSourceSpec

    given = {"url": url, "branch": rev, "path": folder.strip("/")}
    try:
        GitSourceSpec.parse_written({name: value for name, value in given.items() if value})
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        option = {"branch": "--rev", "path": "--path"}.get(
            str(first["loc"][0]) if first["loc"] else "", "--repo"
        )
        raise BadOption(f"{option}: {first['msg'].removeprefix('Value error, ')}") from None


def _full(url: str) -> str:
    """Return a folder of this machine as git's url of it. Raises BadOption."""
    if "://" in url:
        return url
    path = Path(url)
    if not path.is_dir():
        raise BadOption(
            f"--repo {url}: it is no folder here; name a repository as https://, ssh:// or file://"
        )
    return path.resolve().as_uri()


def _own_keys(environment: Mapping[str, str]) -> dict[str, str]:
    """Return the variables by which ssh finds the keys of whoever runs this."""
    ssh = shutil.which("ssh")
    kept = {name: environment[name] for name in ("HOME", "SSH_AUTH_SOCK") if environment.get(name)}
    return {**kept, "GIT_SSH": ssh} if ssh else {}
