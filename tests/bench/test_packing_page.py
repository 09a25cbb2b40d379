"""The section of packing: what was found in each of the times for each instance, and how far from the bound it is."""

from pathlib import Path

import pytest

from bench import packing_page, plots
from bench.packing import Instance
from bench.page import section

SMALL = (
    Instance("12 tasks, all different", 12, 12, 12),
    Instance("6 tasks of 2 shapes", 6, 2, 8),
)


def test_each_instance_tells_what_each_found_and_how_little_there_can_be() -> None:
    said = list[str]()
    found = packing_page.measure(said.append, SMALL, (0.0, 5.0))
    assert len(said) == len(SMALL)
    (table,), (bars,) = found.tables, found.bars
    assert [row[0] for row in table.rows] == [each.name for each in SMALL]
    for row, *above in zip(table.rows, *(values for _, values in bars.series), strict=True):
        greedy, none, best, bound = map(int, row[1:5])
        assert greedy >= none >= best >= bound > 0
        assert above == [100 * (nodes - bound) / bound for nodes in (greedy, none, best)]
    assert section(found).count("%") == 2 * len(SMALL)


def test_a_page_without_goals_has_the_plots_that_it_has(tmp_path: Path) -> None:
    pytest.importorskip("matplotlib", reason="the extra `bench` is not installed")
    found = packing_page.measure(lambda text: None, SMALL, (0.0,))
    assert plots.figures_of(found, tmp_path) == ("packing-1.svg",)
    assert "<svg" in (tmp_path / "packing-1.svg").read_text()
