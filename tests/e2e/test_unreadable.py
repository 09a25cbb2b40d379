"""What can't be read is shown and left alone: it is not taken for absent, and stops nothing."""

import json

import pytest

from schemas.keys import task_ref
from schemas.report import NodeReport, TaskReport
from tests.support.cluster import Cluster, sleeper
from tests.support.wait import eventually

pytestmark = [pytest.mark.etcd, pytest.mark.docker]


def test_running_task_whose_object_turns_to_garbage_goes_on(cluster: Cluster) -> None:
    key = cluster.keys.spec(task_ref("default", "garbled"))
    cluster.apply(sleeper("garbled"))
    cluster.wait_running("garbled")
    sign = cluster.sign_of_life("garbled")
    written = cluster.reading(lambda store: store.get(key)).kv
    assert written is not None
    cluster.etcd.ctl("put", key, "not json at all")
    shown = cluster.berth("get", "tasks", "-o", "wide")
    assert shown.code == 0
    assert shown.rows["garbled"][2] == "Unreadable"
    assert "berth delete task/garbled --force" in cluster.berth("describe", "task/garbled").out
    assert cluster.berth("get", "task/garbled", "-o", "json").code == 0
    cluster.apply(sleeper("healthy"))  # everything else goes on
    cluster.wait_running("healthy")
    assert cluster.sign_of_life("garbled") == sign
    refused = cluster.berth("apply", "-f", "-", stdin=sleeper("garbled"))
    assert (refused.code, refused.out) == (1, "")
    assert "--force" in refused.err
    unsure = cluster.berth("delete", "task/garbled")
    assert unsure.code == 1
    assert "--force" in unsure.err
    cluster.put(key, written.value)  # repaired: it is the same task
    cluster.wait_running("garbled")
    eventually(lambda: cluster.berth("get", "task", "garbled").rows["garbled"][2] == "Running")
    assert cluster.sign_of_life("garbled") == sign
    cluster.delete("garbled", "healthy")


def test_unreadable_task_is_removed_when_forced_with_its_container(cluster: Cluster) -> None:
    key = cluster.keys.spec(task_ref("default", "hopeless"))
    cluster.apply(sleeper("hopeless"))
    (status,) = cluster.wait_running("hopeless")
    cluster.etcd.ctl("put", key, '{"half": ')
    assert cluster.berth("delete", "task/hopeless", "--force").code == 0
    eventually(lambda: cluster.containers("hopeless") == [])
    eventually(lambda: not [each for each in cluster.list_keys(cluster.keys.root) if status.uid in each])


def test_wrong_objects_written_with_etcdctl_are_shown_and_harm_nobody(cluster: Cluster) -> None:
    queue = {"apiVersion": "berth/v1", "kind": "Queue", "metadata": {"name": "odd", "uid": "u"}, "spec": {}}
    nameless = {**sleeper("other"), "metadata": {"name": "other", "uid": "u2"}}
    without_uid = sleeper("anonymous")
    wrong = {"odd": queue, "misnamed": nameless, "anonymous": without_uid, "empty": {}, "list": []}
    keys = {name: cluster.keys.spec(task_ref("default", name)) for name in wrong}
    strange = (
        f"{cluster.keys.prefix}/spec/default/tasks/a/b",
        f"{cluster.keys.prefix}/bindings/x",
        f"{cluster.keys.prefix}/z",
    )
    for name, value in wrong.items():
        cluster.etcd.ctl("put", keys[name], json.dumps(value))
    for key in strange:
        cluster.etcd.ctl("put", key, "garbage")
    rows = cluster.berth("get", "tasks").rows
    assert {name: rows[name][2] for name in wrong} == dict.fromkeys(wrong, "Unreadable")
    cluster.apply(sleeper("beside"))
    cluster.wait_running("beside")
    cluster.delete("beside")
    assert [name for name in wrong if cluster.containers(name)] == []
    for key in (*keys.values(), *strange):
        cluster.etcd.ctl("del", key)


def test_garbage_in_an_agents_reports_is_written_anew(cluster: Cluster) -> None:
    cluster.apply(sleeper("reported"))
    (status,) = cluster.wait_running("reported")
    sign = cluster.sign_of_life("reported")
    node = cluster.nodes[0]
    task_key, node_key = cluster.keys.task_report(node, status.uid), cluster.keys.node_report(node)
    cluster.etcd.ctl("put", task_key, "garbage")
    cluster.etcd.ctl("put", node_key, "garbage")
    eventually(lambda: cluster.get(task_key, TaskReport) and cluster.get(node_key, NodeReport))
    assert cluster.status("reported").state == "Running"
    assert cluster.node_condition(node).status == "True"
    assert cluster.sign_of_life("reported") == sign
    cluster.delete("reported")


def test_garbage_in_a_status_is_shown_and_the_container_goes_on(cluster: Cluster) -> None:
    cluster.apply(sleeper("blurred"))
    cluster.wait_running("blurred")
    sign = cluster.sign_of_life("blurred")
    key = cluster.keys.status(task_ref("default", "blurred"))
    written = cluster.reading(lambda store: store.get(key)).kv
    assert written is not None
    cluster.etcd.ctl("put", key, "garbage")
    row = cluster.berth("get", "task/blurred", "-o", "wide").rows["blurred"]
    assert row[2] == "Unreadable"
    assert "status" in row[-1]
    cluster.apply(sleeper("beside"))
    cluster.wait_running("beside")
    assert cluster.sign_of_life("blurred") == sign
    cluster.put(key, written.value)
    cluster.delete("blurred", "beside")
