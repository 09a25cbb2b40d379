"""`berth validate`: what is wrong with manifests, without a cluster. Exit code 0 for none, 1 for errors."""

from typing import Annotated

import typer

from cli.manifests import Files, Manifests, Recursive, Vars, check_manifests
from cli.session import note, out, session_of
from cli.settings import HELP
from client.validating import Verdict
from client.validating import validate as judge
from schemas.errors import InvalidManifest, Problem
from schemas.lines import locate


def register(app: typer.Typer, name: str) -> None:
    app.command(name, epilog=HELP)(validate)


def validate(
    context: typer.Context,
    filename: Files,
    recursive: Recursive = False,
    vars_file: Vars = "",
    sealed: Annotated[
        bool, typer.Option("--sealed", help="Secrets in clear are errors, as they are in a repository.")
    ] = False,
) -> None:
    """Check manifests without a cluster: syntax, fields, rules, and what they name among each other.

    Every problem of every file is printed with its line. What these files name and do not hold is a warning, as the
    cluster may have it. Exit code: 0 when no error was found, 1 otherwise.
    """
    try:
        read = check_manifests(
            filename, recursive=recursive, namespace=session_of(context).namespace, vars_file=vars_file
        )
    except InvalidManifest as error:  # in the file of variables
        read = Manifests((), (), error.problems)
    verdict = _judge(read)
    errors = (*verdict.errors, *(verdict.in_clear if sealed else ()))
    warnings = (*verdict.warnings, *(() if sealed else verdict.in_clear))
    _print("Error", errors)
    _print("Warning", warnings)
    if errors:
        note(f"{_count(len(errors), 'error')}, {_count(len(warnings), 'warning')}")
        raise typer.Exit(1)
    note(f"{_count(len(read.documents), 'object')} checked, {_count(len(warnings), 'warning')}")


def _judge(read: Manifests) -> Verdict:
    """Judge all that can be read; what is named and not found may be in what can't."""
    found, sources = judge(read.documents), dict(read.sources)
    errors = (*read.problems, *locate(found.errors, sources))
    warnings = () if read.problems else locate(found.warnings, sources)
    return Verdict(errors, warnings, found.in_clear)


def _print(what: str, problems: tuple[Problem, ...]) -> None:
    for problem in problems:
        out(f"{what}: {problem}")


def _count(number: int, what: str) -> str:
    return f"{number} {what}{'' if number == 1 else 's'}"
