"""What the verbs of `berth create` that make one object from values share: their options, and the way to etcd."""

from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated

import typer

from cli.session import Session, out
from client.errors import Refused

if TYPE_CHECKING:
    from schemas.manifest import Document

Overwrite = Annotated[bool, typer.Option("--overwrite", help="Put it in place of one that is there.")]
DryRun = Annotated[bool, typer.Option("--dry-run", help="Say what would happen; write nothing.")]


@dataclass(frozen=True, slots=True)
class How:
    """What these options say. output: a form in which the object is printed; empty: a line says what was done."""

    overwrite: bool
    dry_run: bool
    output: str


def create(session: Session, document: "Document", how: How) -> None:
    """Write the object, unless one of that name is there. Raises Refused, BadOption."""
    from cli.output import format_data, parse_output

    form = parse_output(how.output) if how.output else None
    ref = document.ref
    with session.client() as client:
        (planned,) = client.plan((document,))
        action = planned.action
        if action != "created" and not how.overwrite and not how.dry_run:
            singular = document.kind.singular
            raise Refused(
                f'{singular} "{ref.name}" already exists in namespace {session.namespace}; change it with --overwrite'
            )
        if not how.dry_run:
            (result,) = client.apply_planned((planned,))
            action = result.action
    if form is not None:
        out(format_data(planned.merged, form), end="")
    else:
        out(f"{ref} {action}{' (dry run)' if how.dry_run else ''}")
