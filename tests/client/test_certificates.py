"""Certificate files as doctor sees them, made by the same tools as a real cluster's."""

from pathlib import Path

import pytest

from client.certificates import common_name, inspect_files
from tests.support.etcd import Tls


@pytest.fixture(scope="module")
def tls(tmp_path_factory: pytest.TempPathFactory) -> Tls:
    made = Tls.create(tmp_path_factory.mktemp("tls"))
    made.issue("me")
    return made


def test_files_that_belong_together_have_no_problem(tls: Tls) -> None:
    cert, key = tls.issue("me")
    key.chmod(0o600)
    found = inspect_files(str(tls.ca_file), str(cert), str(key))
    assert [(each.use, each.error, each.problem) for each in found] == [
        ("cacert", "", ""),
        ("cert", "", ""),
        ("key", "", ""),
    ]
    assert found[1].common_name == common_name(str(cert)) == "me"
    assert 0 < found[1].not_after - found[1].not_before <= 3 * 86_400
    assert found[2].mode == 0o600


def test_foreign_certificate_and_foreign_key_are_told(tls: Tls, tmp_path: Path) -> None:
    other = Tls.create(tmp_path)
    cert, _ = tls.issue("me")
    _, foreign_key = other.issue("me")
    found = inspect_files(str(other.ca_file), str(cert), str(foreign_key))
    assert found[1].problem == f"it was not issued by the CA of {other.ca_file}"
    assert found[2].problem == f"it is not the key of {cert}"


def test_files_that_are_missing_or_garbage_are_told(tmp_path: Path) -> None:
    garbage = tmp_path / "garbage"
    garbage.write_text("no certificate")
    found = inspect_files(str(tmp_path / "none"), str(garbage), str(garbage))
    assert found[0].error == "No such file or directory"
    assert all(each.error for each in found)
