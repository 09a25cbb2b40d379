"""Makes room when the engine's disk fills up: what may go is decided in `agent.collecting`.

    look -> dead containers, the longest dead first --RoomWanted--> core, whose state machine removes what may go
         -> what they leave to do: images, removed here

Whoever was named and is still there at the next look is needed for something, and is not counted on again.
"""

import logging
import os
import shutil
import threading
import time
from collections.abc import Callable
from contextlib import closing, suppress
from dataclasses import replace
from typing import Any

from docker.errors import APIError, NotFound

from agent.collecting import (
    DeadContainer,
    DiskUse,
    ImagePolicy,
    PulledImage,
    after,
    dead_to_remove,
    is_too_full,
    to_remove,
)
from agent.labels import NODE
from agent.pulled import PulledImages
from agent.runtime.api import Done, Observation, Pull, RoomWanted
from agent.runtime.docker_client import RUNTIME_SILENT, Client, DockerOptions, connect, words
from agent.runtime.docker_images import Result, pull_image
from agent.runtime.docker_parse import container_info

log = logging.getLogger(__name__)

LOOK_EVERY_S = 60.0
CLOSE_TIMEOUT_S = 5.0

Needed = Callable[[], frozenset[str] | None]
"""() -> names of the images of all tasks that are bound here; None while that is not known."""


def image_id(client: Client, name: str) -> str:
    """Return the id of an image, empty if it is not there."""
    try:
        return str(client.inspect_image(name)["Id"])  # type: ignore[no-untyped-call]  # a gap in the stubs
    except NotFound:
        return ""


def pull_noted(client: Client, op: Pull, options: DockerOptions) -> Result:
    """Pull, and note what came that was not there before."""
    before = image_id(client, op.image) if options.pulled is not None else ""
    result = pull_image(client, op, options)
    if options.pulled is None or not isinstance(result, Done):
        return result
    after, now = image_id(client, op.image), time.time()
    if after and after != before and (not before or options.pulled.has(op.image)):
        options.pulled.note(PulledImage(op.image, after, now, now))
        if before:  # the one that had this name has none any more
            options.pulled.note(PulledImage(before, before, now, now))
    return result


class DiskCollector:
    """Looks once a minute, in a thread of its own; `look` is one look. tell: to the core of this node's agent."""

    def __init__(
        self,
        options: DockerOptions,
        pulled: PulledImages,
        policy: ImagePolicy,
        needed: Needed,
        clock: Callable[[], float],
        tell: Callable[[Observation], None] = lambda _: None,
    ) -> None:
        self._options, self._pulled, self._policy = options, pulled, policy
        self._needed, self._clock, self._tell = needed, clock, tell
        self._asked: frozenset[str] = frozenset()
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name="disk", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def close(self) -> None:
        self._stopping.set()
        self._thread.join(CLOSE_TIMEOUT_S)

    def _run(self) -> None:
        while not self._stopping.wait(LOOK_EVERY_S):
            try:
                self.look()
            except RUNTIME_SILENT as error:
                log.warning("no room made error=%s", error)
            except Exception:  # the loop's border
                log.exception("no room made")

    def look(self) -> tuple[str, ...]:
        """Make room if there is too little; return the names of images removed. Raises RUNTIME_SILENT errors."""
        bound = self._needed()
        if bound is None:
            return ()
        with closing(connect(self._options)) as client:
            disk = self._disk(client)
            if is_too_full(disk, self._policy):
                disk = after(disk, self._name_dead(client, disk))
            elif self._asked:
                self._want(frozenset())
            return self._images_away(client, disk, bound) if self._pulled.all() else ()

    def _name_dead(self, client: Client, disk: DiskUse) -> int:
        """Name dead containers to the core; return how many bytes that will free, as far as one knows."""
        found = _dead(client, self._options)
        left = self._asked & {each.id for each in found}
        chosen = dead_to_remove([each for each in found if each.id not in left], disk, self._policy)
        self._want(left | {each.id for each in chosen})
        if chosen:
            log.info("room wanted dead_containers=%d reason=disk is filling up", len(chosen))
        return sum(each.size_bytes for each in chosen)

    def _want(self, ids: frozenset[str]) -> None:
        self._asked = ids
        self._tell(RoomWanted(ids))

    def _images_away(self, client: Client, disk: DiskUse, bound: frozenset[str]) -> tuple[str, ...]:
        held = client.containers(all=True)
        needed = bound | {each["ImageID"] for each in held} | {each["Image"] for each in held}
        in_use = {each.name for each in self._pulled.all() if each.name in needed or each.id in needed}
        self._pulled.used(in_use, self._clock())
        if not is_too_full(disk, self._policy):
            return ()
        sized = tuple(_sized(client, each) for each in self._pulled.all())
        chosen = to_remove(sized, disk, self._policy, self._clock(), needed=needed)
        return tuple(each.name for each in chosen if self._remove(client, each))

    def _disk(self, client: Client) -> DiskUse:
        root = client.info().get("DockerRootDir", "")
        try:
            usage = shutil.disk_usage(root)
        except OSError:  # the engine runs elsewhere: its disk is not to be seen
            return DiskUse(0, 0)
        return DiskUse(usage.total - usage.free, usage.total)

    def _remove(self, client: Client, image: PulledImage) -> bool:
        """Remove an image that is still the one that was pulled; the engine refuses one that is in use."""
        if image_id(client, image.name) != image.id:
            self._pulled.forget(image.name)  # somebody removed it, or gave its name to another one
            return False
        try:
            client.remove_image(image.name)
        except APIError as error:
            log.info("image stays image=%s reason=%s", image.name, words(error))
            return False
        self._pulled.forget(image.name)
        log.info("image removed image=%s bytes=%d reason=disk is filling up", image.name, image.size_bytes)
        return True


def _sized(client: Client, image: PulledImage) -> PulledImage:
    try:
        told = client.inspect_image(image.id)  # type: ignore[no-untyped-call]  # a gap in the stubs
    except NotFound:
        return image
    return replace(image, size_bytes=int(told.get("Size") or 0))


def _dead(client: Client, options: DockerOptions) -> list[DeadContainer]:
    """Return this node's dead containers, each with what it holds."""
    filters = {"label": f"{NODE}={options.node}", "status": ["exited", "created", "dead"]}
    found = []
    for each in client.containers(all=True, size=True, filters=filters):
        with suppress(NotFound):  # gone meanwhile
            told: dict[str, Any] = client.inspect_container(each["Id"])
            info = container_info(told)
            if info is not None:
                size = int(each.get("SizeRw") or 0) + _log_bytes(told)
                found.append(DeadContainer(info.id, info.ended_at, size))
    return found


def _log_bytes(told: dict[str, Any]) -> int:
    """Return the size of a container's log, 0 where the engine's files are not to be seen."""
    try:
        return os.stat(told.get("LogPath") or "").st_size
    except OSError:
        return 0
