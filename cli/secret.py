"""`berth secret keygen|forget-key|seal`: the cluster's key pair, and what is sealed to it."""

from pathlib import Path
from typing import Annotated

import typer

from cli.manifests import Files, Vars, read_manifests, telling_lines
from cli.session import note, out, session_of
from cli.settings import HELP
from client.errors import BadOption, Refused
from client.yamltext import to_yaml


def register(app: typer.Typer, name: str) -> None:
    verbs = typer.Typer(help="The key that secrets are sealed to.", no_args_is_help=True)
    verbs.callback()(_no_options)
    verbs.command("keygen", epilog=HELP)(keygen)
    verbs.command("forget-key", epilog=HELP)(forget_key)
    verbs.command("seal", epilog=HELP)(seal)
    app.add_typer(verbs, name=name)


def _no_options() -> None:
    """Makes the commands below it verbs of their own."""


def keygen(
    file: Annotated[
        str, typer.Argument(metavar="FILE", help="Where the private key goes; it must not exist.")
    ],
) -> None:
    """Make the key pair of a cluster: every controller gets this file, by --secret-key FILE.

    Keep a copy where it is safe: without it no secret of the cluster can be opened again.
    """
    from sealing.keys import create_key_pair

    try:
        pair = create_key_pair(Path(file))
    except FileExistsError:
        raise Refused(f"{file} exists, and is left as it is; name another file, or remove it") from None
    except OSError as error:
        raise BadOption(f"{file} can't be written: {error.strerror}") from None
    out(pair.public)
    note(f"key {pair.id} is in {file}; start each controller with: berth controller --secret-key {file}")


def forget_key(
    context: typer.Context,
    force: Annotated[bool, typer.Option("--force", help="Yes: its private key is lost for good.")] = False,
) -> None:
    """Take back the public key of a cluster whose private key is lost, so that a new one can take its place.

    All secrets must be made anew after that.
    """
    if not force:
        raise Refused(
            "what is sealed to the cluster's key can't be used after this; if its private key is lost for good, "
            "say so: berth secret forget-key --force"
        )
    with session_of(context).client() as client:
        key = client.forget_secret_key()
    out(f"key {key} forgotten")
    note("now start a controller with a new key (berth secret keygen FILE), and make all secrets anew")


def seal(context: typer.Context, filename: Files, vars_file: Vars = "") -> None:
    """Print manifests with their Secrets sealed to the cluster's key, in place of values in clear: safe to commit.

    A sealed Secret is good for this cluster, and for the namespace and name that it has. Other objects are printed as
    they are.
    """
    session = session_of(context)
    read = read_manifests(filename, recursive=False, namespace=session.namespace, vars_file=vars_file)
    if not any(each.kind.name == "Secret" for each in read.documents):
        raise BadOption(f"there is no Secret in {', '.join(filename)}")
    with session.client() as client, telling_lines(read.sources):
        sealed = client.ready(read.documents)
    out("---\n".join(to_yaml(each.raw) for each in sealed), end="")
    note(
        "Note: remove the file with the values in clear from the repository, and change values that were in it"
    )
