"""Sets of a job's indexes as text, such as "0-2,5". Pure."""

from collections.abc import Iterable
from itertools import groupby


def parse_indexes(text: str) -> frozenset[int]:
    """Return the numbers that `text` lists; "" is none."""
    found: set[int] = set()
    for part in text.split(",") if text else ():
        first, _, last = part.partition("-")
        found.update(range(int(first), int(last or first) + 1))
    return frozenset(found)


def format_indexes(numbers: Iterable[int]) -> str:
    """Return numbers in order, neighbours folded."""
    runs = []
    for _, group in groupby(enumerate(sorted(set(numbers))), key=lambda pair: pair[1] - pair[0]):
        run = [number for _, number in group]
        runs.append(str(run[0]) if len(run) == 1 else f"{run[0]}-{run[-1]}")
    return ",".join(runs)
