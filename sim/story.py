"""What happened in a run and why, in order: the only output of a simulation."""

from dataclasses import dataclass, field


@dataclass(slots=True)
class Story:
    """Lines of `time actor what`; kept in memory, so that a quiet run costs nothing to print."""

    start: float
    lines: list[str] = field(default_factory=list)

    def tell(self, now: float, actor: str, what: str) -> None:
        self.lines.append(f"{now - self.start:9.3f}s  {actor:<18} {what}")

    def text(self, last: int | None = None) -> str:
        """Return the story, or its last lines."""
        shown = self.lines if last is None else self.lines[-last:]
        return "\n".join(shown)
