"""ConfigMaps and Secrets of one binding on this host: variables for a create, folders of files, and their end.

Files of ConfigMaps lie beside emptyDir folders; those of Secrets in memory (`agent.memory_folder`). Both go with the
last container of their binding. After a restart of the host those in memory are gone, and come with the next create.
"""

import logging
import os
import shutil
from collections.abc import Iterable
from pathlib import Path

from agent.config import Sources, files_of
from agent.errors import ConfigError
from agent.files import write_files
from agent.memory_folder import make_private, memory_folder
from agent.runtime.api import Create, Done, Failed, Reason, Refresh
from agent.runtime.docker_client import DockerOptions
from agent.runtime.docker_create import container_of
from schemas.binding import Binding
from schemas.needs import file_volumes
from schemas.task import Volume

log = logging.getLogger(__name__)


def secrets_folder(options: DockerOptions, binding_uid: str) -> Path:
    """Return where a binding's files of Secrets lie. Raises ConfigError."""
    return memory_folder(options.node, options.state_folder, options.secret_dir) / binding_uid


def write_mounted(op: Create, sources: Sources, options: DockerOptions) -> str:
    """Write the files that a container is to see; return the folder of those of Secrets, "" if there are none.

    Raises ConfigError, OSError.
    """
    names = {mount.name for mount in container_of(op).volume_mounts}
    mounted = [volume for volume in file_volumes(op.binding.spec) if volume.name in names]
    for volume in mounted:
        _write(op.binding, volume, sources, options)
    has_secret = any(volume.secret is not None for volume in mounted)
    return str(secrets_folder(options, op.binding.binding_uid)) if has_secret else ""


def refresh(op: Refresh, options: DockerOptions) -> Done | Failed:
    """Write those files anew that were written for a create; what can't be had any more stays as it is."""
    binding, sources = op.binding, Sources(op.binding, options.key_pair)
    try:
        for volume in file_volumes(binding.spec):
            if _folder(binding, volume, options).is_dir():
                _write(binding, volume, sources, options)
    except ConfigError as error:
        log.warning("files kept as they are task=%s/%s reason=%s", binding.namespace, binding.name, error)
    except OSError as error:
        log.warning("files not written task=%s/%s error=%s", binding.namespace, binding.name, error)
        return Failed(op, Reason.CREATE_CONTAINER_CONFIG_ERROR, str(error))
    return Done(op)


def _write(binding: Binding, volume: Volume, sources: Sources, options: DockerOptions) -> None:
    files = files_of(volume, sources)
    folder = _folder(binding, volume, options)
    if volume.secret is not None:
        make_private(folder.parent.parent)
    if write_files(folder, files):
        log.info("files written task=%s/%s volume=%s", binding.namespace, binding.name, volume.name)
    os.utime(folder.parent)  # so that it is not taken for a left one before its container is there


def _folder(binding: Binding, volume: Volume, options: DockerOptions) -> Path:
    if volume.secret is not None:
        return secrets_folder(options, binding.binding_uid) / volume.name
    return options.state_folder / "volumes" / binding.binding_uid / volume.name


def discard_secrets(binding_uid: str, options: DockerOptions) -> None:
    """Remove a binding's files of Secrets."""
    try:
        folder = secrets_folder(options, binding_uid)
    except ConfigError:
        return  # then there never were any
    if folder.is_dir():
        shutil.rmtree(folder, ignore_errors=True)
        _remove_empty((folder.parent, folder.parent.parent))


def bindings_with_secrets(options: DockerOptions) -> tuple[Path, ...]:
    """Return the folders of bindings that have files of Secrets."""
    try:
        folder = secrets_folder(options, "").resolve()
    except ConfigError:
        return ()
    return tuple(sorted(folder.iterdir())) if folder.is_dir() else ()


def _remove_empty(folders: Iterable[Path]) -> None:
    for folder in folders:
        try:
            folder.rmdir()
        except OSError:  # another binding's, or another agent's, files are there
            return
