"""`berth label` and `berth annotate`: set and remove labels and annotations of stored objects."""

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from cli.changing import change_each, refs_of
from cli.refs import parse_targets
from cli.session import out, session_of
from cli.settings import HELP
from client.errors import BadOption

if TYPE_CHECKING:
    from client.change import Changed
    from client.client import Client
    from schemas.keys import ObjectRef

_CHANGE = re.compile(r"([^=\s]+)=(.*)", re.DOTALL)


@dataclass(frozen=True, slots=True)
class Entries:
    """What a verb changes. `done`, `undone`: what is said of an object afterwards."""

    field: Literal["labels", "annotations"]
    done: str
    undone: str


_OF_VERB = {
    "label": Entries("labels", "labeled", "unlabeled"),
    "annotate": Entries("annotations", "annotated", "unannotated"),
}


def register(app: typer.Typer, name: str) -> None:
    field = _OF_VERB[name].field
    app.command(name, epilog=HELP, help=f"Set {field} (key=value) and remove them (key-).")(change)


def change(
    context: typer.Context,
    what: Annotated[
        list[str],
        typer.Argument(metavar="WHAT CHANGE", help="KIND NAME ... or KIND/NAME ..., then key=value or key-."),
    ],
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace values that are there.")] = False,
    all_: Annotated[bool, typer.Option("--all", help="All objects of the kind in the namespace.")] = False,
    selector: Annotated[str, typer.Option("-l", "--selector", help="Such as app=web.")] = "",
    list_: Annotated[bool, typer.Option("--list", help="Show them instead.")] = False,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Check and say what would happen; write nothing.")
    ] = False,
) -> None:
    session = session_of(context)
    entries = _OF_VERB[context.info_name or "label"]
    words, values = split_changes(what)
    targets = parse_targets(words)
    if not values and not list_:
        raise BadOption(
            f"say what to change, as key=value or key-; for example: berth {context.info_name} "
            "task/web tier=front; or show them with --list"
        )
    with session.client() as client:
        refs = refs_of(session, client, targets, selector, all_=all_)
        if list_:
            _show(client, refs, entries)
            return
        from client.change import with_entries

        wanted = with_entries(entries.field, values, overwrite=overwrite)
        tell = partial(_told, entries, values, " (dry run)" if dry_run else "")
        code = change_each(refs, lambda ref: client.change(ref, wanted, dry_run=dry_run), tell)
    raise typer.Exit(code)


def _show(client: "Client", refs: Iterable["ObjectRef"], entries: Entries) -> None:
    for ref in refs:
        view = client.get(ref.plural, ref.name, ref.namespace)
        found = view.labels if entries.field == "labels" else view.annotations
        out("\n".join([f"{ref}", *(f"  {key}={value}" for key, value in sorted(found.items()))]))


def _told(entries: Entries, values: Mapping[str, str | None], suffix: str, changed: "Changed") -> str:
    done = entries.undone if all(value is None for value in values.values()) else entries.done
    return f"{done if changed.is_change else f'not {entries.done}'}{suffix}"


def split_changes(words: Sequence[str]) -> tuple[list[str], dict[str, str | None]]:
    """Return what names objects, and key -> value (None: remove). Raises BadOption for a key that is in twice."""
    names: list[str] = []
    values: dict[str, str | None] = {}
    for word in words:
        found = _CHANGE.fullmatch(word)
        if found is None and not word.endswith("-"):
            if values:
                raise BadOption(f"{word!r} is neither key=value nor key-; names come before the changes")
            names.append(word)
            continue
        key, value = (found[1], found[2]) if found else (word[:-1], None)
        if key in values:
            raise BadOption(f"key {key!r} is given twice; say once what becomes of it")
        values[key] = value
    return names, values
