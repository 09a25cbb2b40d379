"""`berth patch`: change fields of stored objects."""

from pathlib import Path
from typing import Annotated, Any

import typer

from cli.changing import change_each, refs_of
from cli.refs import parse_targets
from cli.session import session_of
from cli.settings import HELP
from client.errors import BadOption


def register(app: typer.Typer, name: str) -> None:
    app.command(name, epilog=HELP)(patch)


def patch(
    context: typer.Context,
    what: Annotated[list[str], typer.Argument(metavar="WHAT", help="KIND NAME ... or KIND/NAME ....")],
    patch_: Annotated[str, typer.Option("-p", "--patch", help="The patch, in JSON or YAML.")] = "",
    patch_file: Annotated[str, typer.Option("--patch-file", help="File that holds the patch.")] = "",
    type_: Annotated[
        str,
        typer.Option(
            "--type",
            help="strategic: lists are merged by name; merge: they are replaced; json: a list of operations.",
        ),
    ] = "strategic",
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Check; write nothing.")] = False,
) -> None:
    """Change fields of stored objects. A null removes a field."""
    session = session_of(context)
    targets = parse_targets(what)
    from client.patching import make_patch

    change = make_patch(_load(patch_, patch_file), type_)
    suffix = " (dry run)" if dry_run else ""
    with session.client() as client:
        refs = refs_of(session, client, targets, "", all_=False)
        code = change_each(
            refs,
            lambda ref: client.change(ref, change, dry_run=dry_run),
            lambda changed: ("patched" if changed.is_change else "patched (no change)") + suffix,
        )
    raise typer.Exit(code)


def _load(text: str, file: str) -> Any:
    """Read the patch. Raises BadOption."""
    if bool(text) == bool(file):
        raise BadOption(
            'give the patch with -p or --patch-file; for example: -p \'{"spec": {"grace": "5s"}}\''
        )
    from client.yamltext import from_yaml

    if file:
        try:
            text = Path(file).read_text(encoding="utf-8")
        except (OSError, UnicodeDecodeError) as error:
            raise BadOption(f"--patch-file {file} can't be read: {error}") from None
    try:
        return from_yaml(text)
    except ValueError as error:
        raise BadOption(f"the patch is neither JSON nor YAML: {error}") from None
