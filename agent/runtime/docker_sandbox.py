"""The sandbox of a task with several containers: it holds their network, and what they share in memory.

Its image is made by the agent when it is first needed, so that no registry is asked. It costs no more than a
process that waits, and is counted nowhere.
"""

from docker.errors import APIError, ImageNotFound

from agent.labels import to_labels
from agent.runtime.api import SANDBOX_IMAGE, Create
from agent.runtime.docker_client import Client
from agent.runtime.docker_create import Body, memory_volumes, port_maps
from agent.runtime.sandbox_program import PROGRAM, image_tar, supports

NOBODY = "65534:65534"
MEMORY_BYTES = 2**24  # far more than it takes, and Docker's least is 6 MiB
MAX_HOSTNAME = 63  # characters, by the kernel


def sandbox_body(op: Create) -> Body:
    """Return the API's JSON for the sandbox that `op` creates; it publishes the ports of all containers. Pure."""
    ports = op.binding.grants.ports
    exposed, bindings = port_maps(ports)
    return {
        "Image": SANDBOX_IMAGE,
        "Labels": to_labels(op.journal),
        "Entrypoint": [f"/{PROGRAM}"],
        "Hostname": op.binding.name[:MAX_HOSTNAME].rstrip("-."),
        "User": NOBODY,
        "StopSignal": op.journal.stop_signal,
        "ExposedPorts": exposed,
        "HostConfig": {
            "RestartPolicy": {"Name": "no"},  # the agent restarts
            "LogConfig": {"Type": "none"},
            "ReadonlyRootfs": True,
            "CapDrop": ["ALL"],
            "SecurityOpt": ["no-new-privileges"],
            "PidsLimit": 8,
            "Memory": MEMORY_BYTES,
            "MemorySwap": MEMORY_BYTES,
            "PortBindings": bindings,
            "Mounts": memory_volumes(op),
        },
    }


def ensure_image(client: Client) -> None:
    """Make the sandbox's image unless the engine has it. Raises ValueError for an unknown architecture."""
    try:
        client.inspect_image(SANDBOX_IMAGE)  # type: ignore[no-untyped-call]  # a gap in the stubs
        return
    except (ImageNotFound, APIError) as error:
        if isinstance(error, APIError) and error.status_code != 404:
            raise
    architecture = str(client.version()["Arch"])
    if not supports(architecture):
        raise ValueError(
            f"tasks with several containers are not supported on {architecture}: there is no sandbox for it"
        )
    repository, _, tag = SANDBOX_IMAGE.partition(":")
    client.import_image_from_data(image_tar(architecture), repository=repository, tag=tag)
