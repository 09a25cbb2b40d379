"""Images: is one there, may it be pulled, and the pull itself."""

from docker.errors import APIError, NotFound

from agent.credentials import credentials_for
from agent.runtime.api import Done, Failed, Pull, Reason
from agent.runtime.docker_client import RUNTIME_SILENT, Client, DockerOptions, words
from agent.runtime.docker_parse import pull_failure
from schemas.registry import RegistryAuth

Result = Done | Failed

RECENT_S = 5.0  # many containers of one image begin together; the engine need not be asked for each of them
PULL_SILENCE_S = 300.0  # a pull that sends no progress for so long is given up


class RecentImages:
    """Which images were just seen in the engine. One that is gone again makes a create fail, which says so.

    Any thread may call: each method reads or replaces one entry, or all.
    """

    def __init__(self) -> None:
        self._seen: dict[str, float] = {}

    def has(self, op: Pull, now: float) -> bool:
        """Say whether `op` is answered by an image that is there; `now` in seconds of a steady clock."""
        return op.policy != "Always" and now < self._seen.get(op.image, -RECENT_S) + RECENT_S

    def note(self, image: str, now: float) -> None:
        fresh = {each: seen for each, seen in self._seen.items() if now < seen + RECENT_S}
        self._seen = {**fresh, image: now}

    def forget(self) -> None:
        self._seen = {}


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


def pull_image(client: Client, op: Pull, options: DockerOptions) -> Result:
    """Pull, which may take long: it has its own workers. Credentials for that registry are tried one by one."""
    credentials = credentials_for(op.image, op.secrets, options.key_pair)
    result: Result = Done(op)
    for auth in credentials.auths or (None,):
        result = _pull_as(client, op, auth)
        if isinstance(result, Done):
            return result
    assert isinstance(result, Failed)
    told = "; ".join((result.message, *credentials.notes))
    return Failed(op, result.reason, credentials.without_values(told))


def _pull_as(client: Client, op: Pull, auth: RegistryAuth | None) -> Result:
    repository, tag = split_image(op.image)
    try:
        for line in client.pull(
            repository, tag=tag, stream=True, decode=True, auth_config=_auth_config(auth)
        ):
            if "error" in line:
                return Failed(op, Reason.ERR_IMAGE_PULL, f"pull of {op.image} failed: {line['error']}")
    except APIError as error:
        reason = pull_failure(error.status_code, words(error))
        return Failed(op, reason, f"pull of {op.image} failed: {words(error)}")
    except RUNTIME_SILENT as error:
        return Failed(op, Reason.ERR_IMAGE_PULL, f"pull of {op.image} failed: {error}")
    return Done(op)


def _auth_config(auth: RegistryAuth | None) -> dict[str, str] | None:
    """Return what Docker takes; None leaves it to the login of the agent's own user on this host, if any."""
    if auth is None:
        return None
    if auth.identity_token:
        return {"identitytoken": auth.identity_token, "serveraddress": auth.host}
    return {"username": auth.username, "password": auth.password, "serveraddress": auth.host}


def split_image(image: str) -> tuple[str, str]:
    """Return repository and tag or digest; without a tag `latest`, as `docker run` does."""
    name, at, digest = image.partition("@")
    if at:
        return name, digest
    folder, slash, last = image.rpartition("/")
    last, _, tag = last.partition(":")
    return f"{folder}{slash}{last}", tag or "latest"
