"""`berth diff`: what an apply would change. Exit code 0 without differences, 1 with some, 2 after an error."""

import typer

from cli.apply import AllowEmpty, CreateNamespace, Prune, Set, check_set_options
from cli.colour import coloured_diff, is_coloured
from cli.intent import Intent, intended
from cli.manifests import Files, Recursive, Vars, read_manifests, telling_lines
from cli.session import out, session_of
from cli.settings import HELP
from client.diff import removal_diff, unified_diff


def register(app: typer.Typer, name: str) -> None:
    app.command(name, epilog=HELP)(diff)


def diff(
    context: typer.Context,
    filename: Files,
    recursive: Recursive = False,
    create_namespace: CreateNamespace = False,
    set_name: Set = "",
    prune: Prune = False,
    allow_empty: AllowEmpty = False,
    vars_file: Vars = "",
) -> None:
    """Show what an apply would change. Exit code: 0 no differences, 1 differences, 2 an error.

    Lines that begin with # say what a change does besides: which tasks it stops and starts anew, which fields were set
    by others, which objects are pruned.
    """
    session = session_of(context)
    check_set_options(set_name, prune=prune, allow_empty=allow_empty)
    read = read_manifests(
        filename,
        recursive=recursive,
        namespace=session.namespace,
        vars_file=vars_file,
        may_be_empty=allow_empty,
    )
    wanted = Intent(set_name, prune, allow_empty, create_namespace)
    with session.client() as client, telling_lines(read.sources):
        found = intended(session, client, read.documents, wanted)
    texts = [text for each in found.planned if (text := unified_diff(each))]
    texts += [removal_diff(each.ref, each.view.raw) for each in found.pruned if each.view is not None]
    text = "".join(texts)
    out(coloured_diff(text) if is_coloured() else text, end="")
    raise typer.Exit(1 if texts else 0)
