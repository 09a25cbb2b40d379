"""`berth set image`: other images for the containers of an object."""

from typing import Annotated

import typer

from cli.changing import change_each
from cli.refs import parse_targets
from cli.session import session_of
from cli.settings import HELP
from client.errors import BadOption
from client.images import parse_images, with_images
from client.naming import make_ref


def register(app: typer.Typer, name: str) -> None:
    verbs = typer.Typer(help="Set fields of objects.", no_args_is_help=True)
    verbs.callback()(_no_options)
    verbs.command("image", epilog=HELP)(image)
    app.add_typer(verbs, name=name)


def _no_options() -> None:
    """Makes `image` a verb of its own and not the only command."""


def image(
    context: typer.Context,
    words: Annotated[
        list[str],
        typer.Argument(metavar="WHAT CONTAINER=IMAGE...", help="KIND/NAME ... CONTAINER=IMAGE ...."),
    ],
) -> None:
    """Set images: berth set image deployment/web main=web:2. The container * means each of them."""
    session = session_of(context)
    images = parse_images([word for word in words if "=" in word])
    targets = parse_targets([word for word in words if "=" not in word])
    refs = [make_ref(target.kind, session.namespace, name) for target in targets for name in target.names]
    if not refs or not images:
        raise BadOption("say what and which image, as in: berth set image deployment/web main=web:2")
    with session.client() as client:
        code = change_each(
            refs,
            lambda ref: client.change(ref, with_images(ref, images)),
            lambda changed: "image updated" if changed.is_change else "unchanged",
        )
    raise typer.Exit(code)
