"""Small decisions of the tools: subnets, process trees, pins, commands, what the demo reads."""

from ipaddress import IPv4Network
from pathlib import Path

import pytest

from tests.agent.engine import engine, reply
from tools.bridge import bridge_name, free_subnet, parse_routes
from tools.constraints import malformed_lines, pinned_versions, unpinned
from tools.demo import NODE, containers_of_demo, is_ready, task_address
from tools.docker_http import container_labels
from tools.errors import StartError
from tools.leftovers import suspicious
from tools.private import etcd_command, free_ports
from tools.processes import with_descendants
from tools.with_backends import as_exit_code

ROUTES = """\
default via 192.0.2.1 dev eth0
192.0.2.0/24 dev eth0 proto kernel scope link src 192.0.2.2
local 10.213.0.1 dev br0 table local proto kernel scope host
"""


def test_first_subnet_is_taken_where_nothing_is_in_the_way() -> None:
    assert free_subnet([IPv4Network("0.0.0.0/0")]) == IPv4Network("10.213.0.0/24")


def test_subnet_that_overlaps_a_route_is_left_out() -> None:
    assert free_subnet(parse_routes(ROUTES)) == IPv4Network("10.213.1.0/24")


def test_machine_that_uses_the_whole_pool_is_told() -> None:
    with pytest.raises(StartError, match="no free subnet"):
        free_subnet([IPv4Network("10.0.0.0/8")])


def test_routes_are_read_with_and_without_type() -> None:
    assert list(parse_routes(ROUTES)) == [IPv4Network("192.0.2.0/24"), IPv4Network("10.213.0.1/32")]


def test_bridge_name_fits_the_kernel_and_tells_folders_apart() -> None:
    names = {bridge_name(Path(path)) for path in ("/a", "/b", "/" + "long" * 100)}
    assert len(names) == 3
    assert max(map(len, names)) <= 15


def test_descendants_are_found_at_any_depth() -> None:
    parents = {1: 0, 5: 1, 6: 5, 7: 6, 8: 1}
    assert with_descendants({5}, parents) == {5, 6, 7}


def test_free_ports_differ() -> None:
    assert len(set(free_ports(5))) == 5


def test_private_etcd_listens_on_loopback_only() -> None:
    urls = [word for word in etcd_command(Path("/d"), 1, 2) if "listen" in word]
    assert urls == ["--listen-client-urls=http://127.0.0.1:1", "--listen-peer-urls=http://127.0.0.1:2"]


@pytest.mark.parametrize(("returncode", "code"), [(0, 0), (1, 1), (-2, 130), (-15, 143)])
def test_exit_code_is_passed_as_a_shell_would(returncode: int, code: int) -> None:
    assert as_exit_code(returncode) == code


@pytest.mark.parametrize(
    "line", ["a>=1", "a==1 --hash=sha256:0", "# note", "", "-r x", "a @ file:///x", "a==1;x"]
)
def test_line_that_is_no_pin_is_found(line: str) -> None:
    assert malformed_lines(f"b==2.0\n{line}\n") == [line]


def test_dependency_without_pin_is_found() -> None:
    pinned = pinned_versions("Py_YAML==6.0\nb==1\n")
    assert unpinned({"py-yaml": "6.0", "b": "2", "c": "3"}, pinned) == ["b==2", "c==3"]


def test_node_is_ready_by_its_condition() -> None:
    node = {"status": {"conditions": [{"type": "Ready", "status": "True"}]}}
    assert is_ready(node)
    assert not is_ready({"metadata": {"name": "n"}})


def test_address_of_a_task_is_its_hosts_and_the_allotted_port() -> None:
    status = {"hostIP": "192.0.2.2", "ports": [{"containerPort": 8080, "hostPort": 31000}]}
    assert task_address({"status": status}, 8080) == "192.0.2.2:31000"


def test_only_files_of_our_programs_count_as_left() -> None:
    assert suspicious(["/tmp/other", "/tmp/etcd-x", "/root/.berth"]) == ["/root/.berth", "/tmp/etcd-x"]


def test_containers_of_other_clusters_are_not_the_demos() -> None:
    labels = {"a": {"berth.node": NODE}, "b": {"berth.node": "real"}, "c": {"node": NODE}, "d": {}}
    assert containers_of_demo(labels) == ["a"]


def test_containers_are_listed_again_when_one_vanished_meanwhile(tmp_path: Path) -> None:
    gone = reply(b'{"message": "No such container: c1"}', "404 Not Found")
    left = reply(b'[{"Id": "c2", "Labels": {"berth.node": "n1"}}]')
    with engine(tmp_path / "sock", gone, gone, left) as asked:
        assert container_labels(f"unix://{tmp_path}/sock") == {"c2": {"berth.node": "n1"}}
    assert len(asked) == 3
