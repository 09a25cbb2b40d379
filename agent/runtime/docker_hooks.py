"""Hooks of containers on a Docker Engine: a command inside, an HTTP request, or a pause. Blocks its thread."""

import asyncio
import logging

from agent.errors import RuntimeRefused, RuntimeUnavailable
from agent.probes import Answer
from agent.runtime.api import Done, Failed, Reason, RunHook
from agent.runtime.docker_client import DockerOptions
from agent.runtime.docker_streams import DockerStreams
from agent.runtime.stream_asking import http_get, run_command
from agent.runtime.streams import ExecRequest
from schemas.probe import ExecAction, HttpGetAction

log = logging.getLogger(__name__)

HTTP_TIMEOUT_S = 30.0


def run_hook(op: RunHook, options: DockerOptions) -> Done | Failed:
    """Run a hook to its end, or for as long as it may last. Never raises."""
    try:
        answer = asyncio.run(_run(op, DockerStreams(options.host)))
    except (RuntimeRefused, RuntimeUnavailable) as error:
        answer = Answer(False, str(error))
    except Exception as error:  # the border of its thread
        log.exception("hook broken container=%s when=%s", op.id[:12], op.when)
        answer = Answer(False, f"{type(error).__name__}: {error}")
    if answer.ok:
        return Done(op)
    log.warning("hook failed container=%s when=%s", op.id[:12], op.when)
    return Failed(op, Reason.HOOK_FAILED, answer.text or "it gave no reason")


async def _run(op: RunHook, streams: DockerStreams) -> Answer:
    hook = op.hook
    if hook.exec is not None:
        return await _command(op, streams, hook.exec)
    if hook.http_get is not None:
        return await _request(op, streams, hook.http_get)
    await asyncio.sleep(min(hook.sleep.seconds if hook.sleep else 0, op.timeout_s))
    return Answer(True)


async def _command(op: RunHook, streams: DockerStreams, action: ExecAction) -> Answer:
    process = await streams.exec(op.id, ExecRequest(action.command))
    answer = await run_command(process, op.timeout_s)
    if answer is not None:
        return answer
    await process.kill()
    return Answer(False, f"the command did not end within {op.timeout_s:.0f}s")


async def _request(op: RunHook, streams: DockerStreams, action: HttpGetAction) -> Answer:
    port = action.port
    if isinstance(port, str):
        port = next((each.container_port for each in op.spec.ports if each.name == port), 0)
    if not port:
        return Answer(False, f"the container has no port named {action.port}")
    return await http_get(await streams.address(op.id), port, action, min(op.timeout_s, HTTP_TIMEOUT_S))
