"""A real etcd for tests: start, pause, kill, restart, restore, with TLS, users and a quota if asked.

    with EtcdServer(tmp_path) as server:
        store = server.store()

It listens on free ports of the loopback and leaves nothing behind but its folder. The ticks are short, so
that it elects itself, and lets leases expire, soon.
"""

import os
import shutil
import signal
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any

from store.errors import StoreError
from store.etcd import EtcdOptions, EtcdStore
from tests.support.ports import free_port
from tests.support.wait import eventually

START_TIMEOUT_S = 60.0
HEARTBEAT_MS = 20
ELECTION_MS = 200
CLUSTER_MS = (
    100,
    1000,
)  # heartbeat and election of several members, which a busy machine must not keep electing


@dataclass(frozen=True)
class Tls:
    """Files of a certificate authority, of the server, and where to make client certificates."""

    folder: Path

    @classmethod
    def create(cls, folder: Path) -> "Tls":
        folder.mkdir(parents=True, exist_ok=True)
        tls = cls(folder)
        _openssl(
            folder,
            "req",
            "-x509",
            "-newkey",
            "ec",
            "-pkeyopt",
            "ec_paramgen_curve:P-256",
            "-nodes",
            "-keyout",
            "ca.key",
            "-out",
            "ca.crt",
            "-subj",
            "/CN=test-ca",
            "-days",
            "2",
        )
        tls.issue("server", extensions="subjectAltName=IP:127.0.0.1,DNS:localhost")
        return tls

    def issue(self, name: str, *, extensions: str = "extendedKeyUsage=clientAuth") -> tuple[Path, Path]:
        """Return the files of a certificate whose common name is `name`, and of its key; made once."""
        if (self.folder / f"{name}.crt").exists():
            return self.folder / f"{name}.crt", self.folder / f"{name}.key"
        (self.folder / f"{name}.ext").write_text(extensions)
        _openssl(
            self.folder,
            "req",
            "-newkey",
            "ec",
            "-pkeyopt",
            "ec_paramgen_curve:P-256",
            "-nodes",
            "-keyout",
            f"{name}.key",
            "-out",
            f"{name}.csr",
            "-subj",
            f"/CN={name}",
        )
        _openssl(
            self.folder,
            "x509",
            "-req",
            "-in",
            f"{name}.csr",
            "-CA",
            "ca.crt",
            "-CAkey",
            "ca.key",
            "-CAcreateserial",
            "-out",
            f"{name}.crt",
            "-days",
            "2",
            "-extfile",
            f"{name}.ext",
        )
        return self.folder / f"{name}.crt", self.folder / f"{name}.key"

    @property
    def ca_file(self) -> Path:
        return self.folder / "ca.crt"


class EtcdServer:
    """One etcd member. `with` starts it and ends it; what happens to it in between is up to the test."""

    def __init__(
        self, folder: Path, *, tls: Tls | None = None, quota_bytes: int = 0, flags: tuple[str, ...] = ()
    ) -> None:
        self.folder = folder
        self.tls = tls
        self._flags = (*flags, f"--quota-backend-bytes={quota_bytes}") if quota_bytes else flags
        self._client_port, self._peer_port = free_port(), free_port()
        self._cluster = f"test={self._peer_url}"
        self._name = "test"
        self._ticks_ms = (HEARTBEAT_MS, ELECTION_MS)
        self._process: subprocess.Popen[bytes] | None = None
        self._stores: list[EtcdStore] = []

    @property
    def endpoint(self) -> str:
        return f"127.0.0.1:{self._client_port}"

    def __enter__(self) -> "EtcdServer":
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for store in self._stores:
            store.close()
        self.kill()

    @classmethod
    @contextmanager
    def cluster(cls, folder: Path, size: int) -> Iterator[tuple["EtcdServer", ...]]:
        """Run a cluster of so many members."""
        members = tuple(cls(folder / str(number)) for number in range(size))
        for number, member in enumerate(members):
            member._name = f"m{number}"
            member._ticks_ms = CLUSTER_MS
        for member in members:
            member._cluster = ",".join(f"{each._name}={each._peer_url}" for each in members)
        try:
            for member in members:
                member.launch()
            for member in members:
                member.wait_until_healthy()
            yield members
        finally:
            for member in members:
                member.__exit__(None, None, None)

    def store(self, **options: Any) -> EtcdStore:
        """Return a client that is closed with the server. options: those of EtcdOptions."""
        if self.tls and "cert_file" not in options:
            cert, key = self.tls.issue("root")
            options |= {"cert_file": cert, "key_file": key}
        if self.tls:
            options.setdefault("ca_file", self.tls.ca_file)
        store = EtcdStore(EtcdOptions(**({"endpoints": (self.endpoint,)} | options)))
        self._stores.append(store)
        return store

    # What happens to a server

    def start(self) -> None:
        """Start with the data that is there, and wait until it answers."""
        self.launch()
        self.wait_until_healthy()

    def launch(self) -> None:
        """Start without waiting: a member of a cluster is healthy once most of them run."""
        self.folder.mkdir(parents=True, exist_ok=True)
        with (self.folder / "etcd.log").open("ab") as log:
            self._process = subprocess.Popen(self._command(), stdout=log, stderr=log)

    def kill(self) -> None:
        """End it at once, as a power cut does."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            self._process = None

    def restart(self) -> None:
        self.kill()
        self.start()

    def pause(self) -> None:
        """Stop it from answering while its connections stay open."""
        self._signal(signal.SIGSTOP)
        eventually(self._stands_still)  # a busy machine takes its time to stop each thread

    def resume(self) -> None:
        self._signal(signal.SIGCONT)

    def snapshot(self, path: Path) -> None:
        self.ctl("snapshot", "save", str(path))

    def restore(self, path: Path) -> None:
        """Replace the data by that of a snapshot and start again, as an operator does with a backup."""
        self.kill()
        shutil.rmtree(self.folder / "data")
        self.ctl(
            "snapshot",
            "restore",
            str(path),
            "--data-dir",
            str(self.folder / "data"),
            "--name",
            self._name,
            "--initial-cluster",
            self._cluster,
            "--initial-advertise-peer-urls",
            self._peer_url,
        )
        self.start()

    def files(self) -> bytes:
        """Return all that its files hold; some come and go meanwhile."""
        found = []
        for path in sorted(self.folder.rglob("*")):
            with suppress(FileNotFoundError, IsADirectoryError):
                found.append(path.read_bytes())
        return b"\n".join(found)

    def ctl(self, *args: str, user: str = "") -> str:
        """Run etcdctl and return what it prints."""
        command = ["etcdctl", f"--endpoints={self._client_url}", *((f"--user={user}",) if user else ())]
        if self.tls:
            cert, key = self.tls.issue("root")
            command += [f"--cacert={self.tls.ca_file}", f"--cert={cert}", f"--key={key}"]
        done = subprocess.run(
            [*command, *args],
            env=os.environ | {"ETCDCTL_API": "3"},
            capture_output=True,
            text=True,
            timeout=30,
            check=False,
        )
        if done.returncode:
            raise AssertionError(f"etcdctl {' '.join(args)} failed: {done.stderr}")
        return done.stdout

    def enable_users(self, grants: dict[str, tuple[tuple[str, str], ...]]) -> None:
        """Turn on etcd's users. grants: user -> ((right, prefix or key), ...); the password is the name."""
        self.ctl("user", "add", "root:root")
        self.ctl("user", "grant-role", "root", "root")
        for user, rights in grants.items():
            self.ctl("user", "add", f"{user}:{user}")
            self.ctl("role", "add", user)
            for right, key in rights:
                is_prefix = ("--prefix=true",) if key.endswith("/") else ()
                self.ctl("role", "grant-permission", *is_prefix, user, right, key)
            self.ctl("user", "grant-role", user, user)
        self.ctl("auth", "enable")

    @property
    def _scheme(self) -> str:
        return "https" if self.tls else "http"

    @property
    def _client_url(self) -> str:
        return f"{self._scheme}://{self.endpoint}"

    @property
    def _peer_url(self) -> str:
        return f"http://127.0.0.1:{self._peer_port}"

    def _command(self) -> list[str]:
        heartbeat_ms, election_ms = self._ticks_ms
        command = [
            "etcd", f"--name={self._name}", f"--data-dir={self.folder / 'data'}",
            f"--listen-client-urls={self._client_url}", f"--advertise-client-urls={self._client_url}",
            f"--listen-peer-urls={self._peer_url}", f"--initial-advertise-peer-urls={self._peer_url}",
            f"--initial-cluster={self._cluster}", "--logger=zap", "--log-level=warn", "--bcrypt-cost=4",
            f"--heartbeat-interval={heartbeat_ms}", f"--election-timeout={election_ms}", *self._flags,
        ]  # fmt: skip
        if self.tls:
            folder = self.tls.folder
            command += [f"--cert-file={folder / 'server.crt'}", f"--key-file={folder / 'server.key'}",
                        f"--trusted-ca-file={self.tls.ca_file}", "--client-cert-auth"]  # fmt: skip
        return command

    def wait_until_healthy(self) -> None:
        """Wait for a linearizable answer: a port that listens may still be without a leader."""
        deadline = time.monotonic() + START_TIMEOUT_S
        while True:
            if self._process is None or self._process.poll() is not None:
                raise AssertionError(f"etcd ended: {(self.folder / 'etcd.log').read_text()[-2000:]}")
            if self._listens() and self._answers():
                return
            if time.monotonic() > deadline:
                raise AssertionError(f"etcd is silent: {(self.folder / 'etcd.log').read_text()[-2000:]}")
            time.sleep(0.02)

    def _listens(self) -> bool:
        with socket.socket() as probe:
            return probe.connect_ex(("127.0.0.1", self._client_port)) == 0

    def _answers(self) -> bool:
        """Read through the log of raft: without users, a read; with users, being refused one will do."""
        store = self.store(timeout_s=2.0)
        try:
            store.get("health")
        except StoreError as error:
            return "user name is empty" in str(error) or "permission denied" in str(error)
        finally:
            self._stores.remove(store)
            store.close()
        return True

    def _stands_still(self) -> bool:
        assert self._process is not None
        threads = Path(f"/proc/{self._process.pid}/task").iterdir()
        return all((each / "stat").read_text().rpartition(")")[2].split()[0] == "T" for each in threads)

    def _signal(self, number: signal.Signals) -> None:
        assert self._process is not None
        self._process.send_signal(number)


def _openssl(folder: Path, *args: str) -> None:
    subprocess.run(["openssl", *args], cwd=folder, check=True, capture_output=True, timeout=30)
