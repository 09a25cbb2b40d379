"""Problems name the line at which a person has to change something."""

import pytest

from schemas.errors import InvalidManifest, Problem
from schemas.lines import locate
from schemas.manifest import load

TWO = b"""apiVersion: berth/v1
kind: Task
metadata:
  name: a
spec:
  containers:
  - name: main
    image: i
    args: [1]
  - image: i
    name: second
    nope: 1
---
apiVersion: berth/v1
kind: List
items:
- {apiVersion: berth/v1, kind: Queue, metadata: {name: q}}
- apiVersion: berth/v1
  kind: Queue
  metadata: {name: r}
  spec:
    weight: -1
"""


def places(content: bytes) -> list[str]:
    with pytest.raises(InvalidManifest) as caught:
        load([("f.yaml", content)], default_namespace="default")
    return [f"{problem.source} {problem.field}" for problem in caught.value.problems]


def test_each_problem_names_the_line_of_its_field() -> None:
    assert places(TWO) == [
        "f.yaml:9 spec.containers[0].args[0]",
        "f.yaml:12 spec.containers[1].nope",
        "f.yaml:22 items[1] spec.weight",
    ]


def test_field_that_is_missing_is_told_at_what_it_is_missing_in() -> None:
    assert places(TWO.replace(b"    image: i\n    args: [1]\n", b"    args: ['1']\n"))[0] == (
        "f.yaml:7 spec.containers[0].image"
    )


def test_sentence_of_admission_that_begins_with_a_field_is_placed_too() -> None:
    problem = Problem("f.yaml:1", "task/a", "", "spec.containers[1].image: is forbidden here")
    (located,) = locate([problem, problem], {"f.yaml": TWO})
    assert str(located) == "f.yaml:10: task/a: spec.containers[1].image: is forbidden here"


@pytest.mark.parametrize(
    "problem",
    [
        Problem("f.yaml", "", "", "is not UTF-8"),
        Problem("f.yaml:3", "", "spec.x", "no document begins here"),
        Problem("other.yaml:1", "", "spec.x", "of a file that is not known"),
        Problem("f.yaml:1", "", "", "has no field"),
    ],
)
def test_what_can_not_be_placed_stays_as_it_is(problem: Problem) -> None:
    assert locate([problem], {"f.yaml": TWO}) == (problem,)
