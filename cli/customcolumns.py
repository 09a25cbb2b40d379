"""`-o custom-columns=NAME:.metadata.name,IMAGE:.spec.containers[*].image`, `--sort-by`, `--field-selector`. Pure."""

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from cli.columns import Column, RowContext
from cli.output import to_json
from cli.paths import JsonPath, show
from client.errors import BadOption
from client.views import ObjectView

NONE = "<none>"
_COMMA_BETWEEN_COLUMNS = re.compile(r",(?=[^,:\[\]()'\"]*:)")


def parse_columns(text: str) -> tuple[Column, ...]:
    """Return the columns of HEADER:PATH,.... Raises BadOption."""
    return tuple(map(_column, _COMMA_BETWEEN_COLUMNS.split(text)))


def _column(written: str) -> Column:
    header, colon, path = written.partition(":")
    if not colon or not header.strip() or not path.strip():
        raise BadOption(
            f"-o custom-columns: {written!r} is not of the form HEADER:PATH; "
            "write for example -o custom-columns=NAME:.metadata.name,NODE:.status.node"
        )
    compiled = JsonPath(path)

    def cell(view: ObjectView, context: RowContext) -> str:
        return ",".join(show(value) for value in compiled.find(to_json(view)) if value is not None) or NONE

    return Column(header.strip(), cell)


def sorted_by(views: Iterable[ObjectView], path: str) -> tuple[ObjectView, ...]:
    """Return the views ordered by the first value of a path; those without one come last. Raises BadOption."""
    compiled = JsonPath(path)

    def key(view: ObjectView) -> tuple[int, float, str]:
        value = next(iter(compiled.find(to_json(view))), None)
        if value is None:
            return (2, 0.0, "")
        if isinstance(value, int | float):
            return (0, float(value), "")
        return _text_key(show(value))

    found = sorted(views, key=key)
    if found and key(found[0])[0] == 2:
        raise BadOption(
            f"--sort-by {path!r}: none of the objects has that; see the fields: berth get ... -o yaml"
        )
    return tuple(found)


def _text_key(text: str) -> tuple[int, float, str]:
    """Numbers in text (a resourceVersion) are ordered as numbers."""
    return (0, float(text), "") if re.fullmatch(r"-?[0-9]+(\.[0-9]+)?", text) else (1, 0.0, text)


@dataclass(frozen=True, slots=True)
class FieldTerm:
    """One term of `--field-selector`."""

    path: JsonPath
    value: str
    is_equal: bool


def parse_field_selector(text: str) -> tuple[FieldTerm, ...]:
    """Parse `status.node=n1,metadata.name!=web`. Raises BadOption."""
    return tuple(_term(term) for term in text.split(",") if term.strip())


def _term(term: str) -> FieldTerm:
    found = re.fullmatch(r"\s*([^=!\s]+)\s*(!=|==|=)\s*(.*?)\s*", term)
    if found is None:
        raise BadOption(
            f"field selector term {term!r} can't be read; write for example status.node=n1 or status.state!=Running"
        )
    return FieldTerm(JsonPath(found[1]), found[3], found[2] != "!=")


def fields_match(terms: Sequence[FieldTerm], view: ObjectView) -> bool:
    """Say whether all terms hold; a field that is missing counts as empty."""
    if not terms:
        return True
    data: Any = to_json(view)
    return all((_first(term, data) == term.value) is term.is_equal for term in terms)


def _first(term: FieldTerm, data: Any) -> str:
    return show(next(iter(term.path.find(data)), None))
