"""Jobs under any order of events: nothing counts twice or is lost, parallelism holds, all comes to rest."""

from hypothesis import given, settings
from hypothesis import strategies as st

from controller.reconcilers.plan import Plan
from tests.controller.reconcilers.job_world import JobWorld, raw_job

EVENTS = (
    "plan",
    "plan",
    "plan",
    "plan",
    "plan late",
    "write late",
    "crash",
    "run",
    "run",
    "succeed",
    "succeed",
    "fail",
    "ignored failure",
    "lose",
    "stop",
    "delete",
    "delete finished",
    "delete finished",
    "end",
    "wait",
    "suspend",
    "resume",
)
IGNORE = {"rules": [{"action": "Ignore", "onExitCodes": {"values": [7]}}]}


class Play:
    """Events on a world; `late` are plans that were made and not written yet: a deposed leader's, or a lost reply's."""

    def __init__(self, world: JobWorld) -> None:
        self.world = world
        self.late: list[Plan] = []

    def happen(self, event: str, pick: int) -> None:
        world = self.world
        match event:
            case "plan":
                self.write(world.plan())
            case "plan late":
                self.late.append(world.plan())
            case "write late" if self.late:
                self.write(self.late.pop(pick % len(self.late)))
            case "crash":
                world.plan()
            case "end":
                world.end_leaving()
            case "wait":
                world.now += 30
            case "suspend" | "resume":
                world.edit(suspend=event == "suspend")
            case "delete finished":
                done = [
                    name for name, made in world.tasks.items() if made.owned and name not in world.active()
                ]
                if done:
                    world.tasks[done[pick % len(done)]].is_deleted = True
            case _ if world.active():
                self._task(event, world.active()[pick % len(world.active())])

    def _task(self, event: str, name: str) -> None:
        match event:
            case "run":
                self.world.run(name)
            case "succeed":
                self.world.succeed(name)
            case "fail":
                self.world.fail(name)
            case "ignored failure":
                self.world.fail(name, 7)
            case "lose":
                self.world.lose(name)
            case "stop":
                self.world.stop(name)
            case "delete":
                self.world.tasks[name].is_deleted = True

    def write(self, plan: Plan) -> None:
        before = len(self.world.names)
        if self.world.apply(plan) and len(self.world.names) > before:
            spec = self.world.inputs().spec
            assert spec is not None
            assert self.world.running() <= spec.value.spec.parallelism

    def finish(self) -> None:
        """Let everything succeed from here on."""
        world = self.world
        if world.raw["spec"].get("suspend"):
            world.edit(suspend=False)
        for _ in range(60):
            world.end_leaving()
            world.settle()
            again = world.plan()
            assert not again.intents, "a plan that was written leaves nothing to do"
            if world.condition("Complete"):
                return
            world.now = max(world.now, again.requeue_at or 0)
            for name in world.active():
                world.succeed(name)
        raise AssertionError("the job does not end")


@settings(max_examples=40, deadline=None)
@given(
    completions=st.integers(1, 6),
    parallelism=st.integers(1, 4),
    is_indexed=st.booleans(),
    events=st.lists(st.tuples(st.sampled_from(EVENTS), st.integers(0, 5)), min_size=25, max_size=60),
)
def test_every_success_and_failure_counts_once_whatever_happens(
    completions: int, parallelism: int, is_indexed: bool, events: list[tuple[str, int]]
) -> None:
    mode = "Indexed" if is_indexed else "NonIndexed"
    spec = {"completions": completions, "parallelism": parallelism, "completionMode": mode}
    world = JobWorld(raw_job(**spec, backoffLimit=100, failurePolicy=IGNORE))  # type: ignore[arg-type]
    play = Play(world)
    for event, pick in events:
        play.happen(event, pick)
    play.finish()
    status = world.said
    assert status.failed + status.ignored == world.failures
    assert len(world.successes) == status.succeeded == completions
    if is_indexed:
        assert sorted(index for _, index in world.successes if index is not None) == list(range(completions))


@settings(max_examples=20, deadline=None)
@given(
    limit=st.integers(0, 3),
    events=st.lists(st.tuples(st.sampled_from(EVENTS), st.integers(0, 5)), min_size=25, max_size=60),
)
def test_failures_beyond_the_limit_end_the_job_and_leave_nothing_running(
    limit: int, events: list[tuple[str, int]]
) -> None:
    world = JobWorld(raw_job(completions=3, parallelism=2, backoffLimit=limit))
    play = Play(world)
    for event, pick in events:
        play.happen(event, pick)
    if world.raw["spec"].get("suspend"):
        world.edit(suspend=False)
    for _ in range(20):
        world.end_leaving()
        world.settle()
        if world.condition("Failed") or world.condition("Complete"):
            break
        world.now = max(world.now, world.plan().requeue_at or 0)
        for name in world.active():
            world.fail(name)
    assert world.active() == []
    if world.condition("Failed"):
        assert world.said.failed + world.said.ignored == world.failures > limit
