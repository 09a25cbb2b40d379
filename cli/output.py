"""Objects as JSON, YAML and names. What is stored, with what etcd and the leader know of it merged in. Pure."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum

from client.document import Json
from client.document import document_of as to_json
from client.errors import BadOption

__all__ = [
    "Form",
    "Json",
    "Output",
    "as_list",
    "format_data",
    "parse_form",
    "parse_output",
    "to_json",
]


class Output(StrEnum):
    TABLE = ""
    WIDE = "wide"
    JSON = "json"
    YAML = "yaml"
    NAME = "name"
    JSONPATH = "jsonpath"
    CUSTOM_COLUMNS = "custom-columns"


@dataclass(frozen=True, slots=True)
class Form:
    """What `-o` says; `argument` is a template or columns."""

    output: Output
    argument: str = ""

    @property
    def is_table(self) -> bool:
        return self.output in (Output.TABLE, Output.WIDE, Output.CUSTOM_COLUMNS)


_TAKES_ARGUMENT = {Output.JSONPATH: "'{.metadata.name}'", Output.CUSTOM_COLUMNS: "NAME:.metadata.name"}


def parse_form(text: str) -> Form:
    """Return the form of output that `-o` names. Raises BadOption."""
    name, equals, argument = text.partition("=")
    if name.startswith("go-template"):
        raise BadOption("Berth has no go-template; use -o jsonpath=TEMPLATE or -o custom-columns=NAME:.path")
    try:
        output = Output(name)
    except ValueError:
        known = ", ".join(f"{each}=..." if each in _TAKES_ARGUMENT else each for each in Output if each)
        raise BadOption(f"-o {text!r} is no form of output; known: {known}") from None
    if output in _TAKES_ARGUMENT and not argument:
        raise BadOption(f"-o {output} needs more; write for example -o {output}={_TAKES_ARGUMENT[output]}")
    if equals and output not in _TAKES_ARGUMENT:
        raise BadOption(f"-o {output} takes nothing behind '='; write -o {output}")
    return Form(output, argument)


def parse_output(text: str) -> Output:
    """Return the form of output for verbs without templates. Raises BadOption."""
    try:
        output = Output(text)
    except ValueError:
        output = Output.JSONPATH
    if output in _TAKES_ARGUMENT:
        known = ", ".join(each for each in Output if each and each not in _TAKES_ARGUMENT)
        raise BadOption(f"-o {text!r} is no form of output; known: {known}")
    return output


def as_list(items: Sequence[Json]) -> Json:
    return {"apiVersion": "berth/v1", "kind": "List", "items": list(items)}


def format_data(value: Json, output: Output) -> str:
    """Return JSON or YAML, ending in a line break."""
    if output is Output.YAML:
        from client.yamltext import to_yaml

        return to_yaml(value)
    return json.dumps(value, indent=4, ensure_ascii=False) + "\n"
