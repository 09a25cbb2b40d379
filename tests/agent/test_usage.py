"""Rates from two readings, and the kernel's counters as files of both versions tell them."""

import asyncio
import threading
from pathlib import Path

import pytest

from agent.errors import RuntimeUnavailable
from agent.runtime.cgroup_usage import cpu_ns, folders_of, memory_bytes
from agent.runtime.usage import ContainerCounters, NodeCounters
from agent.server.access import Refusal
from agent.server.usage import KEEP_S, Reading, SharedSample, UsageMeter, allowed, rates
from tests.agent.builders import make_binding

SECOND_NS = 1_000_000_000


def counters(container_id: str, cpu: int | None, memory: int | None = 1) -> ContainerCounters:
    return ContainerCounters(
        container_id, f"task-{container_id}", f"binding-{container_id}", "main", cpu, memory
    )


def reading(at_s: float, node_ns: int, *containers: ContainerCounters) -> Reading:
    return Reading(at_s, NodeCounters(node_ns, 7), {each.container_id: each for each in containers})


def test_rate_is_what_was_used_between_two_readings() -> None:
    first = reading(10.0, 5 * SECOND_NS, counters("a", SECOND_NS))
    second = reading(12.0, 8 * SECOND_NS, counters("a", SECOND_NS * 3 // 2, 99))
    sample = rates(first, second, "c")
    assert (sample.node.cpu_millis, sample.node.memory_bytes) == (1500, 7)
    assert [(each.cpu_millis, each.memory_bytes) for each in sample.containers] == [(250, 99)]


@pytest.mark.parametrize("before", [(), (counters("a", None),)])
def test_container_without_an_earlier_reading_has_no_rate_yet(before: tuple[ContainerCounters, ...]) -> None:
    sample = rates(reading(0.0, 0, *before), reading(1.0, 0, counters("a", SECOND_NS)), "c")
    assert [each.cpu_millis for each in sample.containers] == [None]


def test_counter_that_went_back_counts_as_nothing_used() -> None:
    sample = rates(reading(0.0, 9, counters("a", 9)), reading(1.0, 3, counters("a", 3)), "c")
    assert (sample.node.cpu_millis, sample.containers[0].cpu_millis) == (0, 0)


class FakeCounters:
    """Counts how often it was read."""

    def __init__(self) -> None:
        self.readings = 0

    def containers(self, cluster: str) -> tuple[ContainerCounters, ...]:
        self.readings += 1
        return (counters("a", self.readings * SECOND_NS),)

    def node(self) -> NodeCounters:
        return NodeCounters(self.readings * SECOND_NS, 0)


def test_nothing_is_read_while_nobody_asks_and_one_sample_serves_all_who_ask_together() -> None:
    source, now = FakeCounters(), [0.0]
    meter = UsageMeter(source, clock=lambda: now[0], sleep=lambda s: now.__setitem__(0, now[0] + s))
    assert source.readings == 0
    first = meter.sample("c")
    assert first is meter.sample("c")
    assert source.readings == 2
    now[0] += KEEP_S
    assert meter.sample("c") is not first
    assert meter.sample("another") is not meter.sample("c")


class SilentCounters(FakeCounters):
    """Of a runtime that does not answer."""

    def containers(self, cluster: str) -> tuple[ContainerCounters, ...]:
        super().containers(cluster)
        raise RuntimeUnavailable("silent")


def test_runtime_that_does_not_answer_is_not_asked_again_at_once() -> None:
    source, now = SilentCounters(), [0.0]
    meter = UsageMeter(source, clock=lambda: now[0], sleep=lambda s: None)
    for _ in range(3):
        with pytest.raises(RuntimeUnavailable, match="silent"):
            meter.sample("c")
    assert source.readings == 1
    now[0] += KEEP_S
    with pytest.raises(RuntimeUnavailable):
        meter.sample("c")
    assert source.readings == 2


class SlowCounters(FakeCounters):
    """Answers only when the test lets it."""

    def __init__(self) -> None:
        super().__init__()
        self.let = threading.Event()

    def containers(self, cluster: str) -> tuple[ContainerCounters, ...]:
        self.let.wait()
        return super().containers(cluster)


async def ask_in_a_crowd(source: SlowCounters) -> int:
    """Let a hundred ask, do other work in a thread meanwhile, and return how many different answers there were."""
    shared = SharedSample(UsageMeter(source, sleep=lambda s: None))
    asking = [asyncio.create_task(shared.get("c")) for _ in range(100)]
    try:
        await asyncio.sleep(0)
        asking[0].cancel()
        async with asyncio.timeout(30):
            await asyncio.to_thread(lambda: None)
    finally:
        source.let.set()
    return len({id(each) for each in await asyncio.gather(*asking[1:])})


def test_crowd_that_asks_for_usage_gets_one_sample_and_leaves_other_work_its_threads() -> None:
    source = SlowCounters()
    assert asyncio.run(ask_in_a_crowd(source)) == 1
    assert source.readings == 2


def test_counters_of_both_versions_are_read(tmp_path: Path) -> None:
    proc = tmp_path / "proc"
    (proc / "7").mkdir(parents=True)
    v1 = tmp_path / "v1"
    for name in ("cpuacct", "memory"):
        (v1 / name / "docker/x").mkdir(parents=True)
    (v1 / "cpuacct/docker/x/cpuacct.usage").write_text("123\n")
    (v1 / "memory/docker/x/memory.usage_in_bytes").write_text("500\n")
    (v1 / "memory/docker/x/memory.stat").write_text("cache 1\ntotal_inactive_file 100\n")
    (proc / "7/cgroup").write_text("9:memory:/docker/x\n2:cpu,cpuacct:/docker/x\n0::/other\n")
    found = folders_of(7, root=v1, proc=proc)
    assert found is not None
    assert (cpu_ns(found), memory_bytes(found)) == (123, 400)
    v2 = tmp_path / "v2"
    (v2 / "docker/x").mkdir(parents=True)
    (v2 / "cgroup.controllers").write_text("cpu memory\n")
    (v2 / "docker/x/cpu.stat").write_text("usage_usec 5\nuser_usec 1\n")
    (v2 / "docker/x/memory.current").write_text("300\n")
    (v2 / "docker/x/memory.stat").write_text("inactive_file 100\n")
    (proc / "7/cgroup").write_text("0::/docker/x\n")
    found = folders_of(7, root=v2, proc=proc)
    assert found is not None
    assert (cpu_ns(found), memory_bytes(found)) == (5000, 200)
    assert folders_of(8, root=v2, proc=proc) is None


def test_figures_of_tasks_need_the_token_of_their_namespace() -> None:
    digest = "2bb80d537b1da3e38bd30361aa855686bde0eacd7162fef6a25fe97bf527a25b"  # of "secret"
    ours = make_binding(access_hash=digest)
    theirs = make_binding(access_hash="other", binding_uid="b2").model_copy(update={"namespace": "other"})
    assert allowed("Bearer secret", ours.namespace, (ours, theirs)) == {ours.binding_uid}
    assert allowed("Bearer secret", "empty", (ours, theirs)) == frozenset()
    for header, namespace, status in (("", ours.namespace, 401), ("Bearer secret", "other", 403)):
        with pytest.raises(Refusal) as refused:
            allowed(header, namespace, (ours, theirs))
        assert refused.value.status == status
