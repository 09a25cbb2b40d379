"""Why TLS fails, told against a real etcd that wants certificates."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from client.connect import Settings, open_store, unanswered_message
from client.tls_trouble import explain
from local.certificates import Issued, issue, make_ca
from store.errors import StoreError
from tests.support.etcd import EtcdServer, Tls
from tests.support.fixtures import etcd_server, require_etcd

__all__ = ["etcd_server"]

pytestmark = pytest.mark.etcd
NOW = datetime.now(UTC)


@pytest.fixture(scope="module")
def secure(tmp_path_factory: pytest.TempPathFactory) -> Iterator[EtcdServer]:
    require_etcd()
    folder = tmp_path_factory.mktemp("secure")
    with EtcdServer(folder, tls=Tls.create(folder / "tls")) as server:
        yield server


def store_files(folder: Path, name: str, issued: Issued) -> tuple[str, str]:
    cert, key = folder / f"{name}.crt", folder / f"{name}.key"
    cert.write_bytes(issued.certificate)
    key.write_bytes(issued.key)
    return str(cert), str(key)


@pytest.fixture
def good(secure: EtcdServer) -> tuple[str, str, str]:
    """CA, certificate and key that the server takes."""
    assert secure.tls is not None
    cert, key = secure.tls.issue("root")
    return str(secure.tls.ca_file), str(cert), str(key)


@pytest.fixture
def stranger(tmp_path: Path) -> tuple[str, str, str]:
    """CA, certificate and key of another cluster."""
    ca = make_ca("stranger", NOW)
    return store_files(tmp_path, "ca", ca)[0], *store_files(tmp_path, "c", issue(ca, "client", "c", (), NOW))


def test_good_certificates_are_no_trouble(secure: EtcdServer, good: tuple[str, str, str]) -> None:
    assert explain((f"https://{secure.endpoint}",), *good) == ""


def test_wrong_ca_is_told(
    secure: EtcdServer, good: tuple[str, str, str], stranger: tuple[str, str, str]
) -> None:
    told = explain((secure.endpoint,), stranger[0], *good[1:])
    assert f"is not from the CA in {stranger[0]}" in told
    assert "--cacert" in told


def test_certificate_of_another_cluster_is_told(
    secure: EtcdServer, good: tuple[str, str, str], stranger: tuple[str, str, str]
) -> None:
    assert stranger[1] in explain((secure.endpoint,), good[0], *stranger[1:])


def test_missing_client_certificate_is_told(secure: EtcdServer, good: tuple[str, str, str]) -> None:
    assert "give --cert and --key" in explain((secure.endpoint,), good[0], "", "")


def test_expired_certificate_is_told_with_its_end(
    secure: EtcdServer, good: tuple[str, str, str], tmp_path: Path
) -> None:
    then = NOW - timedelta(days=400)
    old = store_files(tmp_path, "old", issue(make_ca("old", then), "client", "c", (), then))
    told = explain((secure.endpoint,), good[0], *old)
    assert old[0] in told
    assert f"expired on {then + timedelta(days=365):%Y-%m-%d}" in told


def test_key_of_another_pair_is_told(
    secure: EtcdServer, good: tuple[str, str, str], stranger: tuple[str, str, str]
) -> None:
    assert "is not that of the certificate" in explain((secure.endpoint,), good[0], good[1], stranger[2])


def test_file_that_is_no_certificate_is_told(
    secure: EtcdServer, good: tuple[str, str, str], tmp_path: Path
) -> None:
    (tmp_path / "no.crt").write_text("hello")
    assert "must be a PEM file" in explain((secure.endpoint,), str(tmp_path / "no.crt"), "", "")
    assert "must be a PEM file" in explain((secure.endpoint,), good[0], good[1], str(tmp_path / "no.crt"))


def test_server_without_tls_is_told(etcd_server: EtcdServer, good: tuple[str, str, str]) -> None:
    assert "does not speak TLS" in explain((etcd_server.endpoint,), *good)


def test_trouble_is_told_with_its_context_when_a_command_fails(
    secure: EtcdServer, good: tuple[str, str, str], stranger: tuple[str, str, str]
) -> None:
    settings = Settings((secure.endpoint,), stranger[0], *good[1:], context="prod", config_file="/c.yaml")
    store = open_store(settings)
    with pytest.raises(StoreError):
        store.get("x")
    store.close()
    told = unanswered_message(settings, "gRPC says no")
    assert told.startswith(f"no connection with etcd at {secure.endpoint}: the certificate of")
    assert told.endswith('give the CA of that cluster with --cacert (context "prod" in /c.yaml)')
    assert "gRPC says no" not in told
    assert "is that cluster up" not in told
