"""Which probes and hooks admission refuses."""

from typing import Any

import pytest

from schemas.probe_checks import probe_faults
from schemas.task import TaskSpec

PORTS = [{"containerPort": 8080, "name": "web"}, {"containerPort": 53, "protocol": "UDP", "name": "dns"}]
RUN = {"exec": {"command": ["true"]}}


def faults(**container: Any) -> list[str]:
    main = {"name": "main", "image": "web:1", "ports": PORTS, **container}
    return list(probe_faults(TaskSpec.parse_written({"containers": [main]})))


def init_faults(**container: Any) -> list[str]:
    init = {"name": "setup", "image": "web:1", **container}
    main = {"name": "main", "image": "web:1"}
    return list(probe_faults(TaskSpec.parse_written({"containers": [main], "initContainers": [init]})))


@pytest.mark.parametrize("port", [8080, "web"])
def test_declared_ports_may_be_asked(port: int | str) -> None:
    assert faults(readinessProbe={"httpGet": {"port": port}}) == []
    assert faults(livenessProbe={"tcpSocket": {"port": port}}) == []


@pytest.mark.parametrize("port", [8081, "wbe", "dns", 53])
def test_undeclared_and_udp_ports_may_not(port: int | str) -> None:
    (fault,) = faults(readinessProbe={"tcpSocket": {"port": port}})
    assert fault == (
        f"spec.containers[0].readinessProbe: container main declares no TCP port {port}; "
        "declared: 8080 (web); add it to its ports"
    )


def test_hook_that_asks_an_undeclared_port_is_refused() -> None:
    (fault,) = faults(lifecycle={"preStop": {"httpGet": {"port": 1}}})
    assert fault.startswith("spec.containers[0].lifecycle.preStop: container main declares no TCP port 1")


def test_only_readiness_may_ask_for_several_successes() -> None:
    assert faults(readinessProbe={**RUN, "successThreshold": 3}) == []
    for field in ("livenessProbe", "startupProbe"):
        (fault,) = faults(**{field: {**RUN, "successThreshold": 3}})
        assert fault == f"spec.containers[0].{field}.successThreshold: must be 1, not 3"


def test_init_container_has_no_probes_unless_it_is_a_sidecar() -> None:
    (fault,) = init_faults(readinessProbe=RUN)
    assert "restartPolicy: Always" in fault
    assert init_faults(readinessProbe=RUN, restartPolicy="Always") == []
