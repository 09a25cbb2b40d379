"""Read what Docker's API says: an inspected container, an error text. Pure."""

import re
from collections.abc import Mapping
from datetime import datetime
from typing import Any

from agent.labels import from_labels
from agent.runtime.api import ContainerInfo, Phase, Reason

Json = Mapping[str, Any]  # Any: JSON as Docker's API defines it

_RUNNING = frozenset({"running", "paused", "restarting", "removing"})
_PORT_TAKEN = re.compile(r"port is already allocated|address already in use")
_PORT = re.compile(r":(\d{1,5})(?::| failed)")


def container_info(inspected: Json) -> ContainerInfo | None:
    """Return what the inspect reply says, None if no agent made this container."""
    journal = from_labels(inspected["Config"].get("Labels") or {})
    if journal is None:
        return None
    state = inspected["State"]
    error = state.get("Error") or ""
    phase = _phase(state)
    failure = start_failure(error) if phase is Phase.EXITED and not _time(state["StartedAt"]) else None
    taken = taken_port(error) if failure is Reason.HOST_PORT_TAKEN else None
    return ContainerInfo(
        id=inspected["Id"],
        name=inspected["Name"].lstrip("/"),
        journal=journal,
        phase=phase,
        image=inspected["Config"].get("Image") or "",
        exit_code=state["ExitCode"] if phase is Phase.EXITED else None,
        oom=bool(state.get("OOMKilled")),
        failure=failure,
        error=error if taken is None else _taken_words(taken, error),
        taken_port=taken,
        created_at=_time(inspected["Created"]),
        started_at=_time(state["StartedAt"]),
        finished_at=_time(state["FinishedAt"]) if phase is Phase.EXITED else 0.0,
    )


def _phase(state: Json) -> Phase:
    """Docker calls a container that could not be started "created", with an exit code."""
    status = state["Status"]
    if status == "created":
        return Phase.EXITED if state["ExitCode"] != 0 or state.get("Error") else Phase.CREATED
    return Phase.RUNNING if status in _RUNNING and state.get("Running") else Phase.EXITED


def start_failure(error: str) -> Reason:
    """Return why a start failed, from Docker's words (tried with 20.10)."""
    return Reason.HOST_PORT_TAKEN if _PORT_TAKEN.search(error) else Reason.CONTAINER_CANNOT_RUN


def taken_port(error: str) -> int | None:
    """Return the host port in `... listen tcp4 0.0.0.0:31998: bind: address already in use` and the like."""
    match = _PORT.search(error)
    return int(match.group(1)) if match else None


def _taken_words(port: int, error: str) -> str:
    """Say it before Docker does, whose words are long and end with the port."""
    return (
        f"host port {port} of the node is in use by something else; free it (who has it: ss -ltnp), "
        f"or ask for another hostPort or for none; Docker says: {error}"
    )


def pull_failure(status_code: int | None, message: str) -> Reason:
    if status_code == 400 or "invalid reference format" in message:
        return Reason.INVALID_IMAGE_NAME
    return Reason.ERR_IMAGE_PULL


def _time(text: str) -> float:
    """Return seconds since the epoch, 0 for Docker's zero time; nanoseconds are cut to microseconds."""
    if not text or text.startswith("0001-"):
        return 0.0
    return datetime.fromisoformat(text).timestamp()
