"""`berth label` and `berth annotate`: set and remove labels and annotations of stored objects."""

import re
from collections.abc import Sequence
from typing import Annotated

import typer

from cli.changing import change_each, refs_of
from cli.refs import parse_targets
from cli.session import out, session_of
from cli.settings import HELP
from client.errors import BadOption

_CHANGE = re.compile(r"([^=\s]+)=(.*)", re.DOTALL)


def register(app: typer.Typer, name: str) -> None:
    if name == "label":
        app.command(name, epilog=HELP)(label)
    else:
        app.command(name, epilog=HELP)(annotate)


What = Annotated[
    list[str],
    typer.Argument(metavar="WHAT CHANGE", help="KIND NAME ... or KIND/NAME ..., then key=value or key-."),
]
Overwrite = Annotated[bool, typer.Option("--overwrite", help="Replace values that are there.")]
All = Annotated[bool, typer.Option("--all", help="All objects of the kind in the namespace.")]
Selector = Annotated[str, typer.Option("-l", "--selector", help="Such as app=web.")]
List = Annotated[bool, typer.Option("--list", help="Show them instead.")]
DryRun = Annotated[bool, typer.Option("--dry-run", help="Check and say what would happen; write nothing.")]


def label(
    context: typer.Context,
    what: What,
    overwrite: Overwrite = False,
    all_: All = False,
    selector: Selector = "",
    list_: List = False,
    dry_run: DryRun = False,
) -> None:
    """Set labels (key=value) and remove them (key-)."""
    _run(context, "labels", what, overwrite, all_, selector, list_, dry_run)


def annotate(
    context: typer.Context,
    what: What,
    overwrite: Overwrite = False,
    all_: All = False,
    selector: Selector = "",
    list_: List = False,
    dry_run: DryRun = False,
) -> None:
    """Set annotations (key=value) and remove them (key-)."""
    _run(context, "annotations", what, overwrite, all_, selector, list_, dry_run)


def _run(
    context: typer.Context,
    field: str,
    what: Sequence[str],
    overwrite: bool,
    all_: bool,
    selector: str,
    list_: bool,
    dry_run: bool,
) -> None:
    session = session_of(context)
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
            for ref in refs:
                view = client.get(ref.plural, ref.name, ref.namespace)
                found = view.labels if field == "labels" else view.annotations
                out("\n".join([f"{ref}", *(f"  {key}={value}" for key, value in sorted(found.items()))]))
            return
        from client.change import Changed, with_entries

        change = with_entries(field, values, overwrite=overwrite)
        verb = "labeled" if field == "labels" else "annotated"
        suffix = " (dry run)" if dry_run else ""

        def tell(changed: Changed) -> str:
            done = f"un{verb}" if not any(value is not None for value in values.values()) else verb
            return f"{done if changed.is_change else f'not {verb}'}{suffix}"

        code = change_each(refs, lambda ref: client.change(ref, change, dry_run=dry_run), tell)
    raise typer.Exit(code)


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
