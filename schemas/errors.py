"""What can be wrong with what people write.

SchemaError
├── InvalidQuantity    a cpu, memory, count or duration that can't be read
├── InvalidName        not a DNS-1123 name
└── InvalidManifest    one or more problems in documents, each with its place
"""

from dataclasses import dataclass


class SchemaError(ValueError):
    """Base of all errors in desired state."""


class InvalidQuantity(SchemaError):
    """A quantity or duration that can't be read."""


class InvalidName(SchemaError):
    """A name that is not a DNS-1123 label or subdomain."""


@dataclass(frozen=True, slots=True)
class Problem:
    """One thing wrong in one document: where (file:line, object, field path) and what.

    As text it is one line without control characters, as documents may be a stranger's, and terminals, logs and
    pipelines obey what they are shown.
    """

    source: str
    subject: str
    field: str
    message: str

    def __str__(self) -> str:
        parts = [part for part in (self.source, self.subject, self.field) if part]
        return visible(": ".join([*parts, self.message]))


def visible(text: str) -> str:
    """Return text with what is not printable escaped, as in `a\\nb`."""
    if text.isprintable():
        return text
    return "".join(each if each.isprintable() else each.encode("unicode_escape").decode() for each in text)


class InvalidManifest(SchemaError):
    """At least one document is wrong; none of them was used."""

    def __init__(self, problems: tuple[Problem, ...]) -> None:
        super().__init__("\n".join(str(problem) for problem in problems))
        self.problems = problems
