"""Files and folders for one user: 0600 and 0700 whatever the umask, replaced as a whole."""

import os
import tempfile
from pathlib import Path

from local.errors import LocalError

FOLDER_MODE = 0o700


def write_private(path: Path, data: bytes) -> None:
    """Replace a file so that a crash leaves either the old or the new one. Raises OSError."""
    handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}-")  # mode 0600
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        Path(temporary).replace(path)
    except BaseException:
        Path(temporary).unlink(missing_ok=True)
        raise


def private_folder(path: Path) -> None:
    """Make a folder that only its owner may enter, or see that it is one. Raises LocalError."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        if not path.exists():
            path.mkdir(mode=FOLDER_MODE)
        status = path.stat()
        if not path.is_dir():
            raise LocalError(f"{path} is not a folder; name another with --data-dir")
        if status.st_uid != os.geteuid():
            raise LocalError(
                f"{path} belongs to another user (id {status.st_uid}); name another with --data-dir"
            )
        if status.st_mode & 0o077:
            path.chmod(FOLDER_MODE)
    except OSError as error:
        raise LocalError(f"{path} can't be used: {error}; name another folder with --data-dir") from None
