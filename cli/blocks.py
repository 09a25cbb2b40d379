"""The layout of `describe`: labelled values, nested blocks, small tables; aligned as kubectl's. Pure."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

INDENT = "  "
NONE = "<none>"


@dataclass(frozen=True, slots=True)
class Rows:
    """A small table inside a block, dashes under its header."""

    header: Sequence[str]
    rows: Sequence[Sequence[str]]


@dataclass(frozen=True, slots=True)
class Block:
    """Labels and what stands at them, in order. A tuple of lines continues below the first."""

    entries: Sequence[tuple[str, "Content"]]


Content = str | tuple[str, ...] | Block | Rows


def render(block: Block, indent: str = "") -> list[str]:
    """Return lines; the values of one block stand below each other."""
    simple = [label for label, content in block.entries if isinstance(content, str | tuple)]
    width = max((len(label) for label in simple), default=0) + 3
    lines: list[str] = []
    for label, content in block.entries:
        match content:
            case Block():
                lines += [f"{indent}{label}:", *render(content, indent + INDENT)]
            case Rows():
                lines += [f"{indent}{label}:", *_render_rows(content, indent + INDENT)]
            case str():
                lines.append(f"{indent}{label + ':':<{width}}{content}".rstrip())
            case _:
                lines += _render_lines(indent, label, content, width)
    return lines


def _render_lines(indent: str, label: str, values: tuple[str, ...], width: int) -> list[str]:
    first, *others = values or (NONE,)
    return [f"{indent}{label + ':':<{width}}{first}", *(f"{indent}{'':<{width}}{other}" for other in others)]


def _render_rows(table: Rows, indent: str) -> list[str]:
    dashes = ["-" * len(title) for title in table.header]
    lines = [list(table.header), dashes, *table.rows]
    widths = [max(len(line[index]) for line in lines) for index in range(len(table.header))]
    return [
        (indent + INDENT.join(cell.ljust(width) for cell, width in zip(line, widths, strict=True))).rstrip()
        for line in lines
    ]


def pairs(values: Mapping[str, str], separator: str = "=") -> tuple[str, ...]:
    """Return `key=value` lines, ordered by key; empty means `<none>`."""
    return tuple(f"{key}{separator}{value}" for key, value in sorted(values.items()))
