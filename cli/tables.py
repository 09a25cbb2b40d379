"""Tables as kubectl prints them: upper-case headers, columns split by three spaces, no borders. Pure."""

from collections.abc import Sequence

GAP = "   "


def format_table(
    header: Sequence[str], rows: Sequence[Sequence[str]], *, with_header: bool = True
) -> list[str]:
    """Return the lines of a table."""
    widths = column_widths(header if with_header else [""] * len(header), rows)
    lines = [header, *rows] if with_header else rows
    return [format_row(row, widths) for row in lines]


def column_widths(header: Sequence[str], rows: Sequence[Sequence[str]]) -> list[int]:
    return [max(len(row[index]) for row in (header, *rows)) for index in range(len(header))]


def format_row(row: Sequence[str], widths: Sequence[int]) -> str:
    """Return one line; line breaks in a cell would break the table, so they become spaces."""
    cells = (" ".join(cell.split()) if "\n" in cell else cell for cell in row)
    return GAP.join(cell.ljust(width) for cell, width in zip(cells, widths, strict=True)).rstrip()
