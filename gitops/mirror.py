"""A bare repository in the controller's folder, as far as a source needs it: a cache that may be lost at any time.

tip      which commit the repository has under a name      git ls-remote
fetch    have that commit here                              git fetch, the last commits only where that can be
commit, files, descends                                     read from here
"""

import re
import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from gitops.errors import BadTree, GitFailed, RefMissing
from gitops.facts import Commit
from gitops.program import MAX_FOLDER_BYTES, Access, Git, clean, size_of
from gitops.tree import (
    FOLDER,
    MAX_LISTING_BYTES,
    MAX_TOTAL_BYTES,
    Entry,
    check_entries,
    manifests,
    parse_contents,
    parse_entries,
)

DEPTH = 50  # commits that are had: enough to see whether what is new came from what was
HELD = "refs/berth/tip"
MAX_PACKS = 50  # each fetch leaves one; past this the mirror is made anew
MAX_MESSAGE = 200  # characters of a commit's message or author in a status
_COMMIT_ID = re.compile(r"[0-9a-f]{40}")
_BROKEN = (
    "not a git repository",
    "bad object",
    "corrupt",
    "did not receive expected object",
    "unable to read",
    "does not match index",
    "not a tree object",
    "Not a valid object name",
    ".lock': File exists",  # left by a git that was killed; nobody else writes here
)


@dataclass(frozen=True, slots=True)
class Wanted:
    """What is followed: the full name of a branch or tag, or HEAD; `commit` pins one of it."""

    ref: str
    commit: str = ""

    def __str__(self) -> str:
        if self.commit:
            return f"commit {self.commit}"
        kind, _, name = self.ref.removeprefix("refs/").partition("/")
        return {"heads": f"branch {name!r}", "tags": f"tag {name!r}"}.get(kind, "HEAD, its main branch")


class Mirror:
    """The mirror of one source, in `folder`, which it makes and removes as it likes."""

    def __init__(self, git: Git, folder: Path) -> None:
        self._git = git
        self._folder = folder

    def tip(self, access: Access, wanted: Wanted) -> str:
        """Return the id of the commit that the repository has now. Raises GitFailed, RefMissing."""
        if wanted.commit:
            return wanted.commit
        asked = (wanted.ref, f"{wanted.ref}^{{}}")
        _, output = self._git.run(("ls-remote", "--quiet", "--", access.url, *asked), access=access)
        found = dict(_refs(output))
        id_ = found.get(asked[1]) or found.get(
            asked[0]
        )  # a tag with a message names an object that names the commit
        if id_ is None:
            raise RefMissing(
                f"{access.url} has no {wanted}; push it, or name another in spec.branch, spec.tag or spec.commit"
            )
        return id_

    def fetch(self, access: Access, wanted: Wanted, commit: str) -> str:
        """Have `commit` here, or what is in its place by now; return its id. Raises GitFailed, RefMissing."""
        self._prepare()
        if not self._has(commit):
            self._fetch(access, wanted)
        name = wanted.commit or (commit if self._has(commit) else HELD)
        code, output = self._run("rev-parse", "--verify", "--quiet", f"{name}^{{commit}}", fine=(0, 1, 128))
        if code:
            raise RefMissing(
                f"{access.url} has no {wanted}; it must be a commit that a branch or tag leads to"
            )
        return output.decode("ascii").strip()

    def _fetch(self, access: Access, wanted: Wanted) -> None:
        """A server may give single commits or not, and the last ones or only all: ask for less first."""
        short, whole = (f"--depth={DEPTH}",), ()
        tries = [(wanted.ref, short), (wanted.ref, whole)]
        if wanted.commit:
            tries = [(wanted.commit, short), (wanted.commit, whole), (wanted.ref, self._unshallow())]
        for number, (name, depth) in enumerate(tries, 1):
            try:
                self._run(
                    "fetch", "--quiet", "--force", "--no-tags", "--no-recurse-submodules", "--no-write-fetch-head",
                    *depth, "--", access.url, f"+{name}:{HELD}", access=access,
                )  # fmt: skip
                return
            except GitFailed as error:
                is_refused = _may_give_otherwise(str(error)) and self._folder.exists()
                if number == len(tries) or not is_refused:
                    raise

    def _unshallow(self) -> tuple[str, ...]:
        return ("--unshallow",) if (self._folder / "shallow").exists() else ()

    def commit(self, id_: str) -> Commit:
        """Return what a commit says of itself."""
        _, output = self._run("log", "-1", "--no-show-signature", "--format=%an%x00%cI%x00%s", id_, "--")
        author, at, message = (*output.decode("utf-8", errors="replace").split("\0", 2), "", "")[:3]
        return Commit(id_, clean(author)[:MAX_MESSAGE], clean(message)[:MAX_MESSAGE], clean(at))

    def descends(self, new: str, old: str) -> bool:
        """Say whether `new` came from `old`, as far as the commits that are here tell."""
        if not self._has(old):
            return False
        code, _ = self._run("merge-base", "--is-ancestor", old, new, fine=(0, 1))
        return code == 0

    def files(self, commit: str, folder: str) -> dict[str, bytes]:
        """Return path -> content of the manifests in a folder of a commit, and below. Raises BadTree, GitFailed."""
        entries = manifests(parse_entries(self._listing(commit, folder)), folder)
        output = self._contents(entries)
        return parse_contents(entries, output)

    def file(self, commit: str, path: str) -> bytes:
        """Return the content of one file of a commit. Raises BadTree, GitFailed."""
        _, line = self._run("ls-tree", "-z", "-l", "--full-tree", commit, "--", path)
        entries = tuple(entry for entry in parse_entries(line) if entry.path == path)
        check_entries(entries)
        if not entries or entries[0].mode == FOLDER:
            raise BadTree(
                f"{path} is not there as a file in commit {commit[:12]}; name it from the top of the repository"
            )
        return parse_contents(entries, self._contents(entries))[path]

    def _listing(self, commit: str, folder: str) -> bytes:
        if folder:
            self._check_folder(commit, folder)
        within = (f"{folder}/",) if folder else ()
        try:
            _, listing = self._run(
                "ls-tree", "-r", "-z", "-l", "--full-tree", commit, "--", *within, max_bytes=MAX_LISTING_BYTES
            )
        except GitFailed as error:
            if "says more than" in str(error):
                raise BadTree("it holds too many files; name a folder with fewer in spec.path") from None
            raise
        return listing

    def _check_folder(self, commit: str, folder: str) -> None:
        _, line = self._run("ls-tree", "-z", "-l", "--full-tree", commit, "--", folder)
        kinds = {entry.path: entry.mode for entry in parse_entries(line)}
        if kinds.get(folder) != FOLDER:
            what = "is not a folder" if folder in kinds else "is not there"
            raise BadTree(f"spec.path {folder!r} {what} in commit {commit[:12]}")

    def _contents(self, entries: Sequence[Entry]) -> bytes:
        if not entries:
            return b""
        feed = "".join(f"{entry.id}\n" for entry in entries).encode()
        room = MAX_TOTAL_BYTES + 100 * len(entries)
        return self._run("cat-file", "--batch", max_bytes=room, feed=feed)[1]

    def _has(self, commit: str) -> bool:
        if not _COMMIT_ID.fullmatch(commit):
            return False
        code, _ = self._run("cat-file", "-e", f"{commit}^{{commit}}", fine=(0, 1, 128))
        return code == 0

    def _run(
        self,
        *arguments: str,
        access: Access | None = None,
        max_bytes: int = 2**20,
        feed: bytes = b"",
        fine: tuple[int, ...] = (0,),
    ) -> tuple[int, bytes]:
        place = f"--git-dir={self._folder}"
        try:
            return self._git.run(
                (place, *arguments),
                access=access,
                max_bytes=max_bytes,
                feed=feed,
                fine=fine,
                grows=self._folder if access is not None else None,
            )
        except GitFailed as error:
            if any(words in str(error) for words in _BROKEN):
                self.forget()  # the next fetch begins with an empty one
            raise

    def _prepare(self) -> None:
        packs = list((self._folder / "objects" / "pack").glob("*.pack"))
        if len(packs) > MAX_PACKS or (packs and size_of(self._folder) > MAX_FOLDER_BYTES // 2):
            self.forget()
        if not (self._folder / "HEAD").exists():
            self.forget()
            self._folder.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
            self._git.run(("init", "--quiet", "--bare", "--template=", "--", str(self._folder)))

    def forget(self) -> None:
        """Remove the mirror."""
        shutil.rmtree(self._folder, ignore_errors=True)


def _may_give_otherwise(error: str) -> bool:
    """Say whether a server only refused how it was asked."""
    return any(
        words in error
        for words in ("shallow", "not our ref", "unadvertised object", "find remote ref", "depth")
    )


def _refs(output: bytes) -> list[tuple[str, str]]:
    """Return (name, id) of each line of `git ls-remote`; what is no id is passed over."""
    lines = [line.split("\t", 1) for line in output.decode("utf-8", errors="replace").splitlines()]
    return [(each[1], each[0]) for each in lines if len(each) == 2 and _COMMIT_ID.fullmatch(each[0])]
