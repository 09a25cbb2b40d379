"""Bad input gets a clear error and nothing is lost: against a real etcd, as a person would meet it."""

import os
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from itertools import count
from pathlib import Path
from typing import Any

import pytest

from schemas.keys import Keys
from schemas.kinds import KINDS
from sealing.keys import new_key_pair
from tests.cli.helpers import Shell, write_yaml
from tests.client.helpers import World, make_object, make_task
from tests.support.etcd import EtcdServer
from tests.support.ports import free_port
from tests.support.wait import PATIENCE_S

pytestmark = pytest.mark.etcd
_numbers = count(1)
ROOT = Path(__file__).parents[2]


@pytest.fixture
def real(etcd_server: EtcdServer) -> Iterator[World]:
    """A world on a real etcd, under keys of its own."""
    store = etcd_server.store()
    yield World(store, Keys(f"/cli-test-{next(_numbers)}"))
    store.close()


@pytest.fixture
def shell(real: World, capsysbinary: pytest.CaptureFixture[bytes]) -> Shell:
    return Shell(real, capsysbinary)


def large_task(name: str, size: int) -> dict[str, Any]:
    return {**make_task(name), "metadata": {"name": name, "annotations": {"x": "y" * size}}}


BOMB = "\n".join(
    ["a0: &a0 [x, x, x, x, x, x, x, x, x]"]
    + [f"a{i}: &a{i} [{', '.join([f'*a{i - 1}'] * 9)}]" for i in range(1, 20)]
)


@pytest.mark.parametrize(
    ("bad", "told"),
    [
        (make_task("bad", restartPolcy="Never"), "unknown field; did you mean restartPolicy?"),
        (make_task("bad", volumes={}), "spec.volumes: must be a list, not {}"),
        (make_task("bad", restartBackoff={"initial": "a while"}), "duration 'a while' is not of the form"),
        (make_task("Bad_Name"), "name 'Bad_Name' must be at most 253 lower case letters"),
        (make_task("bad", "nowhere"), "namespace 'nowhere' does not exist; create it or apply with --create-namespace"),
        (make_task("good"), "task/good: appears twice in namespace default; first at"),
        (make_object("Deploymint", "bad"), "unknown kind 'Deploymint'"),
        (make_object("PriorityClass", "bad"), "spec: is required"),
        (large_task("bad", 2**20), "an object may have 1048576"),
        (b"a: \xff", "is not UTF-8 (byte 3); save it as UTF-8"),
        (BOMB.encode(), "are there nested aliases?"),
        (b"[" * 100_000, "is nested too deeply"),
        (b"{", "is not valid YAML"),
        (b"\x00\x01", "is not valid YAML"),
    ],
)  # fmt: skip
def test_bad_document_among_good_ones_is_told_and_nothing_is_written(
    real: World, shell: Shell, tmp_path: Path, bad: Any, told: str
) -> None:
    write_yaml(tmp_path / "1-good.yaml", make_task("good"), make_object("Queue", "q"))
    if isinstance(bad, bytes):
        (tmp_path / "2-bad.yaml").write_bytes(bad)
    else:
        write_yaml(tmp_path / "2-bad.yaml", bad)
    result = shell("apply", "-f", str(tmp_path))
    assert (result.code, result.out) == (1, "")
    assert result.err.startswith("Error: nothing was written, as the manifests have problems:\n")
    assert told in result.err
    assert "2-bad.yaml" in result.err
    assert "Traceback" not in result.err
    assert real.keys_under(real.keys.root) == []


def test_object_just_below_the_limit_is_stored_in_etcd(real: World, shell: Shell, tmp_path: Path) -> None:
    task = large_task("web", 1_000_000)
    assert shell("apply", "-f", write_yaml(tmp_path / "a.yaml", task)).lines == ["task/web created"]
    assert shell("apply", "-f", str(tmp_path / "a.yaml")).lines == ["task/web unchanged"]


def test_garbage_in_etcd_is_shown_and_everything_else_goes_on(
    real: World, shell: Shell, tmp_path: Path
) -> None:
    shell("apply", "-f", write_yaml(tmp_path / "a.yaml", make_task("good")))
    spec = f"{real.keys.prefix}/spec"
    for key in (
        "default/tasks/bytes",
        "default/tasks/a/b",
        "default/widgets/x",
        "_cluster/queues/default",
        "x",
    ):
        real.put(f"{spec}/{key}", b"\x00garbage")
    real.put(f"{spec}/default/tasks/queue", {**make_object("Queue", "queue"), "uid": "u"})
    real.put(f"{real.keys.prefix}/status/default/tasks/good", b"garbage")
    result = shell("get", "tasks")
    assert [line.split()[0::2][:2] for line in result.lines[1:]] == [
        ["bytes", "Unreadable"],
        ["good", "Unreadable"],
        ["queue", "Unreadable"],
    ]
    assert shell("get", "all", "-A").code == 0
    assert shell("describe", "tasks").code == 0
    denied = shell("apply", "-f", write_yaml(tmp_path / "b.yaml", make_task("new")))
    assert "queue/default can't be read and counts for nothing" in denied.err
    assert shell("delete", "queue/default", "--force").code == 0
    assert shell("apply", "-f", str(tmp_path / "b.yaml")).lines == ["task/new created"]


def berth(*arguments: str, **environment: str) -> tuple[int, str, str, float]:
    """Run the command as a process; return exit code, stdout, stderr, seconds."""
    start = time.monotonic()
    done = subprocess.run(
        [sys.executable, "-m", "cli", *arguments],
        cwd=ROOT,
        env={key: value for key, value in os.environ.items() if not key.startswith("BERTH_")} | environment,
        capture_output=True,
        text=True,
        timeout=2 * PATIENCE_S,
        check=False,
    )
    return done.returncode, done.stdout, done.stderr, time.monotonic() - start


@pytest.mark.parametrize(
    ("written", "told"),
    [
        ("logs web --tail x", "Invalid value for '--tail': x is not a whole number"),
        (
            "logs web --max-log-requests 0",
            "Invalid value for '--max-log-requests': 0 is too small: at least 1",
        ),
        ("up --nodes 99", "Invalid value for '--nodes': 99 is too large: at most 32"),
        (
            "agent --runtime rocket",
            "Invalid value for '--runtime': 'rocket' is not one of 'docker', 'hollow'\n",
        ),
        ("get tasks -n BadNS!", "namespace 'BadNS!' can't exist: a name has at most 63 lower case letters"),
        ("cp team/web:/etc/hosts .", "a namespace is told by -n: berth cp -n team web:/etc/hosts"),
        ("cp site team/web:/www", "a namespace is told by -n: berth cp -n team web:/www"),
        ("cp web:/etc/hosts -", "- is no file here; to read one: berth exec NAME -- cat PATH"),
        ("apply -f tests/cli/test_bad_inptu.py", "(did you mean tests/cli/test_bad_input.py?)"),
    ],
)
def test_wrong_word_on_the_command_line_is_told_in_plain_words(
    shell: Shell, written: str, told: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(ROOT)
    result = shell(*written.split())
    assert (result.code, result.out) == (1, "")
    assert told in result.err
    assert "Input should be" not in result.err


def test_etcd_that_is_not_there_is_told_soon() -> None:
    port = free_port()
    code, out, err, seconds = berth("get", "tasks", BERTH_ETCD=f"127.0.0.1:{port}")
    assert (code, out) == (1, "")
    assert err.startswith(f"Error: etcd does not answer at 127.0.0.1:{port}")
    assert "BERTH_ETCD" in err
    assert "Traceback" not in err
    assert seconds < PATIENCE_S


def test_etcd_that_hangs_is_told_soon() -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        code, _, err, seconds = berth("get", "tasks", "--etcd", f"127.0.0.1:{silent.getsockname()[1]}")
    assert code == 1
    assert err.startswith("Error: etcd does not answer at")
    assert "Traceback" not in err
    assert seconds < PATIENCE_S  # five, and the start of the interpreter on a busy machine


def test_dead_endpoint_among_living_ones_costs_nothing(etcd_server: EtcdServer) -> None:
    endpoints = f"127.0.0.1:{free_port()},{etcd_server.endpoint}"
    code, out, err, _ = berth("version", BERTH_ETCD=endpoints, BERTH_ROOT="/nobody")
    assert (code, err) == (0, "")
    assert "etcd: 3." in out


def test_version_of_the_client_is_told_without_etcd() -> None:
    code, out, err, _ = berth("version", BERTH_ETCD=f"127.0.0.1:{free_port()}")
    assert code == 1
    assert out.startswith("Client: ")
    assert "etcd does not answer" in err


def test_reader_that_closes_the_pipe_is_no_error(etcd_server: EtcdServer) -> None:
    done = subprocess.run(
        f"{sys.executable} -m cli get queues -o yaml --etcd {etcd_server.endpoint} | true",
        cwd=ROOT, shell=True, capture_output=True, text=True, timeout=2 * PATIENCE_S, check=False,
    )  # fmt: skip
    assert (done.returncode, done.stderr) == (0, "")


HEAVY = ("pydantic", "grpc", "pyetcd", "docker", "starlette", "uvicorn", "psutil", "rich")


def test_nothing_heavy_is_imported_for_help() -> None:
    program = (
        "import sys; from cli.main import run; run(['--help']);"
        f"print(sorted(set(sys.modules) & set({HEAVY})), file=sys.stderr)"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert done.stderr.splitlines()[-1] == "[]"


FOREIGN = (*HEAVY[3:], "numpy", "highspy", "websockets", "controller", "agent")


@pytest.mark.parametrize(
    "command", ["get tasks", "apply -f manifests", "describe task/web", "events", "version"]
)
def test_what_only_daemons_need_is_not_imported_to_talk_to_etcd(command: str) -> None:
    program = (
        f"import sys; from cli.main import run; run({[*command.split(), '--etcd', '127.0.0.1:1']});"
        f"print(sorted(set(sys.modules) & set({FOREIGN})), file=sys.stderr)"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert "127.0.0.1:1" in done.stderr
    assert done.stderr.splitlines()[-1] == "[]"


def test_manifests_in_the_box_are_valid(real: World, shell: Shell) -> None:
    real.put(real.keys.cluster, {"kind": "Cluster", "clusterUid": "c", "publicKey": new_key_pair().public})
    result = shell("apply", "-R", "-f", str(ROOT / "manifests"), "--dry-run")
    assert result.code == 0, result.err
    assert {line.split("/")[0] for line in result.lines} == {kind.singular for kind in KINDS}
