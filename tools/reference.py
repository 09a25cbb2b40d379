"""Write docs/reference/cli.md and docs/reference/kinds.md from the code, as `make reference` does.

python -m tools.reference             in the virtual environment
"""

import inspect
import json
import re
import sys
from collections.abc import Iterator, Sequence
from enum import Enum
from typing import Any

import typer.main

from cli.main import VERBS, build_app
from cli.settings import HELP
from schemas.jsonschema import kind_schema
from schemas.kinds import KINDS, Kind
from tools import CLONE

FOLDER = CLONE / "docs" / "reference"
Json = dict[str, Any]  # Any: JSON of any shape
Command = Any  # typer's own copy of click has no types

_MADE = "<!-- Made by `make reference`; change the code, not this page. -->"

_CLI = f"""{_MADE}
# Commands

What `berth` can do, with every option. `berth VERB --help` says the same. Data go to stdout, everything else to
stderr, so that pipes stay clean. Options may stand before and after arguments; `--` ends them.

## Exit codes

| code | meaning |
|---|---|
| 0 | done; `diff`: no differences; `auth can-i`: yes |
| 1 | an error, or what was waited for did not happen in time; `diff`: differences; `auth can-i`: no |
| 2 | `diff`: an error |
| 130 | interrupted with Ctrl-C |
| other | `exec`: that of the command which was run |
"""

_KINDS = f"""{_MADE}
# Kinds

What can be written in a manifest, field by field. `berth explain KIND.FIELD` says the same, and the JSON Schemas in
[manifests/schema/](../../manifests/schema/) let editors complete and check it. A field without default may be left out
unless it is required. What goes beyond one object, such as whether a queue exists, is checked when it is applied.

- A **quantity** is a number or a text: cpu in cores (`1.5`) or thousandths (`500m`); memory and disk in bytes or with a
  unit (`64Mi`, `1G`); anything else is a count.
- A **duration** is a number of seconds or a text such as `30s`, `5m`, `1h30m`, `250ms`.
"""


def render() -> dict[str, str]:
    """Return name of the page -> its text. The same code gives the same text."""
    return {"cli.md": _cli_page(), "kinds.md": _kinds_page()}


def main() -> int:
    """Write, and say what changed."""
    FOLDER.mkdir(exist_ok=True)
    for name, text in render().items():
        path = FOLDER / name
        if not path.exists() or path.read_text() != text:
            path.write_text(text)
            print(f"wrote {path.relative_to(CLONE)}")
    return 0


def _table(head: tuple[str, ...], rows: Sequence[tuple[str, ...]]) -> str:
    cells = [[cell.replace("|", r"\|") for cell in row] for row in (head, tuple("---" for _ in head), *rows)]
    return "\n".join(f"| {' | '.join(row)} |" for row in cells) + "\n"


def _text(text: str) -> str:
    """One line, with what Markdown would take for a tag in code marks."""
    return re.sub(r"<([\w .-]+)>", r"`<\1>`", " ".join(text.split()))


# Commands


def _cli_page() -> str:
    verbs = [(f"[{name}](#{name})", verb.help) for name, verb in VERBS.items()]
    parts = [_CLI, "## Global options\n", f"```\n{_global_options()}\n```\n", "## All commands\n"]
    parts += [_table(("command", "what it does"), verbs), *(_verb(name) for name in VERBS)]
    return "\n".join(part.rstrip("\n") + "\n" for part in parts)


def _global_options() -> str:
    return HELP.partition("\b\n")[2].rstrip()


def _verb(name: str) -> str:
    command: Command = typer.main.get_command(build_app(name))
    return "\n".join(_command(command.commands[name], name, 2))


def _command(command: Command, path: str, level: int) -> Iterator[str]:
    """Yield the section of a command, and those of the commands below it."""
    below = getattr(command, "commands", {})
    yield f"{'#' * level} {path}\n"
    yield from _paragraphs(command.help or "")
    if not below:
        yield f"```\n{_usage(command, path)}\n```\n"
        rows = [
            (_names(each), _meaning(each)) for each in command.params if not getattr(each, "hidden", False)
        ]
        if rows:
            yield _table(("argument or option", "meaning"), rows)
    for name, child in below.items():
        yield from _command(child, f"{path} {name}", level + 1)


def _paragraphs(text: str) -> Iterator[str]:
    for paragraph in inspect.cleandoc(text).split("\n\n"):
        verbatim = paragraph.startswith("\b")
        yield (
            f"```\n{paragraph.lstrip(chr(8)).strip(chr(10))}\n```\n" if verbatim else f"{_text(paragraph)}\n"
        )


def _usage(command: Command, path: str) -> str:
    arguments = [each for each in command.params if each.param_type_name == "argument"]
    words = []
    for each in arguments:
        word = _argument(each) + ("..." if each.nargs == -1 else "")
        words.append(word if each.required else f"[{word}]")
    return " ".join(["berth", path, *words, "[OPTIONS]"])


def _argument(parameter: Command) -> str:
    return str(parameter.metavar or parameter.name.upper().replace("_", "-"))


def _names(parameter: Command) -> str:
    if parameter.param_type_name == "argument":
        return f"`{_argument(parameter)}`"
    names = "`, `".join((*parameter.opts, *parameter.secondary_opts))
    return f"`{names}`"


def _meaning(parameter: Command) -> str:
    said, default = [_text(parameter.help or "")], parameter.default
    if isinstance(default, Enum):
        said.append("One of: " + ", ".join(f"`{each.value}`" for each in type(default) if each.value) + ".")
    if parameter.required:
        said.append("Required.")
    if default is True:
        said.append("On unless told otherwise.")
    shown = getattr(default, "value", default)
    if isinstance(shown, int | float | str) and not isinstance(shown, bool) and shown not in ("", -1):
        said.append(f"Default: `{shown}`.")
    return " ".join(part for part in said if part)


# Kinds


def _kinds_page() -> str:
    listed = [(f"[{kind.name}](#{kind.name.lower()})", kind.plural, _aliases(kind)) for kind in KINDS]
    parts = [
        _KINDS,
        _table(("kind", "plural", "may also be called"), listed),
        *(_kind(kind) for kind in KINDS),
    ]
    return "\n".join(part.rstrip("\n") + "\n" for part in parts)


def _aliases(kind: Kind) -> str:
    return ", ".join(kind.aliases)


def _kind(kind: Kind) -> str:
    schema = kind_schema(kind)
    where = "It lives in a namespace." if kind.namespaced else "It lives in no namespace."
    head = [f"## {kind.name}\n", f"{_text(schema.get('description', ''))} {where}".strip() + "\n"]
    return "\n".join([*head, *_models(schema, schema["definitions"], kind.singular)])


def _models(root: Json, definitions: dict[str, Json], path: str) -> Iterator[str]:
    """Yield a table for each object in the order in which a reader meets them, each model once."""
    waiting: list[tuple[str, Json]] = [(path, root)]
    seen: set[str] = set()
    while waiting:
        place, model = waiting.pop(0)
        yield f"### {place}\n"
        if place != path and model.get("description"):
            yield f"{_text(model['description'])}\n"
        yield _table(("field", "type", "default", "what it is"), [*_rows(model, definitions)])
        inner = [(name, found) for name, field in model["properties"].items() if (found := _reference(field))]
        new = [(f"{place}.{name}", each) for name, each in inner if each not in seen]
        seen |= {each for _, each in new}
        waiting[:0] = [(name, definitions[each]) for name, each in new]


def _rows(model: Json, definitions: dict[str, Json]) -> Iterator[tuple[str, ...]]:
    for name, field in model["properties"].items():
        if field.get("readOnly"):
            continue
        inner = definitions.get(_reference(field) or "", {})
        said = _text(field.get("description") or inner.get("description") or "")
        default = "required" if name in model.get("required", ()) else _default(field)
        yield f"`{name}`", _type(field), default, " ".join(filter(None, (said, _choices(field))))


def _default(field: Json) -> str:
    shown = field.get("default")
    return "" if shown in (None, "", [], {}) else f"`{json.dumps(shown, ensure_ascii=False)}`"


def _choices(field: Json) -> str:
    options = [value for each in (field, *field.get("anyOf", ())) for value in each.get("enum", ())]
    written = ", ".join(f"`{value}`" for value in options if value != "")
    return f"One of: {written}." if written else ""


def _reference(field: Json) -> str | None:
    """Return the name of the model that a field holds, by itself, in a list, or beside null."""
    for each in (field, field.get("items", {}), *field.get("anyOf", ()), *field.get("allOf", ())):
        if "$ref" in each:
            return str(each["$ref"].rpartition("/")[2])
    return None


def _type(field: Json) -> str:
    """Return the type in a reader's words."""
    options = [each for each in field.get("anyOf", ()) if each.get("type") != "null"]
    if "examples" in field and len(options) > 1:
        return "duration" if "30s" in field["examples"] else "quantity"
    if _reference(field) and field.get("type") != "array":
        return "object"
    if len(options) == 1:
        return _type(options[0])
    if field.get("type") == "array":
        return f"list of {_plural(_type(field.get('items', {})))}"
    if field.get("type") == "object":
        inner = _type(field.get("additionalProperties", {}))
        return f"map of {_plural('quantity' if 'properties' in field else inner)}"
    named = field.get("type", "text" if {"const", "enum"} & field.keys() else "any")
    names = named if isinstance(named, list) else [named]
    return " or ".join(_WORDS.get(each, str(each)) for each in names)


_WORDS = {"string": "text", "integer": "whole number"}


def _plural(word: str) -> str:
    return {"quantity": "quantities", "text": "texts", "object": "objects"}.get(word, f"{word}s")


if __name__ == "__main__":
    sys.exit(main())
