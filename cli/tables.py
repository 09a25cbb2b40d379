"""Tables as kubectl prints them: upper-case headers, columns split by three spaces, no borders. Pure."""

from collections.abc import Iterator, Sequence

GAP = "   "


def format_table(
    header: Sequence[str], rows: Sequence[Sequence[str]], *, with_header: bool = True
) -> list[str]:
    """Return the lines of a table."""
    return list(GrowingTable(header, with_header=with_header).lines(rows))


class GrowingTable:
    """A table whose rows come some at a time; its columns grow where a later row needs it, and never shrink."""

    def __init__(self, header: Sequence[str], *, with_header: bool = True) -> None:
        self._header = list(header)
        self._needs_header = with_header
        self._widths = [0] * len(self._header)

    def lines(self, rows: Sequence[Sequence[str]]) -> Iterator[str]:
        """Yield the lines of more rows, and the header before the first."""
        shown = [self._header, *rows] if self._needs_header and rows else list(rows)
        if rows:
            self._needs_header = False
        cells = [[_one_line(cell) for cell in row] for row in shown]
        for row in cells:
            self._widths = [max(pair) for pair in zip(self._widths, map(len, row), strict=True)]
        for row in cells:
            padded = (cell.ljust(width) for cell, width in zip(row, self._widths, strict=True))
            yield GAP.join(padded).rstrip()


def _one_line(cell: str) -> str:
    """Line breaks in a cell would break the table."""
    return " ".join(cell.split()) if "\n" in cell else cell
