"""Colours of what `git diff` colours, too: on a terminal only, and never where NO_COLOR is set."""

import os
import sys

_BOLD, _RED, _GREEN, _YELLOW, _CYAN = "1", "31", "32", "33", "36"
_COLOURS = (("---", _BOLD), ("+++", _BOLD), ("@@", _CYAN), ("-", _RED), ("+", _GREEN), ("#", _YELLOW))
"""Start of a line -> its colour; the first that fits counts."""


def is_coloured() -> bool:
    """Say whether standard output takes colours (see https://no-color.org)."""
    return sys.stdout.isatty() and not os.environ.get("NO_COLOR") and os.environ.get("TERM") != "dumb"


def coloured_diff(text: str) -> str:
    """Return a unified diff with colours."""
    return "".join(map(_coloured, text.splitlines(keepends=True)))


def _coloured(line: str) -> str:
    code = next((code for start, code in _COLOURS if line.startswith(start)), "")
    body = line.rstrip("\n")
    return f"\033[{code}m{body}\033[0m{line[len(body) :]}" if code else line
