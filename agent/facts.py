"""What a node report says of its host: a value, so that what reads it stays pure."""

from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class NodeFacts:
    """What the node report says of the host. Amounts: cpu in millicores, memory and disk in bytes, counts."""

    capacity: dict[str, int]
    allocatable: dict[str, int]
    devices: dict[str, tuple[str, ...]] = field(default_factory=dict)
    labels: dict[str, str] = field(default_factory=dict)
    address: str = ""
    os_image: str = ""
    kernel_version: str = ""
    disk_pressure: bool = False
    memory_pressure: bool = False
