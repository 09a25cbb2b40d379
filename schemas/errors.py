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
    """One thing wrong in one document: where (file:line, object, field path) and what."""

    source: str
    subject: str
    field: str
    message: str

    def __str__(self) -> str:
        parts = [part for part in (self.source, self.subject, self.field) if part]
        return ": ".join([*parts, self.message])


class InvalidManifest(SchemaError):
    """At least one document is wrong; none of them was used."""

    def __init__(self, problems: tuple[Problem, ...]) -> None:
        super().__init__("\n".join(str(problem) for problem in problems))
        self.problems = problems
