"""What one of several agents on a host offers."""

from pathlib import Path

from agent.options import AgentOptions
from agent.resources import HostFacts, at_most, share_of, share_of_devices

MIB = 2**20


def test_capacity_is_lowered_and_never_raised() -> None:
    host = {"cpu": 4000, "memory": 8 * MIB}
    assert at_most(host, {"cpu": 2000, "memory": 16 * MIB, "gpu": 1}) == {"cpu": 2000, "memory": 8 * MIB}


def test_shares_are_whole_and_together_no_more_than_the_host() -> None:
    shares = [share_of({"cpu": 1000, "memory": 10 * MIB, "disk": 11 * MIB}, (k, 3)) for k in (1, 2, 3)]
    assert shares == [{"cpu": 333, "memory": 3 * MIB, "disk": 3 * MIB}] * 3


def test_each_device_belongs_to_one_agent() -> None:
    devices = tuple("abcde")
    assert [share_of_devices(devices, (k, 2)) for k in (1, 2)] == [("a", "c", "e"), ("b", "d")]


def test_reserve_is_shared_too(tmp_path: Path) -> None:
    alone = AgentOptions(node="n", gpus=("none",), capacity={"cpu": 1000, "memory": 400 * MIB})
    half = AgentOptions(
        node="n",
        gpus=("none",),
        capacity={"cpu": 1000, "memory": 400 * MIB},
        share=(1, 2),
        resources={"slots": 3},
    )
    whole, part = HostFacts(alone, tmp_path)(""), HostFacts(half, tmp_path)("")
    assert whole.allocatable == {"cpu": 900, "memory": 380 * MIB}
    assert part.allocatable == {"cpu": 450, "memory": 190 * MIB, "slots": 3}
