"""Images: is one there, may it be pulled, and the pull itself."""

from docker.errors import APIError, NotFound

from agent.runtime.api import Done, Failed, Pull, Reason
from agent.runtime.docker_client import RUNTIME_SILENT, Client, words
from agent.runtime.docker_parse import pull_failure

Result = Done | Failed

PULL_SILENCE_S = 300.0  # a pull that sends no progress for so long is given up


def check_image(client: Client, op: Pull) -> Result | None:
    """Return the answer when the image is there, or must not be pulled; None: it has to be pulled."""
    if op.policy == "Always":
        return None
    try:
        client.inspect_image(op.image)  # type: ignore[no-untyped-call]  # a gap in the stubs
    except NotFound:
        if op.policy == "IfNotPresent":
            return None
        message = f"image {op.image} is not present and imagePullPolicy is Never"
        return Failed(op, Reason.ERR_IMAGE_NEVER_PULL, message)
    except APIError as error:
        return Failed(op, pull_failure(error.status_code, words(error)), words(error))
    return Done(op)


def pull_image(client: Client, op: Pull) -> Result:
    """Pull, which may take long: it has its own workers."""
    repository, tag = split_image(op.image)
    try:
        for line in client.pull(repository, tag=tag, stream=True, decode=True):
            if "error" in line:
                return Failed(op, Reason.ERR_IMAGE_PULL, f"pull of {op.image} failed: {line['error']}")
    except APIError as error:
        reason = pull_failure(error.status_code, words(error))
        return Failed(op, reason, f"pull of {op.image} failed: {words(error)}")
    except RUNTIME_SILENT as error:
        return Failed(op, Reason.ERR_IMAGE_PULL, f"pull of {op.image} failed: {error}")
    return Done(op)


def split_image(image: str) -> tuple[str, str]:
    """Return repository and tag or digest; without a tag `latest`, as `docker run` does."""
    name, at, digest = image.partition("@")
    if at:
        return name, digest
    folder, slash, last = image.rpartition("/")
    last, _, tag = last.partition(":")
    return f"{folder}{slash}{last}", tag or "latest"
