import socket
import time
from pathlib import Path

import pytest

from client.connect import Settings, open_store, resolve, unreachable_message, with_port
from client.errors import BadOption, Unreachable
from tests.support.ports import free_port
from tests.support.wait import PATIENCE_S


def test_option_wins_over_environment_and_that_over_the_default() -> None:
    environment = {"BERTH_ETCD": "a:1,b:2", "BERTH_NAMESPACE": "team", "BERTH_ROOT": "/x"}
    found = resolve({"namespace": "mine"}, environment)
    assert found == Settings(("a:1", "b:2"), prefix="/x", namespace="mine")
    assert resolve({}, {}).endpoints == ("http://127.0.0.1:2379",)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"etcd": ","}, "--etcd is empty"),
        ({"etcd": "ftp://x:1"}, "not of the form"),
        ({"etcd": "host:port"}, "not of the form"),
        ({"root": "/"}, "--root is empty"),
        ({"cacert": "/no/such/file"}, "there is no such file"),
    ],
)
def test_bad_option_is_told(options: dict[str, str], message: str) -> None:
    with pytest.raises(BadOption, match=message):
        resolve(options, {})


def test_certificate_without_key_is_told(tmp_path: Path) -> None:
    cert = tmp_path / "cert"
    cert.write_text("")
    with pytest.raises(BadOption, match="belong together"):
        resolve({"cert": str(cert)}, {})


def test_port_of_etcd_is_added() -> None:
    assert [with_port(each) for each in ("h", "h:1", "https://h", "http://[::1]:2")] == [
        "h:2379",
        "h:1",
        "https://h:2379",
        "http://[::1]:2",
    ]


def test_dead_endpoints_are_told_at_once() -> None:
    port, start = free_port(), time.monotonic()
    with pytest.raises(Unreachable, match=f"127.0.0.1:{port}.*BERTH_ETCD"):
        open_store(Settings((f"127.0.0.1:{port}",)))
    assert time.monotonic() - start < PATIENCE_S


@pytest.mark.parametrize(
    ("below", "context", "told"),
    [
        ((".local", "share", "berth"), "local", "start it with: berth up"),
        (("data",), "local", "start it with: berth up --data-dir {folder}"),
        (("data",), "mine", "start it with: berth up --data-dir {folder} --context mine"),
    ],
)
def test_cluster_of_berth_up_that_is_down_is_told_with_the_command_that_starts_that_one(
    tmp_path: Path, below: tuple[str, ...], context: str, told: str
) -> None:
    folder = tmp_path.joinpath(*below)
    (folder / "pki").mkdir(parents=True)
    settings = Settings(("https://127.0.0.1:2379",), str(folder / "pki" / "ca.crt"), context=context)
    assert "choose another with: berth config use-context" in unreachable_message(
        settings.endpoints, "x", settings
    )
    (folder / "up.json").write_text("{}")
    said = unreachable_message(settings.endpoints, "x", settings)
    assert said.endswith(told.format(folder=folder))


def test_something_that_listens_and_never_answers_is_told_in_time() -> None:
    from store.errors import Unavailable

    with socket.create_server(("127.0.0.1", 0)) as silent:
        start = time.monotonic()
        store = open_store(Settings((f"127.0.0.1:{silent.getsockname()[1]}",)))
        with pytest.raises(Unavailable):
            store.get("x")
        store.close()
    assert time.monotonic() - start < PATIENCE_S
