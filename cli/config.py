"""`berth config`: the contexts, which are the clusters that a person knows. As kubectl's, with its own file."""

import os
from dataclasses import replace
from pathlib import Path
from typing import Annotated

import typer

from cli.session import note, out, session_of
from cli.settings import HELP
from cli.tables import format_table
from client.config import FIELDS, FILE_FIELDS, Config, config_path, load, save
from client.connect import Settings, check_settings
from client.errors import BadOption

_GIVEN = {
    "etcd": "etcd",
    "cacert": "cacert",
    "cert": "cert",
    "key": "key",
    "root": "prefix",
    "namespace": "namespace",
}
"""Global option -> field of a context."""

NameArgument = Annotated[str, typer.Argument(metavar="NAME", help="Name of the context.")]


def register(app: typer.Typer, name: str) -> None:
    group = typer.Typer(no_args_is_help=True, epilog=HELP)
    group.command("view")(view)
    group.command("get-contexts")(get_contexts)
    group.command("current-context")(current_context)
    group.command("use-context")(use_context)
    group.command("set-context")(set_context)
    group.command("set")(set_field)
    group.command("rename-context")(rename_context)
    group.command("delete-context")(delete_context)
    app.add_typer(group, name=name, help="Show and change contexts: the clusters that you know.")


def view() -> None:
    """Print the file."""
    import yaml

    config = _load()
    if not config.raw:
        note(_nothing(config))
        return
    out(yaml.safe_dump(config.raw, sort_keys=False, allow_unicode=True), end="")


def get_contexts(
    output: Annotated[str, typer.Option("-o", "--output", help="name.")] = "",
    no_headers: Annotated[bool, typer.Option("--no-headers", help="Leave the header out.")] = False,
) -> None:
    """List the contexts; a star marks the current one."""
    if output not in ("", "name"):
        raise BadOption(f"-o {output} makes no sense here; known: name")
    config = _load()
    if output == "name":
        for each in config.contexts:
            out(each.name)
        return
    rows = [
        [
            "*" if each.name == config.current else "",
            each.name,
            ",".join(each.etcd) or "<none>",
            each.namespace,
        ]
        for each in config.contexts
    ]
    if not rows:
        note(_nothing(config))
        return
    for line in format_table(["CURRENT", "NAME", "ETCD", "NAMESPACE"], rows, with_header=not no_headers):
        out(line.rstrip())


def current_context() -> None:
    """Print the name of the current context."""
    config = _load()
    if not config.current:
        raise BadOption("no context is current; choose one with: berth config use-context NAME")
    out(config.current)


def use_context(name: NameArgument) -> None:
    """Make a context the current one."""
    config = _load()
    config.get(name)
    save(config.with_current(name))
    out(f'Switched to context "{name}".')


def set_context(
    context: typer.Context,
    name: Annotated[str, typer.Argument(metavar="[NAME]", help="Name of the context.")] = "",
    current: Annotated[bool, typer.Option("--current", help="Change the current context.")] = False,
) -> None:
    """Make or change a context, by the global options: --etcd, --cacert, --cert, --key, --root, --namespace.

    An option with an empty value takes the field out: --cert=
    """
    config = _load()
    if bool(name) == current:
        raise BadOption(
            "name one context, or say --current; for example: berth config set-context --current -n NAME"
        )
    wanted = name or _current(config)
    given = session_of(context).settings.given
    changes = {field: _value(option, given[option]) for option, field in _GIVEN.items() if option in given}
    is_new = config.find(wanted) is None
    _write(config, wanted, changes)
    out(f'Context "{wanted}" {"created" if is_new else "modified"}.')


def set_field(
    field: Annotated[str, typer.Argument(metavar="FIELD", help=f"One of {', '.join(FIELDS)}.")],
    value: Annotated[
        str, typer.Argument(metavar="VALUE", help="Its value; an empty one takes the field out.")
    ],
) -> None:
    """Set one field of the current context, such as: berth config set namespace team-a."""
    if field not in FIELDS:
        raise BadOption(f"a context has no field {field!r}; it has: {', '.join(FIELDS)}")
    config = _load()
    name = _current(config)
    option = "root" if field == "prefix" else field
    _write(config, name, {field: _value(option, value)})
    out(f'Context "{name}" modified.')


def rename_context(
    name: NameArgument, new: Annotated[str, typer.Argument(metavar="NEW", help="Its new name.")]
) -> None:
    """Give a context another name."""
    config = _load()
    config.get(name)
    if config.find(new) is not None:
        raise BadOption(f'there is a context "{new}" already; see: berth config get-contexts')
    entries = [{**each, "name": new} if each["name"] == name else each for each in config.raw["contexts"]]
    renamed = replace(config, raw={**config.raw, "contexts": entries})
    save(renamed.with_current(new) if config.current == name else renamed)
    out(f'Context "{name}" renamed to "{new}".')


def delete_context(name: NameArgument) -> None:
    """Forget a context. Its cluster goes on."""
    config = _load()
    save(config.without_context(name))
    out(f'Context "{name}" deleted.')
    if config.current == name:
        note("It was the current one; choose another with: berth config use-context NAME")


def _load() -> Config:
    path = config_path(os.environ)
    if path is None:
        raise BadOption("HOME is not set, so there is no place for contexts; set BERTH_CONFIG=FILE")
    return load(path)


def _nothing(config: Config) -> str:
    return f"No contexts in {config.path}; make one with: berth up, or: berth config set-context NAME --etcd HOST:PORT"


def _current(config: Config) -> str:
    if not config.current:
        raise BadOption("no context is current; choose one with: berth config use-context NAME")
    return config.get(config.current).name


def _value(option: str, text: str) -> str | list[str]:
    """Return what is stored: endpoints as a list, files with their whole path."""
    if option == "etcd":
        return [part.strip() for part in text.split(",") if part.strip()]
    if option in FILE_FIELDS and text:
        path = Path(text).expanduser().absolute()
        if not path.is_file():
            raise BadOption(f"--{option} {text}: there is no such file")
        return str(path)
    return text


def _write(config: Config, name: str, changes: dict[str, str | list[str]]) -> None:
    """Store a context that can be used, which becomes the current one if there is none."""
    changed = config.with_context(name, changes)
    context = changed.get(name)
    settings = Settings(context=name, config_file=str(config.path))
    files = replace(settings, ca_file=context.cacert, cert_file=context.cert, key_file=context.key)
    namespace = context.namespace or files.namespace
    check_settings(replace(files, endpoints=context.etcd or files.endpoints, namespace=namespace))
    save(changed if config.current else changed.with_current(name))
