"""`berth up --detach`: another `berth up` in a session of its own, and waiting until its cluster is ready.

The child tells what happens through a pipe, a line each; when the cluster is ready it closes the pipe after a
last line. A pipe that ends without that line is a start that failed.
"""

import os
import subprocess
from collections.abc import Callable, Mapping, Sequence

from client.config import VARIABLE as CONFIG_VARIABLE
from client.config import config_path
from local.errors import LocalError
from local.folder import VARIABLE, Folder, begin_log, default_data_dir
from local.plan import berth, package_folder

READY = "ready"


def detach(
    arguments: Sequence[str], folder: Folder, environment: Mapping[str, str], say: Callable[[str], None]
) -> None:
    """Run `berth up` with `arguments` in the background; return when it is ready. Raises LocalError."""
    folder.make()
    log = folder.log("up")
    begin_log(log)
    read, write = os.pipe()
    handle = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o600)
    process = subprocess.Popen(
        berth("up", *arguments, f"--ready-fd={write}"),
        stdin=subprocess.DEVNULL,
        stdout=handle,
        stderr=handle,
        env=environment_of_child(environment),
        cwd=package_folder(),
        pass_fds=(write,),
        start_new_session=True,
    )
    os.close(handle)
    os.close(write)
    try:
        _follow(read, say)
    except KeyboardInterrupt:
        process.terminate()
        process.wait()
        raise
    if process.poll() is not None:
        raise LocalError(f"berth up ended at once; see {log}")


def environment_of_child(environment: Mapping[str, str]) -> dict[str, str]:
    """Return the environment with absolute paths, as the child runs in another folder."""
    path = config_path(environment)
    files = {CONFIG_VARIABLE: str(path.absolute())} if path else {}
    if environment.get(VARIABLE):
        files[VARIABLE] = str(default_data_dir(environment))
    return {**environment, **files}


def _follow(read: int, say: Callable[[str], None]) -> None:
    """Tell what the child tells until it is ready. Raises LocalError."""
    with open(read, encoding="utf-8", errors="replace") as lines:
        for line in lines:
            text = line.rstrip("\n")
            if text == READY:
                return
            if text.startswith("Error: "):
                raise LocalError(text.removeprefix("Error: ").replace("\\n", "\n"))
            say(text)
    raise LocalError("berth up ended before the cluster was ready; see the log up.log in its logs folder")
