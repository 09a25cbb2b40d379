"""One operation against Docker's API, as a function of a client: calls, idempotence, words for what failed.

A call without an answer is a RUNTIME_ERROR, after which nobody knows whether it happened; the next step asks
again.
"""

import logging

import requests
from docker.errors import APIError, NotFound

from agent.config import Environment, Sources, environment_of
from agent.errors import ConfigError
from agent.labels import container_name, from_labels
from agent.runtime.api import (
    SANDBOX_IMAGE,
    ContainerInfo,
    Create,
    Done,
    Failed,
    Kill,
    Op,
    Phase,
    Pull,
    Reason,
    Refresh,
    Remove,
    RunHook,
    Start,
    Stop,
)
from agent.runtime.docker_client import RUNTIME_SILENT, Client, DockerOptions, words
from agent.runtime.docker_config import refresh, write_mounted
from agent.runtime.docker_create import Taken, container_of, create_body
from agent.runtime.docker_hooks import run_hook
from agent.runtime.docker_images import check_image, pull_image
from agent.runtime.docker_parse import container_info
from agent.runtime.docker_sandbox import ensure_image, sandbox_body
from agent.runtime.docker_volumes import discard_volumes, prepare, volumes_folder

log = logging.getLogger(__name__)

Result = Done | Failed

_CONFLICT = 409


def call(client: Client, op: Op, options: DockerOptions) -> Result:
    """Do `op` and say what came of it; never raises."""
    try:
        return _dispatch(client, op, options)
    except APIError as error:
        return Failed(op, Reason.RUNTIME_ERROR, words(error))
    except RUNTIME_SILENT as error:
        return Failed(op, Reason.RUNTIME_ERROR, f"the container runtime does not answer: {error}")


def _dispatch(client: Client, op: Op, options: DockerOptions) -> Result:
    match op:
        case Pull():
            return check_image(client, op) or pull_image(client, op, options)
        case Create():
            return create(client, op, options)
        case Start():
            return start(client, op)
        case Stop():
            return _signal(client, op, op.signal)
        case Kill():
            return _signal(client, op, "SIGKILL")
        case Remove():
            return remove(client, op, options)
        case RunHook():
            return run_hook(op, options)
        case Refresh():
            return refresh(op, options)


def create(client: Client, op: Create, options: DockerOptions) -> Result:
    """Create the container, or adopt the one that a former self created for this very attempt."""
    folder = volumes_folder(options, op.journal.binding_uid)
    own = Environment({})
    try:
        if op.journal.is_sandbox:
            prepare(op, folder)
            ensure_image(client)
            body = sandbox_body(op)
        else:
            prepare(op, folder)
            sources = Sources(op.binding, options.key_pair)
            own = environment_of(container_of(op), sources)
            taken = Taken(own.values, write_mounted(op, sources, options))
            body = create_body(op, str(folder), taken)
        name = container_name(op.journal)
        created = client.create_container_from_config(body, name)  # type: ignore[no-untyped-call]  # as above
    except NotFound as error:
        missing = "image" in words(error).lower()
        reason = Reason.IMAGE_MISSING if missing else Reason.CREATE_CONTAINER_ERROR
        return Failed(op, reason, own.without_values(words(error)))
    except APIError as error:
        if error.status_code == _CONFLICT:
            return _adopt(client, op)
        return Failed(op, Reason.CREATE_CONTAINER_ERROR, own.without_values(words(error)))
    except ConfigError as error:
        return Failed(op, Reason.CREATE_CONTAINER_CONFIG_ERROR, str(error))
    except (OSError, ValueError) as error:
        if isinstance(error, requests.exceptions.RequestException):
            raise
        return Failed(op, Reason.CREATE_CONTAINER_ERROR, str(error))
    return Done(op, _fresh(created["Id"], name, op))


def _fresh(container_id: str, name: str, op: Create) -> ContainerInfo:
    """What a just created container is, without asking the engine again."""
    image = SANDBOX_IMAGE if op.journal.is_sandbox else container_of(op).image
    return ContainerInfo(container_id, name, op.journal, Phase.CREATED, image=image)


def _adopt(client: Client, op: Create) -> Result:
    """The name is taken: ours if the labels say that it is this very attempt, else a stranger's."""
    name = container_name(op.journal)
    try:
        inspected = client.inspect_container(name)
    except NotFound:
        return Failed(op, Reason.RUNTIME_ERROR, f"the name {name} was taken and is free again")
    journal = from_labels(inspected["Config"].get("Labels") or {})
    info = container_info(inspected)
    if info is None or journal is None or not journal.same_attempt(op.journal):
        message = (
            f"the name {name} belongs to container {inspected['Id'][:12]}, which is not this agent's; "
            "remove or rename it"
        )
        return Failed(op, Reason.CREATE_CONTAINER_ERROR, message)
    return Done(op, info)


def start(client: Client, op: Start) -> Result:
    """Start; a container that could not be started tells why in its own state."""
    message = ""
    try:
        client.start(op.id)
    except NotFound as error:
        message = words(error)
    except APIError as error:
        message = words(error)
    try:
        info = container_info(client.inspect_container(op.id))
    except NotFound:
        return Failed(op, Reason.CONTAINER_GONE, f"container {op.id[:12]} is gone")
    if info is None or (message and info.phase is Phase.CREATED):
        return Failed(op, Reason.RUNTIME_ERROR, message or f"container {op.id[:12]} lost its labels")
    return Done(op, info)


def _signal(client: Client, op: Stop | Kill, signal: str) -> Result:
    try:
        client.kill(op.id, signal)
    except NotFound:
        return Done(op)
    except APIError as error:
        if error.status_code == _CONFLICT or "is not running" in words(error):
            return Done(op)  # it has ended meanwhile
        return Failed(op, Reason.RUNTIME_ERROR, words(error))
    return Done(op)


def remove(client: Client, op: Remove, options: DockerOptions) -> Result:
    """Remove a container that does not run, and its anonymous volumes."""
    try:
        client.remove_container(op.id, v=True)
    except NotFound:
        pass
    except APIError as error:
        if error.status_code != _CONFLICT or "already in progress" not in words(error):
            return Failed(op, Reason.RUNTIME_ERROR, words(error))
    try:
        discard_volumes(client, op.target.binding_uid, options)
    except (APIError, *RUNTIME_SILENT) as error:  # `discard_orphaned_volumes` will find them
        log.warning("volumes not removed binding_uid=%s error=%s", op.target.binding_uid, error)
    return Done(op)
