"""What reading the logs of many containers yields, and how logs are cut into pieces. Pure."""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass

from client.views import ObjectView

MAX_LINE_BYTES = 1_048_576  # a longer line is cut, so that none fills the memory


@dataclass(frozen=True, slots=True)
class LogTarget:
    """One container of one task."""

    view: ObjectView
    container: str

    @property
    def label(self) -> str:
        return f"{self.view.ref}/{self.container}"


@dataclass(frozen=True, slots=True)
class Piece:
    """Bytes of a log: whole lines, or what came together, as the reader cuts it."""

    target: LogTarget
    data: bytes


@dataclass(frozen=True, slots=True)
class Notice:
    """What a person should know, and that is no failure."""

    text: str


@dataclass(frozen=True, slots=True)
class Failure:
    """Why the log of one target can't be read (on)."""

    target: LogTarget
    text: str


LogEvent = Piece | Notice | Failure
Cut = Callable[[Iterable[bytes]], Iterator[bytes]]


def whole_lines(chunks: Iterable[bytes]) -> Iterator[bytes]:
    """Cut a log behind line breaks, so that lines of several logs never mix; the last line gets its break."""
    rest = b""
    for chunk in chunks:
        lines, line_break, begun = chunk.rpartition(b"\n")
        if line_break:
            yield rest + lines + line_break
            rest = begun
        else:
            rest += chunk
        while len(rest) >= MAX_LINE_BYTES:
            yield rest[:MAX_LINE_BYTES] + b"\n"
            rest = rest[MAX_LINE_BYTES:]
    if rest:
        yield rest + b"\n"


def as_they_come(chunks: Iterable[bytes]) -> Iterator[bytes]:
    """Leave a log as it is: for a single one, whose unfinished lines may be shown at once."""
    yield from chunks
