"""Values from the command line, and `berth create configmap`: literals, files and env files, as in kubectl."""

import base64
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated

import typer

from cli.creating import DryRun, How, Overwrite, create
from cli.session import session_of
from client.errors import BadOption

MAX_READ_BYTES = 262_145  # one more than an object may hold, so that its check tells

Literals = Annotated[list[str] | None, typer.Option(help="KEY=VALUE; repeatable.")]
Files = Annotated[
    list[str] | None,
    typer.Option(help="[KEY=]PATH; repeatable. A file's name is its key; a folder: all in it."),
]
EnvFiles = Annotated[list[str] | None, typer.Option(help="A file with lines KEY=VALUE; repeatable.")]
_ENV_KEY = re.compile(r"[-._a-zA-Z][-._a-zA-Z0-9]*")


def configmap(
    context: typer.Context,
    name: Annotated[str, typer.Argument(metavar="NAME", help="Name of the ConfigMap.")],
    from_literal: Literals = None,
    from_file: Files = None,
    from_env_file: EnvFiles = None,
    overwrite: Overwrite = False,
    dry_run: DryRun = False,
    output: Annotated[str, typer.Option("-o", "--output", help="yaml or json: print it.")] = "",
) -> None:
    """Create a ConfigMap: values in clear, for variables and files of tasks."""
    from schemas.errors import InvalidManifest
    from schemas.manifest import Document, check_object

    session = session_of(context)
    raw = _config_map(name, values_from(from_literal, from_file, from_env_file))
    document = check_object(raw, "berth create configmap", session.namespace)
    if not isinstance(document, Document):
        raise InvalidManifest(document)
    create(session, document, How(overwrite, dry_run, output))


def _config_map(name: str, values: dict[str, bytes]) -> dict[str, object]:
    """Return the object; what is no text goes into binaryData."""
    data: dict[str, str] = {}
    binary: dict[str, str] = {}
    for key, value in values.items():
        try:
            data[key] = value.decode()
        except UnicodeDecodeError:
            binary[key] = base64.b64encode(value).decode()
    found = {"data": data, "binaryData": binary}
    filled = {field: held for field, held in found.items() if held}
    return {"apiVersion": "berth/v1", "kind": "ConfigMap", "metadata": {"name": name}, **filled}


def values_from(
    literals: list[str] | None, files: list[str] | None, env_files: list[str] | None
) -> dict[str, bytes]:
    """Return key -> value. Raises BadOption, whose message holds no value, as it may be a secret."""
    values: dict[str, bytes] = {}
    for text in literals or ():
        key, equals, value = text.partition("=")
        if not equals or not key:
            raise BadOption("--from-literal must be KEY=VALUE")
        _add(values, key, value.encode())
    for text in files or ():
        for key, path in _named_files(text):
            _add(values, key, _read(path, "--from-file"))
    for path_text in env_files or ():
        for key, line in _lines(Path(path_text)):
            _add(values, key, line)
    return values


def _add(values: dict[str, bytes], key: str, value: bytes) -> None:
    if key in values:
        raise BadOption(f"the key {key} is given twice")
    values[key] = value


def _named_files(text: str) -> Iterator[tuple[str, Path]]:
    key, equals, path = text.partition("=")
    if equals:
        yield key, Path(path)
    elif Path(text).is_dir():
        yield from ((each.name, each) for each in sorted(Path(text).iterdir()) if each.is_file())
    else:
        yield Path(text).name, Path(text)


def _read(path: Path, option: str) -> bytes:
    try:
        with path.open("rb") as file:
            return file.read(MAX_READ_BYTES)
    except OSError as error:
        raise BadOption(f"{option}: {path} can't be read: {error.strerror}") from None


def _lines(path: Path) -> Iterator[tuple[str, bytes]]:
    """Yield the variables of an env file; empty lines and those that begin with # say nothing."""
    try:
        text = _read(path, "--from-env-file").decode("utf-8-sig")
    except UnicodeDecodeError:
        raise BadOption(f"--from-env-file: {path} is not UTF-8 text") from None
    for number, line in enumerate(text.splitlines(), 1):
        stripped = line.lstrip()
        if not stripped or stripped.startswith("#"):
            continue
        key, equals, value = stripped.partition("=")
        if not equals or not _ENV_KEY.fullmatch(key):
            raise BadOption(f"--from-env-file: {path}, line {number}: it must be KEY=VALUE")
        yield key, value.encode()
