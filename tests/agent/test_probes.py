"""How the answers of probes are counted, and what they come to."""

from hypothesis import given
from hypothesis import strategies as st

from agent import probes
from agent.probes import Answer, ProbeKind, Verdict, Watch, one_line
from schemas.task import Container

OK, BAD, UNKNOWN = Answer(True), Answer(False, "refused"), Answer(None, "the engine is away")
START = 1000.0
STARTUP, LIVENESS, READINESS = ProbeKind.STARTUP, ProbeKind.LIVENESS, ProbeKind.READINESS


def make_container(**fields: object) -> Container:
    """fields: name of a probe in JSON -> its own fields besides the command."""
    written = {name: {"exec": {"command": ["true"]}, **(own or {})} for name, own in fields.items()}  # type: ignore[dict-item]
    return Container.parse_written({"name": "main", "image": "web:1", **written})


def begin(container: Container, before: Verdict | None = None, spread: float = 0.0) -> Watch:
    return probes.begin(container, START, START, spread=spread, before=before)


def feed(watch: Watch, kind: ProbeKind, *answers: Answer, now: float = START) -> Watch:
    for answer in answers:
        watch = probes.answered(probes.asked(watch, kind, now), kind, answer, now)
    return watch


def test_container_is_not_ready_until_its_readiness_probe_has_passed() -> None:
    watch = begin(make_container(readinessProbe={"successThreshold": 2}))
    assert probes.verdict(watch) == Verdict(ready=False)
    watch = feed(watch, READINESS, OK)
    assert probes.verdict(watch).ready is False
    assert probes.verdict(feed(watch, READINESS, BAD, OK)).ready is False
    assert probes.verdict(feed(watch, READINESS, OK)) == Verdict(ready=True)


def test_readiness_is_lost_after_failures_in_a_row_and_told_why() -> None:
    ready = feed(begin(make_container(readinessProbe={"failureThreshold": 2})), READINESS, OK)
    assert probes.verdict(feed(ready, READINESS, BAD, OK, BAD)).ready is True
    lost = probes.verdict(feed(ready, READINESS, BAD, BAD))
    assert lost == Verdict(ready=False, text="Readiness probe failed: refused")


def test_startup_gates_the_other_probes() -> None:
    container = make_container(startupProbe={}, livenessProbe={}, readinessProbe={})
    watch = begin(container)
    assert probes.asks(watch, START + 5) == (STARTUP,)
    assert probes.verdict(watch) == Verdict(started=False, ready=False)
    started = feed(watch, STARTUP, BAD, OK)
    assert probes.verdict(started).started is True
    assert set(probes.asks(started, START + 60)) == {LIVENESS, READINESS}


def test_startup_that_never_passes_makes_the_container_unhealthy() -> None:
    watch = begin(make_container(startupProbe={"failureThreshold": 3}, readinessProbe={}))
    assert probes.verdict(feed(watch, STARTUP, BAD, BAD)).unhealthy is None
    failed = probes.verdict(feed(watch, STARTUP, BAD, BAD, BAD))
    assert failed == Verdict(False, False, "Startup probe failed: refused", STARTUP)


def test_failed_liveness_ends_readiness_and_all_questions() -> None:
    watch = begin(make_container(livenessProbe={"failureThreshold": 2}, readinessProbe={}))
    watch = feed(feed(watch, READINESS, OK), LIVENESS, BAD, BAD)
    assert probes.verdict(watch) == Verdict(None, False, "Liveness probe failed: refused", LIVENESS)
    assert probes.asks(watch, START + 1000) == ()
    assert probes.next_due(watch) is None


def test_silent_runtime_counts_as_neither() -> None:
    watch = feed(begin(make_container(livenessProbe={"failureThreshold": 2})), LIVENESS, BAD)
    assert probes.verdict(feed(watch, LIVENESS, UNKNOWN, UNKNOWN)).unhealthy is None
    assert probes.verdict(feed(watch, LIVENESS, UNKNOWN, BAD)).unhealthy is LIVENESS


def test_first_question_waits_for_the_initial_delay_and_the_next_for_the_period() -> None:
    watch = begin(make_container(readinessProbe={"initialDelaySeconds": 7, "periodSeconds": 4}))
    assert probes.next_due(watch) == START + 7
    assert probes.asks(watch, START + 6.9) == ()
    waiting = probes.asked(watch, READINESS, START + 7)
    assert probes.next_due(waiting) is None, "one question of a probe at a time"
    assert probes.next_due(probes.answered(waiting, READINESS, BAD, START + 8)) == START + 11


def test_containers_that_start_together_are_not_asked_in_one_instant() -> None:
    container = make_container(readinessProbe={"periodSeconds": 100})
    assert probes.next_due(begin(container, spread=0.5)) == START + 0.5
    adopted = begin(container, before=Verdict(ready=True), spread=0.5)
    assert probes.next_due(adopted) == START + 50


def test_restarted_agent_goes_on_with_what_was_reported() -> None:
    container = make_container(startupProbe={}, readinessProbe={})
    before = Verdict(started=True, ready=True)
    watch = begin(container, before)
    assert probes.verdict(watch) == before
    assert probes.asks(watch, START + 60) == (READINESS,)


def test_words_of_a_probe_that_goes_on_failing_change_at_most_once_a_minute() -> None:
    watch = begin(make_container(readinessProbe={}))
    texts = []
    for second in range(0, 121, 10):
        watch = feed(watch, READINESS, Answer(False, f"at {second}"), now=START + second)
        texts.append(probes.verdict(watch).text)
    assert sorted(set(texts)) == [f"Readiness probe failed: at {each}" for each in (0, 120, 60)]


def test_told_text_is_one_short_line() -> None:
    assert one_line("a\n\tb\x1b[31m c") == "a b [31m c"
    assert len(one_line("x" * 500)) == 200


@given(
    st.lists(st.sampled_from([OK, BAD, UNKNOWN]), max_size=30),
    st.integers(1, 4),
    st.integers(1, 4),
)
def test_readiness_follows_the_last_row_of_answers(answers: list[Answer], wins: int, losses: int) -> None:
    container = make_container(readinessProbe={"successThreshold": wins, "failureThreshold": losses})
    ready = False
    told = [each.ok for each in answers if each.ok is not None]
    for end in range(1, len(told) + 1):
        so_far = told[:end]
        if so_far[-wins:] == [True] * wins:
            ready = True
        elif so_far[-losses:] == [False] * losses:
            ready = False
    assert probes.verdict(feed(begin(container), READINESS, *answers)).ready is ready
