"""What a container's probes say: when each is asked, how its answers are counted, and the verdict. Pure.

    begin -> asks (what is due) -> asked -> answered ... -> verdict

The rules are Kubernetes'. The startup probe gates the other two until it has passed once. So many answers of one
kind in a row change a verdict; an answer that could not be had (the runtime was silent) counts as neither. A
container whose startup or liveness probe has failed for good is unhealthy: it is stopped and started anew.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from enum import StrEnum

from schemas.probe import Probe
from schemas.task import Container

TOLD_EVERY_S = 60.0  # a probe that goes on failing tells other words at most so often: each is a write
FIRST_SPREAD = 0.1  # the first question comes within a tenth of the period,
FIRST_SPREAD_MAX_S = 1.0  # and within a second: containers that start together are not asked in one instant
TEXT_LENGTH = 200  # characters of an answer that are told


class ProbeKind(StrEnum):
    STARTUP = "Startup"
    LIVENESS = "Liveness"
    READINESS = "Readiness"


@dataclass(frozen=True, slots=True)
class Answer:
    """What came of asking once. ok: None if it could not be asked, which tells nothing."""

    ok: bool | None
    text: str = ""


@dataclass(frozen=True, slots=True)
class Verdict:
    """What the probes of one attempt say.

    started, ready: None without such a probe. text: why it is not started or not ready, as the probe told.
    unhealthy: the probe because of which it is to be stopped; then `text` is why.
    """

    started: bool | None = None
    ready: bool | None = None
    text: str = ""
    unhealthy: ProbeKind | None = None


NO_VERDICT = Verdict()


@dataclass(frozen=True, slots=True)
class Course:
    """One probe so far. due: when it is asked next, seconds since the epoch; awaited: an answer is on its way.

    passes: what its answers come to; in_a_row: how many of the last answers were like the very last (`last_ok`).
    text: of a failure, since `text_at`.
    """

    probe: Probe
    due: float
    passes: bool
    awaited: bool = False
    last_ok: bool | None = None
    in_a_row: int = 0
    text: str = ""
    text_at: float = 0.0


@dataclass(frozen=True, slots=True)
class Watch:
    """The probes of one running attempt."""

    courses: Mapping[ProbeKind, Course]


def probes_of(container: Container) -> dict[ProbeKind, Probe]:
    """Return the probes that a container has."""
    if not has_probes(container):
        return {}
    found = {
        ProbeKind.STARTUP: container.startup_probe,
        ProbeKind.LIVENESS: container.liveness_probe,
        ProbeKind.READINESS: container.readiness_probe,
    }
    return {kind: probe for kind, probe in found.items() if probe is not None}


def has_probes(container: Container) -> bool:
    """Say, quickly, whether a container has any probe; most have none."""
    return bool(container.startup_probe or container.liveness_probe or container.readiness_probe)


def begin(
    container: Container, started_at: float, now: float, *, spread: float, before: Verdict | None = None
) -> Watch:
    """Return the watch over an attempt that runs since `started_at`.

    spread: 0 to 1, this container's place among those that start together. before: what was known of this very
    attempt by an agent that ended since; it stands until the answers say otherwise.
    """
    probes = probes_of(container)
    courses = {
        kind: Course(probe, _first_due(probe, started_at, now, spread, before), _first_passes(kind, before))
        for kind, probe in probes.items()
    }
    return Watch(courses)


def _first_due(probe: Probe, started_at: float, now: float, spread: float, before: Verdict | None) -> float:
    """An agent that takes many running containers over spreads its questions over their whole period."""
    after_start = started_at + probe.initial_delay_seconds
    if before is not None:
        return max(after_start, now) + spread * probe.period_seconds
    return after_start + spread * min(FIRST_SPREAD * probe.period_seconds, FIRST_SPREAD_MAX_S)


def _first_passes(kind: ProbeKind, before: Verdict | None) -> bool:
    match kind:
        case ProbeKind.STARTUP:
            return before is not None and bool(before.started)
        case ProbeKind.READINESS:
            return before is not None and bool(before.ready)
        case ProbeKind.LIVENESS:
            return True


def _open(watch: Watch) -> Iterable[ProbeKind]:
    """Return the probes whose turn it is: the startup probe alone until it has passed, then the others."""
    startup = watch.courses.get(ProbeKind.STARTUP)
    if startup is not None and not startup.passes:
        return (ProbeKind.STARTUP,)
    return (kind for kind in watch.courses if kind is not ProbeKind.STARTUP)


def next_due(watch: Watch) -> float | None:
    """Return when something is to be asked; None while all answers are awaited, or nothing is asked any more."""
    if verdict(watch).unhealthy is not None:
        return None
    found = (watch.courses[kind] for kind in _open(watch))
    return min((each.due for each in found if not each.awaited), default=None)


def asks(watch: Watch, now: float) -> tuple[ProbeKind, ...]:
    """Return the probes that are to be asked now."""
    if verdict(watch).unhealthy is not None:
        return ()
    found = ((kind, watch.courses[kind]) for kind in _open(watch))
    return tuple(kind for kind, each in found if not each.awaited and each.due <= now)


def asked(watch: Watch, kind: ProbeKind, now: float) -> Watch:
    """Note that a probe was asked; the next time is counted from now, so that a slow answer shifts nothing."""
    course = watch.courses[kind]
    due = now + course.probe.period_seconds
    return _with(watch, kind, replace(course, awaited=True, due=due))


def answered(watch: Watch, kind: ProbeKind, answer: Answer, now: float) -> Watch:
    """Take an answer in."""
    course = replace(watch.courses[kind], awaited=False)
    if answer.ok is None:
        return _with(watch, kind, course)
    in_a_row = course.in_a_row + 1 if answer.ok == course.last_ok else 1
    course = replace(course, last_ok=answer.ok, in_a_row=in_a_row)
    if answer.ok and in_a_row >= course.probe.success_threshold:
        course = replace(course, passes=True, text="", text_at=0.0)
    elif not answer.ok:
        course = _failed(course, answer.text, now)
    return _with(watch, kind, course)


def _failed(course: Course, text: str, now: float) -> Course:
    falls = course.passes and course.in_a_row >= course.probe.failure_threshold
    if falls or not course.text or now >= course.text_at + TOLD_EVERY_S:
        course = replace(course, text=text, text_at=now)
    return replace(course, passes=course.passes and not falls)


def _with(watch: Watch, kind: ProbeKind, course: Course) -> Watch:
    return Watch({**watch.courses, kind: course})


def verdict(watch: Watch) -> Verdict:
    """Return what all answers so far come to."""
    startup = watch.courses.get(ProbeKind.STARTUP)
    readiness = watch.courses.get(ProbeKind.READINESS)
    unhealthy = _unhealthy(watch)
    started = startup.passes if startup is not None else None
    is_up = started is not False and unhealthy is None
    ready = readiness.passes and is_up if readiness is not None else None
    if unhealthy is not None:
        why = _words(unhealthy, watch.courses[unhealthy])
    elif started is False and startup is not None:
        why = _words(ProbeKind.STARTUP, startup)
    else:
        why = _words(ProbeKind.READINESS, readiness) if readiness is not None and not ready else ""
    return Verdict(started, ready, why, unhealthy)


def _unhealthy(watch: Watch) -> ProbeKind | None:
    liveness, startup = watch.courses.get(ProbeKind.LIVENESS), watch.courses.get(ProbeKind.STARTUP)
    if liveness is not None and not liveness.passes:
        return ProbeKind.LIVENESS
    never_started = (
        startup is not None
        and not startup.passes
        and startup.last_ok is False
        and startup.in_a_row >= startup.probe.failure_threshold
    )
    return ProbeKind.STARTUP if never_started else None


def _words(kind: ProbeKind, course: Course) -> str:
    return f"{kind} probe failed: {course.text}" if course.text else ""


def one_line(text: str) -> str:
    """Return the beginning of a text as one line, for a message."""
    words = " ".join("".join(each if each.isprintable() else " " for each in text).split())
    return words if len(words) <= TEXT_LENGTH else words[: TEXT_LENGTH - 3] + "..."
