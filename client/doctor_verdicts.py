"""What doctor says of one thing: a verdict, a sentence, and what to do. Pure."""

from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum

LISTED = 5  # examples in one sentence


class Verdict(StrEnum):
    PASS = "PASS"
    WARN = "WARN"
    FAIL = "FAIL"


@dataclass(frozen=True, slots=True)
class Check:
    """remedy: what to do, with a command; "" where nothing is to be done."""

    name: str
    verdict: Verdict
    text: str
    remedy: str = ""


def passed(name: str, text: str) -> Check:
    return Check(name, Verdict.PASS, text)


def warn(name: str, text: str, remedy: str) -> Check:
    return Check(name, Verdict.WARN, text, remedy)


def fail(name: str, text: str, remedy: str) -> Check:
    return Check(name, Verdict.FAIL, text, remedy)


def listed(items: Iterable[str]) -> str:
    found = list(items)
    more = f" and {len(found) - LISTED} more" if len(found) > LISTED else ""
    return ", ".join(found[:LISTED]) + more


def count(number: int, noun: str) -> str:
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"
