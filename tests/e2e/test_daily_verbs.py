"""The verbs that look and change, at a real cluster: wait, events, label, patch, edit, templates."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.cluster import Cluster, sleeper
from tests.support.wait import eventually

pytestmark = [pytest.mark.etcd, pytest.mark.docker]


@pytest.fixture(scope="module")
def daily(cluster: Cluster) -> Iterator[Cluster]:
    cluster.apply(sleeper("daily", grace="0s"))
    yield cluster
    cluster.delete("daily")


def test_task_is_waited_for_and_looked_at(daily: Cluster) -> None:
    waited = daily.berth("wait", "task/daily", "--for=condition=Ready", "--timeout=60s")
    assert (waited.code, waited.out) == (0, "task/daily condition met\n")
    status = daily.status("daily")
    shown = daily.berth("get", "task/daily", "-o", "jsonpath={.status.node} {.status.containers[0].state}")
    assert shown.out == f"{status.node} Running"
    eventually(lambda: "task/daily" in daily.berth("events", "--for", "task/daily", "--no-headers").out)
    late = daily.berth("wait", "task/daily", "--for=jsonpath={.status.state}=Failed", "--timeout=0")
    assert late.code == 1
    assert "last seen: {.status.state} is Running; see: berth describe task/daily" in late.err


def test_live_changes_disturb_no_container_and_others_replace_it(daily: Cluster, tmp_path: Path) -> None:
    daily.wait_running("daily")
    before = daily.status("daily").containers[0].container_id
    assert daily.berth("label", "task/daily", "by=hand").out == "task/daily labeled\n"
    assert daily.berth("patch", "task/daily", "-p", "{spec: {grace: 1s}}").out == "task/daily patched\n"
    daily.apply(sleeper("daily", grace="0s"))  # the manifest's own field wins, the label stays
    assert daily.berth("get", "tasks", "-l", "by=hand", "-o", "name").out == "task/daily\n"
    assert daily.berth("get", "task/daily", "-o", "jsonpath={.spec.grace}").out == "0s"
    assert daily.status("daily").containers[0].container_id == before
    editor = tmp_path / "editor.sh"
    editor.write_text("#!/bin/sh\nsed -i 's/^spec:/spec:\\n  restartPolicy: OnFailure/' $1\n")
    editor.chmod(0o755)
    edited = daily.berth("edit", "task/daily", EDITOR=str(editor), VISUAL="", BERTH_EDITOR="")
    assert edited.out == "task/daily edited\n", edited.err
    assert "is replaced (stopped and started anew)" in edited.err
    generation = daily.berth("get", "task/daily", "-o", "jsonpath={.metadata.generation}").out
    goal = f"jsonpath={{.status.observedGeneration}}={generation}"
    assert daily.berth("wait", "task/daily", "--for", goal, "--timeout=60s").code == 0
    eventually(lambda: daily.wait_running("daily")[0].containers[0].container_id != before)
