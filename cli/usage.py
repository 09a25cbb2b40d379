"""What is wrong with a command line, in our words: typer's own for values are those of a library below it."""

import re
from typing import Protocol, cast

_WORDS = (
    (re.compile(r"^Input should be a valid integer.*"), r"{} is not a whole number"),
    (re.compile(r"^Input should be a valid number.*"), r"{} is not a number"),
    (re.compile(r"^Input should be greater than or equal to (\S+)$"), r"{} is too small: at least \1"),
    (re.compile(r"^Input should be less than or equal to (\S+)$"), r"{} is too large: at most \1"),
    (re.compile(r"^Input should be (.*)$"), r"{} is not \1"),
    (re.compile(r"^Value error, (.*?)\.?$"), r"\1"),
)
"""What pydantic says -> what we say, with `{}` for the value."""


class _UsageError(Protocol):
    message: str

    def show(self) -> None: ...


def show_usage_error(error: BaseException) -> None:
    """Print the usage and what is wrong. `error`: typer's UsageError."""
    told = cast(_UsageError, error)
    told.message = plain(told.message, _given(error))
    told.show()


def plain(message: str, given: str) -> str:
    """Return a message about the value `given` in plain words. Pure."""
    for pattern, words in _WORDS:
        if pattern.match(message):
            return pattern.sub(words, message).replace("{}", given, 1).strip()
    return message


def _given(error: BaseException) -> str:
    """Return the value that was written, as far as the library tells."""
    errors = getattr(error.__cause__, "errors", None)
    found = errors() if callable(errors) else []
    return str(found[0].get("input", "")) if found else ""
