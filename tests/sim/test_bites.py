"""The simulation bites: each planted bug is found within a few seeds (docs/design/simulation.md lists them)."""

from itertools import chain

import pytest

from sim.world import run
from tests.sim.bugs import BUGS, Bug, planted

PATIENCE = 100  # seeds


@pytest.mark.parametrize("bug", BUGS, ids=lambda bug: bug.plant.__name__)
def test_planted_bug_is_found(bug: Bug) -> None:
    """The seed that found it last is tried first; any change of the code may make it another."""
    for seed in chain([bug.seed], range(1, PATIENCE + 1)):
        with planted(bug):
            violation = run(seed, bug.plan).violation
        if violation and bug.by in violation:
            print(f"| `{bug.plant.__name__}` | {seed} | {violation} |")
            assert not run(seed, bug.plan).violation, "the seed must hold without the bug"
            return
    pytest.fail(f"{PATIENCE} seeds did not find it: {bug.plant.__doc__}")
