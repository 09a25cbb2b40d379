"""Run rows, tell what they found, and write the page.

A run of all rows writes docs/performance.md and docs/performance/*.svg; a run of some writes the same below
build/bench. All that was measured is in build/bench/results.json.
"""

import argparse
import logging
import os
import shutil
import sys
import time
import traceback
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from bench import machine, page, plots
from bench.harness import NotHere, RowResult
from bench.lab import Lab
from bench.rows import ROWS, make_row
from tools import BUILD, CLONE
from tools.errors import ToolError
from tools.private import stop_on_sigterm
from tools.processes import kill_marked

PAIRS = 7
BROKE = "it broke"
FOLDER = BUILD / "bench"
RUN = FOLDER / "run"


def main(arguments: Sequence[str]) -> int:
    """Run the command line; 1 when a row broke: the others are measured all the same, but docs stay as they are."""
    options = _parse(arguments)
    _prepare()
    results = [_run(name, options.pairs) for name in options.rows]
    broken = [result.name for result in results if result.skipped.startswith(BROKE)]
    is_whole = set(options.rows) == set(ROWS) and not broken
    _write(results, CLONE / "docs" if is_whole else FOLDER)
    kill_marked(RUN)
    if broken:
        print(
            f"rows that broke: {', '.join(broken)}; their logs are in {RUN.relative_to(CLONE)}",
            file=sys.stderr,
        )
    return 1 if broken else 0


def _parse(arguments: Sequence[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m bench", description=__doc__)
    names = ",".join(ROWS)
    parser.add_argument("--rows", type=_names, default=list(ROWS), help=f"some of {names}, with commas")
    parser.add_argument("--pairs", type=int, default=PAIRS, help=f"pairs a row, {PAIRS} unless told")
    return parser.parse_args(arguments)


def _names(text: str) -> list[str]:
    names = text.split(",")
    if unknown := set(names) - set(ROWS):
        raise argparse.ArgumentTypeError(
            f"no row is named {', '.join(sorted(unknown))}; choose of {', '.join(ROWS)}"
        )
    return names


def _prepare() -> None:
    """Clear what a crashed run left, and keep temporary files in the build folder."""
    stop_on_sigterm()
    logging.disable(logging.WARNING)
    kill_marked(RUN)
    shutil.rmtree(RUN, ignore_errors=True)
    RUN.mkdir(parents=True)
    os.environ["TMPDIR"] = str(RUN)
    os.environ.pop("PYTHONDONTWRITEBYTECODE", None)  # installed programs keep their bytecode


def _run(name: str, pairs: int) -> RowResult:
    def say(text: str) -> None:
        print(f"{time.strftime('%H:%M:%S')} {name}: {text}", flush=True)

    row = make_row(name)
    say(f"begins: {row.title}; {row.goal}")
    begin = time.monotonic()
    try:
        with Lab(RUN, say) as lab:
            result = row.run(lab, pairs)
    except NotHere as reason:
        result = RowResult(row.name, row.title, row.goal, skipped=str(reason))
    except Exception as error:  # a row's border: what was measured before it is not lost
        traceback.print_exc()
        result = RowResult(row.name, row.title, row.goal, skipped=f"{BROKE}: {type(error).__name__}: {error}")
    result = replace(result, seconds=time.monotonic() - begin)
    say(f"done in {result.seconds:.0f} s\n\n{page.section(result)}")
    return result


def _write(results: Sequence[RowResult], folder: Path) -> None:
    found = machine.look()
    (FOLDER / "results.json").write_text(page.to_json(results, found))
    made = plots.draw(results, folder / "performance")
    figures = {name: f"performance/{file}" for name, file in made.items()}
    path = folder / "performance.md"
    path.write_text(page.render(results, found, figures))
    print(f"written: {path.relative_to(CLONE)}", flush=True)


if __name__ == "__main__":
    try:
        sys.exit(main(sys.argv[1:]))
    except KeyboardInterrupt:
        sys.exit(130)
    except ToolError as error:
        sys.exit(f"error: {error}")
