"""What is decided about a source, whatever happened before."""

from dataclasses import dataclass, field, replace

from hypothesis import given, settings
from hypothesis import strategies as st

from gitops.actions import Action, Answer, Applied, Apply, Failed, Fetch, Fetched, Look, Looked, Outcome, Rest
from gitops.decide import MAX_BACKOFF_S, backoff_s, decide, saturated
from gitops.facts import Commit, Failure, Known, Live, Source, Tip, Wish
from gitops.learning import begin, learn
from gitops.telling import tell
from schemas.gitsource import GitSourceSpec
from schemas.gitsource_status import Drift, GitSourceStatus, Health, SourceObject

URL = "https://host/x.git"
START = 1_000_000.0


def make_source(generation: int = 1, **spec: object) -> Source:
    return Source("app", "u1", generation, GitSourceSpec.parse_written({"url": URL, **spec}))


@dataclass
class World:
    """The repository and the cluster as a source meets them; jobs take no time."""

    source: Source
    commits: list[str]
    good: set[str]
    reachable: bool = True
    drifts: bool = False
    health: Health = "Healthy"
    applied: str = ""
    now: float = START
    known: Known = field(default_factory=Known)
    status: GitSourceStatus | None = None
    wish: Wish | None = None
    writes: int = 0
    log: tuple[Action, ...] = ()

    def do(self, job: Fetch | Apply | Look) -> Outcome:
        match job:
            case Fetch():
                if not self.reachable:
                    return Failed(Fetch, Failure("FetchFailed", "no network"))
                return Fetched(Tip(Commit(self.commits[-1])))
            case Apply(tip):
                if tip.commit.id not in self.good:
                    return Failed(Apply, Failure("BadManifests", "a.yaml:1", tip.commit.id))
                self.applied, self.drifts = tip.commit.id, False
                return Applied(tip.commit, self.live(tip.commit.id))
            case Look(tip):
                return Looked(self.live(tip.commit.id))

    def live(self, commit: str) -> Live:
        objects = (SourceObject(object="configmap/a", health=self.health),)
        drift = (Drift(object="configmap/a", fields=("data.x",)),) if self.drifts else ()
        return Live(commit, self.source.generation, objects, 1, drift, len(drift))

    def step(self) -> Action:
        action = decide(self.source, self.status, self.known, self.wish, self.now)
        self.log = (*self.log, action)
        match action:
            case Rest():
                self.tell()
            case Answer():
                self.tell()
                self.wish = None
            case job:
                self.known = begin(self.known, self.source, job, self.wish, self.now)
                self.known = learn(self.known, self.source, self.do(job), self.now)
        return action

    def tell(self) -> None:
        status = tell(self.source, self.status, self.known, self.now)
        if status != self.status:
            self.writes += 1
            self.status = status

    def settle(self) -> float:
        """Step until it rests; return until when."""
        for _ in range(20):
            action = self.step()
            if isinstance(action, Rest) and action.until > self.now:
                return action.until
        raise AssertionError(f"it never rests: {self.log[-20:]}")

    def run(self, seconds: float) -> None:
        end = self.now + seconds
        while self.now < end:
            self.now = min(end, self.settle())
        self.settle()


EVENTS = st.sampled_from(
    [
        "push",
        "push broken",
        "cut",
        "mend",
        "drift",
        "wish",
        "suspend",
        "resume",
        "new leader",
        "edit",
        "wait",
        "wait long",
    ]
)


def happen(world: World, event: str) -> None:
    match event:
        case "push" | "push broken":
            world.commits.append(f"{len(world.commits):040d}")
            if event == "push":
                world.good.add(world.commits[-1])
        case "cut" | "mend":
            world.reachable = event == "mend"
        case "drift":
            world.drifts = True
        case "wish":
            world.wish = Wish(world.known.begun + 1, True)
        case "suspend" | "resume":
            spec = world.source.spec.model_copy(update={"suspend": event == "suspend"})
            world.source = replace(world.source, spec=spec, generation=world.source.generation + 1)
        case "edit":
            world.source = replace(world.source, generation=world.source.generation + 1)
        case "new leader":
            world.known = Known()
        case "wait":
            world.run(7)
        case _:
            world.run(400)


@settings(deadline=None)
@given(st.lists(EVENTS, max_size=25), st.booleans())
def test_in_the_end_the_newest_good_commit_is_there_and_nothing_is_written_any_more(
    events: list[str], heals: bool
) -> None:
    world = World(make_source(selfHeal=heals), ["0" * 40], {"0" * 40})
    for event in events:
        happen(world, event)
        world.settle()
        assert world.applied in {"", *world.good}, "a broken commit was applied"
    for event in ("mend", "resume", "push", "wait long"):
        happen(world, event)
    assert world.applied == world.commits[-1]
    assert world.status is not None
    assert world.status.synced is not None
    assert world.status.synced.commit == world.commits[-1]
    assert (world.status.failure, world.wish) == (None, None)
    assert not (heals and world.drifts)
    writes = world.writes
    world.run(2000)
    assert world.writes == writes


@settings(deadline=None)
@given(st.lists(EVENTS, max_size=15))
def test_a_suspended_source_asks_nobody_and_writes_nothing_but_that(events: list[str]) -> None:
    world = World(make_source(), ["0" * 40], {"0" * 40})
    for event in events:
        happen(world, event)
    happen(world, "suspend")
    world.settle()
    before = world.log
    world.run(2000)
    assert all(isinstance(each, Rest) for each in world.log[len(before) :])


@settings(deadline=None)
@given(st.integers(1, 100))
def test_waits_double_up_to_three_minutes_and_the_count_that_is_told_ends_there(failures: int) -> None:
    assert backoff_s(failures) == min(MAX_BACKOFF_S, 5.0 * 2 ** (failures - 1))
    assert saturated(failures) == min(failures, 7)
    assert backoff_s(saturated(failures)) == backoff_s(failures)


def test_tries_after_failures_are_5_to_180_seconds_apart() -> None:
    world = World(make_source(), ["0" * 40], {"0" * 40}, reachable=False)
    waits = []
    for _ in range(9):
        until = world.settle()
        waits.append(until - world.now)
        world.now = until
    assert waits == [5, 10, 20, 40, 80, 160, 180, 180, 180]


def test_a_failure_that_lasts_is_told_until_the_wait_stops_to_grow_and_not_again() -> None:
    world = World(make_source(), ["0" * 40], set())
    world.run(7)
    assert world.status is not None
    assert world.status.failure is not None
    since = world.status.failure.since
    world.run(400)
    writes = world.writes
    world.run(3000)
    assert world.writes == writes
    assert world.status.failure is not None
    assert (world.status.failure.since, world.status.failure.failures) == (since, 7)


def test_a_self_heal_that_fails_stays_told_between_looks() -> None:
    world = World(make_source(selfHeal=True), ["0" * 40], {"0" * 40})
    world.settle()
    world.good.clear()
    world.drifts = True
    world.run(600)
    assert world.status is not None
    assert world.status.failure is not None
    writes = world.writes
    world.run(3000)
    assert world.writes == writes


def test_looks_are_closer_while_something_starts() -> None:
    world = World(make_source(interval="60s"), ["0" * 40], {"0" * 40}, health="Progressing")
    world.run(30)
    looks = sum(isinstance(each, Look) for each in world.log)
    assert 8 <= looks <= 11
    world.health = "Healthy"
    world.run(4)
    before = len(world.log)
    world.run(50)
    assert not [each for each in world.log[before:] if isinstance(each, Look)]


def test_self_heal_of_what_changes_again_and_again_writes_once_an_interval() -> None:
    world = World(make_source(selfHeal=True, interval="60s"), ["0" * 40], {"0" * 40}, health="Progressing")
    world.settle()
    applied = 0
    for _ in range(600):
        world.drifts = True
        before = len(world.log)
        world.run(1)
        applied += sum(isinstance(each, Apply) for each in world.log[before:])
    assert applied <= 11
