"""The options of `apply`, `diff` and `plan` about sets, and what of them makes sense together."""

from typing import Annotated

import typer

from client.errors import BadOption

CreateNamespace = Annotated[bool, typer.Option(help="Create namespaces that do not exist.")]
Set = Annotated[
    str,
    typer.Option("--set", metavar="NAME", help="The set that these objects are, within the namespace of -n."),
]
Prune = Annotated[
    bool, typer.Option("--prune", help="With --set: delete what was in the set, and is no more.")
]
AllowEmpty = Annotated[
    bool, typer.Option("--allow-empty", help="With --prune: no documents at all are no mistake.")
]


def check_set_options(set_name: str, *, prune: bool, allow_empty: bool) -> None:
    """Raise BadOption for options that make no sense without others."""
    if prune and not set_name:
        raise BadOption(
            "--prune deletes what left a set, so it needs the set's name: --set NAME; what a set has was recorded by "
            "earlier applies with that name"
        )
    if allow_empty and not prune:
        raise BadOption("--allow-empty goes with --prune: without documents there is nothing else to do")
