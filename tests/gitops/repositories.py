"""Real repositories for tests, made with the real git, and a git that reads them as the leader does."""

import os
import subprocess
import threading
from collections.abc import Mapping
from pathlib import Path

from gitops.mirror import Mirror, Wanted
from gitops.program import Access, Git

IDENTITY = {
    "GIT_AUTHOR_NAME": "Ada",
    "GIT_AUTHOR_EMAIL": "ada@example.com",
    "GIT_COMMITTER_NAME": "Ada",
    "GIT_COMMITTER_EMAIL": "ada@example.com",
    "GIT_CONFIG_GLOBAL": os.devnull,
    "GIT_CONFIG_NOSYSTEM": "1",
}


class Repository:
    """A bare repository that is pushed to, and a clone of it to work in."""

    def __init__(self, folder: Path) -> None:
        self.bare, self.work = folder / "deploy.git", folder / "work"
        folder.mkdir(parents=True, exist_ok=True)
        self.git("init", "--quiet", "--bare", "--initial-branch=main", str(self.bare), where=folder)
        self.git("init", "--quiet", "--initial-branch=main", str(self.work), where=folder)
        self.git("remote", "add", "origin", str(self.bare))

    @property
    def url(self) -> str:
        return f"file://{self.bare}"

    def git(self, *arguments: str, where: Path | None = None, stdin: bytes = b"") -> str:
        done = subprocess.run(
            ["git", *arguments],
            cwd=where or self.work,
            env={**os.environ, **IDENTITY},
            input=stdin,
            capture_output=True,
            check=False,
        )
        assert done.returncode == 0, f"git {arguments}: {done.stderr.decode()}"
        return done.stdout.decode().strip()

    def write(self, files: Mapping[str, str | bytes | None]) -> None:
        """Put files into the working tree; None removes one."""
        for name, content in files.items():
            path = self.work / name
            if content is None:
                path.unlink()
                continue
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(content.encode() if isinstance(content, str) else content)

    def commit(self, files: Mapping[str, str | bytes | None], message: str = "a change") -> str:
        """Commit and push; return the commit's id."""
        self.write(files)
        self.git("add", "--all")
        self.git("commit", "--quiet", "--allow-empty", "-m", message)
        return self.push()

    def push(self, *more: str) -> str:
        self.git("push", "--quiet", *more, "origin", "HEAD:main")
        return self.git("rev-parse", "HEAD")

    def push_tree(self, entries: list[tuple[str, str, str]]) -> str:
        """Push a commit of a tree that git itself would not make; entries: mode, name, content or id."""
        lines = b""
        for mode, name, content in entries:
            if mode == "160000":
                kind, id_ = "commit", content
            elif mode == "040000":
                kind, id_ = "tree", content
            else:
                kind, id_ = "blob", self.git("hash-object", "-w", "--stdin", stdin=content.encode())
            lines += f"{mode} {kind} {id_}\t{name}\0".encode()
        tree = self.git("mktree", "-z", stdin=lines)
        commit = self.git("commit-tree", tree, "-m", "hostile")
        self.git("push", "--quiet", "--force", "origin", f"{commit}:refs/heads/main")
        return commit


class Reader:
    """Reads repositories as the leader does."""

    def __init__(self, folder: Path, *, timeout_s: float = 60.0) -> None:
        self.home = folder / "home"
        self.home.mkdir(parents=True)
        self.stopping = threading.Event()
        self.git = Git(self.home, self.stopping, timeout_s=timeout_s)
        self.mirror = Mirror(self.git, folder / "mirror.git")

    def fetch(self, url: str, wanted: Wanted) -> str:
        access = Access(url, {})
        return self.mirror.fetch(access, wanted, self.mirror.tip(access, wanted))
