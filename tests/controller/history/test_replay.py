"""Whatever happens to store, watch, disk and controller: what the archive says of any revision is true, and of what it
does not know it says so."""

import tempfile
from collections.abc import Callable
from pathlib import Path

from hypothesis import given, settings
from hypothesis import strategies as st

from controller.history.changes import Reason
from controller.history.lookup import AtRevision, AtTime, all_standing, gaps_at
from tests.controller.history.helpers import KEYS, Witness, ref_of

NAMES = st.sampled_from("abc")
ACTS: dict[str, Callable[[Witness, str], object]] = {
    "change": lambda world, name: world.put(ref_of(name), n=world.clock.now),
    "apply": lambda world, name: world.put(ref_of(name), by="ci", n=world.clock.now),
    "same": lambda world, name: world.put(ref_of(name), n=0),
    "delete": lambda world, name: world.delete(ref_of(name)),
    "noise": lambda world, name: world.noise(),
    "look": lambda world, name: world.look(),
    "see": lambda world, name: world.see(),
    "lose": lambda world, name: world.lose_watch(),
    "restart": lambda world, name: (world.end(), world.begin()),
    "crash": lambda world, name: (world.crash(), world.begin()),
    "prune": lambda world, name: world.archive.prune(400),
    "overflow": lambda world, name: world.keeper._drop(Reason.OVERFLOW),
    "compact": lambda world, name: world.noise() and world.memory.compact(max(world.states)),
}
OFTEN = ["change"] * 6 + ["look"] * 4 + ["lose", "restart"]  # so that gaps have several changes in them
STEPS = st.lists(st.tuples(st.sampled_from([*OFTEN, *sorted(ACTS)]), NAMES), min_size=20, max_size=40)


def play(world: Witness, steps: list[tuple[str, str]]) -> None:
    world.look()
    for act, name in steps:
        if act == "delete" and ref_of(name) not in world.state:
            continue
        ACTS[act](world, name)
    world.look()


@settings(max_examples=100, deadline=None)
@given(STEPS)
def test_what_is_told_of_a_revision_was_so(steps: list[tuple[str, str]]) -> None:
    with tempfile.TemporaryDirectory() as folder:
        world = Witness(Path(folder) / "history.db")
        play(world, steps)
        kept = world.kept()
        first = max(1, kept.horizon.revision)
        for revision in range(first, max(world.states) + 1):
            moment = AtRevision(kept.mark.era, revision)
            truth = world.true_at(revision)
            found = {each.ref: each for each in all_standing(kept.rows, moment, kept.gaps)}
            sure = {ref: each for ref, each in found.items() if each.is_sure}
            assert {ref: world.value(each) for ref, each in sure.items()} == {
                ref: truth[ref] for ref in sure
            }, f"at revision {revision}"
            unknown = truth.keys() - sure.keys()
            assert not unknown or gaps_at(kept.gaps, moment), f"at revision {revision}: {unknown} not told"
        world.end()


@settings(max_examples=60, deadline=None)
@given(STEPS)
def test_what_is_told_of_a_time_was_so(steps: list[tuple[str, str]]) -> None:
    with tempfile.TemporaryDirectory() as folder:
        world = Witness(Path(folder) / "history.db")
        play(world, [each for step in steps for each in (step, ("look", ""))])
        kept = world.kept()
        for revision, time in world.times.items():
            if kept.horizon.seq and time + 0.5 < kept.horizon.time:
                continue
            truth = world.true_at(revision)
            moment = AtTime(time + 0.5)
            for each in all_standing(kept.rows, moment, kept.gaps):
                assert not each.is_sure or world.value(each) == truth.get(each.ref), f"at revision {revision}"
        world.end()


@settings(max_examples=100, deadline=None)
@given(STEPS)
def test_without_gaps_every_change_has_its_row(steps: list[tuple[str, str]]) -> None:
    quiet = [step for step in steps if step[0] in ("change", "apply", "delete", "noise", "look", "see")]
    with tempfile.TemporaryDirectory() as folder:
        world = Witness(Path(folder) / "history.db")
        play(world, quiet)
        kept = world.kept()
        changed = [
            revision
            for revision in sorted(world.states)
            if revision and world.states[revision] != world.true_at(revision - 1)
        ]
        assert [row.revision for row in kept.rows] == changed
        assert all(row.is_exact for row in kept.rows)
        applied = {row.revision for row in kept.rows if row.who == ("ci",)}
        assert applied == {
            row.revision for row in kept.rows if _applied_at(world, row.ref.name, row.revision)
        }
        world.end()


def _applied_at(world: Witness, name: str, revision: int) -> bool:
    listing = world.memory.list(KEYS.root, revision)
    return any(
        kv.key == KEYS.applied(ref_of(name), "ci") and kv.mod_revision == revision for kv in listing.kvs
    )
