"""The page: what was reached, what was missed, and what was not measured, all said."""

import json
from dataclasses import replace
from pathlib import Path

import pytest

from bench import plots
from bench.__main__ import BROKE, _run, main
from bench.harness import Comparison, Goal, NotHere, Pair, Reading, RowResult, Table
from bench.lab import Lab
from bench.machine import Machine
from bench.page import number, overview_bars, render, section, to_json
from bench.rows import ROWS, make_row

MACHINE = Machine(
    "2026-01-31", "0.1.0", "a processor", "2", "4.0 GiB", "6.1", "3.11.2", "3.4.23", "", "docker 7.1.0"
)
ROW = RowResult(
    "row",
    "A row",
    "at most 2 x",
    comparisons=(
        Comparison(
            "much",
            "Berth",
            "peer | a",
            "s",
            (Pair(1.0, 1.0), Pair(9.0, 3.0), Pair(2.0, 1.0)),
            Goal("at most", 2),
        ),
    ),
    readings=(Reading("memory", "MB", (95.0,), Goal("at most", 90.0)), Reading("time", "ms", (1.0, 3.0))),
    tables=(Table("More", ("a", "b"), (("1", "2"),)),),
    notes=("A note.",),
)


def test_a_goal_that_was_missed_says_so() -> None:
    text = render([ROW], MACHINE, {})
    assert "| memory | 95 MB | at most 90 MB | **missed** |" in text
    assert "| much, against peer \\| a | 2 x as long | at most 2 x | reached |" in text


def test_a_comparison_shows_median_and_extremes_of_its_ratios() -> None:
    line = next(line for line in section(ROW).splitlines() if line.startswith("| much:"))
    cells = line.replace("\\|", "/").split(" | ")
    assert cells[1:] == ["3", "2 s", "1 s", "2 x as long", "1 to 3", "at most 2 x: reached |"]


def test_a_row_without_what_it_needs_says_why() -> None:
    text = render([replace(ROW, skipped="no engine here")], MACHINE, {})
    assert "not measured" in text
    assert "no engine here" in text
    assert "A note." not in text


def test_what_is_unknown_of_the_machine_is_not_shown() -> None:
    text = render([ROW], MACHINE, {})
    assert "| kernel | 6.1 |" in text
    assert "| docker |" not in text


def test_plots_are_shown_where_they_were_drawn() -> None:
    text = render([ROW], MACHINE, {"row": "performance/row.svg"})
    assert "(performance/row.svg)" in text
    assert "overview" not in text


def test_all_that_was_measured_is_in_the_json() -> None:
    found = json.loads(to_json([ROW], MACHINE))
    assert found["rows"][0]["comparisons"][0]["pairs"][1] == {"ours": 9.0, "theirs": 3.0}
    assert found["machine"]["cores"] == "2"


@pytest.mark.parametrize(
    ("value", "text"),
    [(0.0, "0"), (0.0123, "0.012"), (0.25, "0.25"), (1.254, "1.25"), (12.34, "12.3"), (1234.5, "1,234")],
)
def test_numbers_have_as_many_digits_as_they_deserve(value: float, text: str) -> None:
    assert number(value) == text


def test_bars_tell_how_much_of_its_goal_each_figure_takes_up() -> None:
    assert [share for _, share in overview_bars([ROW])] == [1.0, 95 / 90]


def test_plots_of_the_same_figures_are_the_same(tmp_path: Path) -> None:
    pytest.importorskip("matplotlib", reason="the extra `bench` is not installed")
    made = plots.draw([ROW], tmp_path / "one")
    again = plots.draw([ROW], tmp_path / "two")
    assert made == again == {"overview": "overview.svg", "row": "row.svg"}
    for name in made.values():
        first = (tmp_path / "one" / name).read_text()
        assert "<svg" in first
        assert first == (tmp_path / "two" / name).read_text()


def test_every_row_has_a_goal_in_words() -> None:
    for name in ROWS:
        row = make_row(name)
        assert row.name == name
        assert row.title
        assert row.goal


def test_an_unknown_row_is_refused_with_those_that_exist(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main(["--rows", "one,two"])
    assert ended.value.code == 2
    assert "no row is named two; choose of one, forty" in capsys.readouterr().err


class Poor:
    """A row that this machine can't measure."""

    name, title, goal = "poor", "Poor", "none"

    def run(self, lab: Lab, pairs: int) -> RowResult:
        raise NotHere("no engine here")


class Broken(Poor):
    name = "broken"

    def run(self, lab: Lab, pairs: int) -> RowResult:
        raise RuntimeError("a bug")


def test_a_row_that_breaks_costs_no_other_row_its_figures(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("bench.__main__.make_row", lambda name: Broken())
    assert _run("broken", 1).skipped == f"{BROKE}: RuntimeError: a bug"


def test_a_row_that_is_not_for_this_machine_is_not_broken(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("bench.__main__.make_row", lambda name: Poor())
    assert _run("poor", 1).skipped == "no engine here"
