"""What set-up decides and when it installs anew."""

from dataclasses import replace
from pathlib import Path

import pytest

from tools import setup
from tools.setup import Facts, Needs, decide, stamp_text

READY = Facts(
    has_venv=True,
    has_etcd=True,
    has_docker=True,
    has_dockerd=True,
    has_ip=True,
    has_busybox=True,
    is_root=True,
    has_apt=True,
    has_sudo=True,
    python_package="python3.11-venv",
)
BARE = replace(
    READY,
    has_venv=False,
    has_etcd=False,
    has_docker=False,
    has_dockerd=False,
    has_ip=False,
    has_busybox=False,
)


def test_nothing_is_needed_where_all_is_there() -> None:
    assert decide(READY) == Needs()


def test_bare_machine_gets_everything() -> None:
    assert decide(BARE).install == ("python3.11-venv", "etcd-server", "docker.io", "iproute2")
    assert decide(BARE).unpack == ("busybox-static",)
    assert decide(BARE).by_hand == ()


def test_dockerd_is_not_installed_where_a_daemon_answers() -> None:
    needs = decide(replace(BARE, has_docker=True))
    assert needs.install == ("python3.11-venv", "etcd-server")


def test_sudo_serves_as_well_as_root_to_install() -> None:
    needs = decide(replace(READY, has_etcd=False, is_root=False))
    assert needs == Needs(install=("etcd-server",))


def test_etcdctl_is_installed_where_only_the_server_is_there() -> None:
    assert decide(replace(READY, has_etcdctl=False)).install == ("etcd-client",)
    assert decide(replace(READY, has_git=False)).install == ("git",)


def test_a_server_for_ssh_is_for_ci_alone() -> None:
    lacking = replace(READY, has_sshd=False)
    assert decide(lacking) == Needs()
    assert decide(replace(lacking, is_ci=True)).install == ("openssh-server",)


def test_user_without_root_is_told_the_command() -> None:
    needs = decide(replace(READY, has_etcd=False, is_root=False, has_sudo=False))
    assert needs.by_hand == ("as root: apt-get update && apt-get install etcd-server",)


def test_machine_without_apt_is_told_what_to_install() -> None:
    needs = decide(replace(BARE, has_apt=False))
    assert needs.by_hand == (
        "install what these Debian packages hold: python3.11-venv etcd-server docker.io iproute2 busybox-static",
    )


def test_missing_busybox_alone_needs_no_root() -> None:
    assert decide(replace(READY, has_busybox=False, is_root=False, has_sudo=False)).by_hand == ()


def test_user_without_root_needs_a_daemon_that_answers() -> None:
    needs = decide(replace(READY, has_docker=False, is_root=False))
    assert "start Docker" in needs.by_hand[0]


PYPROJECT = '[project]\nname = "x"\n[tool.ruff]\nline-length = {width}\n'


def make_clone(folder: Path, *, width: int = 110, pins: str = "a==1\n") -> Path:
    folder.mkdir(exist_ok=True)
    (folder / "pyproject.toml").write_text(PYPROJECT.format(width=width))
    (folder / "constraints.txt").write_text(pins)
    return folder


def test_stamp_ignores_the_linters_settings(tmp_path: Path) -> None:
    before = stamp_text(make_clone(tmp_path / "a"))
    assert stamp_text(make_clone(tmp_path / "a", width=80)) == before


def test_stamp_changes_with_the_pins(tmp_path: Path) -> None:
    before = stamp_text(make_clone(tmp_path / "a"))
    assert stamp_text(make_clone(tmp_path / "a", pins="a==2\n")) != before


def test_stamp_changes_when_the_clone_moves(tmp_path: Path) -> None:
    assert stamp_text(make_clone(tmp_path / "a")) != stamp_text(make_clone(tmp_path / "b"))


def test_packages_are_not_installed_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    python, stamp = tmp_path / "venv/bin/python", tmp_path / "stamp"
    python.parent.mkdir(parents=True)
    python.touch()
    stamp.write_text(stamp_text())
    monkeypatch.setattr(setup, "VENV", tmp_path / "venv")
    monkeypatch.setattr(setup, "STAMP", stamp)
    monkeypatch.setattr(setup, "_run", lambda *_: pytest.fail("installed again"))
    setup.prepare_packages()
