"""`berth create secret docker-registry|generic`: a Secret from what is typed or read; sealed before it is sent.

`create configmap` is in `create_config`, `create job` in `create_job`.
"""

import sys
from typing import Annotated

import typer

from cli.create_config import EnvFiles, Files, Literals, configmap, values_from
from cli.create_job import job
from cli.session import note, out, session_of
from cli.settings import HELP
from client.errors import BadOption, Refused

DOCKER_HUB = "https://index.docker.io/v1/"
MAX_STDIN_BYTES = 65_536  # a password is shorter

Name = Annotated[str, typer.Argument(metavar="NAME", help="Name of the secret.")]
Overwrite = Annotated[bool, typer.Option("--overwrite", help="Put it in place of one that is there.")]
DryRun = Annotated[bool, typer.Option("--dry-run", help="Say what would happen; write nothing.")]
Output = Annotated[str, typer.Option("-o", "--output", help="yaml or json: print it, sealed.")]


def register(app: typer.Typer, name: str) -> None:
    create = typer.Typer(help="Create an object from the command line.", no_args_is_help=True)
    create.callback()(_no_options)
    secret = typer.Typer(help="Create a secret: values that nobody reads back.", no_args_is_help=True)
    secret.callback()(_no_options)
    secret.command("docker-registry", epilog=HELP)(docker_registry)
    secret.command("generic", epilog=HELP)(generic)
    create.add_typer(secret, name="secret")
    create.command("configmap", epilog=HELP)(configmap)
    create.command("job", epilog=HELP)(job)
    app.add_typer(create, name=name)


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
    _create(
        context,
        name,
        "berth/registry",
        {DOCKER_CONFIG: content},
        overwrite=overwrite,
        dry_run=dry_run,
        output=output,
    )


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
    _create(context, name, type_, values, overwrite=overwrite, dry_run=dry_run, output=output)


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


def _create(
    context: typer.Context,
    name: str,
    type_: str,
    values: dict[str, bytes],
    *,
    overwrite: bool,
    dry_run: bool,
    output: str,
) -> None:
    """Seal, then write, unless one of that name is there. Raises Refused, InvalidManifest, BadOption."""
    from cli.output import format_data, parse_output
    from client.secrets import secret_document

    form = parse_output(output) if output else None
    session = session_of(context)
    document = secret_document(name, session.namespace, type_, values, "berth create secret")
    with session.client() as client:
        (planned,) = client.plan((document,))
        if planned.action != "created" and not overwrite and not dry_run:
            raise Refused(
                f'secret "{name}" already exists in namespace {session.namespace}; change it with --overwrite'
            )
        action = planned.action
        if not dry_run:
            (result,) = client.apply_planned((planned,))
            action = result.action
    if form is not None:
        out(format_data(planned.merged, form), end="")
    else:
        out(f"secret/{name} {action}{' (dry run)' if dry_run else ''}")
