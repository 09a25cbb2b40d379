"""`berth history`: what became of an object, change by change, as the leader's archive has it."""

from typing import Annotated, Any

import typer

from cli.ages import UNKNOWN, age
from cli.cells import NONE
from cli.output import Output, format_data
from cli.refs import parse_targets
from cli.session import Session, note, out, session_of
from cli.settings import HELP
from cli.tables import format_table
from client.conflicts import manager_label
from client.errors import BadOption
from client.history import History, Revision, read_history
from client.naming import make_ref
from schemas.keys import ObjectRef

FORMS = {each.value: each for each in (Output.TABLE, Output.WIDE, Output.JSON, Output.YAML)}
SHOWN_FIELDS = 3  # in a row; -o wide has all
HEADER = ("REVISION", "GENERATION", "ACTION", "AGE", "WHO", "CHANGED FIELDS")


def register(app: typer.Typer, name: str) -> None:
    app.command(name, epilog=HELP)(history)


def history(
    context: typer.Context,
    what: Annotated[list[str], typer.Argument(metavar="WHAT", help="KIND/NAME, or KIND NAME.")],
    output: Annotated[str, typer.Option("-o", "--output", help="wide, json or yaml.")] = "",
) -> None:
    """Show the changes of an object, the oldest first: when, by whom, which fields.

    It is told by the archive of the controller that leads. Changes that it did not see are not there: the gaps in
    which there may be some are named. A row with > is of a change that was found later: it is at least that old.
    """
    session, form = session_of(context), parse_form_of_history(output)
    ref = one_ref(session, what)
    with session.client() as client:
        found = read_history(client, ref)
    if form in (Output.JSON, Output.YAML):
        out(format_data(as_data(found), form), end="")
    else:
        rows = [row_of(found, index, session.now(), form) for index in range(len(found.revisions))]
        out("\n".join(format_table(HEADER, rows)))
    tell(found)


def parse_form_of_history(output: str) -> Output:
    """Return the form of output. Raises BadOption."""
    if output not in FORMS:
        raise BadOption(f"-o {output!r} is no form of output here; known: wide, json, yaml")
    return FORMS[output]


def one_ref(session: Session, what: list[str]) -> ObjectRef:
    """Return the one object that is meant. Raises BadOption."""
    refs = [
        make_ref(target.kind, session.namespace, name)
        for target in parse_targets(what)
        for name in target.names
    ]
    if len(refs) != 1:
        raise BadOption("name one object, such as deployment/web")
    return refs[0]


def tell(found: History) -> None:
    """Say on stderr what is missing."""
    if found.omitted:
        note(f"Note: {found.omitted} older changes are not shown")
    for text in (*(gap.text for gap in found.gaps), *found.notes):
        note(f"Note: {text}")


def row_of(found: History, index: int, now: float, form: Output) -> list[str]:
    revision = found.revisions[index]
    fields = found.changed(index)
    shown = fields if form is Output.WIDE else fields[:SHOWN_FIELDS]
    more = [f"+{len(fields) - len(shown)} more"] if len(fields) > len(shown) else []
    return [
        str(revision.revision),
        str(revision.generation),
        revision.action,
        age_of(revision, now),
        ",".join(map(manager_label, revision.by)) or UNKNOWN,
        ",".join([*shown, *more]) or NONE,
    ]


def age_of(revision: Revision, now: float) -> str:
    """Return how long ago it was; with > for what was found some time after it happened."""
    return ("" if revision.is_exact else ">") + age(revision.time, now)


def as_data(found: History) -> dict[str, Any]:
    """Return an answer as JSON, oldest first, with the fields that changed."""
    revisions = [
        {**raw, "changed": list(found.changed(index))}
        for index, raw in enumerate(reversed(found.answer["revisions"]))
    ]
    kept = {key: value for key, value in found.answer.items() if key not in ("kind", "revisions", "isBehind")}
    return {"apiVersion": "berth/v1", "kind": "History", **kept, "revisions": revisions}
