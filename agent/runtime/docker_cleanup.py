"""Removing all containers of a node: each is stopped with its own signal and grace, several at once."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing

from docker.errors import APIError, NotFound

from agent.labels import CLUSTER, Journal, from_labels
from agent.runtime.docker_client import RUNTIME_SILENT, DockerOptions, connect, list_labelled, words

WORKERS = 8


def remove_all(options: DockerOptions, cluster: str, say: Callable[[str], None]) -> tuple[str, ...]:
    """Stop and remove the containers of this node and cluster; return what went wrong. Raises OSError."""
    if not cluster:
        return ()  # this agent never joined one, so nothing here is its own
    try:
        with closing(connect(options)) as client:
            found = list_labelled(client, options, f"{CLUSTER}={cluster}")
            found = dict(sorted(found.items(), key=lambda each: _is_sandbox(each[1])))
    except RUNTIME_SILENT as error:
        raise OSError(f"the Docker Engine at {options.host} does not answer: {error}") from error
    with ThreadPoolExecutor(WORKERS) as pool:
        results = list(pool.map(lambda each: _remove(options, each[0], each[1], say), found.items()))
    return tuple(filter(None, results))


def _is_sandbox(labels: dict[str, str]) -> bool:
    journal = from_labels(labels)
    return journal is not None and journal.is_sandbox


def _remove(
    options: DockerOptions, container_id: str, labels: dict[str, str], say: Callable[[str], None]
) -> str:
    """Stop and remove one container; return what went wrong, "" if nothing did. A client is for one thread."""
    journal = from_labels(labels)
    name = f"{journal.namespace}/{journal.name}" if journal else container_id[:12]
    try:
        with closing(connect(options)) as client:
            client.stop(container_id, timeout=_grace_s(journal))
            client.remove_container(container_id, v=True, force=True)
    except NotFound:
        return ""
    except APIError as error:
        return f"container {container_id[:12]} of task {name} stays: {words(error)}; try again"
    except RUNTIME_SILENT as error:
        return f"container {container_id[:12]} of task {name} stays: {error}; try again"
    say(f"stopped and removed container {container_id[:12]} of task {name}")
    return ""


def _grace_s(journal: Journal | None) -> int:
    """Docker takes whole seconds, and kills when they are over."""
    return round(journal.grace_s) if journal else 10
