"""Whatever happens to an agent, in whatever order: its invariants hold, and in the end what should be is so."""

from dataclasses import dataclass

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from agent.runtime.api import Op, Phase
from agent.runtime.hollow import Fault
from schemas.binding import Binding, Desired, StopReason
from tests.agent.builders import make_binding, make_spec
from tests.agent.harness import CutStore, Machine, World, booted_world

EVENTS = (
    "bind",
    "hold",
    "stop",
    "rebind",
    "unbind",
    "garbage",
    "crash",
    "docker down",
    "docker up",
    "vanish",
    "cut",
    "mend",
    "watches end",
    "slow",
    "lost replies",
    "errors",
    "calm",
)
FAULTS = {
    "slow": Fault(delay_s=0.7),
    "lost replies": Fault(delay_s=0.2, lost_reply=True),
    "errors": Fault(delay_s=0.1, error="no"),
    "calm": Fault(delay_s=0.05),
}
GRACE_S = 1.0


@dataclass
class Story:
    """One task on one machine, and what the leader last said of it."""

    world: World
    machine: Machine
    binding: Binding
    bound: bool = False
    uids: int = 1
    vanished: int = 0

    def tell(self, event: str) -> None:
        match event:
            case "bind" if not self.bound:
                self._say(make_desired(self.binding, Desired.RUN))
            case "hold" if not self.bound:
                self._say(make_desired(self.binding, Desired.HOLD))
            case "stop" if self.bound:
                self._say(make_desired(self.binding, Desired.STOP))
            case "rebind":
                self.uids += 1
                fresh = self.binding.model_copy(
                    update={"binding_uid": f"binding-{self.uids}", "epoch": self.uids}
                )
                self._say(make_desired(fresh, Desired.RUN))
            case "unbind" if self.bound and self.binding.desired is not Desired.STOP:
                self.world.unbind(self.binding)
                self.bound = False
            case "garbage" if self.bound:
                self.world.put(f"/berth/bindings/{self.binding.node}/{self.binding.task_uid}", b"garbage")
            case "crash":
                self.machine.crash()
                self.machine.boot()
            case "docker down" | "docker up":
                self.machine.host.up = event == "docker up"
            case "vanish":
                for each in self.machine.host.running()[:1]:
                    self.machine.host.vanish(each.id)
                    self.vanished += 1
            case "cut" | "mend":
                CutStore.is_cut = event == "cut"
            case "watches end":
                self.world.store.end_watches()
            case "slow" | "lost replies" | "errors" | "calm":
                self._fault(FAULTS[event])

    def _say(self, binding: Binding) -> None:
        self.binding, self.bound = binding, True
        self.world.bind(binding)

    def _fault(self, fault: Fault) -> None:
        def faults(op: Op, now: float) -> Fault:
            return fault

        self.machine.faults = faults


def make_desired(binding: Binding, desired: Desired) -> Binding:
    reason = StopReason.DELETED if desired is Desired.STOP else None
    return binding.model_copy(update={"desired": desired, "reason": reason})


def check_invariants(story: Story, stopped: set[str]) -> None:
    """At most one attempt runs; nothing is stopped without a binding of the task that says so."""
    running = story.machine.host.running()
    assert len(running) <= 1, running
    ended = [
        each for each in story.machine.host.containers() if each.phase is Phase.EXITED and each.started_at
    ]
    for each in ended:
        if each.id in stopped:
            continue
        stopped.add(each.id)
        other = each.journal.binding_uid != story.binding.binding_uid
        assert other or story.binding.desired is Desired.STOP, f"{each.id} was stopped without a reason"


@settings(max_examples=120, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.lists(st.tuples(st.sampled_from(EVENTS), st.sampled_from((0.2, 1.0, 3.0))), max_size=25))
def test_any_story_keeps_the_invariants_and_ends_well(events: list[tuple[str, float]]) -> None:
    world, machine = booted_world()
    story = Story(world, machine, make_binding(spec=make_spec(grace=GRACE_S)))
    stopped: set[str] = set()
    for event, seconds in events:
        story.tell(event)
        for _ in range(round(seconds / 0.2)):
            world.run(0.2, tick_s=0.2)
            check_invariants(story, stopped)
    for event in ("mend", "docker up", "calm"):
        story.tell(event)
    if story.bound:
        world.bind(story.binding)
    world.run(700, tick_s=1.0)  # the longest backoff, and some
    check_invariants(story, stopped)
    check_end(story)


def check_end(story: Story) -> None:
    running = [each.journal.binding_uid for each in story.machine.host.running()]
    report = story.world.report(story.binding)
    if not story.bound:
        assert report is None or report.unbound
        return
    assert report is not None
    assert report.binding_uid == story.binding.binding_uid
    match story.binding.desired:
        case Desired.RUN:
            assert running == [story.binding.binding_uid]
            assert not report.final
        case Desired.HOLD:
            assert not report.final
        case Desired.STOP:
            assert running == []
            assert report.final
