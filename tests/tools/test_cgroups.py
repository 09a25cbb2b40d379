"""Room for limits inside of a container, and no trace at the end."""

from pathlib import Path

from tools.cgroups import make_room, remove_cgroups


def make_version_2(root: Path, *, is_root_group: bool) -> None:
    (root / "cgroup.controllers").write_text("cpu memory pids\n")
    (root / "cgroup.procs").write_text("17\n")
    (root / "cgroup.subtree_control").write_text("")
    if not is_root_group:
        (root / "cgroup.type").write_text("domain\n")


def test_processes_make_room_inside_of_a_container(tmp_path: Path) -> None:
    make_version_2(tmp_path, is_root_group=False)
    make_room(tmp_path)
    assert (tmp_path / "init/cgroup.procs").read_text() == "17"
    assert (tmp_path / "cgroup.subtree_control").read_text() == "+cpu +memory +pids"


def test_machine_proper_is_left_alone(tmp_path: Path) -> None:
    make_version_2(tmp_path, is_root_group=True)
    make_room(tmp_path)
    assert not (tmp_path / "init").exists()


def test_version_1_is_left_alone(tmp_path: Path) -> None:
    make_room(tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_groups_are_removed_in_both_versions(tmp_path: Path) -> None:
    (tmp_path / "berth-1/container").mkdir(parents=True)
    (tmp_path / "memory/berth-1/container").mkdir(parents=True)
    (tmp_path / "memory/other").mkdir()
    remove_cgroups("berth-1", tmp_path)
    assert sorted(str(path.relative_to(tmp_path)) for path in tmp_path.rglob("*")) == [
        "memory",
        "memory/other",
    ]
