"""`berth create secret docker-registry|generic`: a Secret from what is typed or read; sealed before it is sent.

`create configmap` is in `create_config`, `create job` in `create_job`.
"""

import sys
from typing import Annotated

import typer

from cli.create_config import EnvFiles, Files, Literals, configmap, values_from
from cli.create_job import job
from cli.creating import DryRun, How, Overwrite, create
from cli.session import note, session_of
from cli.settings import HELP
from client.errors import BadOption

DOCKER_HUB = "https://index.docker.io/v1/"
MAX_STDIN_BYTES = 65_536  # a password is shorter

Name = Annotated[str, typer.Argument(metavar="NAME", help="Name of the secret.")]
Output = Annotated[str, typer.Option("-o", "--output", help="yaml or json: print it, sealed.")]


def register(app: typer.Typer, name: str) -> None:
    verbs = typer.Typer(help="Create an object from the command line.", no_args_is_help=True)
    verbs.callback()(_no_options)
    secret = typer.Typer(help="Create a secret: values that nobody reads back.", no_args_is_help=True)
    secret.callback()(_no_options)
    secret.command("docker-registry", epilog=HELP)(docker_registry)
    secret.command("generic", epilog=HELP)(generic)
    verbs.add_typer(secret, name="secret")
    verbs.command("configmap", epilog=HELP)(configmap)
    verbs.command("job", epilog=HELP)(job)
    app.add_typer(verbs, name=name)


def _no_options() -> None:
    """Makes the commands below it verbs of their own."""


def docker_registry(
    context: typer.Context,
    name: Name,
    docker_username: Annotated[str, typer.Option(help="User at the registry.")],
    docker_server: Annotated[str, typer.Option(help="The registry, as images name it.")] = DOCKER_HUB,
    docker_password: Annotated[str, typer.Option(help="Its password; others may see it in ps.")] = "",
    docker_password_stdin: Annotated[
        bool, typer.Option("--docker-password-stdin", help="Read the password from stdin.")
    ] = False,
    docker_email: Annotated[str, typer.Option(help="Optional, as in kubectl.")] = "",
    overwrite: Overwrite = False,
    dry_run: DryRun = False,
    output: Output = "",
) -> None:
    """Create a secret with credentials of an image registry, for imagePullSecrets of tasks."""
    password = _password(docker_password, from_stdin=docker_password_stdin)
    from schemas.registry import DOCKER_CONFIG, docker_config

    content = docker_config(docker_server, docker_username, password, docker_email)
    _create(context, name, "berth/registry", {DOCKER_CONFIG: content}, How(overwrite, dry_run, output))


def generic(
    context: typer.Context,
    name: Name,
    from_literal: Literals = None,
    from_file: Files = None,
    from_env_file: EnvFiles = None,
    type_: Annotated[str, typer.Option("--type", help="Opaque, or berth/registry.")] = "Opaque",
    overwrite: Overwrite = False,
    dry_run: DryRun = False,
    output: Output = "",
) -> None:
    """Create a secret from literal values, files and env files."""
    values = values_from(from_literal, from_file, from_env_file)
    _create(context, name, type_, values, How(overwrite, dry_run, output))


def _password(given: str, *, from_stdin: bool) -> str:
    if bool(given) == from_stdin:
        raise BadOption("give either --docker-password-stdin or --docker-password")
    if given:
        note("Warning: others on this machine may see --docker-password; better: --docker-password-stdin")
        return given
    try:
        text = sys.stdin.buffer.read(MAX_STDIN_BYTES).decode()
    except UnicodeDecodeError:  # its message would hold the password
        raise BadOption("--docker-password-stdin: stdin is not UTF-8 text") from None
    password = text.removesuffix("\n").removesuffix("\r")
    if not password:
        raise BadOption("--docker-password-stdin: stdin is empty")
    return password


def _create(context: typer.Context, name: str, type_: str, values: dict[str, bytes], how: How) -> None:
    """Seal, then write. Raises Refused, InvalidManifest, BadOption."""
    from client.secrets import secret_document

    session = session_of(context)
    create(session, secret_document(name, session.namespace, type_, values, "berth create secret"), how)
