"""Credentials for pulls: opened for their task alone, kept out of words, tried anew when they change."""

import pytest

from agent.credentials import credentials_for
from agent.labels import Target
from agent.observation import TaskObservation
from agent.runtime.api import Failed, Pull, PullSecrets, Reason, RuntimeUp
from agent.statemachine import Wait, next_action
from agent.world import World
from schemas.binding import Binding
from schemas.registry import DOCKER_CONFIG, docker_config
from schemas.secret import SealedCopy
from sealing.box import Place, box_id, seal
from sealing.keys import KeyPair, new_key_pair
from tests.agent.builders import NODE, make_binding, make_leave, make_spec

PAIR = new_key_pair()
IMAGE = "127.0.0.1:5000/team/app:1"
WORD = "hunter2hunter2"
NOW = 1000.0
TARGET = Target("binding-1", "main")


def copy_of(
    name: str = "regcred", *, pair: KeyPair = PAIR, host: str = "127.0.0.1:5000", task_uid: str = "task-1-uid"
) -> SealedCopy:
    values = {DOCKER_CONFIG: docker_config(host, "robot", WORD)}
    box = seal(pair.public, Place("default", name, task_uid=task_uid), values)
    return SealedCopy(of=box_id(box), to=pair.id, box=box)


def secrets(*copies: tuple[str, SealedCopy], names: tuple[str, ...] = ("regcred",)) -> PullSecrets:
    return PullSecrets("default", "task-1-uid", names, copies)


def pulling(sealed: dict[str, SealedCopy]) -> Binding:
    spec = make_spec(IMAGE, imagePullSecrets=[{"name": "regcred"}])
    return make_binding(spec=spec).model_copy(update={"sealed": sealed})


def test_a_copy_for_this_node_and_task_gives_the_credentials_of_its_registry() -> None:
    found = credentials_for(IMAGE, secrets(("regcred", copy_of())), PAIR)
    assert [(each.username, each.password) for each in found.auths] == [("robot", WORD)]
    assert found.notes == ()
    assert WORD not in repr(found)
    assert credentials_for(IMAGE, None, PAIR).auths == ()


@pytest.mark.parametrize(
    ("copies", "told"),
    [
        ((), "not sealed to this node's key yet"),
        ((("regcred", copy_of(pair=new_key_pair())),), "not sealed to this node's key yet"),
        ((("regcred", copy_of(task_uid="another")),), "sealed for another place"),
        ((("regcred", copy_of("other")),), "sealed for another place"),
        ((("regcred", copy_of(host="elsewhere.example.com")),), "other registries: elsewhere.example.com"),
        ((("regcred", SealedCopy(of="x", to=PAIR.id, box="AAAA")),), "damaged"),
    ],
    ids=["none", "another key", "another task", "another secret", "another registry", "garbage"],
)
def test_what_cannot_be_used_is_told(copies: tuple[tuple[str, SealedCopy], ...], told: str) -> None:
    found = credentials_for(IMAGE, secrets(*copies), PAIR)
    assert found.auths == ()
    assert told in found.notes[0]
    assert WORD not in str(found)


def test_one_secret_that_cannot_be_used_hides_no_other() -> None:
    both = secrets(("regcred", copy_of()), names=("missing", "regcred"))
    found = credentials_for(IMAGE, both, PAIR)
    assert len(found.auths) == len(found.notes) == 1


def test_a_password_in_the_engines_words_is_made_unreadable() -> None:
    found = credentials_for(IMAGE, secrets(("regcred", copy_of())), PAIR)
    assert found.without_values(f"robot:{WORD} is refused") == "robot:*** is refused"


def test_a_pull_carries_the_sealed_copies_and_no_value() -> None:
    binding = pulling({"regcred": copy_of()})
    action = next_action(binding, TaskObservation(), NOW, leave=make_leave(confirmed_at=NOW))
    assert isinstance(action, Pull)
    assert action.secrets == secrets(("regcred", binding.sealed["regcred"]))
    assert WORD not in repr(action)


def test_after_a_refusal_new_credentials_are_tried_at_once_and_the_same_ones_later() -> None:
    world, leave = World(NODE), make_leave(confirmed_at=NOW)
    world.apply(RuntimeUp(()), NOW)
    before, after = pulling({"regcred": copy_of()}), pulling({"regcred": copy_of()})
    first = next_action(before, observe(world), NOW, leave=leave)
    assert isinstance(first, Pull)
    world.submitted("task-1-uid", first, NOW)
    world.apply(Failed(first, Reason.ERR_IMAGE_PULL, "unauthorized"), NOW)
    assert isinstance(next_action(before, observe(world), NOW + 1, leave=leave), Wait)
    again = next_action(after, observe(world), NOW + 1, leave=leave)
    assert isinstance(again, Pull)
    world.submitted("task-1-uid", again, NOW + 1)
    world.apply(Failed(again, Reason.ERR_IMAGE_PULL, "unauthorized"), NOW + 1)
    assert isinstance(next_action(after, observe(world), NOW + 2, leave=leave), Wait), "no loop"


def observe(world: World) -> TaskObservation:
    return world.observe("task-1-uid", reported=None, unbound_since=None)
