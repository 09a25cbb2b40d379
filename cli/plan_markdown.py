"""A plan as Markdown: a comment for a pull request. Pure.

What is planned comes from a branch that anybody may have written, so nothing of it is taken as markup: what is short
stands in code spans, differences in fences that are longer than any run of backticks in them. Escaping would not do, as
hosts make links of names of people, numbers and addresses after the markup.
"""

import re
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from typing import TYPE_CHECKING, Any

from client.diff import removal_diff, unified_diff
from schemas.keys import ObjectRef
from schemas.meta import CLUSTER_NAMESPACE

if TYPE_CHECKING:
    from cli.intent import Intended
    from client.foreseeing import Expected

Json = dict[str, Any]

MAX_CHARACTERS = 60_000  # of all; a comment on GitHub takes 65,536
MAX_ROWS = 50  # of a table; more are counted
MAX_CELL = 300  # characters


def markdown(found: "Intended", expected: "Sequence[Expected]", outcome: Json | None, summary: str) -> str:
    """Return the whole comment, short enough to be one. summary: the plan in a sentence, as below the table form."""
    parts = [
        f"### {_verdict(found, outcome)}",
        summary,
        *_table(("Object", "Action", "Tasks"), _objects(found, expected, outcome)),
        *_titled("Conflicts", _table(("Object", "Field, and who set it"), _conflicts(found))),
        *_titled("Would wait", _table(("Object", "Tasks", "Why"), _waiting(outcome))),
        *_titled("Would be preempted", _table(("Task", "Node", "Queue", "Priority"), _victims(outcome))),
        *_titled("Would be delayed", _table(("Task",), _delayed(outcome))),
        *_titled("Shares", _table(("Queue", "Now", "Then"), _shares(outcome))),
        *_differences(found),
    ]
    return "\n\n".join(_fitting([part for part in parts if part])) + "\n"


def _fitting(parts: Sequence[str]) -> Iterator[str]:
    """Yield, in order, the parts for which there is room, and how many others there are."""
    left, missing = MAX_CHARACTERS, 0
    for part in parts:
        if len(part) + 2 > left:
            missing += 1
            continue
        left -= len(part) + 2
        yield part
    if missing:
        what = "1 part of the plan is" if missing == 1 else f"{missing} parts of the plan are"
        yield f"{what} too long to show here; see all of it with: `berth plan` and the same options"


def _verdict(found: "Intended", outcome: Json | None) -> str:
    if outcome is not None and outcome["waiting"]:
        return "Berth plan: something can't be placed"
    has_changes = bool(found.pruned) or any(each.action != "unchanged" for each in found.planned)
    return "Berth plan: changes" if has_changes else "Berth plan: nothing to do"


def _objects(
    found: "Intended", expected: "Iterable[Expected]", outcome: Json | None
) -> Iterator[tuple[str, ...]]:
    tasks = {each.ref: each for each in expected}
    changed = [(each.document.ref, each.action) for each in found.planned if each.action != "unchanged"]
    for ref, action in [*changed, *((each.ref, "pruned") for each in found.pruned)]:
        yield code(_name(ref)), action, _tasks(f"{ref.namespace}/{ref}", tasks.get(ref), outcome)


def _conflicts(found: "Intended") -> Iterator[tuple[str, ...]]:
    for each in found.planned:
        for one in each.conflicts:
            yield code(_name(each.document.ref)), code(str(one))


def _tasks(of: str, expected: "Expected | None", outcome: Json | None) -> str:
    if outcome is None or expected is None:
        return ""
    nodes = Counter(one["node"] for one in outcome["placed"] if one["of"] == of)
    told = [f"{count} on {code(node)}" for node, count in sorted(nodes.items())]
    return ", ".join([*told, *([f"{expected.leaving} stopped"] if expected.leaving else [])])


def _waiting(outcome: Json | None) -> Iterator[tuple[str, ...]]:
    waits = Counter((one["of"], one["reason"]) for one in (outcome or {}).get("waiting", ()))
    for (of, reason), count in sorted(waits.items()):
        yield code(of), str(count), code(reason)


def _victims(outcome: Json | None) -> Iterator[tuple[str, ...]]:
    for each in (outcome or {}).get("victims", ()):
        yield _task(each["task"]), code(each["node"]), code(each["queue"]), str(each["priority"])


def _delayed(outcome: Json | None) -> Iterator[tuple[str, ...]]:
    return ((_task(each),) for each in (outcome or {}).get("delayed", ()))


def _shares(outcome: Json | None) -> Iterator[tuple[str, ...]]:
    for each in (outcome or {}).get("shares", ()):
        now, then = f"{each['before']:.1%}", f"{each['after']:.1%}"
        if now != then:
            yield code(each["queue"]), now, then


def _differences(found: "Intended") -> Iterator[str]:
    """Each object's difference, folded."""
    texts = [(each.document.ref, unified_diff(each)) for each in found.planned]
    texts += [
        (each.ref, removal_diff(each.ref, each.view.raw)) for each in found.pruned if each.view is not None
    ]
    for ref, text in texts:
        if text:
            name = _escaped(_name(ref))
            yield f"<details><summary><code>{name}</code></summary>\n\n{fence(text)}\n\n</details>"


def _name(ref: ObjectRef) -> str:
    return str(ref) if ref.namespace == CLUSTER_NAMESPACE else f"{ref.namespace}/{ref}"


def _task(task: Json) -> str:
    return (
        "a task of another namespace" if task["name"] is None else code(f"{task['namespace']}/{task['name']}")
    )


def _titled(title: str, table: Sequence[str]) -> list[str]:
    return [f"**{title}**", *table] if table else []


def _table(header: tuple[str, ...], rows: Iterable[tuple[str, ...]]) -> list[str]:
    """Return a table as one part, no part without rows."""
    lines = [f"| {' | '.join(row)} |" for row in rows]
    if not lines:
        return []
    if len(lines) > MAX_ROWS:
        lines[MAX_ROWS:] = [f"| and {len(lines) - MAX_ROWS} more |{' |' * (len(header) - 1)}"]
    return ["\n".join([f"| {' | '.join(header)} |", f"|{' --- |' * len(header)}", *lines])]


def code(text: str) -> str:
    """Return text as a code span in a table's cell, its beginning where it is long."""
    text = text if len(text) <= MAX_CELL else f"{text[: MAX_CELL - 3]}..."
    ticks = "`" * (_longest_run(text) + 1)
    padding = " " if "`" in text else ""
    return f"{ticks}{padding}{_one_line(text)}{padding}{ticks}"


def fence(text: str) -> str:
    """Return text in a fence that nothing in it ends."""
    ticks = "`" * max(3, _longest_run(text) + 1)
    end = "" if text.endswith("\n") else "\n"
    return f"{ticks}diff\n{text}{end}{ticks}"


def _longest_run(text: str) -> int:
    return max((len(run) for run in re.findall("`+", text)), default=0)


def _one_line(text: str) -> str:
    return " ".join(text.split()).replace("|", "\\|")


def _escaped(text: str) -> str:
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
