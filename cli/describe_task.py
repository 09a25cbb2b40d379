"""`describe task`, in the order of `kubectl describe pod`. Pure."""

import json
from collections.abc import Sequence

from cli.ages import human_duration
from cli.blocks import NONE, Block, Content, pairs
from cli.cells import is_ready, task_reason, task_status
from cli.describe_object import condition_rows, describe_unreadable, event_rows, rfc1123
from client.composing import owner_text
from client.views import ObjectView
from schemas.binding import GrantedPort
from schemas.event import Event
from schemas.probe import Probe
from schemas.quantity import format_duration, show_quantity, show_resources
from schemas.report import ContainerStatus, LastExit
from schemas.state import ContainerState
from schemas.status import TaskStatus
from schemas.task import Container, EnvVar, TaskSpec, Toleration, Volume, VolumeMount
from schemas.timestamps import parse_time

Entry = tuple[str, Content]


def describe_task(view: ObjectView, spec: TaskSpec | None, events: Sequence[Event], now: float) -> Block:
    """Return the description of a task; spec: the effective one, None where it can't be read."""
    if spec is None:
        return describe_unreadable(view, events, now)
    status = view.task_status or TaskStatus(uid=view.uid)
    return Block(
        [
            ("Name", view.name),
            ("Namespace", view.namespace),
            ("Priority", str(spec.priority or 0)),
            *([("Priority Class Name", spec.priority_class_name)] if spec.priority_class_name else []),
            ("Queue", spec.queue or NONE),
            ("Node", _node(status)),
            ("Start Time", rfc1123(status.started_at) if status.started_at else NONE),
            ("Labels", pairs(view.labels)),
            ("Annotations", pairs(view.annotations, ": ")),
            *_state(view, spec, status, now),
            ("IP", status.host_ip or NONE),
            ("Restart Policy", spec.restart_policy),
            *([("Controlled By", owner_text(view.owner))] if view.owner else []),
            *(
                [("Init Containers", _containers(spec.init_containers, status))]
                if spec.init_containers
                else []
            ),
            ("Containers", _containers(spec.containers, status)),
            ("Conditions", condition_rows(status.conditions)),
            ("Volumes", Block([volume_entry(each) for each in spec.volumes]) if spec.volumes else NONE),
            ("Node-Selectors", pairs(spec.node_selector)),
            ("Tolerations", tuple(map(toleration_text, spec.tolerations))),
            ("Events", event_rows(events, now)),
        ]
    )


def _node(status: TaskStatus) -> str:
    if not status.node:
        return f"{NONE} (before: {status.previous_node})" if status.previous_node else NONE
    return f"{status.node}/{status.host_ip}" if status.host_ip else status.node


def _state(view: ObjectView, spec: TaskSpec, status: TaskStatus, now: float) -> list[Entry]:
    entries: list[Entry] = []
    request = view.request
    if request is not None and view.is_terminating:
        lasts = f" (lasts {_since(request.requested_at, now)})" if request.requested_at else ""
        grace_s = spec.grace if request.grace_s is None else request.grace_s
        entries = [("Status", f"Terminating{lasts}"), ("Termination Grace Period", format_duration(grace_s))]
    else:
        entries = [("Status", task_status(view))]
    message = task_reason(view)
    told: list[Entry] = [("Reason", status.reason)] if status.reason else []
    return [
        *entries,
        *told,
        *([("Message", message)] if message not in (NONE, status.reason, task_status(view)) else []),
    ]


def _since(timestamp: str, now: float) -> str:
    try:
        return human_duration(now - parse_time(timestamp))
    except ValueError:
        return "unknown"


def _containers(containers: Sequence[Container], status: TaskStatus) -> Block:
    reported = {each.name: each for each in status.containers}
    return Block([(each.name, _container(each, reported.get(each.name), status)) for each in containers])


def _container(container: Container, reported: ContainerStatus | None, status: TaskStatus) -> Block:
    granted = [port for port in status.ports if port.container == container.name]
    return Block(
        [
            *([("Container ID", reported.container_id)] if reported and reported.container_id else []),
            ("Image", container.image),
            ("Image Pull Policy", str(container.image_pull_policy)),
            ("Ports", port_lines(container, granted)),
            *([("Command", tuple(container.command))] if container.command else []),
            *([("Args", tuple(_one_line(each) for each in container.args))] if container.args else []),
            *_states(reported),
            ("Ready", str(reported is not None and is_ready(reported))),
            ("Restart Count", str(reported.attempt if reported else 0)),
            ("Limits", amounts_text(container.resources.limits)),
            ("Requests", amounts_text(container.resources.requests)),
            *probe_entries(container),
            ("Environment", environment(container)),
            ("Mounts", tuple(map(mount_text, container.volume_mounts))),
        ]
    )


def _states(reported: ContainerStatus | None) -> list[Entry]:
    if reported is None:
        return [("State", str(ContainerState.WAITING))]
    entries: list[Entry] = [("State", str(reported.state))]
    entries += [("Reason", reported.reason)] if reported.reason else []
    entries += [("Message", reported.message)] if reported.message else []
    entries += [("Started", rfc1123(reported.started_at))] if reported.started_at else []
    if reported.exit_code is not None:
        entries += [("Exit Code", str(reported.exit_code)), ("Finished", rfc1123(reported.finished_at))]
    return [*entries, *([("Last State", _last_exit(reported.last_exit))] if reported.last_exit else [])]


def _last_exit(last: LastExit) -> Block:
    return Block(
        [
            ("Reason", last.reason or NONE),
            ("Exit Code", str(last.exit_code)),
            ("Started", rfc1123(last.started_at)),
            ("Finished", rfc1123(last.finished_at)),
        ]
    )


def port_lines(container: Container, granted: Sequence[GrantedPort]) -> Content:
    host_ports = {(port.container_port, port.protocol): port.host_port for port in granted}
    lines = []
    for port in container.ports:
        name = f" ({port.name})" if port.name else ""
        host = host_ports.get((port.container_port, port.protocol)) or port.host_port
        lines.append(
            f"{port.container_port}/{port.protocol}{name}" + (f" -> {host} on the node" if host else "")
        )
    return tuple(lines)


def amounts_text(amounts: dict[str, int]) -> Content:
    return Block(list(show_resources(amounts).items())) if amounts else NONE


def mount_text(mount: VolumeMount) -> str:
    return f"{mount.mount_path} from {mount.name} ({'ro' if mount.read_only else 'rw'})"


def probe_entries(container: Container) -> list[Entry]:
    """Return a line for each probe, in kubectl's words."""
    probes = (
        ("Startup", container.startup_probe),
        ("Liveness", container.liveness_probe),
        ("Readiness", container.readiness_probe),
    )
    return [(title, _probe(probe)) for title, probe in probes if probe is not None]


def _probe(probe: Probe) -> str:
    if probe.exec is not None:
        what = f"exec [{' '.join(probe.exec.command)}]"
    elif probe.http_get is not None:
        what = f"{probe.http_get.scheme.lower()}-get :{probe.http_get.port}{probe.http_get.path}"
    else:
        what = f"tcp-socket :{probe.port}"
    return (
        f"{what} delay={probe.initial_delay_seconds}s timeout={probe.timeout_seconds}s "
        f"period={probe.period_seconds}s #success={probe.success_threshold} #failure={probe.failure_threshold}"
    )


def environment(container: Container) -> Content:
    """Return the variables; of a Secret's values only where they are from."""
    lines = [f"{each.name}: {_variable(each)}" for each in container.env]
    for source in container.env_from:
        what, ref = (
            ("Secret", source.secret_ref) if source.secret_ref else ("ConfigMap", source.config_map_ref)
        )
        prefix = f" with prefix {source.prefix!r}" if source.prefix else ""
        lines += [f"all keys of {what} {ref.name}{prefix}"] if ref else []
    return tuple(lines)


def _variable(variable: EnvVar) -> str:
    source = variable.value_from
    if source is None:
        return variable.value
    if source.secret_key_ref is not None:
        return f"<set to the key '{source.secret_key_ref.key}' in secret '{source.secret_key_ref.name}'>"
    found = source.config_map_key_ref
    return f"<set to the key '{found.key}' of config map '{found.name}'>" if found else ""


def volume_entry(volume: Volume) -> Entry:
    if volume.host_path is not None:
        return volume.name, Block([("Type", "HostPath"), ("Path", volume.host_path.path)])
    if volume.config_map is not None:
        return volume.name, Block([("Type", "ConfigMap"), ("Name", volume.config_map.name)])
    if volume.secret is not None:
        return volume.name, Block([("Type", "Secret"), ("SecretName", volume.secret.secret_name)])
    if volume.endpoints is not None:
        return volume.name, Block([("Type", "Endpoints"), ("Deployment", volume.endpoints.deployment)])
    size = volume.empty_dir.size_limit if volume.empty_dir else None
    limit = show_quantity("memory", size) if size is not None else "<unset>"
    medium = (volume.empty_dir.medium if volume.empty_dir else "") or "the node's disk"
    return volume.name, Block([("Type", "EmptyDir"), ("Medium", medium), ("SizeLimit", limit)])


def toleration_text(toleration: Toleration) -> str:
    value = f"={toleration.value}" if toleration.operator == "Equal" and toleration.value else ""
    effect = f":{toleration.effect}" if toleration.effect else ""
    return f"{toleration.key}{value}{effect} op={toleration.operator}".strip()


def _one_line(text: str) -> str:
    """Show a script of several lines as one, as JSON would."""
    return json.dumps(text, ensure_ascii=False) if "\n" in text else text
