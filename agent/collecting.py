"""What of this node goes when its disk fills up: dead containers first, then images. Pure.

Dead containers are named here, the longest dead first; which of them nothing has need of, and so really go, says
`agent.dead`. Only images that this agent has pulled for tasks are ever removed: what people, or other programs,
brought to the host is theirs. Above the high water mark the ones that were not needed for the longest go first,
until the disk is down to the low one. The marks are Kubernetes'.
"""

from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class ImagePolicy:
    """high, low: percent of the disk of the engine's data. min_age_s: younger images stay, as one may be about to
    be used for the first time."""

    high: int = 85
    low: int = 80
    min_age_s: float = 120.0


WEEK_S = 7 * 86_400.0


@dataclass(frozen=True, slots=True)
class DeadPolicy:
    """max_age_s: for how long dead containers are kept that nothing has need of but a reader of logs.

    A week, as Mesos keeps sandboxes (gc_delay): who comes back after a weekend or some days off still finds the
    logs of what failed. The kubelet sets no limit to the last one of each container, and a disk that fills up takes
    them before that in any case.
    """

    max_age_s: float = WEEK_S


@dataclass(frozen=True, slots=True)
class DeadContainer:
    """ended_at: seconds since the epoch. size_bytes: its own layer and its log."""

    id: str
    ended_at: float
    size_bytes: int = 0


@dataclass(frozen=True, slots=True)
class PulledImage:
    """An image that this agent brought here. Times are seconds since the epoch; size_bytes: its own layers and
    shared ones."""

    name: str
    id: str
    pulled_at: float
    used_at: float
    size_bytes: int = 0


@dataclass(frozen=True, slots=True)
class DiskUse:
    used_bytes: int
    total_bytes: int


def is_too_full(disk: DiskUse, policy: ImagePolicy) -> bool:
    return disk.total_bytes > 0 and disk.used_bytes * 100 >= disk.total_bytes * policy.high


def after(disk: DiskUse, freed_bytes: int) -> DiskUse:
    """Return the use of a disk from which so much was removed."""
    return DiskUse(max(0, disk.used_bytes - freed_bytes), disk.total_bytes)


def dead_to_remove(
    dead: Sequence[DeadContainer], disk: DiskUse, policy: ImagePolicy
) -> tuple[DeadContainer, ...]:
    """Return the dead containers that are to make room, the longest dead first, down to the low mark."""
    if not is_too_full(disk, policy):
        return ()
    excess = disk.used_bytes - disk.total_bytes * policy.low // 100
    chosen = []
    for each in sorted(dead, key=lambda each: (each.ended_at, each.id)):
        if excess <= 0:
            break
        chosen.append(each)
        excess -= each.size_bytes
    return tuple(chosen)


def to_remove(
    images: Sequence[PulledImage], disk: DiskUse, policy: ImagePolicy, now: float, *, needed: frozenset[str]
) -> tuple[PulledImage, ...]:
    """Return the images to remove, the longest unused first.

    needed: names and ids of images that a container or a task of this node has. Sizes overlap where layers are
    shared, so that too few may go at once; the next look goes on.
    """
    if not is_too_full(disk, policy):
        return ()
    excess = disk.used_bytes - disk.total_bytes * policy.low // 100
    chosen = []
    for each in sorted(images, key=lambda each: (each.used_at, each.name)):
        is_young = now < max(each.pulled_at, each.used_at) + policy.min_age_s
        if excess <= 0:
            break
        if is_young or each.name in needed or each.id in needed:
            continue
        chosen.append(each)
        excess -= each.size_bytes
    return tuple(chosen)
