"""The image that the pages name. No registry is asked for it: the demo image is a busybox, too."""

from collections.abc import Iterator

import pytest

from tools.docker_http import image_labels, request

BUSYBOX = "busybox:1.36"


@pytest.fixture(scope="session")
def busybox(docker_host: str, demo_image: str) -> Iterator[None]:
    """The image on the engine: the user's own, or the demo image under its name for the time of the tests."""
    if image_labels(docker_host, BUSYBOX) is not None:
        yield
        return
    name, _, tag = BUSYBOX.partition(":")
    request(docker_host, "POST", f"/images/{demo_image}/tag?repo={name}&tag={tag}")
    yield
    request(docker_host, "DELETE", f"/images/{BUSYBOX}?noprune=1&force=1")
