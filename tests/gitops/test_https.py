"""Private repositories over https: a server with certificates of an authority of one's own, and what may not fit."""

import ssl
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from gitops.credentials import access
from gitops.errors import BadCredentials, GitFailed, NotTrusted, SyncError
from gitops.mirror import Wanted
from local.certificates import Issued, issue, make_ca
from tests.gitops.repositories import Reader, Repository
from tests.gitops.server import smart

MAIN = Wanted("refs/heads/main")
NOW = datetime.now(UTC)
CA, STRANGER = make_ca("ours", NOW), make_ca("a stranger's", NOW)
LOGIN = {"username": b"ada", "password": b"hunter2"}
RIGHT = {**LOGIN, "ca.crt": CA.certificate}
Values = dict[str, bytes]


@pytest.fixture
def repository(tmp_path: Path) -> Repository:
    return Repository(tmp_path / "there")


@contextmanager
def served(repository: Repository, folder: Path, leaf: Issued, user: str = "ada") -> Iterator[str]:
    """Serve a repository for a user whose password is hunter2; give its url."""
    (folder / "leaf.pem").write_bytes(leaf.certificate + leaf.key)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(folder / "leaf.pem")
    with smart(repository.bare.parent, (user, "hunter2"), tls=context) as url:
        yield f"{url}/{repository.bare.name}"


def leaf(*, name: str = "127.0.0.1", at: datetime = NOW) -> Issued:
    return issue(CA, "server", "git", [name], at)


def read(url: str, values: Values, folder: Path) -> str:
    reader = Reader(folder)
    with access(url, values, reader.home) as reached:
        return reader.mirror.fetch(reached, MAIN, reader.mirror.tip(reached, MAIN))


@pytest.mark.parametrize(("user", "login"), [("ada", LOGIN), ("git", {"token": b"hunter2\n"})])
def test_a_private_repository_is_read(
    repository: Repository, tmp_path: Path, user: str, login: Values
) -> None:
    id_ = repository.commit({"x.yaml": "1"})
    with served(repository, tmp_path, leaf(), user) as url:
        assert read(url, {**login, "ca.crt": CA.certificate}, tmp_path / "here") == id_


@pytest.mark.parametrize(
    ("certificate", "values", "error", "words"),
    [
        (leaf(), LOGIN, NotTrusted, "into a Secret as ca.crt"),
        (leaf(), {**RIGHT, "ca.crt": STRANGER.certificate}, NotTrusted, "not from the authority in ca.crt"),
        (leaf(), {**RIGHT, "ca.crt": b"none"}, BadCredentials, "ca.crt of the Secret holds no certificate"),
        (leaf(at=NOW - timedelta(days=500)), RIGHT, NotTrusted, "has expired; its owner has to renew it"),
        (leaf(at=NOW + timedelta(days=5)), RIGHT, NotTrusted, "is not valid yet"),
        (leaf(name="git.example.com"), RIGHT, NotTrusted, "is for another name"),
        (leaf(), {**RIGHT, "password": b"hunter3"}, BadCredentials, "does not take the password or token"),
        (leaf(), {"ca.crt": CA.certificate}, BadCredentials, "asks who reads"),
    ],
)  # fmt: skip
def test_what_does_not_fit_is_told_the_same_each_time(
    repository: Repository,
    tmp_path: Path,
    certificate: Issued,
    values: Values,
    error: type[SyncError],
    words: str,
) -> None:
    told = set()
    with served(repository, tmp_path, certificate) as url:
        for number in range(2):
            with pytest.raises(error, match=words) as caught:
                read(url, values, tmp_path / f"try{number}")
            told.add(str(caught.value))
    assert len(told) == 1, "a status would be written at each try"
    assert "hunter" not in "".join(told)


def test_a_server_without_tls_is_told(repository: Repository, tmp_path: Path) -> None:
    with (
        smart(repository.bare.parent) as url,
        pytest.raises(GitFailed, match="does not speak https there"),
    ):
        read(f"{url.replace('http', 'https')}/deploy.git", {}, tmp_path / "here")
