"""What a program gets beside the verbs: one light import, typed objects, any form of document, waiting for a fact."""

import subprocess
import sys

import pytest

import client
from client import (
    Container,
    InvalidManifest,
    ObjectMeta,
    Queue,
    QueueSpec,
    Task,
    TaskSpec,
    TaskState,
    documents,
    quantities,
)
from client.errors import BadOption, ObjectUnreadable, TimedOut, Unreachable
from schemas.node import NodeSpec
from tests.client.helpers import World, make_object, make_task
from tests.support.etcd import EtcdServer
from tests.support.fixtures import etcd_server
from tests.support.ports import free_port
from tools import CLONE

__all__ = ["etcd_server"]

WEB = Task(
    api_version="berth/v1",
    kind="Task",
    metadata=ObjectMeta(name="web"),
    spec=TaskSpec(containers=(Container(name="main", image="berth/demo:1"),), grace=90.0),
)

# The import


def test_import_loads_nothing_heavy() -> None:
    heavy = ("pydantic", "grpc", "yaml", "typer", "websockets")
    code = f"import sys, client; print([each for each in {heavy} if each in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], cwd=CLONE, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_every_name_that_is_offered_can_be_imported() -> None:
    assert [name for name in dir(client) if getattr(client, name) is None] == []
    assert "Client" in dir(client)
    with pytest.raises(AttributeError, match="no attribute 'Nothing'"):
        _ = client.Nothing


# Documents


def test_model_mapping_and_text_become_documents_of_the_same_object() -> None:
    raw = make_task("web", grace="1m30s")
    text = "apiVersion: berth/v1\nkind: Task\nmetadata: {name: web}\nspec:\n  grace: 1m30s\n"
    text += "  containers: [{name: main, image: 'berth/demo:1'}]\n"
    (model,), (mapping,), (yaml,) = documents(WEB), documents(raw), documents(text)
    assert model.raw == mapping.raw == yaml.raw


def test_of_a_model_only_what_was_set_is_written() -> None:
    (document,) = documents(WEB)
    assert document.raw["spec"].keys() == {"containers", "grace"}
    assert document.raw["spec"]["containers"] == [{"name": "main", "image": "berth/demo:1"}]


def test_namespace_is_that_of_the_objects_that_name_none() -> None:
    first, second = documents(WEB, make_task("other", "team-b"), namespace="team-a")
    assert (first.ref.namespace, second.ref.namespace) == ("team-a", "team-b")


def test_every_problem_is_told_with_the_number_of_its_object() -> None:
    with pytest.raises(InvalidManifest) as caught:
        documents(WEB, make_task("Wrong"), make_task("x", nothing=1))
    said = str(caught.value)
    assert "object 2" in said
    assert "object 3" in said
    assert "object 1" not in said


# Typed objects


def test_what_was_applied_is_read_back_as_a_model(world: World) -> None:
    queue = Queue(
        api_version="berth/v1",
        kind="Queue",
        metadata=ObjectMeta(name="batch"),
        spec=QueueSpec(weight=2.0, limit=quantities({"example.com/fpga": 1}, cpu="500m")),
    )
    assert queue.spec.limit == {"cpu": 500, "example.com/fpga": 1}
    world.client.apply(documents(WEB, queue))
    assert world.client.get("tasks", "web").task.spec.grace == 90.0
    assert world.client.get("queues", "batch").parsed == queue.model_copy(
        update={"metadata": world.client.get("queues", "batch").parsed.metadata}
    )


def test_node_that_nobody_wrote_has_the_spec_of_the_defaults(world: World) -> None:
    world.add_node("n1")
    view = world.client.get("nodes", "n1")
    assert view.node.spec == NodeSpec()
    assert view.report is not None
    with pytest.raises(TypeError, match="Node n1 is no Task"):
        _ = view.task


def test_object_that_can_not_be_read_says_so(world: World) -> None:
    world.put("/berth/spec/default/tasks/broken", b"{")
    with pytest.raises(ObjectUnreadable, match="task/broken can't be read: not JSON"):
        _ = world.client.get("tasks", "broken").task


# Waiting


def is_running(view: client.ObjectView) -> bool:
    return view.task_status is not None and view.task_status.state is TaskState.RUNNING


def test_wait_returns_the_object_of_which_it_is_so(world: World) -> None:
    world.while_waiting = [
        lambda: world.apply(make_task("web")),
        lambda: world.set_status("web", state="Running"),
    ]
    assert is_running(world.client.wait_for("tasks", "web", is_running))


def test_wait_gives_up_in_time(world: World) -> None:
    world.client.apply(documents(make_object("Queue", "batch")))
    with pytest.raises(TimedOut, match="30 s waiting for queue/batch"):
        world.client.wait_for("queues", "batch", lambda view: view.labels, timeout_s=30)


# Connecting


@pytest.mark.etcd
def test_connect_takes_what_is_given_then_the_environment(
    etcd_server: EtcdServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("BERTH_ETCD", etcd_server.endpoint)
    monkeypatch.setenv("BERTH_NAMESPACE", "team-a")
    with client.Client.connect(root="/program") as made:
        assert made.keys.prefix == "/program"
        assert made.namespace == "team-a"
        assert made.server().version.startswith("3.")
    with pytest.raises(Unreachable, match="does not answer"):
        client.Client.connect(f"127.0.0.1:{free_port()}")
    with pytest.raises(BadOption, match="belong together"):
        client.Client.connect(cert=__file__)
