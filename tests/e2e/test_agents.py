"""Agents that crash, stop, share a name or die with their host: containers are disturbed only where they must be."""

from collections.abc import Iterator

import pytest

from tests.e2e.conftest import Breakable
from tests.support.cluster import Cluster, Component, shell_task, sleeper
from tests.support.wait import eventually

pytestmark = [pytest.mark.etcd, pytest.mark.docker]


@pytest.fixture
def agent(breakable: Breakable) -> Iterator[tuple[Cluster, Component, str]]:
    """The cluster, its agent and that agent's node; the agent runs again afterwards."""
    cluster = breakable.cluster
    component = cluster.components["agent"]
    yield cluster, component, cluster.nodes[0]
    if component.process is None:
        component.start()
    cluster.wait_ready(cluster.nodes[0])


def test_containers_are_not_disturbed_when_the_agent_crashes_and_returns(
    agent: tuple[Cluster, Component, str],
) -> None:
    cluster, component, node = agent
    cluster.apply(sleeper("kept"), shell_task("ending", "sleep 3600", restartPolicy="Never"))
    before, _ = cluster.wait_running("kept", "ending")
    sign, ending = cluster.sign_of_life("kept"), cluster.container("ending")["Id"]
    component.kill()
    eventually(lambda: cluster.node_condition(node).reason == "HeartbeatLost")
    eventually(lambda: cluster.berth("get", "tasks").rows["kept"][2] == "Unknown")
    logs = cluster.berth("logs", "kept")
    assert (logs.code, logs.out) == (1, "")
    assert "does not answer" in logs.err
    cluster.docker.kill(ending)
    assert cluster.sign_of_life("kept") == sign
    component.start()
    cluster.wait_ready(node)
    cluster.wait_state("ending", "Failed")  # what ended meanwhile is found
    after = cluster.wait_state("kept", "Running", epoch=before.epoch)
    assert after.binding_uid == before.binding_uid
    assert cluster.sign_of_life("kept") == sign
    cluster.delete("kept", "ending")


def test_agent_that_stops_in_good_order_says_so_and_its_containers_go_on(
    agent: tuple[Cluster, Component, str],
) -> None:
    cluster, component, node = agent
    cluster.apply(sleeper("kept"))
    cluster.wait_running("kept")
    sign = cluster.sign_of_life("kept")
    assert component.terminate() == 0
    eventually(lambda: cluster.node_condition(node).reason == "AgentStopped")
    assert cluster.berth("get", "nodes").rows[node][1] in ("NotReady", "Unknown")
    assert "its containers go on" in cluster.berth("describe", "node", node).out
    assert cluster.sign_of_life("kept") == sign
    component.start()
    cluster.wait_ready(node)
    cluster.wait_running("kept")
    assert cluster.sign_of_life("kept") == sign
    cluster.delete("kept")


def test_second_agent_of_a_name_refuses_and_says_who_holds_it(agent: tuple[Cluster, Component, str]) -> None:
    cluster, _, node = agent
    same_name = cluster.start_agent("impostor", node=node)
    assert same_name.ends() == 1
    holder = cluster.node_report(node).node_uid
    assert f"Error: the name {node} belongs to node uid {holder}" in same_name.text
    assert "start with another --node" in same_name.text
    assert "Traceback" not in same_name.text
    state = str(cluster.folder / "state-agent")
    same_folder = cluster.start_agent("lodger", "--state-dir", state, node=node)
    assert same_folder.ends() == 1
    assert f"another agent uses the state folder {state}" in same_folder.text
    cluster.wait_ready(node)
    assert cluster.node_report(node).node_uid == holder


def test_tasks_of_a_dead_host_run_elsewhere_and_old_copies_end_when_it_returns(breakable: Breakable) -> None:
    cluster = breakable.cluster
    agents = {
        component.command[component.command.index("--node") + 1]: component
        for component in (cluster.start_agent(f"pair-{side}", "--label", "pair=yes") for side in "ab")
    }
    cluster.wait_ready(*agents)
    spec = {"nodeSelector": {"pair": "yes"}, "unreachable": {"rescheduleAfter": "2s"}}
    cluster.apply(sleeper("moving", **spec), sleeper("copied", **spec))
    first, second = cluster.wait_running("moving", "copied")
    assert first.node == second.node
    other = next(name for name in agents if name != first.node)
    agents[first.node].kill()  # the host is dead as far as anybody can tell:
    cluster.docker.remove_container(cluster.container("moving")["Id"], force=True)  # ... for this one it is
    for name in ("moving", "copied"):
        status = cluster.wait_state(name, "Running", node=other, epoch=2)
        assert status.previous_node == first.node
    signs = [cluster.containers(name, node=other)[0]["Id"] for name in ("moving", "copied")]
    agents[first.node].start()
    cluster.wait_ready(first.node)
    eventually(lambda: cluster.containers(node=first.node) == [])
    eventually(lambda: cluster.bindings(first.node) == [])
    assert [cluster.container(name)["Id"] for name in ("moving", "copied")] == signs
    cluster.delete("moving", "copied")
    for name, component in agents.items():
        assert component.terminate() == 0
        cluster.delete_node(name)


@pytest.mark.slow
def test_task_of_a_node_that_is_fenced_moves_at_once(breakable: Breakable) -> None:
    cluster = breakable.cluster
    lost = cluster.start_agent("doomed")
    node = cluster.nodes[-1]
    cluster.wait_ready(node)
    assert cluster.berth("cordon", cluster.nodes[0]).code == 0  # so that it goes to the other node
    cluster.apply(sleeper("patient", unreachable={"rescheduleAfter": "10m"}))
    (before,) = cluster.wait_running("patient")
    assert before.node == node
    assert cluster.berth("uncordon", cluster.nodes[0]).code == 0
    refused = cluster.berth("node", "fence", node)
    assert (refused.code, refused.out) == (1, "")
    assert "is alive" in refused.err
    lost.kill()
    cluster.remove_containers(node)
    eventually(lambda: cluster.node_condition(node).status == "Unknown")
    assert cluster.status("patient").node == node
    assert cluster.berth("node", "fence", node).out == f"node/{node} fenced\n"
    cluster.wait_state("patient", "Running", node=cluster.nodes[0], epoch=2)
    cluster.delete_node(node)
    cluster.delete("patient")
