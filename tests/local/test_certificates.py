"""Certificates as `berth up` makes, keeps and renews them."""

import os
import ssl
import stat
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from cryptography import x509

from local.certificates import issue, make_ca
from local.errors import LocalError
from local.files import private_folder, write_private
from local.pki import Pki, ensure

NOW = datetime.now(UTC)
NAMES = ("localhost", "127.0.0.1", "::1", "here")


def read(path: Path) -> x509.Certificate:
    return x509.load_pem_x509_certificate(path.read_bytes())


@pytest.fixture
def pki(tmp_path: Path) -> Pki:
    made = Pki(tmp_path)
    ensure(made, NAMES, NOW)
    return made


def test_first_start_makes_all_of_them_for_one_user_whatever_the_umask(tmp_path: Path) -> None:
    before = os.umask(0)
    try:
        assert len(ensure(Pki(tmp_path), NAMES, NOW)) == 3
    finally:
        os.umask(before)
    modes = {path.name: stat.S_IMODE(path.stat().st_mode) for path in tmp_path.iterdir()}
    pairs = [f"{name}.{kind}" for name in ("ca", "server", "client") for kind in ("crt", "key")]
    assert modes == dict.fromkeys([*pairs, "secrets.key"], 0o600)


def test_good_ones_are_kept(pki: Pki) -> None:
    assert ensure(pki, NAMES, NOW) == ()


def test_leaf_is_renewed_by_the_same_ca_before_it_expires(pki: Pki) -> None:
    ca = pki.ca.read_bytes()
    assert ensure(pki, NAMES, NOW + timedelta(days=330)) == ()
    told = ensure(pki, NAMES, NOW + timedelta(days=340))
    assert ["expires on" in each for each in told] == [True, True]
    assert pki.ca.read_bytes() == ca
    read(pki.client_cert).verify_directly_issued_by(read(pki.ca))


def test_other_names_of_the_machine_renew_the_server_only(pki: Pki) -> None:
    (told,) = ensure(pki, (*NAMES, "192.0.2.9"), NOW)
    assert "server" in told
    assert "other names" in told


@pytest.mark.parametrize("broken", ["ca.crt", "ca.key"])
def test_broken_ca_is_made_anew_with_all_that_it_signed(pki: Pki, broken: str) -> None:
    (pki.folder / broken).write_text("garbage")
    assert len(ensure(pki, NAMES, NOW)) == 3
    assert ensure(pki, NAMES, NOW) == ()


def test_key_of_another_certificate_is_found_as_after_a_crash_between_two_writes(pki: Pki) -> None:
    other = issue(make_ca("other", NOW), "client", "x", (), NOW)
    pki.client_key.write_bytes(other.key)
    assert ["client" in each for each in ensure(pki, NAMES, NOW)] == [True]


def test_server_and_client_shake_hands_and_a_stranger_does_not(pki: Pki, tmp_path: Path) -> None:
    server = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH, cafile=str(pki.ca))
    server.load_cert_chain(pki.server_cert, pki.server_key)
    server.verify_mode = ssl.CERT_REQUIRED
    client = ssl.create_default_context(cafile=str(pki.ca))
    client.load_cert_chain(pki.client_cert, pki.client_key)
    assert shake(server, client, "127.0.0.1") == "ok"
    assert shake(server, client, "localhost") == "ok"
    assert "mismatch" in shake(server, client, "elsewhere")
    stranger = ssl.create_default_context(cafile=str(pki.ca))
    assert shake(server, stranger, "127.0.0.1") != "ok"


def shake(server: ssl.SSLContext, client: ssl.SSLContext, name: str) -> str:
    """Shake hands in memory; return "ok" or what the first of the two to refuse says."""
    up, down = ssl.MemoryBIO(), ssl.MemoryBIO()
    there = server.wrap_bio(up, down, server_side=True)
    here = client.wrap_bio(down, up, server_hostname=name)
    done = [False, False]
    for _ in range(10):
        for index, end in enumerate((here, there)):
            try:
                end.do_handshake()
                done[index] = True
            except ssl.SSLWantReadError:
                continue
            except ssl.SSLError as error:
                return str(error)
    return "ok" if all(done) else "no end"


def test_file_is_replaced_as_a_whole(tmp_path: Path) -> None:
    write_private(tmp_path / "f", b"one")
    write_private(tmp_path / "f", b"two")
    assert [path.name for path in tmp_path.iterdir()] == ["f"]
    assert (tmp_path / "f").read_bytes() == b"two"


def test_folder_that_others_may_enter_is_closed(tmp_path: Path) -> None:
    folder = tmp_path / "a" / "b"
    folder.mkdir(parents=True, mode=0o755)
    private_folder(folder)
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700


def test_file_in_the_place_of_the_folder_is_told(tmp_path: Path) -> None:
    (tmp_path / "f").write_text("")
    with pytest.raises(LocalError, match="--data-dir"):
        private_folder(tmp_path / "f")


def test_ca_whose_key_is_kept_elsewhere_is_never_replaced(pki: Pki) -> None:
    (pki.folder / "ca.key").unlink()
    before = {path.name: path.read_bytes() for path in pki.folder.iterdir()}
    with pytest.raises(LocalError, match=r"ca\.key is not.*--data-dir"):
        ensure(pki, NAMES, NOW)
    assert {path.name: path.read_bytes() for path in pki.folder.iterdir()} == before
