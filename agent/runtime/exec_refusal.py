"""What is told of a command that could not be started, and its exit code: 127 not found, 126 can't be run. Pure.

Docker 20.10 writes its runtime's sentence into the command's output, and gives 126 for everything.
"""

import re
from dataclasses import dataclass

from agent.runtime.streams import ExecRequest

ENGINE_REFUSES = b"OCI runtime exec failed: "
NOT_FOUND, CANT_RUN = 127, 126  # as shells have it
_FRAME = re.compile(r"^OCI runtime exec failed: (exec failed: )?(unable to start container process: )?")
_NOT_IN_PATH = "executable file not found in $PATH"
_NO_SUCH_FILE = re.compile(r"stat \S+: no such file or directory$")


@dataclass(frozen=True, slots=True)
class ExecRefusal:
    """Why a command was not started, and the exit code that says the same."""

    code: int
    message: str


def exec_refusal(words: str, request: ExecRequest) -> ExecRefusal:
    """Translate the sentence of the container runtime."""
    name = request.command[0]
    of = f" in container {request.container}" if request.container else ""
    reason = _FRAME.sub("", words.strip()).removesuffix(": unknown")
    if reason.endswith(_NOT_IN_PATH):
        return ExecRefusal(
            NOT_FOUND,
            f'command "{name}" was not found in the image{of} (in no folder of $PATH); '
            'what only a shell knows is run by: sh -c "..."',
        )
    if _NO_SUCH_FILE.search(reason):
        return ExecRefusal(
            NOT_FOUND, f'command "{name}" was not found in the image{of}: there is no such file'
        )
    reason = reason.removeprefix(f'exec: "{name}": ')
    if reason == "permission denied":
        reason = "permission denied: it is a folder, or not executable for the container's user"
    return ExecRefusal(CANT_RUN, f'command "{name}" can\'t be run{of}: {reason}')
