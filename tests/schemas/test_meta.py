"""What all models share: quick ways of reading and copying mean the same as the thorough ones."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import BaseModel, ValidationError

from schemas.meta import Condition, Model, condition
from schemas.report import ContainerStatus, TaskReport
from schemas.state import ContainerState
from schemas.task import Task
from store.api import KeyValue
from store.codec import Unreadable, decode

REPORT = {
    "taskUid": "u", "namespace": "default", "name": "web", "epoch": 1, "bindingUid": "b", "instance": "i",
    "sequence": 3, "containers": [{"name": "main", "state": "Running", "lastExit": {"exitCode": 1}}],
    "grantsResources": {"cpu": "500m"}, "ofANewerVersion": {"x": [1, None]},
}  # fmt: skip
TASK = {
    "apiVersion": "berth/v1", "kind": "Task", "metadata": {"name": "web", "labels": {"app": "web"}},
    "spec": {"containers": [{"name": "main", "image": "demo"}], "grace": "1m"},
}  # fmt: skip

scalars = st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=4)
values = st.recursive(scalars, lambda inner: st.lists(inner, max_size=2) | st.dictionaries(st.text(), inner))


@st.composite
def changed(draw: st.DrawFn, raw: dict[str, object]) -> str:
    """Return JSON, or nearly, of an object of which one field is something else, or comes twice."""
    name = draw(st.sampled_from(sorted(raw)))
    text = json.dumps(raw | {name: draw(values)})
    return text[:-1] + f", {json.dumps(name)}: {json.dumps(draw(values))}}}" if draw(st.booleans()) else text


def thoroughly(model: type[Model], value: bytes) -> Model | None:
    raw = decode(KeyValue("k", value, 1, 1, 1))
    try:
        return None if isinstance(raw, Unreadable) else model.parse_stored(raw)
    except ValidationError:
        return None


@given(changed(REPORT))
def test_reading_bytes_says_the_same_as_reading_step_by_step(text: str) -> None:
    found = TaskReport.parse_bytes(text.encode())
    assert found is None or found == thoroughly(TaskReport, text.encode())


@given(changed(TASK))
def test_reading_bytes_of_a_task_says_the_same_as_reading_step_by_step(text: str) -> None:
    found = Task.parse_bytes(text.encode())
    assert found is None or found == thoroughly(Task, text.encode())


def test_what_is_right_is_read_from_its_bytes() -> None:
    for model, raw in ((TaskReport, REPORT), (Task, TASK)):
        assert model.parse_bytes(json.dumps(raw).encode()) is not None


@pytest.mark.parametrize("number", ["NaN", "Infinity", "-Infinity"])
def test_what_is_no_json_is_left_to_a_closer_look_even_in_an_unknown_field(number: str) -> None:
    text = json.dumps(REPORT).replace("[1, null]", number)
    assert number in text
    assert TaskReport.parse_bytes(text.encode()) is None


def test_a_copy_is_what_pydantic_makes() -> None:
    one = ContainerStatus(name="main", state=ContainerState.RUNNING)
    ours = one.model_copy(update={"exit_code": 1, "message": "x"})
    theirs = BaseModel.model_copy(one, update={"exit_code": 1, "message": "x"})
    assert ours == theirs
    assert ours.__pydantic_fields_set__ == theirs.__pydantic_fields_set__
    assert (ours.to_bytes(), one.message) == (theirs.to_bytes(), "")
    assert one.model_copy() == one
    assert one.model_copy(deep=True) == one


def test_conditions_that_say_the_same_are_one_value() -> None:
    one = condition("Ready", "True", "", "", "t")
    assert one is condition("Ready", "True", "", "", "t")
    assert one == Condition(type="Ready", status="True", last_transition_time="t")
    assert one != condition("Ready", "True", "", "", "u")
