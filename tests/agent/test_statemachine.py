"""The pure next step: one situation, one action."""

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.labels import Target
from agent.observation import Ending, Leave, Memory, TaskObservation, Trouble
from agent.restarts import delay_s, next_restart
from agent.runtime.api import Create, Kill, Phase, Pull, Reason, Remove, Start, Stop
from agent.statemachine import BeginEnd, Nothing, Wait, is_all, next_action
from schemas.binding import Binding, Desired
from schemas.task import RestartBackoff
from tests.agent.builders import make_binding, make_container, make_leave, make_spec

NOW = 1000.0
TARGET = Target("binding-1", "main")


def act(binding: Binding | None, observed: TaskObservation, now: float = NOW, **leave: object) -> object:
    """The next step; an end that begins is noted as the agent does, at its first signal."""
    confirmed = {"confirmed_at": now, **leave}
    action = next_action(binding, observed, now, leave=make_leave(**confirmed))  # type: ignore[arg-type]
    if isinstance(action, BeginEnd):
        signals = [each.signalled_at for each in observed.endings.values() if each.signalled_at is not None]
        noted = replace(observed, ends={action.binding_uid: min(signals, default=now)})
        return act(binding, noted, now, **leave)
    return action


def test_first_comes_the_pull_then_create_then_start() -> None:
    binding = make_binding()
    assert isinstance(act(binding, TaskObservation()), Pull)
    pulled = {TARGET: Memory(pulled=True)}
    assert isinstance(act(binding, TaskObservation(memory=pulled)), Create)
    created = make_container(binding, phase=Phase.CREATED)
    assert act(binding, TaskObservation((created,))) == Start(TARGET, created.id)
    assert act(binding, TaskObservation((make_container(binding),))) == Nothing()


ATTEMPTS = st.sampled_from(
    [(), (Phase.CREATED,), (Phase.RUNNING,), (Phase.EXITED,), (Phase.EXITED, Phase.CREATED)]
)


@given(
    desired=st.sampled_from(Desired),
    phases=ATTEMPTS,
    pulled=st.booleans(),
    sidecar=st.booleans(),
    stop_after=st.sampled_from(("never", "30s")),
    keep_dead_s=st.sampled_from((1e9, float("inf"))),
)
def test_what_is_said_to_be_all_leaves_nothing_to_do(
    desired: Desired,
    phases: tuple[Phase, ...],
    pulled: bool,
    sidecar: bool,
    stop_after: str,
    keep_dead_s: float,
) -> None:
    more = {"initContainers": [{"name": "side", "image": "hollow/web:1", "restartPolicy": "Always"}]}
    spec = make_spec(unreachable={"stopAfter": stop_after}, **(more if sidecar else {}))
    binding = make_binding(desired=desired, spec=spec)
    containers = tuple(make_container(binding, attempt=n, phase=each) for n, each in enumerate(phases))
    observed = TaskObservation(containers, memory={TARGET: Memory(pulled=pulled)})
    leave = replace(make_leave(confirmed_at=NOW), keep_dead_s=keep_dead_s)
    action = next_action(binding, observed, NOW, leave=leave)
    if is_all(action, binding, observed):
        assert isinstance(action, Pull | Create | Start)
        under_way = replace(observed, in_flight={action.target: action})
        assert next_action(binding, under_way, NOW, leave=leave) == Nothing()


@pytest.mark.parametrize("desired", list(Desired))
def test_without_leave_nothing_is_done(desired: Desired) -> None:
    binding = make_binding(desired=desired)
    for observed in (TaskObservation(), TaskObservation((make_container(binding),))):
        assert act(binding, observed, act=False) == Nothing()


def test_nothing_new_begins_without_the_stores_consent_but_restarts_go_on() -> None:
    binding = make_binding()
    created = make_container(binding, phase=Phase.CREATED)
    assert act(binding, TaskObservation(), begin=False) == Nothing()
    assert act(binding, TaskObservation((created,)), begin=False) == Nothing()
    failed = make_container(binding, phase=Phase.EXITED, exit_code=1, finished_at=NOW - 60)
    restart = act(binding, TaskObservation((failed,)), begin=False)
    assert isinstance(restart, Create)
    assert (restart.journal.attempt, restart.journal.failures) == (1, 1)


def test_stop_signals_waits_the_grace_and_kills() -> None:
    binding = make_binding(desired=Desired.STOP, spec=make_spec(grace="5s"))
    running = make_container(binding)
    observed = TaskObservation((running,))
    assert act(binding, observed) == Stop(TARGET, running.id, "SIGTERM", 5.0)
    signalled = replace(observed, endings={running.id: Ending(signalled_at=NOW)})
    assert act(binding, signalled, NOW + 4) == Wait(NOW + 5)
    assert act(binding, signalled, NOW + 5) == Kill(TARGET, running.id)
    killed = replace(observed, endings={running.id: Ending(NOW, NOW + 5)})
    assert act(binding, killed, NOW + 6) == Wait(NOW + 15)
    assert act(binding, killed, NOW + 15) == Kill(TARGET, running.id)


def test_no_grace_kills_at_once() -> None:
    binding = make_binding(desired=Desired.STOP, spec=make_spec(grace="0s"))
    running = make_container(binding)
    assert act(binding, TaskObservation((running,))) == Kill(TARGET, running.id)


def test_old_bindings_end_and_go_before_the_new_one_begins() -> None:
    old, new = make_binding(), make_binding(binding_uid="binding-2", epoch=2)
    running = make_container(old)
    assert isinstance(act(new, TaskObservation((running,))), Stop)
    dead = make_container(old, phase=Phase.EXITED)
    assert act(new, TaskObservation((dead,))) == Remove(TARGET, dead.id)
    start = Start(TARGET, dead.id)
    assert act(new, TaskObservation(in_flight={TARGET: start})) == Nothing()
    assert isinstance(act(new, TaskObservation()), Pull)


@pytest.mark.parametrize(
    ("policy", "code", "restarts"),
    [
        ("Always", 0, True),
        ("Always", 1, True),
        ("OnFailure", 0, False),
        ("OnFailure", 1, True),
        ("Never", 0, False),
        ("Never", 1, False),
    ],
)
def test_the_policy_decides_about_a_restart(policy: str, code: int, restarts: bool) -> None:
    binding = make_binding(spec=make_spec(restartPolicy=policy))
    ended = make_container(binding, phase=Phase.EXITED, exit_code=code, finished_at=NOW - 1000)
    assert isinstance(act(binding, TaskObservation((ended,))), Create) == restarts


def test_a_port_of_a_stranger_is_tried_again_whatever_the_policy() -> None:
    binding = make_binding(spec=make_spec(restartPolicy="Never"))
    failure = {"failure": Reason.HOST_PORT_TAKEN, "exit_code": 128, "started_at": 0.0, "finished_at": 0.0}
    ended = make_container(binding, phase=Phase.EXITED, **failure)
    assert isinstance(act(binding, TaskObservation((ended,))), Create)


def test_a_restart_waits_for_its_backoff() -> None:
    binding = make_binding(spec=make_spec(restartBackoff={"initial": "10s"}))
    times = {"started_at": NOW - 5, "finished_at": NOW}
    ended = make_container(binding, failures=2, phase=Phase.EXITED, exit_code=1, **times)
    assert act(binding, TaskObservation((ended,))) == Wait(NOW + 40)


def test_a_clean_run_resets_the_backoff() -> None:
    binding = make_binding()
    times = {"started_at": NOW - 700, "finished_at": NOW}
    ended = make_container(binding, failures=5, phase=Phase.EXITED, exit_code=1, **times)
    restart = next_restart(binding.spec, ended)
    assert restart is not None
    assert (restart.due, restart.failures) == (NOW + 10, 1)


def test_the_backoff_doubles_up_to_its_maximum() -> None:
    backoff = RestartBackoff()
    assert [delay_s(backoff, failures) for failures in (1, 2, 3, 6, 10_000)] == [10, 20, 40, 300, 300]


def test_older_attempts_are_removed_but_the_previous_one() -> None:
    binding = make_binding()
    old = [make_container(binding, attempt=index, phase=Phase.EXITED) for index in range(3)]
    running = make_container(binding, attempt=3)
    action = act(binding, TaskObservation((*old, running)))
    assert action in [Remove(TARGET, old[0].id), Remove(TARGET, old[1].id)]
    assert act(binding, TaskObservation((old[2], running))) == Nothing()


def test_an_older_attempt_that_somebody_started_is_stopped() -> None:
    binding = make_binding()
    older, newest = make_container(binding, attempt=0), make_container(binding, attempt=1)
    action = act(binding, TaskObservation((older, newest)))
    assert isinstance(action, Stop)
    assert action.id == older.id


def test_trouble_is_waited_out() -> None:
    trouble = Trouble(Reason.ERR_IMAGE_PULL, "no", 1, NOW + 10)
    observed = TaskObservation(memory={TARGET: Memory(trouble=trouble)})
    assert act(make_binding(), observed) == Wait(NOW + 10)
    assert isinstance(act(make_binding(), observed, NOW + 10), Pull)


def test_a_pull_in_trouble_does_not_delay_a_stop() -> None:
    binding = make_binding(desired=Desired.STOP)
    trouble = Trouble(Reason.ERR_IMAGE_PULL, "no", 1, NOW + 100)
    observed = TaskObservation((make_container(binding),), memory={TARGET: Memory(trouble=trouble)})
    assert isinstance(act(binding, observed), Stop)


def test_cut_off_stops_only_after_stop_after() -> None:
    binding = make_binding(spec=make_spec(unreachable={"stopAfter": "20s"}))
    observed = TaskObservation((make_container(binding),))
    assert act(binding, observed, confirmed_at=NOW - 19) == Wait(NOW + 1)
    assert isinstance(act(binding, observed, confirmed_at=NOW - 20), Stop)
    ended = make_container(binding, phase=Phase.EXITED, exit_code=143)
    halted = TaskObservation((ended,), halted=frozenset({ended.id}))
    assert act(binding, halted, confirmed_at=NOW - 21) == Nothing()
    again = act(binding, halted)
    assert isinstance(again, Create)
    assert again.journal.failures == 0


def test_an_image_that_vanished_is_pulled_before_a_restart() -> None:
    binding = make_binding()
    ended = make_container(binding, phase=Phase.EXITED, exit_code=1)
    observed = TaskObservation((ended,), memory={TARGET: Memory(image_missing=True)})
    assert act(binding, observed) == Pull(TARGET, "hollow/web:1", "IfNotPresent")


def test_unbound_is_left_alone_until_orphan_after() -> None:
    running = make_container(make_binding())
    observed = TaskObservation((running,), unbound_since=NOW)
    assert act(None, observed) == Wait(NOW + 86_400)
    assert isinstance(act(None, observed, NOW + 86_400), Stop)
    assert act(None, observed, NOW + 86_400, begin=False) == Nothing()


def test_alone_it_waits_as_long_as_it_may_only_if_a_beat_tells_since_when() -> None:
    binding = make_binding(spec=make_spec(exactlyOne=True, unreachable={"stopAfter": "15s"}))
    observed = TaskObservation((make_container(binding),))
    unsure = Leave(act=True, begin=False, alone=True, confirmed_at=NOW)
    sure = replace(unsure, beaten=True)
    assert next_action(None, observed, NOW, leave=unsure) == Wait(NOW + 10)
    assert next_action(None, observed, NOW, leave=sure) == Wait(NOW + 15)
    assert isinstance(next_action(None, observed, NOW + 15, leave=sure), BeginEnd)
