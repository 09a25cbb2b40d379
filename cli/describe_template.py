"""The template of an owner's tasks in `describe`, as kubectl shows a pod template. Pure."""

from cli.blocks import NONE, Block, Content, pairs
from cli.describe_task import (
    amounts_text,
    environment,
    mount_text,
    port_lines,
    probe_entries,
    toleration_text,
    volume_entry,
)
from schemas.task import Container
from schemas.workload import TaskTemplate

Entry = tuple[str, Content]


def template_block(template: TaskTemplate) -> Block:
    """Return labels, annotations, containers, volumes and where its tasks may run."""
    spec, metadata = template.spec, template.metadata
    return Block(
        [
            ("Labels", pairs(metadata.labels)),
            *([("Annotations", pairs(metadata.annotations, ": "))] if metadata.annotations else []),
            *([("Init Containers", _containers(spec.init_containers))] if spec.init_containers else []),
            ("Containers", _containers(spec.containers)),
            ("Volumes", Block([volume_entry(each) for each in spec.volumes]) if spec.volumes else NONE),
            ("Node-Selectors", pairs(spec.node_selector)),
            ("Tolerations", tuple(map(toleration_text, spec.tolerations))),
        ]
    )


def _containers(containers: tuple[Container, ...]) -> Block:
    return Block([(each.name, _container(each)) for each in containers])


def _container(container: Container) -> Block:
    entries: list[Entry] = [("Image", container.image), ("Ports", port_lines(container, ()))]
    entries += [("Command", tuple(container.command))] if container.command else []
    entries += [("Args", tuple(container.args))] if container.args else []
    return Block(
        [
            *entries,
            ("Limits", amounts_text(container.resources.limits)),
            ("Requests", amounts_text(container.resources.requests)),
            *probe_entries(container),
            ("Environment", environment(container)),
            ("Mounts", tuple(map(mount_text, container.volume_mounts))),
        ]
    )
