"""Removes images from the engine when its disk fills up: what may go is decided in `agent.collecting`."""

import logging
import shutil
import threading
import time
from collections.abc import Callable
from contextlib import closing
from dataclasses import replace

from docker.errors import APIError, NotFound

from agent.collecting import DiskUse, ImagePolicy, PulledImage, is_too_full, to_remove
from agent.pulled import PulledImages
from agent.runtime.api import Done, Pull
from agent.runtime.docker_client import RUNTIME_SILENT, Client, DockerOptions, connect, words
from agent.runtime.docker_images import Result, pull_image

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


class ImageCollector:
    """Looks once a minute, in a thread of its own; `look` is one look."""

    def __init__(
        self,
        options: DockerOptions,
        pulled: PulledImages,
        policy: ImagePolicy,
        needed: Needed,
        clock: Callable[[], float],
    ) -> None:
        self._options, self._pulled, self._policy = options, pulled, policy
        self._needed, self._clock = needed, clock
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name="images", daemon=True)

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
                log.warning("images not collected error=%s", error)
            except Exception:  # the loop's border
                log.exception("images not collected")

    def look(self) -> tuple[str, ...]:
        """Remove what is to go; return the names. Raises RUNTIME_SILENT errors."""
        bound, images = self._needed(), self._pulled.all()
        if bound is None or not images:
            return ()
        with closing(connect(self._options)) as client:
            held = client.containers(all=True)
            needed = bound | {each["ImageID"] for each in held} | {each["Image"] for each in held}
            in_use = {each.name for each in images if each.name in needed or each.id in needed}
            self._pulled.used(in_use, self._clock())
            disk = self._disk(client)
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
