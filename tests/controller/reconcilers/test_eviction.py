"""Who is moved on purpose, and who waits: budgets hold in any order, their words say why."""

from hypothesis import given, settings
from hypothesis import strategies as st

from controller.reconcilers.eviction import (
    Budget,
    Candidate,
    Cause,
    Evicted,
    Guarded,
    Waits,
    decide,
    standing,
)
from schemas.budget import DisruptionBudgetSpec
from schemas.keys import ObjectRef, task_ref

WEB = ObjectRef("disruptionbudgets", "default", "web")


def budget(name: str = "web", wanted: dict[str, int] | None = None, **bound: int | str) -> Budget:
    fields = {"selector": {"matchLabels": {"app": "web"}}, **bound}
    spec = DisruptionBudgetSpec.model_validate(fields)
    return Budget(ObjectRef("disruptionbudgets", "default", name), spec, wanted or {})


def task(number: int, *, healthy: bool = True, app: str = "web", owner: str = "") -> Guarded:
    return Guarded(task_ref("default", f"t{number}"), {"app": app}, healthy, owner)


def candidate(each: Guarded, cause: Cause = Cause.DRAIN, *, forced: bool = False) -> Candidate:
    return Candidate(each.ref, f"binding-{each.ref.name}", "n1", cause, forced)


def gone(verdicts: dict[ObjectRef, Evicted | Waits]) -> list[str]:
    return sorted(ref.name for ref, each in verdicts.items() if isinstance(each, Evicted))


def reason(verdicts: dict[ObjectRef, Evicted | Waits], name: str) -> str:
    verdict = verdicts[task_ref("default", name)]
    assert isinstance(verdict, Waits)
    return verdict.reason


def known(*tasks: Guarded) -> dict[ObjectRef, Guarded]:
    return {each.ref: each for each in tasks}


def test_one_goes_and_the_other_waits_for_the_budget_with_its_arithmetic() -> None:
    tasks = [task(1), task(2), task(3)]
    verdicts = decide(map(candidate, tasks), known(*tasks), [budget(minAvailable=2)])
    assert gone(verdicts) == ["t1"]
    assert reason(verdicts, "t2") == "budget web: 2 of 3 available, needs 2"


def test_what_was_decided_and_is_not_seen_counts_as_disrupted() -> None:
    tasks = [task(1), task(2)]
    verdicts = decide(
        [candidate(tasks[1])], known(*tasks), [budget(minAvailable=1)], frozenset({tasks[0].ref})
    )
    assert reason(verdicts, "t2") == "budget web: 1 of 2 available, needs 1"


def test_both_of_two_budgets_must_allow() -> None:
    tasks = [task(1), task(2)]
    both = [budget("loose", minAvailable=0), budget("strict", maxUnavailable=0)]
    verdicts = decide([candidate(tasks[0])], known(*tasks), both)
    assert reason(verdicts, "t1") == "budget strict: 2 of 2 available, needs 2"


def test_task_that_is_not_ready_goes_first_and_costs_nothing() -> None:
    tasks = [task(1), task(2, healthy=False)]
    verdicts = decide(map(candidate, tasks), known(*tasks), [budget(minAvailable=1)])
    assert gone(verdicts) == ["t2"]


def test_task_of_no_budget_goes() -> None:
    other = task(1, app="other")
    assert gone(decide([candidate(other)], known(other), [budget(minAvailable=5)])) == ["t1"]


def test_force_regards_no_budget() -> None:
    tasks = [task(1), task(2)]
    forced = [candidate(each, forced=True) for each in tasks]
    assert gone(decide(forced, known(*tasks), [budget(minAvailable=2)])) == ["t1", "t2"]


def test_unreadable_budget_freezes_its_namespace_only() -> None:
    here, there = task(1), Guarded(task_ref("other", "t2"), {"app": "web"}, True)
    verdicts = decide([candidate(here), candidate(there)], known(here, there), [Budget(WEB, None, {})])
    assert "budget web can't be read" in reason(verdicts, "t1")
    assert gone(verdicts) == ["t2"]


def test_missing_task_of_an_owner_counts_as_unavailable() -> None:
    tasks = [task(1, owner="d"), task(2, owner="d")]
    verdicts = decide([candidate(tasks[0])], known(*tasks), [budget(maxUnavailable=1, wanted={"d": 3})])
    assert reason(verdicts, "t1") == "budget web: 2 of 3 available, needs 2"


bounds = st.one_of(st.integers(0, 8), st.integers(0, 100).map(lambda share: f"{share}%"))
budgets = st.tuples(st.sampled_from(["minAvailable", "maxUnavailable"]), bounds)


@settings(max_examples=40, deadline=None)
@given(st.lists(st.booleans(), min_size=1, max_size=8), st.lists(budgets, max_size=2), st.data())
def test_evictions_never_go_below_a_budget_in_any_order_of_reports(
    health: list[bool], given_budgets: list[tuple[str, int | str]], data: st.DataObject
) -> None:
    """Decided ones are seen, moved and healthy again whenever they like; others fail and recover by themselves."""
    all_budgets = [budget(f"b{i}", **{field: bound}) for i, (field, bound) in enumerate(given_budgets)]
    tasks = {each.ref: each for each in (task(i, healthy=healthy) for i, healthy in enumerate(health))}
    decided: set[ObjectRef] = set()
    for _ in range(6):
        wanted = data.draw(st.lists(st.sampled_from(sorted(tasks)), unique=True))
        before = [standing(each, tasks.values(), frozenset(decided)) for each in all_budgets]
        new = decide([candidate(tasks[ref]) for ref in wanted], tasks, all_budgets, frozenset(decided))
        decided |= {ref for ref, each in new.items() if isinstance(each, Evicted)}
        for was, each in zip(before, all_budgets, strict=True):
            now = standing(each, tasks.values(), frozenset(decided))
            assert now.healthy == was.healthy or now.healthy >= now.needed
        seen = data.draw(st.sets(st.sampled_from(sorted(tasks))))
        for ref in seen:
            decided.discard(ref)
            tasks[ref] = task(int(ref.name[1:]), healthy=data.draw(st.booleans()))
