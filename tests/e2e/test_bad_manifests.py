"""What is wrong in a manifest is told in words, all of it at once, and nothing is written."""

from dataclasses import dataclass

import pytest

from tests.support.cluster import Cluster, Json, Result, manifest, sleeper

pytestmark = [pytest.mark.etcd, pytest.mark.docker]

BOMB = "\n".join(
    ["a0: &a0 [x, x, x, x, x, x, x, x, x]"]
    + [f"a{i}: &a{i} [{', '.join([f'*a{i - 1}'] * 9)}]" for i in range(1, 20)]
)


TWINS = [{"name": "twin", "image": "x"}] * 2


@dataclass(frozen=True)
class Bad:
    """Bad documents by the name of their file, and the answer to all of them."""

    documents: dict[str, tuple[Json | bytes, str]]
    answer: Result


def resources(**limits: str) -> Json:
    return {"resources": {"limits": limits}}


def big(size: int) -> Json:
    task = sleeper("bad")
    task["metadata"]["annotations"] = {"text": "x" * size}
    return task


UNREAD: dict[str, tuple[Json | bytes, str]] = {
    "unknown-field": (sleeper("bad", restartPolcy="Never"), "restartPolcy: unknown field; did you mean restartPolicy?"),
    "unknown-field-of-a-container": (sleeper("bad", container={"comand": ["x"]}), "did you mean command?"),
    "wrong-type": (sleeper("bad", volumes={}), "spec.volumes: must be a list, not {}"),
    "bad-quantity": (sleeper("bad", container=resources(memory="12 sheep")), "12 sheep"),
    "bad-duration": (sleeper("bad", grace="soon"), "duration 'soon' is not of the form"),
    "bad-name": (sleeper("Bad_Name"), "name 'Bad_Name' must be at most 253 lower case letters"),
    "duplicate": (sleeper("good"), "appears twice in namespace default; first at"),
    "unknown-kind": ({**sleeper("bad"), "kind": "Tusk"}, "unknown kind 'Tusk'"),
    "too-large": (big(2**20), "an object may have 1048576"),
    "alias-bomb": (BOMB.encode(), "are there nested aliases?"),
    "not-utf-8": (b"name: \xff\xfe", "is not UTF-8"),
    "not-yaml": (b"a: [", "is not valid YAML"),
}  # fmt: skip
"""What can't be read as an object: file -> (content, what is told)."""

DENIED: dict[str, tuple[Json | bytes, str]] = {
    "unknown-namespace": (sleeper("a", metadata={"namespace": "nowhere"}), "apply with --create-namespace"),
    "same-name-twice": ({**sleeper("b"), "spec": {"containers": TWINS}}, "appears twice"),
    "unknown-queue": (sleeper("c", queue="fast"), "fast"),
    "privileged": (sleeper("d", container={"privileged": True}), "privileged"),
    "unknown-priority-class": (sleeper("e", priorityClassName="vip"), "vip"),
    "host-path": (sleeper("f", volumes=[{"name": "v", "hostPath": {"path": "/etc"}}]), "/etc"),
}
"""What can be read, but is not admitted."""


@pytest.fixture(scope="module", params=[UNREAD, DENIED], ids=["unread", "denied"])
def bad(request: pytest.FixtureRequest, cluster: Cluster, tmp_path_factory: pytest.TempPathFactory) -> Bad:
    """A folder with one good document among bad ones, and what `berth apply` says to it."""
    folder = tmp_path_factory.mktemp("bad")
    (folder / "0-good.yaml").write_text(manifest(sleeper("good")))
    for name, (content, _) in request.param.items():
        text = content if isinstance(content, bytes) else manifest(content).encode()
        (folder / f"{name}.yaml").write_bytes(text)
    return Bad(request.param, cluster.berth("apply", "-f", str(folder)))


def test_everything_that_is_wrong_is_told_at_once(bad: Bad) -> None:
    answer = bad.answer
    assert (answer.code, answer.out) == (1, "")
    first, *problems = answer.err.splitlines()
    assert first == "Error: nothing was written, as the manifests have problems:"
    for name, (_, told) in bad.documents.items():
        (line,) = [each for each in problems if f"/{name}.yaml" in each.split(" ")[2]]
        assert told in line
        assert len(line) < 400
    assert len(problems) == len(bad.documents)


def test_nothing_is_written_when_one_document_is_bad(bad: Bad, cluster: Cluster) -> None:
    assert cluster.list_keys(f"{cluster.keys.prefix}/spec/default/tasks/") == []


def test_errors_of_diff_exit_with_two(cluster: Cluster) -> None:
    assert cluster.berth("diff", "-f", "-", stdin=b"a: [").code == 2
    assert cluster.berth("diff").code == 2


def test_namespace_is_created_on_demand_and_can_be_removed_when_empty(cluster: Cluster) -> None:
    task = sleeper("inside", metadata={"namespace": "team-x"})
    created = cluster.berth("apply", "-f", "-", "--create-namespace", stdin=task)
    assert (created.code, created.out) == (0, "namespace/team-x created\ntask/inside created\n")
    assert cluster.berth("delete", "namespace/team-x", "--wait=false").code == 0
    assert cluster.berth("get", "namespaces").rows["team-x"][1] == "Terminating"
    assert cluster.berth("-n", "team-x", "delete", "task/inside").code == 0
    assert cluster.berth("delete", "namespace/team-x", "--ignore-not-found", "--timeout", "100s").code == 0
    assert "team-x" not in cluster.berth("get", "namespaces").out
