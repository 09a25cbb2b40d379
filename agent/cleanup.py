"""`berth agent --stop-tasks`: stop and remove the containers of a node whose agent does not run.

What is desired stays as it is in etcd, which this does not even ask: the next agent runs its tasks again.
"""

import os
import sys
import uuid

from agent.errors import AgentError
from agent.identity import StateFolder
from agent.options import DEFAULT_DOCKER_HOST, AgentOptions


def stop_tasks_of(options: AgentOptions) -> int:
    """Stop this node's containers, each with its grace, and remove them; return the exit code.

    The lock of the state folder keeps an agent from starting them again meanwhile.
    """
    if options.runtime == "hollow":
        return 0
    from agent.runtime.docker_cleanup import remove_all
    from agent.runtime.docker_client import DockerOptions

    host = options.docker_host or os.environ.get("DOCKER_HOST") or DEFAULT_DOCKER_HOST
    try:
        with StateFolder(options.state_dir, lambda: str(uuid.uuid4())) as folder:
            cluster = folder.keeper.identity.cluster_uid
            failures = remove_all(DockerOptions(host, options.node, folder.folder), cluster, _say)
    except (AgentError, OSError) as error:
        failures = (str(error),)
    for failure in failures:
        sys.stderr.write(f"Error: {failure}\n")
    return 1 if failures else 0


def _say(text: str) -> None:
    sys.stderr.write(text + "\n")
