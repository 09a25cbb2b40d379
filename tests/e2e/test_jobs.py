"""Jobs and CronJobs with real containers: counts, retries, a run by hand, their end."""

import shutil
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from schemas.keys import ObjectRef
from schemas.meta import find_condition
from schemas.workload_status import CronJobStatus, JobStatus
from tests.support.cluster import Cluster, Json, shell_task
from tests.support.wait import eventually

pytestmark = [pytest.mark.etcd, pytest.mark.docker]

NAMESPACE = "jobs"
FAIL_ONCE = "if [ $JOB_COMPLETION_INDEX = 2 ] && mkdir /shared/once 2>/dev/null; then exit 3; fi; echo ran"


def job_spec(script: str, *, task: Json | None = None, **spec: Any) -> Json:
    """spec: fields of the job; task: further fields of its tasks."""
    made = shell_task("t", script, restartPolicy="Never", **(task or {}))
    return {"template": {"spec": made["spec"]}, **spec}


def make(kind: str, name: str, spec: Json) -> Json:
    meta = {"name": name, "namespace": NAMESPACE}
    return {"apiVersion": "berth/v1", "kind": kind, "metadata": meta, "spec": spec}


def said(cluster: Cluster, name: str) -> JobStatus:
    status = cluster.get(cluster.keys.status(ObjectRef("jobs", NAMESPACE, name)), JobStatus)
    assert status is not None, f"job {name} has no status"
    return status


def is_true(status: JobStatus, type_: str) -> bool:
    found = find_condition(status.conditions, type_)
    return found is not None and found.status == "True"


@pytest.fixture(scope="module")
def place(cluster: Cluster, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    """A namespace of its own, in which an Indexed job is under way that fails once."""
    shared = tmp_path_factory.mktemp("shared") / uuid.uuid4().hex
    shared.mkdir()
    namespace = {
        "apiVersion": "berth/v1",
        "kind": "Namespace",
        "metadata": {"name": NAMESPACE},
        "spec": {"hostPaths": [str(shared)]},
    }
    mounts = [{"name": "shared", "mountPath": "/shared"}]
    volumes = [{"name": "shared", "hostPath": {"path": str(shared)}}]
    task = {"volumes": volumes, "container": {"volumeMounts": mounts}}
    indexed = job_spec(FAIL_ONCE, task=task, completions=5, parallelism=2, completionMode="Indexed")
    cluster.apply(namespace, make("Job", "indexed", indexed))
    yield cluster
    cluster.berth("delete", "cronjob/nightly", "job/indexed", "-n", NAMESPACE, "--ignore-not-found")
    shutil.rmtree(Path(shared), ignore_errors=True)


def test_run_by_hand_has_the_template_of_its_cronjob(place: Cluster) -> None:
    schedule = {"schedule": "0 0 1 1 *", "jobTemplate": {"spec": job_spec("echo by hand")}}
    place.apply(make("CronJob", "nightly", schedule))
    made = place.berth("create", "job", "now", "--from=cronjob/nightly", "-n", NAMESPACE)
    assert (made.code, made.out) == (0, "job/now created\n")
    eventually(lambda: is_true(said(place, "now"), "Complete"))
    row = place.berth("get", "jobs", "now", "-n", NAMESPACE).out.splitlines()[1].split()
    assert row[1:3] == ["Complete", "1/1"]
    again = place.berth("create", "job", "now", "--from=cronjob/nightly", "-n", NAMESPACE)
    assert again.code == 1
    assert "already exists" in again.err
    place.berth("delete", "job/now", "-n", NAMESPACE)
    assert not tasks_of(place, "now")


def test_finished_job_removes_itself_and_its_tasks(place: Cluster) -> None:
    place.apply(make("Job", "brief", job_spec("exit 0", ttlSecondsAfterFinished=1)))
    eventually(lambda: not keys_of(place, "brief"))


def keys_of(cluster: Cluster, name: str) -> list[str]:
    """Return all keys that are left of a job and of its tasks."""
    root = f"{cluster.keys.prefix}/"
    return [key for key in cluster.list_keys(root) if f"/{NAMESPACE}/" in key and f"/{name}" in key]


def tasks_of(cluster: Cluster, job: str) -> list[str]:
    return owned(cluster, "tasks", job)


def owned(cluster: Cluster, plural: str, owner: str) -> list[str]:
    start = cluster.keys.owned(ObjectRef(plural, NAMESPACE, f"{owner}-"))
    return sorted(key.rpartition("/")[2] for key in cluster.list_keys(start))


def test_indexed_job_retries_what_failed_and_counts_exactly(place: Cluster) -> None:
    def complete() -> JobStatus:
        status = said(place, "indexed")
        assert is_true(status, "Complete")
        return status

    status = eventually(complete)
    assert (status.succeeded, status.failed, status.completed_indexes) == (5, 1, "0-4")
    firsts = [f"indexed-{index}-1" for index in range(5)]
    assert tasks_of(place, "indexed") == sorted([*firsts, "indexed-2-2"])


def test_deleted_finished_task_stays_counted(place: Cluster) -> None:
    """Stands on the job of the test before."""
    assert place.berth("delete", "task/indexed-0-1", "-n", NAMESPACE).code == 0

    def collected() -> bool:
        status = said(place, "indexed")
        return (status.succeeded, status.collected_succeeded, status.completed_indexes) == (5, 1, "0-4")

    eventually(collected)


def test_missed_run_is_made_up_for_and_its_job_goes_with_its_cronjob(place: Cluster) -> None:
    schedule = {"schedule": "0 0 1 1 *", "jobTemplate": {"spec": job_spec("echo late")}}
    place.apply(make("CronJob", "yearly", schedule))
    key = place.keys.status(ObjectRef("cronjobs", NAMESPACE, "yearly"))
    seen = eventually(lambda: place.get(key, CronJobStatus))
    assert seen is not None
    long_ago = seen.model_copy(update={"counted_from": "2020-01-01T12:00:00.000Z"})
    place.put(key, long_ago.to_bytes())

    def job() -> str:
        status = place.get(key, CronJobStatus)
        assert status is not None
        assert status.last_successful_time
        (name,) = owned(place, "jobs", "yearly")
        return name

    name = eventually(job)
    listed = place.berth("get", "jobs", name, "-n", NAMESPACE).out
    assert "Complete" in listed, listed
    assert f"{name}: Complete" in place.berth("describe", "cronjob", "yearly", "-n", NAMESPACE).out
    place.berth("delete", "cronjob/yearly", "-n", NAMESPACE)
    eventually(lambda: not keys_of(place, "yearly"))
