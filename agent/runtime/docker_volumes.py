"""Volumes on the host: emptyDir folders made before a create and removed with a binding, hostPath checked."""

import os
import shutil
import time
from pathlib import Path

from agent.labels import BINDING_UID
from agent.runtime.api import Create
from agent.runtime.docker_client import Client, DockerOptions, list_states
from agent.runtime.docker_config import bindings_with_secrets, discard_secrets
from agent.runtime.docker_create import folders_to_make, host_paths
from schemas.task import HostPath

ORPHANED_VOLUME_S = 600.0  # from the making of a folder to the create of its container it takes far less


def volumes_folder(options: DockerOptions, binding_uid: str) -> Path:
    return options.state_folder / "volumes" / binding_uid


def prepare(op: Create, folder: Path) -> None:
    """Make what must be there on the host. Raises OSError or ValueError with words for the report."""
    if op.journal.is_sandbox:  # a sign that there may be folders in memory to remove with the binding
        os.makedirs(folder, exist_ok=True)
        return
    for each in folders_to_make(op, str(folder)):
        os.makedirs(each, exist_ok=True)
        os.chmod(each, 0o777)  # whatever user the container has, as Kubernetes' emptyDir
        os.utime(folder)
    for path in host_paths(op):
        _check_host_path(path)


def _check_host_path(wanted: HostPath) -> None:
    path = Path(wanted.path)
    if wanted.type == "Directory" and not path.is_dir():
        raise ValueError(f"hostPath {path} is not a directory on this node")
    if wanted.type == "File" and not path.is_file():
        raise ValueError(f"hostPath {path} is not a file on this node")
    if wanted.type in ("", "DirectoryOrCreate") and not path.exists():
        path.mkdir(parents=True, exist_ok=True)


def discard_volumes(client: Client, binding_uid: str, options: DockerOptions) -> None:
    """Remove the emptyDir folders and the files of ConfigMaps and Secrets of a binding without containers."""
    folder = volumes_folder(options, binding_uid)
    has_any = folder.exists() or any(each.name == binding_uid for each in bindings_with_secrets(options))
    if has_any and not list_states(client, options, f"{BINDING_UID}={binding_uid}"):
        _discard_memory_volumes(client, binding_uid)
        shutil.rmtree(folder, ignore_errors=True)
        discard_secrets(binding_uid, options)


def _discard_memory_volumes(client: Client, binding_uid: str) -> None:
    """Remove the folders in memory that a binding's sandbox held; before the folder that tells of them."""
    found = client.volumes(filters={"label": f"{BINDING_UID}={binding_uid}"})["Volumes"] or []
    for each in found:
        client.remove_volume(each["Name"])


def discard_orphaned_volumes(client: Client, options: DockerOptions) -> None:
    """Remove folders whose binding has no container; a new one may be about to get its container."""
    folder = options.state_folder / "volumes"
    kept = sorted(folder.iterdir()) if folder.is_dir() else []
    for each in (*kept, *bindings_with_secrets(options)):
        if each.stat().st_mtime < time.time() - ORPHANED_VOLUME_S:
            discard_volumes(client, each.name, options)
