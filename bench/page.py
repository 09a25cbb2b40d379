"""The page docs/performance.md, made of what rows returned. Pure."""

import json
from collections.abc import Iterable, Sequence
from dataclasses import asdict

from bench.harness import Comparison, Goal, Reading, RowResult
from bench.machine import Machine
from bench.stats import median

INTRO = """# Performance

This page is written by `make bench`, which runs everything on one machine against private servers and takes
about twelve minutes. Each comparison is made in pairs, ours and theirs one right after the other and in turns of
who begins; its figure is the median of the ratios of the pairs, with the least and the greatest beside it, so
that other work of the machine meets both sides. Absolute times are medians. Nothing is left out: a goal that was
not reached says so.
"""


def render(results: Sequence[RowResult], machine: Machine, figures: dict[str, str]) -> str:
    """Return the page. figures: name of a row, or "overview" -> path of its plot, relative to the page."""
    parts = [INTRO, machine_table(machine), "## In short\n", _table(_SUMMARY, _summary(results))]
    if "overview" in figures:
        parts.append(f"![Each figure as a share of its goal]({figures['overview']})\n")
    for result in results:
        parts.append(section(result, *([figures[result.name]] if result.name in figures else [])))
    return "\n".join(parts).rstrip() + "\n"


def to_json(results: Sequence[RowResult], machine: Machine) -> str:
    """Return everything measured, for other programs."""
    rows = [asdict(result) for result in results]
    return json.dumps({"machine": asdict(machine), "rows": rows}, indent=2, sort_keys=True) + "\n"


# The summary

_SUMMARY = ("what", "reached", "goal", "")


def _summary(results: Iterable[RowResult]) -> list[tuple[str, ...]]:
    rows: list[tuple[str, ...]] = []
    for result in results:
        if result.skipped:
            rows.append((result.title, "not measured", result.goal, ""))
        for comparison in result.comparisons:
            if comparison.goal is not None:
                label = f"{comparison.what}, against {comparison.theirs}"
                reached = f"{number(median(comparison.ratios))} {_ratio_unit(comparison)}"
                rows.append(
                    (label, reached, told(comparison.goal), verdict(comparison.goal, comparison.ratios))
                )
        for reading in result.readings:
            if reading.goal is not None:
                reached = _with_unit(median(reading.values), reading.unit)
                goal = f"{reading.goal.sense} {_with_unit(reading.goal.bound, reading.unit)}"
                rows.append((reading.what, reached, goal, verdict(reading.goal, reading.values)))
    return rows


def verdict(goal: Goal, values: Sequence[float]) -> str:
    """Return whether the median meets the goal, in a word."""
    return "reached" if goal.is_met(median(values)) else "**missed**"


def told(goal: Goal) -> str:
    return f"{goal.sense} {number(goal.bound)} x"


def _ratio_unit(comparison: Comparison) -> str:
    is_time = comparison.unit == "s"
    return "x as long" if is_time and comparison.ratio == "ours/theirs" else "x as fast"


def overview_bars(results: Iterable[RowResult]) -> list[tuple[str, float]]:
    """Return (label, figure as a share of its goal) of each goal that isn't 0; up to 1 is reached."""
    found = []
    for result in results:
        for each in result.comparisons:
            if each.goal is not None:
                label = f"{result.title}, against\n{each.theirs[:48]}"
                found.append((label, each.goal.share(median(each.ratios))))
        for reading in result.readings:
            if reading.goal is not None and reading.goal.bound:
                found.append((reading.what, reading.goal.share(median(reading.values))))
    return found


# A row

_COMPARED = ("what", "pairs", "Berth", "the other", "ratio: median", "least to greatest", "goal")


def section(result: RowResult, *figures: str) -> str:
    """Return the part of the page about one row."""
    parts = [f"## {result.title}\n", f"Goal: {result.goal}.\n"]
    if result.skipped:
        return "\n".join([*parts, f"Not measured: {result.skipped}\n"])
    if result.comparisons:
        parts.append(_table(_COMPARED, [_compared(each) for each in result.comparisons]))
    if result.readings:
        parts.append(
            _table(
                ("figure", "median", "least to greatest", "goal"), [_read(each) for each in result.readings]
            )
        )
    parts += [f"![{result.title}]({figure})\n" for figure in figures]
    for table in result.tables:
        parts += [f"**{table.title}**\n", _table(table.header, table.rows)]
    return "\n".join([*parts, *(f"{note}\n" for note in result.notes)])


def _compared(comparison: Comparison) -> tuple[str, ...]:
    ratios, goal = comparison.ratios, comparison.goal
    return (
        f"{comparison.what}: {comparison.ours} and {comparison.theirs}",
        str(len(comparison.pairs)),
        _with_unit(median([pair.ours for pair in comparison.pairs]), comparison.unit),
        _with_unit(median([pair.theirs for pair in comparison.pairs]), comparison.unit),
        f"{number(median(ratios))} {_ratio_unit(comparison)}",
        f"{number(min(ratios))} to {number(max(ratios))}",
        f"{told(goal)}: {verdict(goal, ratios)}" if goal else "",
    )


def _read(reading: Reading) -> tuple[str, ...]:
    goal = reading.goal
    spread = (
        f"{number(min(reading.values))} to {number(max(reading.values))}" if len(reading.values) > 1 else ""
    )
    wanted = (
        f"{goal.sense} {_with_unit(goal.bound, reading.unit)}: {verdict(goal, reading.values)}"
        if goal
        else ""
    )
    return reading.what, _with_unit(median(reading.values), reading.unit), spread, wanted


def machine_table(machine: Machine) -> str:
    rows = [(name, value) for name, value in asdict(machine).items() if value]
    return _table(("measured on", ""), [(name.replace("_", " "), value) for name, value in rows])


# Text


def number(value: float) -> str:
    """Return a figure with three significant digits, without exponents."""
    magnitude = abs(value)
    if magnitude >= 100 or value == int(value):
        return f"{value:,.0f}"
    return f"{value:.1f}" if magnitude >= 10 else f"{value:.2f}" if magnitude >= 0.1 else f"{value:.3f}"


def _with_unit(value: float, unit: str) -> str:
    return f"{number(value)} {unit}".rstrip()


def _table(header: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """Return a Markdown table; bars within cells are escaped."""
    lines = [header, ["---"] * len(header), *rows]
    return "".join("| " + " | ".join(cell.replace("|", "\\|") for cell in line) + " |\n" for line in lines)
