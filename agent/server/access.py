"""Who may speak to this agent about a task: the bearer of the token of the task's namespace.

The binding holds the token's SHA-256. A refusal is JSON: {"message": what, why and what next}.
"""

import asyncio
import hashlib
import hmac
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from agent.errors import AgentError, RuntimeRefused, RuntimeUnavailable
from agent.runtime.logs import Logs
from schemas.binding import Binding, StopReason

if TYPE_CHECKING:
    from starlette.requests import HTTPConnection
    from starlette.responses import Response

Find = Callable[[str], tuple[str, Binding] | None]
"""task uid -> (cluster uid, its binding on this node)"""


class Refusal(AgentError):
    """What a request gets instead of what it asked for."""

    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.status = status


def authorize(header: str, namespace: str, task_uid: str, found: tuple[str, Binding] | None) -> Binding:
    """Return the binding that the bearer of `header` may reach. Raises Refusal 401, 403 or 404."""
    token = bearer_token(header)
    if found is None or found[1].namespace != namespace:
        raise Refusal(
            404,
            f"task uid {task_uid} of namespace {namespace} has no binding here; see: berth get tasks -o wide",
        )
    if not is_token(token, found[1].access_hash):
        raise Refusal(403, f"this is not the token of namespace {namespace}; read it with: berth logs")
    return found[1]


def bearer_token(header: str) -> str:
    """Return the token of an Authorization header. Raises Refusal 401."""
    scheme, _, token = header.partition(" ")
    if scheme.lower() != "bearer" or not token.strip():
        raise Refusal(401, "the namespace's token is missing; send it as: Authorization: Bearer <token>")
    return token.strip()


def is_token(token: str, access_hash: str) -> bool:
    """Say whether `access_hash` is the SHA-256 of `token`, in a time that tells nothing."""
    digest = hashlib.sha256(token.encode()).hexdigest()
    return hmac.compare_digest(digest.encode(), access_hash.encode())


def choose_attempt(
    attempts: tuple[str, ...], container: str, previous: bool, binding: Binding | None = None
) -> str:
    """Return the id of the newest attempt, or of the one before. Raises Refusal 404.

    binding: what the containers are of; one whose task has ended had containers, which are collected if none is left.
    """
    index = 1 if previous else 0
    if len(attempts) > index:
        return attempts[index]
    if previous and attempts:
        raise Refusal(
            404,
            f"container {container} has no previous attempt: it was not restarted on this node, or that attempt "
            "was collected",
        )
    if binding is not None and binding.reason is StopReason.COMPLETED:
        raise Refusal(
            404,
            f"the logs of container {container} are gone: task {binding.name} has ended, and its containers were "
            "collected",
        )
    raise Refusal(404, f"container {container} was not created yet")


@dataclass(frozen=True, slots=True)
class Door:
    """Lets requests through to the container that they name, or says why not."""

    find: Find
    logs: Logs

    def binding(self, connection: "HTTPConnection") -> tuple[str, Binding]:
        """Return the cluster's uid and the binding of the task in the path. Raises Refusal."""
        path = connection.path_params
        found = self.find(path["task_uid"])
        header = connection.headers.get("authorization", "")
        binding = authorize(header, path["namespace"], path["task_uid"], found)
        return (found[0] if found else ""), binding

    async def container(self, connection: "HTTPConnection") -> str:
        """Return the id of the newest attempt of the container in the path, else of the task's first one.

        Raises Refusal, RuntimeUnavailable.
        """
        cluster, binding = self.binding(connection)
        names = [each.name for each in (*binding.spec.containers, *binding.spec.init_containers)]
        name = connection.path_params.get("container", names[0])
        if name not in names:
            raise Refusal(404, f"task {binding.name} has no container {name}; it has: {', '.join(names)}")
        attempts = await asyncio.to_thread(
            self.logs.attempts, cluster, binding.task_uid, binding.binding_uid, name
        )
        return choose_attempt(attempts, name, False, binding)


REFUSALS = (Refusal, RuntimeRefused, RuntimeUnavailable)


def refused(error: AgentError) -> "Response":
    """Return the reply that says why."""
    from starlette.responses import JSONResponse

    status = error.status if isinstance(error, Refusal | RuntimeRefused) else 503
    return JSONResponse({"message": str(error)}, status_code=status)
