"""Private repositories over ssh: a real sshd, and every way in which it and the Secret may not fit each other."""

import os
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from gitops.credentials import access
from gitops.errors import BadCredentials, NotTrusted, SyncError
from gitops.mirror import Wanted
from gitops.sshkeys import normal, why_unusable
from gitops.trouble import Heard, explain
from sealing.keys import new_key_pair
from tests.client.helpers import KEYS, docs, make_object
from tests.gitops.harness import Sync, config
from tests.gitops.repositories import Reader, Repository
from tests.gitops.sshd import SshServer, find_sshd, host_line, make_key, sshd

MAIN = Wanted("refs/heads/main")
Values = dict[str, bytes]


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SshServer]:
    program = find_sshd()
    if program is None:
        reason = "needs sshd, on Debian of the package openssh-server"
        (pytest.fail if os.environ.get("CI") else pytest.skip)(reason)
    with sshd(tmp_path_factory.mktemp("ssh") / "server", program) as running:
        yield running


@pytest.fixture
def repository(tmp_path: Path) -> Repository:
    return Repository(tmp_path / "there")


def right(server: SshServer) -> Values:
    return {"ssh-privatekey": server.key, "known_hosts": server.known_hosts}


def windows(server: SshServer, folder: Path) -> Values:
    return {name: value.replace(b"\n", b"\r\n") for name, value in right(server).items()}


def read(url: str, values: Values, folder: Path) -> str:
    """Return the commit that is had, as the leader has it."""
    reader = Reader(folder)
    with access(url, values, reader.home) as reached:
        return reader.mirror.fetch(reached, MAIN, reader.mirror.tip(reached, MAIN))


@pytest.mark.parametrize("form", [lambda server, folder: right(server), windows])
def test_a_private_repository_is_read(
    server: SshServer, repository: Repository, tmp_path: Path, form: Callable[[SshServer, Path], Values]
) -> None:
    id_ = repository.commit({"x.yaml": "1"})
    assert read(server.url(repository.bare), form(server, tmp_path), tmp_path / "here") == id_


def other_key(server: SshServer, folder: Path) -> Values:
    return {**right(server), "ssh-privatekey": make_key(folder / "other").read_bytes()}


def locked_key(server: SshServer, folder: Path) -> Values:
    return {**right(server), "ssh-privatekey": make_key(folder / "locked", "open sesame").read_bytes()}


def other_host(server: SshServer, folder: Path) -> Values:
    make_key(folder / "host")
    return {**right(server), "known_hosts": host_line(server.port, folder / "host.pub")}


def no_host(server: SshServer, folder: Path) -> Values:
    return {**right(server), "known_hosts": b"# nobody\n"}


@pytest.mark.parametrize(
    ("values", "error", "words"),
    [
        (other_key, BadCredentials, "does not take the key in ssh-privatekey"),
        (locked_key, BadCredentials, "ssh-privatekey of the Secret has a passphrase"),
        (other_host, NotTrusted, r"shows another key \(SHA256:.+\) than known_hosts"),
        (no_host, NotTrusted, r"has no key of .+ ssh-keyscan -p \d+ 127.0.0.1,"),
    ],
    ids=lambda value: getattr(value, "__name__", None),
)
def test_what_does_not_fit_is_told_at_once_and_the_same_each_time(
    server: SshServer,
    tmp_path: Path,
    values: Callable[[SshServer, Path], Values],
    error: type[SyncError],
    words: str,
) -> None:
    given, told = values(server, tmp_path), set()
    for number in range(2):
        with pytest.raises(error, match=words) as caught:
            read(server.url(tmp_path / "deploy.git"), given, tmp_path / f"try{number}")
        told.add(str(caught.value))
    assert len(told) == 1, "a status would be written at each try"


def test_a_source_says_what_is_wrong_and_is_synced_once_it_is_mended(
    server: SshServer, repository: Repository, tmp_path: Path
) -> None:
    pair = new_key_pair()
    world = Sync(tmp_path, pair)
    world.put(KEYS.cluster, {"clusterUid": "u", "publicKey": pair.public})
    repository.commit({"a.yaml": config("a")})

    def seal(values: Values) -> None:
        texts = {name: value.decode() for name, value in values.items()}
        world.client.apply(docs({**make_object("Secret", "git"), "stringData": texts}))

    seal(other_host(server, tmp_path))
    raw = make_object("GitSource", "app", url=server.url(repository.bare), credentials={"name": "git"})
    world.client.apply(docs(raw))
    world.settle()
    assert world.failure().startswith("NotTrusted: ")
    world.advance(400)  # past the steps in which it counts
    before = world.revision
    world.advance(400)
    assert world.revision == before, "it is tried again and again, and nothing is new"
    seal(right(server))
    world.advance(200)
    assert (world.status().failure, world.objects()) == (
        None,
        ["secrets/default/git", "spec/default/configmaps/a"],
    )


# What is wrong with a key, and what ssh says


def test_a_key_in_the_older_form_that_is_locked_is_known() -> None:
    text = b"-----BEGIN RSA PRIVATE KEY-----\nProc-Type: 4,ENCRYPTED\n\nAAAA\n-----END RSA PRIVATE KEY-----\n"
    assert "has a passphrase" in why_unusable(text)
    assert why_unusable(text.replace(b"Proc-Type: 4,ENCRYPTED\n\n", b"")) == ""


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"ssh-ed25519 AAAA ada", "is the public half of a key"),
        (b"", "is no private key"),
        (b"\xff", "is no private"),
    ],
)
def test_what_is_no_key_is_told(content: bytes, words: str) -> None:
    assert words in why_unusable(content)


def test_a_key_gets_the_line_ends_that_ssh_wants() -> None:
    assert normal(b"\r\na\r\nb") == b"a\nb\n"


@pytest.mark.parametrize(
    ("host", "command"),
    [("git.example.com", "ssh-keyscan git.example.com,"), ("[::1]:2222", "ssh-keyscan -p 2222 ::1,")],
)
def test_the_host_that_is_not_known_is_named_as_its_keys_are_asked_for(host: str, command: str) -> None:
    said = f"No ED25519 host key is known for {host} and you have requested strict checking."
    assert command in str(explain(Heard(said, "ssh://git@x/y"), lambda: ""))


def test_files_that_are_gone_are_not_named() -> None:
    heard = Heard("git fetch: can't use /tmp/access-1/ca", "https://host/x", "/tmp/access-1")
    assert str(explain(heard, lambda: "")) == "git fetch: can't use ca"
