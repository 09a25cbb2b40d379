"""What is read of real repositories, hostile ones among them."""

import os
import socket
import stat
import subprocess
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from gitops import program, tree
from gitops.credentials import access
from gitops.errors import BadCredentials, BadTree, GitFailed, RefMissing
from gitops.mirror import Wanted
from gitops.program import Access
from tests.gitops.repositories import Reader, Repository
from tests.gitops.server import dumb, serving, smart

MAIN = Wanted("refs/heads/main")
SSH = {
    "ssh-privatekey": b"-----BEGIN OPENSSH PRIVATE KEY-----\nAAAA\n-----END OPENSSH PRIVATE KEY-----\n",
    "known_hosts": b"h",
}


@pytest.fixture
def repository(tmp_path: Path) -> Repository:
    return Repository(tmp_path / "there")


@pytest.fixture
def reader(tmp_path: Path) -> Reader:
    return Reader(tmp_path / "here")


def files(reader: Reader, repository: Repository, folder: str = "") -> dict[str, bytes]:
    return reader.mirror.files(reader.fetch(repository.url, MAIN), folder)


def test_manifests_of_a_folder_are_read_as_they_were_committed(
    reader: Reader, repository: Repository
) -> None:
    repository.commit(
        {"a/x.yaml": "x: 1\n", "a/b/y.yml": "y: 2\n", "a/z.json": "{}", "a/README.md": "no", "c.yaml": "c"}
    )
    assert files(reader, repository, "a") == {
        "a/x.yaml": b"x: 1\n",
        "a/b/y.yml": b"y: 2\n",
        "a/z.json": b"{}",
    }
    assert set(files(reader, repository)) == {"a/x.yaml", "a/b/y.yml", "a/z.json", "c.yaml"}


def test_what_is_hidden_is_passed_over_below_the_folder_that_is_asked_for(
    reader: Reader, repository: Repository
) -> None:
    inside = {"x.yaml": "x", ".github/y.yaml": "y", ".github/kustomization.yaml": "z", ".hidden.yaml": "h"}
    repository.commit({f".deploy/prod/{name}": content for name, content in inside.items()})
    assert files(reader, repository) == {}
    assert set(files(reader, repository, ".deploy/prod")) == {".deploy/prod/x.yaml"}


def test_a_commit_tells_who_made_it_and_why(reader: Reader, repository: Repository) -> None:
    id_ = repository.commit({"x.yaml": "x"}, "first line\x1b[31m\n\nand more")
    commit = reader.mirror.commit(reader.fetch(repository.url, MAIN))
    assert (commit.id, commit.author, commit.message) == (id_, "Ada", "first line")


def test_the_main_branch_is_followed_where_none_is_named(reader: Reader, repository: Repository) -> None:
    id_ = repository.commit({"x.yaml": "x"})
    assert reader.fetch(repository.url, Wanted("HEAD")) == id_


def test_a_tag_with_a_message_leads_to_its_commit(reader: Reader, repository: Repository) -> None:
    id_ = repository.commit({"x.yaml": "x"})
    repository.git("tag", "-a", "v1", "-m", "a release")
    repository.git("push", "--quiet", "origin", "v1")
    assert reader.fetch(repository.url, Wanted("refs/tags/v1")) == id_


def test_an_earlier_commit_is_read_when_it_is_pinned(reader: Reader, repository: Repository) -> None:
    first = repository.commit({"x.yaml": "1"})
    repository.commit({"x.yaml": "2"})
    commit = reader.fetch(repository.url, Wanted("refs/heads/main", first))
    assert (commit, reader.mirror.files(commit, "")) == (first, {"x.yaml": b"1"})


def test_a_pinned_commit_far_back_is_found(reader: Reader, repository: Repository) -> None:
    first = repository.commit({"x.yaml": "1"})
    for number in range(60):
        repository.git("commit", "--quiet", "--allow-empty", "-m", str(number))
    repository.push()
    reader.fetch(repository.url, MAIN)
    assert reader.fetch(repository.url, Wanted("refs/heads/main", first)) == first


def test_a_commit_that_nobody_has_is_missing(reader: Reader, repository: Repository) -> None:
    repository.commit({"x.yaml": "1"})
    with pytest.raises((RefMissing, GitFailed)):
        reader.fetch(repository.url, Wanted("refs/heads/main", "0" * 39 + "1"))


def test_a_branch_that_does_not_exist_is_named(reader: Reader, repository: Repository) -> None:
    repository.commit({"x.yaml": "1"})
    with pytest.raises(RefMissing, match=r"has no branch 'prod'; push it"):
        reader.fetch(repository.url, Wanted("refs/heads/prod"))


def test_a_repository_that_vanished_is_told_in_words_of_git(reader: Reader, tmp_path: Path) -> None:
    with pytest.raises(GitFailed, match="does not appear to be a git repository"):
        reader.fetch(f"file://{tmp_path}/gone.git", MAIN)


def test_a_new_commit_comes_from_the_one_before(reader: Reader, repository: Repository) -> None:
    first = repository.commit({"x.yaml": "1"})
    reader.fetch(repository.url, MAIN)
    second = repository.commit({"x.yaml": "2"})
    assert reader.fetch(repository.url, MAIN) == second
    assert reader.mirror.descends(second, first)


def test_rewritten_history_is_noticed_and_taken(reader: Reader, repository: Repository) -> None:
    repository.commit({"x.yaml": "0"})
    old = repository.commit({"x.yaml": "1"})
    reader.fetch(repository.url, MAIN)
    repository.git("reset", "--quiet", "--hard", "HEAD~1")
    repository.write({"x.yaml": "2"})
    repository.git("commit", "--quiet", "-am", "another way")
    new = repository.push("--force")
    assert reader.fetch(repository.url, MAIN) == new
    assert not reader.mirror.descends(new, old)


def test_a_damaged_mirror_is_made_anew(reader: Reader, repository: Repository) -> None:
    id_ = repository.commit({"x.yaml": "1"})
    (reader.home.parent / "mirror.git").mkdir()
    (reader.home.parent / "mirror.git" / "HEAD").write_text("nonsense")
    with pytest.raises(GitFailed):
        reader.fetch(repository.url, MAIN)
    assert reader.fetch(repository.url, MAIN) == id_


def test_a_lock_that_a_killed_git_left_does_not_last(reader: Reader, repository: Repository) -> None:
    repository.commit({"x.yaml": "1"})
    reader.fetch(repository.url, MAIN)
    (reader.home.parent / "mirror.git" / "shallow.lock").touch()
    new = repository.commit({"x.yaml": "2"})
    with pytest.raises(GitFailed, match="File exists"):
        reader.fetch(repository.url, MAIN)
    assert reader.fetch(repository.url, MAIN) == new


def test_damage_that_is_found_when_a_commit_is_read_does_not_last(
    reader: Reader, repository: Repository
) -> None:
    repository.commit({"x.yaml": "1" * 1000})
    id_ = reader.fetch(repository.url, MAIN)
    (pack,) = (reader.home.parent / "mirror.git" / "objects" / "pack").glob("*.pack")
    pack.chmod(0o600)
    pack.write_bytes(pack.read_bytes()[:12] + b"\0" * (pack.stat().st_size - 12))
    with pytest.raises(GitFailed):
        reader.mirror.files(id_, "")
    assert reader.fetch(repository.url, MAIN) == id_
    assert reader.mirror.files(id_, "") == {"x.yaml": b"1" * 1000}


# Hostile content


@pytest.mark.parametrize("target", ["/etc/passwd", "../../secret.yaml", "x.yaml"])
def test_a_symbolic_link_is_refused(reader: Reader, repository: Repository, target: str) -> None:
    repository.push_tree([("120000", "link.yaml", target)])
    with pytest.raises(BadTree, match=r"link\.yaml is a symbolic link"):
        files(reader, repository)


def test_a_folder_that_is_a_link_is_refused(reader: Reader, repository: Repository) -> None:
    repository.push_tree([("120000", "deploy", "/etc")])
    with pytest.raises(BadTree, match=r"'deploy' is not a folder in commit"):
        files(reader, repository, "deploy")
    with pytest.raises(BadTree, match="deploy is a symbolic link"):
        files(reader, repository)


def test_a_submodule_is_refused_and_not_fetched(reader: Reader, repository: Repository) -> None:
    repository.push_tree(
        [
            ("160000", "other", "1" * 40),
            ("100644", ".gitmodules", '[submodule "other"]\n path = other\n url = ext::sh\n'),
        ]
    )
    with pytest.raises(BadTree, match="other is a submodule"):
        files(reader, repository)


@pytest.mark.parametrize("name", ["..", ".", ".git", ".GIT"])
def test_names_that_lead_out_of_the_tree_are_refused(
    reader: Reader, repository: Repository, name: str
) -> None:
    inner = repository.git("mktree", "-z", stdin=_blob_line(repository, "x.yaml"))
    repository.git("config", "core.protectNTFS", "false")
    repository.push_tree([("040000", name, inner)])
    with pytest.raises(BadTree, match="is no path inside the repository"):
        files(reader, repository)


def _blob_line(repository: Repository, name: str) -> bytes:
    id_ = repository.git("hash-object", "-w", "--stdin", stdin=b"x: 1\n")
    return f"100644 blob {id_}\t{name}\0".encode()


@pytest.mark.parametrize("name", ["a\nb.yaml", "\x1b[2J.yaml", "e\u202evil.yaml"])
def test_names_with_control_characters_are_refused(reader: Reader, repository: Repository, name: str) -> None:
    repository.push_tree([("100644", name, "x: 1")])
    with pytest.raises(BadTree, match="control characters"):
        files(reader, repository)


def test_a_huge_file_is_refused_before_it_is_read(reader: Reader, repository: Repository) -> None:
    repository.commit({"big.yaml": b"a" * (tree.MAX_FILE_BYTES + 1), "small.yaml": "x"})
    with pytest.raises(BadTree, match=r"big\.yaml has 1048577 bytes, and a manifest may have 1048576"):
        files(reader, repository)


def test_a_huge_file_that_is_no_manifest_hinders_nobody(reader: Reader, repository: Repository) -> None:
    repository.commit({"photo.jpg": b"a" * (tree.MAX_FILE_BYTES + 1), "small.yaml": "x"})
    assert files(reader, repository) == {"small.yaml": b"x"}


def test_too_many_manifests_are_refused(reader: Reader, repository: Repository) -> None:
    repository.commit({f"{number}.yaml": "x" for number in range(tree.MAX_FILES + 1)})
    with pytest.raises(BadTree, match="there are 2001 manifests, and a source may have 2000"):
        files(reader, repository)


def test_a_tree_that_multiplies_itself_is_refused(reader: Reader, repository: Repository) -> None:
    """Ten trees of ten names each are ten thousand million paths in one small pack."""
    inner = repository.git("mktree", "-z", stdin=_blob_line(repository, "x.yaml"))
    for _ in range(10):
        lines = b"".join(f"040000 tree {inner}\tfolder{number}\0".encode() for number in range(10))
        inner = repository.git("mktree", "-z", stdin=lines)
    repository.push_tree([("040000", "all", inner)])
    with pytest.raises(BadTree, match="too many files"):
        files(reader, repository)


def test_no_hook_or_filter_runs(reader: Reader, repository: Repository, tmp_path: Path) -> None:
    ran = tmp_path / "ran"
    mirror = reader.home.parent / "mirror.git"
    repository.commit({".gitattributes": "*.yaml filter=evil ident\n", "x.yaml": "$Id$\n"})
    repository.git("config", "filter.evil.smudge", f"touch {ran}")
    for place in (repository.bare / "hooks", mirror / "hooks"):
        place.mkdir(parents=True, exist_ok=True)
        for name in ("post-checkout", "post-upload", "reference-transaction", "pre-receive"):
            (place / name).write_text(f"#!/bin/sh\ntouch {ran}\n")
            (place / name).chmod(0o755)
    assert files(reader, repository) == {"x.yaml": b"$Id$\n"}
    assert not ran.exists()


@pytest.mark.parametrize(
    "url", ["ext::sh -c touch% /tmp/x", "--upload-pack=touch /tmp/x", "fd::17", "git://127.0.0.1/x"]
)
def test_no_other_transport_is_there(reader: Reader, url: str) -> None:
    with pytest.raises(GitFailed):
        reader.mirror.tip(Access(url, {}), MAIN)


def test_git_that_takes_too_long_is_ended(tmp_path: Path) -> None:
    reader = Reader(tmp_path / "slow", timeout_s=0.0)
    with socket.create_server(("127.0.0.1", 0)) as silent:
        url = f"http://127.0.0.1:{silent.getsockname()[1]}/x.git"
        with pytest.raises(GitFailed, match="took longer than 0 s"):
            reader.mirror.tip(Access(url, {}), MAIN)


def test_git_is_ended_when_the_term_is(reader: Reader) -> None:
    reader.stopping.set()
    with socket.create_server(("127.0.0.1", 0)) as silent:
        url = f"http://127.0.0.1:{silent.getsockname()[1]}/x.git"
        with pytest.raises(GitFailed, match="leads no more"):
            reader.mirror.tip(Access(url, {}), MAIN)


def test_a_repository_that_never_ends_is_refused(
    reader: Reader, repository: Repository, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(program, "MAX_FOLDER_BYTES", 2**18)
    monkeypatch.setattr(program, "POLL_S", 0.001)
    repository.commit({"noise": os.urandom(2**22), "x.yaml": "1"})
    with pytest.raises(GitFailed, match="got more than 0 MiB"):
        reader.fetch(repository.url, MAIN)


# Credentials


def test_credentials_are_files_for_their_owner_and_gone_afterwards(tmp_path: Path) -> None:
    with access("https://host/x.git", {"username": b"ada", "password": b"hunter2"}, tmp_path) as reached:
        assert "hunter2" not in str(reached)
        (folder,) = tmp_path.iterdir()
        modes = {path.name: stat.S_IMODE(path.stat().st_mode) for path in folder.iterdir()}
        assert modes == {"username": 0o600, "password": 0o600, "askpass": 0o700}
        assert _asked(reached, "Password for 'https://ada@host': ") == "hunter2"
        assert _asked(reached, "Username for 'https://host': ") == "ada"
    assert list(tmp_path.iterdir()) == []


def _asked(reached: Access, prompt: str) -> str:
    done = subprocess.run([reached.variables["GIT_ASKPASS"], prompt], capture_output=True, check=True)
    return done.stdout.decode()


def test_a_token_is_a_password(tmp_path: Path) -> None:
    with access("https://host/x.git", {"token": b"abc"}, tmp_path) as reached:
        assert _asked(reached, "Password") == "abc"


def test_ssh_knows_the_host_or_refuses(tmp_path: Path) -> None:
    with (
        pytest.raises(BadCredentials, match="has no known_hosts"),
        access("git@host:x.git", {"ssh-privatekey": SSH["ssh-privatekey"]}, tmp_path),
    ):
        pass
    with access("ssh://git@host/x.git", SSH, tmp_path) as reached:
        script = Path(reached.variables["GIT_SSH"]).read_text()
        assert "StrictHostKeyChecking=yes" in script
        assert "BatchMode=yes" in script


@pytest.mark.parametrize("form", ["ssh://git@host{path}", "git@host:{path}"])
def test_ssh_gets_the_key_and_the_known_hosts(
    reader: Reader, repository: Repository, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, form: str
) -> None:
    """In place of ssh stands a script that notes how it was called and runs the command here."""
    programs = tmp_path / "bin"
    programs.mkdir()
    fake = programs / "ssh"
    fake.write_text(f'#!/bin/sh\necho "$@" >> {tmp_path}/called\nfor last; do :; done\nexec sh -c "$last"\n')
    fake.chmod(0o755)
    monkeypatch.setenv("PATH", f"{programs}:{os.environ['PATH']}")
    id_ = repository.commit({"x.yaml": "1"})
    url = form.format(path=repository.bare)
    with access(url, SSH, reader.home) as reached:
        assert reader.mirror.fetch(reached, MAIN, reader.mirror.tip(reached, MAIN)) == id_
    called = (tmp_path / "called").read_text()
    assert "StrictHostKeyChecking=yes" in called
    assert "git@host git-upload-pack" in called


def test_ssh_without_credentials_is_refused_before_anything_starts(tmp_path: Path) -> None:
    with (
        pytest.raises(BadCredentials, match="ssh needs a Secret with ssh-privatekey and known_hosts"),
        access("git@host:x.git", {}, tmp_path),
    ):
        pass


@pytest.mark.parametrize(
    ("url", "values", "words"),
    [
        ("https://host/x", {"username": b"a"}, "needs the keys username and password, or token"),
        ("http://host/x", {"token": b"a"}, "in clear; use an https:// url"),
    ],
)
def test_credentials_that_do_not_fit_are_refused(
    tmp_path: Path, url: str, values: dict[str, bytes], words: str
) -> None:
    with pytest.raises(BadCredentials, match=words), access(url, values, tmp_path):
        pass


# Over HTTP


def test_a_server_that_knows_git_gives_the_last_commits(reader: Reader, repository: Repository) -> None:
    repository.commit({"x.yaml": "1"})
    second = repository.commit({"x.yaml": "2"})
    with smart(repository.bare.parent) as url:
        commit = reader.fetch(f"{url}/deploy.git", MAIN)
        assert (commit, reader.mirror.files(commit, "")) == (second, {"x.yaml": b"2"})


def test_a_server_of_plain_files_is_read_too(reader: Reader, repository: Repository) -> None:
    first = repository.commit({"x.yaml": "1"})
    repository.commit({"x.yaml": "2"})
    repository.git("update-server-info", where=repository.bare)
    with dumb(repository.bare.parent) as url:
        assert reader.fetch(f"{url}/deploy.git", Wanted("refs/heads/main", first)) == first


def test_credentials_open_a_private_repository_and_nothing_else_does(
    reader: Reader, repository: Repository, tmp_path: Path
) -> None:
    id_ = repository.commit({"x.yaml": "1"})
    with smart(repository.bare.parent, ("ada", "hunter2")) as url:
        place = f"{url}/deploy.git"
        with pytest.raises(GitFailed, match="could not read Username"):
            reader.fetch(place, MAIN)
        for password, expected in ((b"wrong", ""), (b"hunter2", id_)):
            with access(place, {"username": b"ada", "password": password}, reader.home) as reached:
                if expected:
                    assert reader.mirror.tip(reached, MAIN) == expected
                    assert reader.mirror.fetch(reached, MAIN, expected) == expected
                else:
                    with pytest.raises(GitFailed, match="Authentication failed"):
                        reader.mirror.tip(reached, MAIN)
    assert not [path for path in tmp_path.rglob("*") if path.is_file() and b"hunter2" in path.read_bytes()]


def test_a_redirect_to_another_server_is_not_followed(reader: Reader, repository: Repository) -> None:
    class Elsewhere(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(302)
            self.send_header("Location", f"http://127.0.0.1:1{self.path}")
            self.end_headers()

        def log_message(self, format: str, *arguments: object) -> None:
            pass

    with (
        serving(ThreadingHTTPServer(("127.0.0.1", 0), Elsewhere)) as url,
        pytest.raises(GitFailed, match="no redirect is followed"),
    ):
        reader.fetch(f"{url}/x.git", MAIN)
