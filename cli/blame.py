"""`berth blame`: for each field of an object who set it, when, and at which revision."""

import json
from typing import TYPE_CHECKING, Annotated, Any

import typer

from cli.ages import UNKNOWN, age
from cli.history import one_ref, parse_form_of_history
from cli.output import Output, format_data
from cli.session import note, out, session_of
from cli.settings import HELP
from cli.tables import format_table
from client.conflicts import manager_label
from client.errors import BadOption, LeaderUnavailable, NotFound, Refused

if TYPE_CHECKING:
    from client.blame import FieldBlame
    from client.client import Client
    from client.history import Revision
    from schemas.keys import ObjectRef

HEADER = ("FIELD", "VALUE", "WHO", "REVISION", "AGE")
MAX_VALUE = 40  # characters in a row; -o wide has all of it


def register(app: typer.Typer, name: str) -> None:
    app.command(name, epilog=HELP)(blame)


def blame(
    context: typer.Context,
    what: Annotated[list[str], typer.Argument(metavar="WHAT", help="KIND/NAME, or KIND NAME.")],
    output: Annotated[str, typer.Option("-o", "--output", help="wide, json or yaml.")] = "",
) -> None:
    """Show for each field who set it, when, and at which revision.

    WHO is the manager whose manifest has the field with that value, or "by hand" for what berth scale, edit, patch and
    the like set. When it was comes from the leader's history; without one it is unknown. A row with > is of a change
    that was found later.
    """
    from client.blame import blame as blame_fields
    from client.reading import read_applied

    session, form = session_of(context), parse_form_of_history(output)
    ref = one_ref(session, what)
    if ref.plural == "secrets":
        raise BadOption("of secrets nobody keeps who set what; see: berth describe " + str(ref))
    with session.client() as client:
        view = client.get(ref.plural, ref.name, session.namespace)
        if view.owner is not None:
            from client.ownership import owned_refusal

            raise owned_refusal(view)
        revisions = _revisions(client, ref)
        found = blame_fields(view.raw, read_applied(client.store, client.keys, ref), revisions)
    if form in (Output.JSON, Output.YAML):
        out(format_data(_data(ref, found), form), end="")
        return
    rows = [_row(each, session.now(), form) for each in found]
    out("\n".join(format_table(HEADER, rows)))


def _revisions(client: "Client", ref: "ObjectRef") -> "tuple[Revision, ...]":
    """Return the changes that the leader knows, none where it can't be asked: then times are unknown."""
    from client.history import read_history
    from store.errors import PermissionDenied

    try:
        found = read_history(client, ref)
    except (LeaderUnavailable, Refused, NotFound, PermissionDenied) as error:
        note(f"Note: when fields were set is unknown, as {error}")
        return ()
    for gap in found.gaps:
        note(f"Note: {gap.text}")
    return found.revisions


def _row(each: "FieldBlame", now: float, form: Output) -> list[str]:
    origin = each.origin
    text = each.value if isinstance(each.value, str) else json.dumps(each.value, ensure_ascii=False)
    if form is not Output.WIDE and len(text) > MAX_VALUE:
        text = text[: MAX_VALUE - 3] + "..."
    when = UNKNOWN if origin is None else ("" if origin.is_exact else ">") + age(origin.time, now)
    return [
        each.path,
        text,
        ",".join(map(manager_label, each.who)),
        UNKNOWN if origin is None else str(origin.revision),
        when,
    ]


def _data(ref: "ObjectRef", found: "tuple[FieldBlame, ...]") -> dict[str, Any]:
    fields = [
        {
            "field": each.path,
            "value": each.value,
            "who": list(each.who),
            "managers": list(each.managers),
            "since": None
            if each.origin is None
            else {
                "revision": each.origin.revision,
                "time": each.origin.time,
                "isExact": each.origin.is_exact,
                "by": list(each.origin.by),
            },
        }
        for each in found
    ]
    place = {"plural": ref.plural, "namespace": ref.namespace, "name": ref.name}
    return {"apiVersion": "berth/v1", "kind": "Blame", **place, "fields": fields}
