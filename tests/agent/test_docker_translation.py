"""From a binding to Docker's JSON and back. Pure."""

from typing import Any

import pytest

from agent.labels import container_name, from_labels, to_labels
from agent.runtime.api import Create, Phase, Pull, Reason
from agent.runtime.docker_create import create_body, folders_to_make
from agent.runtime.docker_images import RECENT_S, RecentImages, split_image
from agent.runtime.docker_parse import container_info, pull_failure, start_failure, taken_port
from schemas.binding import Binding, GrantedPort
from tests.agent.builders import make_binding, make_journal, make_spec


def body(binding: Binding) -> dict[str, Any]:
    journal = make_journal(binding)
    return create_body(Create(journal.target, binding, journal), "/state/volumes/b1")


def test_names_and_labels_read_back() -> None:
    port = GrantedPort(container="main", container_port=80, host_port=31000)
    journal = make_journal(make_binding(ports=(port,)), attempt=3, failures=2)
    assert from_labels(to_labels(journal)) == journal
    assert container_name(journal) == "berth-web-main-task-1-u-1-3"
    assert from_labels({}) is None
    assert from_labels({**to_labels(journal), "berth.attempt": "x"}) is None
    assert from_labels({**to_labels(journal), "berth.grants": "{"}) is None


def test_the_command_line_and_identity_of_the_container() -> None:
    container = {
        "command": ["/bin/x"],
        "args": ["-v"],
        "workingDir": "/w",
        "user": "7",
        "stopSignal": "SIGINT",
    }
    made = body(make_binding(spec=make_spec("img:1", container=container)))
    assert (made["Entrypoint"], made["Cmd"]) == (["/bin/x"], ["-v"])
    assert (made["WorkingDir"], made["User"], made["Image"]) == ("/w", "7", "img:1")
    assert made["HostConfig"]["RestartPolicy"] == {"Name": "no"}


def test_without_command_the_images_own_is_kept() -> None:
    made = body(make_binding())
    assert "Entrypoint" not in made
    assert "Cmd" not in made


@pytest.mark.parametrize(
    ("resources", "expected"),
    [
        ({}, {}),
        ({"requests": {"cpu": "1m"}}, {"CpuShares": 2}),
        ({"requests": {"cpu": "1500m"}}, {"CpuShares": 1536}),
        ({"limits": {"cpu": "8"}}, {"CpuPeriod": 100_000, "CpuQuota": 800_000}),
        ({"limits": {"cpu": "1m"}}, {"CpuPeriod": 100_000, "CpuQuota": 1000}),
        ({"limits": {"memory": "64Mi"}}, {"Memory": 2**26, "MemorySwap": 2**26}),
    ],
)
def test_limits(resources: dict[str, Any], expected: dict[str, int]) -> None:
    host = body(make_binding(spec=make_spec(container={"resources": resources})))["HostConfig"]
    names = ("CpuShares", "CpuPeriod", "CpuQuota", "Memory", "MemorySwap")
    assert {name: host[name] for name in names if name in host} == expected


def test_ports_and_environment() -> None:
    ports = (
        GrantedPort(container="main", container_port=80, host_port=31000, name="http-alt"),
        GrantedPort(container="main", container_port=53, host_port=31001, protocol="UDP"),
        GrantedPort(container="other", container_port=1, host_port=31002),
    )
    spec = make_spec(container={"env": [{"name": "PORT1", "value": "mine"}, {"name": "A"}]})
    made = body(make_binding(ports=ports, spec=spec))
    assert made["HostConfig"]["PortBindings"] == {
        "80/tcp": [{"HostPort": "31000"}],
        "53/udp": [{"HostPort": "31001"}],
    }
    assert {"PORT0=31000", "PORT_HTTP_ALT=31000", "PORT1=mine", "A=", "BERTH_TASK=web"} <= set(made["Env"])


def test_volumes() -> None:
    spec = make_spec(
        volumes=[
            {"name": "data", "emptyDir": {}},
            {"name": "fast", "emptyDir": {"medium": "Memory", "sizeLimit": "1Mi"}},
            {"name": "host", "hostPath": {"path": "/srv"}},
        ],
        container={
            "volumeMounts": [
                {"name": "data", "mountPath": "/data"},
                {"name": "fast", "mountPath": "/fast"},
                {"name": "host", "mountPath": "/host", "readOnly": True},
            ]
        },
    )
    binding = make_binding(spec=spec)
    data, fast, host = body(binding)["HostConfig"]["Mounts"]
    assert (data["Type"], data["Source"]) == ("bind", "/state/volumes/b1/data")
    assert (fast["Type"], fast["TmpfsOptions"]["SizeBytes"]) == ("tmpfs", 2**20)
    assert (host["Source"], host["ReadOnly"]) == ("/srv", True)
    journal = make_journal(binding)
    made = folders_to_make(Create(journal.target, binding, journal), "/state/volumes/b1")
    assert made == ("/state/volumes/b1/data",)


def test_only_the_granted_gpus_and_only_where_asked_for() -> None:
    grants = {"gpu": ("GPU-1",)}
    asking = make_spec(container={"resources": {"limits": {"gpu": 1}}})
    made = body(make_binding(devices=grants, spec=asking))["HostConfig"]["DeviceRequests"]
    assert made == [{"Driver": "", "DeviceIDs": ["GPU-1"], "Capabilities": [["gpu"]]}]
    assert body(make_binding(devices=grants))["HostConfig"]["DeviceRequests"] == []


def inspected(**state: Any) -> dict[str, Any]:
    zero = "0001-01-01T00:00:00Z"
    base = {"Status": "created", "Running": False, "ExitCode": 0, "Error": "", "OOMKilled": False}
    return {
        "Id": "c1",
        "Name": "/name",
        "Created": "2026-01-31T12:00:00.123456789Z",
        "Config": {"Labels": to_labels(make_journal(make_binding())), "Image": "img:1"},
        "State": {**base, "StartedAt": zero, "FinishedAt": zero, **state},
    }


def test_a_created_container_that_failed_to_start_has_ended() -> None:
    fresh = container_info(inspected())
    assert fresh is not None
    assert fresh.phase is Phase.CREATED
    error = 'exec: "/nope": stat /nope: no such file or directory: unknown'
    failed = container_info(inspected(ExitCode=127, Error=error))
    assert failed is not None
    assert (failed.phase, failed.failure) == (Phase.EXITED, Reason.CONTAINER_CANNOT_RUN)
    assert failed.ended_at == failed.created_at > 0


def test_an_ended_container() -> None:
    times = {"StartedAt": "2026-01-31T12:00:01Z", "FinishedAt": "2026-01-31T12:00:02.5Z"}
    info = container_info(inspected(Status="exited", ExitCode=3, OOMKilled=True, **times))
    assert info is not None
    assert (info.phase, info.exit_code, info.oom) == (Phase.EXITED, 3, True)
    assert info.finished_at - info.started_at == 1.5


@pytest.mark.parametrize(
    "error",
    [
        "Error starting userland proxy: listen tcp4 0.0.0.0:31998: bind: address already in use",
        "driver failed programming external connectivity: Bind for 0.0.0.0:31998 failed: port is already allocated",
    ],
)
def test_a_taken_port_is_found_in_dockers_words(error: str) -> None:
    assert start_failure(error) is Reason.HOST_PORT_TAKEN
    assert taken_port(error) == 31998
    info = container_info(inspected(Status="created", ExitCode=128, Error=error))
    assert info is not None
    assert info.taken_port == 31998
    assert info.error.startswith("host port 31998 of the node is in use by something else; free it")
    assert info.error.endswith(error)


def test_pull_failures_are_told_apart() -> None:
    assert pull_failure(400, "invalid reference format") is Reason.INVALID_IMAGE_NAME
    assert pull_failure(500, "no such host") is Reason.ERR_IMAGE_PULL


@pytest.mark.parametrize(
    ("image", "parts"),
    [
        ("web", ("web", "latest")),
        ("web:1", ("web", "1")),
        ("reg:5000/a/web", ("reg:5000/a/web", "latest")),
        ("reg:5000/web:2", ("reg:5000/web", "2")),
        ("web@sha256:ab", ("web", "sha256:ab")),
    ],
)
def test_an_image_is_split_into_repository_and_tag(image: str, parts: tuple[str, str]) -> None:
    assert split_image(image) == parts


def test_an_image_seen_a_moment_ago_is_not_asked_for_again() -> None:
    images = RecentImages()
    pull = Pull(make_journal(make_binding()).target, "web:1", "IfNotPresent")
    assert not images.has(pull, 100.0)
    images.note("web:1", 100.0)
    assert images.has(pull, 100.0 + RECENT_S - 0.1)
    assert not images.has(pull, 100.0 + RECENT_S)


def test_an_image_that_turned_out_to_be_gone_is_looked_for_at_once() -> None:
    images = RecentImages()
    images.note("web:1", 100.0)
    images.forget()
    assert not images.has(Pull(make_journal(make_binding()).target, "web:1", "Never"), 100.0)


def test_a_policy_of_always_is_never_answered_from_memory() -> None:
    images = RecentImages()
    images.note("web:1", 100.0)
    assert not images.has(Pull(make_journal(make_binding()).target, "web:1", "Always"), 100.0)
