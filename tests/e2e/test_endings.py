"""How tasks end: well, badly, out of memory, again and again; and what is still known afterwards."""

from collections.abc import Iterator

import pytest

from tests.support.cluster import Cluster, Json, shell_task
from tests.support.wait import eventually

pytestmark = [pytest.mark.etcd, pytest.mark.docker]

EAT = "x=a; while true; do x=$x$x; done"
SMALL = {"resources": {"limits": {"memory": "16Mi"}}}
QUICK = {"initial": "200ms", "factor": 1, "max": "200ms"}
TASKS: tuple[Json, ...] = (
    shell_task("well", "echo done", restartPolicy="Never"),
    shell_task("badly", "echo alas; exit 3", restartPolicy="Never"),
    shell_task("greedy", EAT, restartBackoff=QUICK, container=SMALL),
    shell_task("greedy-child", f"({EAT}); sleep 2; exit 4", restartPolicy="Never", container=SMALL),
    shell_task(
        "flaky",
        "echo attempt $(hostname); [ -e /scratch/3 ] && sleep 3600; "
        "[ -e /scratch/2 ] && touch /scratch/3; [ -e /scratch/1 ] && touch /scratch/2; touch /scratch/1; exit 1",
        restartPolicy="OnFailure",
        restartBackoff=QUICK,
        grace="0s",
        volumes=[{"name": "scratch", "emptyDir": {}}],
        container={"volumeMounts": [{"name": "scratch", "mountPath": "/scratch"}]},
    ),
    shell_task("looping", "exit 7", restartBackoff={"initial": "1s", "factor": 2, "max": "30s"}),
    shell_task("enough", "exit 0", restartPolicy="OnFailure"),
)


@pytest.fixture(scope="module")
def ending(cluster: Cluster) -> Iterator[Cluster]:
    """All of them at once, as each takes its time."""
    cluster.apply(*TASKS)
    yield cluster
    names = [task["metadata"]["name"] for task in TASKS]
    cluster.delete(*names)
    assert cluster.list_keys(f"{cluster.keys.prefix}/spec/default/tasks/") == []
    eventually(lambda: not [name for name in names if cluster.containers(name)])


def test_task_that_ends_well_is_completed_and_keeps_its_log(ending: Cluster) -> None:
    status = ending.wait_state("well", "Succeeded")
    assert (status.containers[0].exit_code, status.containers[0].reason) == (0, "Completed")
    assert ending.berth("get", "task/well").rows["well"][1:4] == ["0/1", "Completed", "0"]
    assert ending.berth("logs", "well").out == "done\n"
    ending.wait_state("enough", "Succeeded")


def test_task_that_ends_badly_is_an_error_and_keeps_its_log(ending: Cluster) -> None:
    status = ending.wait_state("badly", "Failed")
    assert (status.containers[0].exit_code, status.containers[0].oom) == (3, False)
    assert ending.berth("get", "task/badly").rows["badly"][2] == "Error"
    assert ending.berth("logs", "badly").out == "alas\n"
    told = ending.berth("describe", "task/badly").out
    assert "exit code 3" in told
    assert ending.berth("logs", "badly", "-p").code == 1


def test_finished_task_is_not_started_again_and_a_change_starts_it_anew(ending: Cluster) -> None:
    before = ending.wait_state("well", "Succeeded")
    ending.apply(TASKS[0])  # as it is
    ending.apply(shell_task("well", "echo again", restartPolicy="Never"))
    ending.wait_state("well", "Succeeded", epoch=before.epoch + 1)
    assert ending.berth("logs", "well").out == "again\n"
    eventually(lambda: len(ending.containers("well")) == 1)


def test_want_of_memory_is_told_apart_from_a_plain_failure(ending: Cluster) -> None:
    status = ending.wait_state("greedy-child", "Failed")
    ended = status.containers[0]
    assert (ended.exit_code, ended.oom, ended.reason) == (4, True, "OOMKilled")
    assert ending.berth("get", "task", "greedy-child").rows["greedy-child"][2] == "OOMKilled"


def test_want_of_memory_of_the_main_process_is_told_of_its_attempts(ending: Cluster) -> None:
    """Of one of them: when the container ends with the kill, Docker loses the news of it now and then."""

    def told() -> bool:
        last = ending.status("greedy").containers[0].last_exit
        return last is not None and (last.exit_code, last.oom, last.reason) == (137, True, "OOMKilled")

    eventually(told)


def test_failing_task_is_restarted_in_place_until_it_goes_on(ending: Cluster) -> None:
    def third_attempt() -> bool:
        container = ending.status("flaky").containers[0]
        return container.state == "Running" and container.attempt == 3

    eventually(third_attempt)
    status = ending.status("flaky")
    assert status.epoch == 1
    assert ending.berth("get", "task", "flaky").rows["flaky"][2:4][0] == "Running"
    assert ending.berth("get", "task", "flaky").rows["flaky"][3].startswith("3 (")
    before = ending.berth("logs", "flaky", "-p").out
    assert before.startswith("attempt ")
    assert before != ending.berth("logs", "flaky").out


def test_task_that_fails_again_and_again_waits_longer_each_time(ending: Cluster) -> None:
    ending.wait_reason("looping", "CrashLoopBackOff")

    def ends() -> list[str]:
        return [each["State"]["FinishedAt"] for each in ending.containers("looping")]

    eventually(lambda: ending.status("looping").containers[0].attempt >= 3)
    shown = eventually(
        lambda: (
            (row := ending.berth("get", "task", "looping", "-o", "wide").rows["looping"])[2]
            == "CrashLoopBackOff"
            and row
        )
    )
    assert "exit code 7" in shown[-1]
    # The newest, and the one before it for `logs -p`; a third only until a new attempt runs.
    eventually(lambda: len(ends()) == 2)
    ending.wait_state("looping", "Running")
