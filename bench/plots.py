"""Plots of the page, as SVG: one of all goals, and one a row that compares. matplotlib is the extra `bench`."""

import textwrap
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from bench.harness import Bars, Comparison, RowResult
from bench.page import overview_bars

OURS, THEIRS, GOAL = "#1f6f8b", "#c97b2d", "#777777"
SERIES = (THEIRS, "#7fb3c4", OURS)
Drawing = Any  # of matplotlib, which is imported when something is drawn: it is large, and not always there


def draw(results: Sequence[RowResult], folder: Path) -> dict[str, str]:
    """Write the plots into `folder`; return name of a row, or "overview" -> file name."""
    folder.mkdir(parents=True, exist_ok=True)
    made = {}
    if bars := overview_bars(results):
        made["overview"] = _overview(bars, folder)
    for result in results:
        if result.comparisons:
            made[result.name] = _pairs(result, folder)
    return made


def figures_of(result: RowResult, folder: Path) -> tuple[str, ...]:
    """Write the plots of a row that has a page of its own; return their file names."""
    folder.mkdir(parents=True, exist_ok=True)
    goals = [_goals(result, folder)] if any(each.goal for each in result.readings) else []
    pairs = [_pairs(result, folder)] if result.comparisons else []
    bars = (_bars(each, folder / f"{result.name}-{n}.svg") for n, each in enumerate(result.bars, 1))
    return (*goals, *pairs, *bars)


def _bars(bars: Bars, path: Path) -> str:
    """Each label a group, and in it a bar of each of the series, the first one on top."""
    figure, axes = _canvas(figsize=(7.5, 0.8 + 0.8 * len(bars.labels)))
    height = 0.8 / len(bars.series)
    for number, (name, values) in enumerate(bars.series):
        places = [group + number * height for group in range(len(values))]
        colour = SERIES[number % len(SERIES)]
        drawn = axes.barh(places, values, height=0.9 * height, color=colour, label=name)
        axes.bar_label(drawn, fmt="%.1f", padding=2, fontsize=7)
    middle = height * (len(bars.series) - 1) / 2
    axes.set_yticks(
        [group + middle for group in range(len(bars.labels))],
        [textwrap.fill(each, 26) for each in bars.labels],
    )
    axes.invert_yaxis()
    axes.set_xlabel(bars.unit)
    axes.legend(frameon=False, fontsize=8)
    return _save(figure, path)


def _goals(result: RowResult, folder: Path) -> str:
    """Each reading with a goal: its runs, and the goal as a line; rates and times on axes of their own."""
    units = list(dict.fromkeys(reading.unit for reading in result.readings if reading.goal is not None))
    figure, axes = _canvas(nrows=len(units), ncols=1, figsize=(7.5, 2.4 * len(units)), squeeze=False)
    for place, unit in zip(axes[:, 0], units, strict=True):
        shown = [each for each in result.readings if each.goal is not None and each.unit == unit][::-1]
        for height, reading in enumerate(shown):
            assert reading.goal is not None
            place.plot(reading.values, [height] * len(reading.values), "o", color=OURS, alpha=0.6)
            place.plot([reading.goal.bound], [height], "|", color=GOAL, markersize=18)
        place.set_yticks(range(len(shown)), [textwrap.fill(each.what, 34) for each in shown])
        place.set_ylim(-0.6, len(shown) - 0.4)
        place.set_xscale("log")
        place.set_xlabel(f"{unit}; bar: the goal")
    return _save(figure, folder / f"{result.name}-goals.svg")


def _canvas(**options: Any) -> tuple[Drawing, Drawing]:
    """Return a figure and its axes; the same figures give the same file."""
    import matplotlib

    matplotlib.use("svg")
    matplotlib.rcParams.update({"svg.hashsalt": "berth", "font.size": 9})
    from matplotlib import pyplot

    made: tuple[Drawing, Drawing] = pyplot.subplots(**options)
    return made


def _overview(bars: list[tuple[str, float]], folder: Path) -> str:
    figure, axes = _canvas(figsize=(7.5, 0.8 + 0.42 * len(bars)))
    labels, values = zip(*reversed(bars), strict=True)
    axes.barh(labels, values, color=[OURS if value <= 1 else THEIRS for value in values])
    axes.axvline(1.0, color=GOAL, linestyle="--", linewidth=1)
    axes.set_xlabel("share of the goal: up to 1 is reached")
    return _save(figure, folder / "overview.svg")


def _pairs(result: RowResult, folder: Path) -> str:
    count = len(result.comparisons)
    figure, axes = _canvas(nrows=1, ncols=count, figsize=(3.9 * count + 0.4, 3.2), squeeze=False)
    for place, comparison in zip(axes[0], result.comparisons, strict=True):
        _lines(place, comparison)
    return _save(figure, folder / f"{result.name}.svg")


def _lines(axes: Drawing, comparison: Comparison) -> None:
    numbers = range(1, len(comparison.pairs) + 1)
    theirs = comparison.theirs if len(comparison.theirs) < 30 else "the other"
    axes.plot(numbers, [pair.ours for pair in comparison.pairs], "o-", color=OURS, label=comparison.ours)
    axes.plot(numbers, [pair.theirs for pair in comparison.pairs], "s-", color=THEIRS, label=theirs)
    axes.set_ylim(bottom=0)
    axes.set_xlabel("pair")
    axes.set_ylabel(comparison.unit)
    axes.set_title(comparison.what, fontsize=9)
    axes.legend(frameon=False, fontsize=8)


def _save(figure: Drawing, path: Path) -> str:
    figure.tight_layout()
    figure.savefig(path, metadata={"Date": None})
    figure.clear()
    return path.name
