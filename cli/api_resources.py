"""`berth api-resources`: the kinds, and what they may be called. It asks no cluster."""

from typing import Annotated

import typer

from cli.output import Output, parse_output
from cli.session import out
from cli.settings import HELP
from cli.tables import format_table
from client.errors import BadOption
from schemas.kinds import KINDS, Kind
from schemas.meta import API_VERSION

_VERBS = "apply,delete,describe,diff,edit,explain,get,label,patch,wait"


def register(app: typer.Typer, name: str) -> None:
    app.command(name, epilog=HELP)(api_resources)


def api_resources(
    output: Annotated[str, typer.Option("-o", "--output", help="wide or name.")] = "",
    no_headers: Annotated[bool, typer.Option("--no-headers", help="Leave the header out.")] = False,
) -> None:
    """List the kinds, and what they may be called."""
    form = parse_output(output)
    kinds = sorted(KINDS, key=lambda kind: kind.plural)
    match form:
        case Output.NAME:
            for kind in kinds:
                out(kind.plural)
        case Output.TABLE | Output.WIDE:
            header = ["NAME", "SHORTNAMES", "APIVERSION", "NAMESPACED", "KIND"]
            is_wide = form is Output.WIDE
            rows = [[*_row(kind), *([_VERBS] if is_wide else [])] for kind in kinds]
            for line in format_table(
                [*header, *(["VERBS"] if is_wide else [])], rows, with_header=not no_headers
            ):
                out(line)
        case _:
            raise BadOption(f"-o {form} makes no sense here; known: wide, name")


def _row(kind: Kind) -> list[str]:
    return [kind.plural, ",".join(kind.aliases), API_VERSION, str(kind.namespaced).lower(), kind.name]
