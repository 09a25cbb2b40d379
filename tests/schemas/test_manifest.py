import json
from typing import Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from schemas import yamltext
from schemas.errors import InvalidManifest, Problem
from schemas.manifest import Document, load
from schemas.task import Task
from schemas.yamltext import MAX_FILE_BYTES

GOOD: dict[str, Any] = {
    "apiVersion": "berth/v1",
    "kind": "Task",
    "metadata": {"name": "web"},
    "spec": {"containers": [{"name": "main", "image": "berth/demo:1"}]},
}


def load_text(text: str | bytes, namespace: str = "default") -> tuple[Document, ...]:
    data = text.encode() if isinstance(text, str) else text
    return load([("f.yaml", data)], default_namespace=namespace)


def problems(text: str | bytes) -> list[str]:
    with pytest.raises(InvalidManifest) as caught:
        load_text(text)
    return [str(problem) for problem in caught.value.problems]


def outcome(text: str | bytes) -> tuple[Document, ...] | tuple[Problem, ...]:
    try:
        return load_text(text)
    except InvalidManifest as error:
        return error.problems


def task(**changes: Any) -> str:
    """Return a task as YAML. changes: dotted paths with _ for the dot -> value, as in spec_grace."""
    raw = json.loads(json.dumps(GOOD))
    for path, value in changes.items():
        place = raw
        *folders, last = path.split("__")
        for folder in folders:
            place = place[int(folder)] if isinstance(place, list) else place.setdefault(folder, {})
        place[last] = value
    return yaml.safe_dump(raw)


def test_document_knows_its_place_and_gets_its_namespace() -> None:
    (document,) = load_text("# comment\n---\n" + task(), namespace="team")
    assert document.source == "f.yaml:3"
    assert (str(document.ref), document.ref.namespace) == ("task/web", "team")
    assert document.raw["metadata"] == {"name": "web", "namespace": "team"}
    assert isinstance(document.parsed, Task)


def test_several_documents_lists_json_and_empty_documents() -> None:
    listed = json.dumps(
        {"apiVersion": "berth/v1", "kind": "List", "items": [GOOD, {**GOOD, "metadata": {"name": "b"}}]}
    )
    documents = load_text(f"---\n---\n{listed}\n---\n{task(metadata__name='c')}---\n")
    assert [document.ref.name for document in documents] == ["web", "b", "c"]
    assert documents[1].source == "f.yaml:3 items[1]"


def test_what_berth_adds_when_it_shows_an_object_is_taken_out() -> None:
    shown = {
        **GOOD,
        "status": {"state": "Running"},
        "metadata": {"name": "web", "uid": "u", "generation": 3, "resourceVersion": "9", "creationTimestamp": "t",
                     "deletionTimestamp": "t", "deletionGracePeriodSeconds": 1},
    }  # fmt: skip
    (document,) = load_text(json.dumps(shown))
    assert document.raw == {**GOOD, "metadata": {"name": "web", "namespace": "default"}}


def test_many_brackets_that_are_not_nested_are_no_problem() -> None:
    args = "[" * 300
    (document,) = load_text(task(spec__containers__0__args=[args]))
    assert document.raw["spec"]["containers"][0]["args"] == [args]


def test_date_stays_text() -> None:
    (document,) = load_text(task().replace("name: web", "name: web\n  annotations: {when: 2026-01-01}"))
    assert document.raw["metadata"]["annotations"] == {"when": "2026-01-01"}


# fmt: off
BAD_DOCUMENTS = [
    (task(spec__restartPolcy="Never"),
     "f.yaml:9: task/web: spec.restartPolcy: unknown field; did you mean restartPolicy?"),
    (task(spec__containers__0__imagePullPolicie="Never"),
     "spec.containers[0].imagePullPolicie: unknown field; did you mean imagePullPolicy?"),
    (task(spec__terminationGracePeriodSeconds=3), "unknown field; did you mean grace?"),
    (task(metadata__lables={}), "metadata.lables: unknown field; did you mean labels?"),
    (task(spec__restartPolicy="Sometimes"),
     "spec.restartPolicy: input should be 'Always', 'OnFailure' or 'Never', got 'Sometimes'"),
    (task(spec__priority="high"), "spec.priority: must be a whole number, not 'high'"),
    (task(spec__containers__0__command="sh"), "spec.containers[0].command: must be a list, not 'sh'"),
    (task(spec__containers__0__env=[{"name": "A", "value": 1}]),
     "spec.containers[0].env[0].value: must be a string, not 1; put it in quotes"),
    (task(spec__containers__0__resources={"limits": {"cpu": "much"}}),
     "cpu 'much' is not a quantity; write for example '500m' or 1.5"),
    (task(spec__restartBackoff=3), "spec.restartBackoff: must be a mapping, not 3"),
    (task(spec__exactlyOne="perhaps"), "spec.exactlyOne: must be true or false, not 'perhaps'"),
    (task(spec__grace="soon"), "spec.grace: duration 'soon' is not of the form"),
    (task(metadata__name="Web_1"), "metadata.name: name 'Web_1' must be"),
    (task(metadata__name="a" * 254), "must be at most 253"),
    (task(metadata__namespace="_cluster"), "metadata.namespace: name '_cluster' must be"),
    (task(metadata__labels={"a": "not ok!"}), "label a='not ok!'"),
    (task(spec__containers=[]), "spec.containers:"),
    (task(spec={}), "spec.containers: is required"),
    (task(metadata__name=None), "metadata.name"),
    (task(kind="Tsk"), "unknown kind 'Tsk'; did you mean Task?"),
    (task(kind="Widget"), "unknown kind 'Widget'; known kinds: Namespace, Queue"),
    (task(kind=["Task"]), "unknown kind ['Task']"),
    (task(apiVersion="v1"), "apiVersion: must be berth/v1, not 'v1'"),
    (task(metadata="web"), "metadata"),
    ("just text", "is not an object; write apiVersion, kind, metadata, spec"),
    ("a: [1", "is not valid YAML"),
    ("a: 1\na: 2", "f.yaml:2: key 'a' appears twice"),
    ("a: 1\non: 2", "f.yaml:2: key 'on' is not text; put it in quotes"),
    ("{[a]: 1}", "is not text; put it in quotes"),
    ("- " * 50_000, "nested too deeply"),
    ("{a: " * 50_000, "nested too deeply"),
    ("\n".join(" " * depth + "a:" for depth in range(3000)), "nested too deeply"),
    ("a: !!python/object:os.system x", "is not valid YAML"),
    ("\x00", "is not valid YAML"),
    ("[" * 50_000, "nested too deeply"),
    ("a: &x [*x]", "an alias contains itself"),
    ("kind: Queue\napiVersion: berth/v1\nmetadata: {name: q, namespace: n}", "kind Queue has no namespace"),
    ("kind: Namespace\napiVersion: berth/v1\nmetadata: {name: a.b}", "name 'a.b' must be at most 63"),
]
# fmt: on


@pytest.mark.parametrize(("text", "told"), BAD_DOCUMENTS)
def test_bad_document_says_where_and_what(text: str, told: str) -> None:
    (problem,) = problems(text)
    assert told in problem


def test_many_shallow_documents_need_no_look_at_each_event(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(yaml, "parse", None)
    many = [
        task(metadata__name=f"t{number}", metadata__labels={}) for number in range(300)
    ]  # with a pair of brackets
    assert len(load_text("---\n".join(many))) == 300


@pytest.mark.parametrize("between", ["--- # one more\n", "---\n", "...\n---\n"])
def test_deep_nesting_is_found_in_any_document(between: str) -> None:
    assert "nested too deeply" in problems(task() + between + "- " * 50_000)[0]


@given(st.text("0123456789.eE+-_:xobtrueflsnul~<>=#yYNo/ ", max_size=12) | st.sampled_from(["", "<<", "="]))
def test_a_scalar_means_what_the_library_says(text: str) -> None:
    ours, theirs = yamltext._Loader(""), yaml.SafeLoader("")
    for implicit in ((True, False), (False, True)):
        tag = theirs.resolve(yaml.ScalarNode, text, implicit)
        dates_are_text = "tag:yaml.org,2002:str" if tag.endswith("timestamp") else tag
        assert ours.resolve(yaml.ScalarNode, text, implicit) == dates_are_text


plain = st.none() | st.booleans() | st.integers() | st.text("ab:#-01<= ", max_size=4)
trees = st.recursive(
    plain, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text("abc<", max_size=3), inner)
)


@given(trees, st.booleans())
def test_a_document_means_what_the_library_says(tree: object, flow: bool) -> None:
    text = yaml.safe_dump(
        [tree, tree, {"last": tree}], default_flow_style=flow
    )  # with aliases for what is twice
    ((_, ours),) = yamltext.parse("f.yaml", text.encode())
    assert ours == yaml.safe_load(text)


def test_a_merge_means_what_the_library_says() -> None:
    text = "base: &base {a: 1, b: {c: 2}}\nown: {<<: *base, a: 3}\n"
    ((_, ours),) = yamltext.parse("f.yaml", text.encode())
    assert ours == {"base": {"a": 1, "b": {"c": 2}}, "own": {"a": 3, "b": {"c": 2}}}


def test_an_alias_that_contains_itself_is_refused() -> None:
    for text in ("a: &a {b: *a}", "a: &a [*a]", "a: &a {<<: {}, b: *a}"):
        assert problems(text) == ["f.yaml:1: an alias contains itself"]


def test_text_that_is_not_utf_8_is_told() -> None:
    assert problems(b"a: \xff\xfe") == ["f.yaml: is not UTF-8 (byte 3); save it as UTF-8"]


def test_alias_bomb_is_refused_without_being_unfolded() -> None:
    lines = ["a0: &a0 [x, x, x, x, x, x, x, x, x]"]
    lines += [f"a{i}: &a{i} [{', '.join([f'*a{i - 1}'] * 9)}]" for i in range(1, 30)]
    assert problems("\n".join(lines)) == [
        "f.yaml:1: unfolds to more than 200000 values; are there nested aliases?"
    ]


def test_object_over_one_mebibyte_is_refused() -> None:
    (problem,) = problems(task(metadata__annotations={"data": "x" * 2**20}))
    assert "an object may have 1048576" in problem


def test_file_that_is_too_large_is_refused_unread() -> None:
    (problem,) = problems(b"#" * (MAX_FILE_BYTES + 1))
    assert "a manifest file may have" in problem


def test_two_documents_with_one_identity_are_an_error() -> None:
    (problem,) = problems(task() + "---\n" + task())
    assert "task/web: appears twice in namespace default; first at f.yaml:1" in problem


def test_every_problem_of_every_document_is_reported_at_once() -> None:
    found = problems(
        f"{task()}---\n{task(kind='Tsk')}---\n{task(metadata__name='b', spec__x=1, spec__grace='y')}"
    )
    assert len(found) == 3


@given(data=st.binary(max_size=200))
def test_any_bytes_are_documents_or_problems(data: bytes) -> None:
    assert isinstance(outcome(data), tuple)


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=6,
)
places = st.sampled_from(["metadata", "spec", "kind", "apiVersion", "spec__containers", "spec__grace", "spec__volumes",
                          "metadata__labels", "spec__containers__0__resources", "spec__unreachable"])  # fmt: skip


@given(place=places, value=json_values)
def test_any_value_at_any_place_is_a_document_or_a_problem(place: str, value: Any) -> None:
    assert isinstance(outcome(task(**{place: value})), tuple)


@given(words=st.lists(st.text(), min_size=4, max_size=4))
def test_a_problem_is_told_in_one_line_that_no_terminal_obeys(words: list[str]) -> None:
    assert str(Problem(*words)).isprintable()
