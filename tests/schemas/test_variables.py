"""Variables go into values and nowhere else, are typed as if written there, and an unknown one is an error."""

import json
from typing import Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from schemas.errors import InvalidManifest
from schemas.tree import clear_secrets, load_sources, load_tree
from schemas.variables import MAX_VALUE_CHARACTERS, Filler, Variables, read_variables
from schemas.yamltext import MAX_FILE_BYTES, parse

TASK = """
apiVersion: berth/v1
kind: Task
metadata: {name: web}
spec:
  containers:
    - name: main
      image: berth/demo:${TAG}
"""


def variables(**values: str) -> Variables:
    return Variables(values, dict.fromkeys(values, "vars.env:1"), "vars.env")


def filled(text: str, **values: str) -> Any:
    filler = Filler(variables(**values))
    found = [value for _, value in parse("f.yaml", text.encode(), filler)]
    if filler.problems:
        raise InvalidManifest(tuple(filler.problems))
    return found[0] if found else None


def problems(text: str, **values: str) -> list[str]:
    with pytest.raises(InvalidManifest) as caught:
        filled(text, **values)
    return [str(each) for each in caught.value.problems]


def read(text: str, name: str = "vars.yaml") -> dict[str, str]:
    return dict(read_variables(name, text.encode()).values)


def test_variable_is_put_into_a_value() -> None:
    assert filled("a: x-${V}-${W}", V="1", W="2") == {"a": "x-1-2"}


def test_value_without_quotes_is_typed_by_what_it_then_says_and_one_in_quotes_is_text() -> None:
    text = "plain: ${N}\nquoted: '${N}'\nblock: |\n  ${N}\njoined: ${N}m"
    assert filled(text, N="3") == {"plain": 3, "quoted": "3", "block": "3\n", "joined": "3m"}
    assert filled("a: ${B}", B="true") == {"a": True}
    assert filled("a: ${E}\nb: '${E}'", E="") == {"a": None, "b": ""}


@pytest.mark.parametrize(
    "value",
    ["b\nc: d", "[1, 2]", "{x: y}", "- x", "# no comment", "&a b", "*a", "!!int 3", "--- \n", "'", '"'],
)
def test_text_adds_no_structure(value: str) -> None:
    assert filled("a: ${V}", V=value) == {"a": value}
    assert filled("- '${V}'\n- x", V=value) == [value, "x"]


def test_dollars_of_a_shell_are_left_alone_and_a_brace_can_be_escaped() -> None:
    assert filled("a: $HOME $(date) $$ $1 ${V} $${HOME}", V="v") == {"a": "$HOME $(date) $$ $1 v ${HOME}"}


def test_without_a_file_of_variables_everything_is_as_written() -> None:
    (document,) = load_sources([("f.yaml", TASK.encode())], default_namespace="default").documents
    assert document.raw["spec"]["containers"][0]["image"] == "berth/demo:${TAG}"


def test_what_is_put_in_is_not_looked_through_again() -> None:
    assert filled("a: ${V}", V="${W} $${W}", W="w") == {"a": "${W} $${W}"}


def test_unknown_variable_is_an_error_with_its_line() -> None:
    text = "a: 1\nb:\n  - ${NOPE}\nc: |\n  one\n  two ${NO}\n"
    first, second = sorted(problems(text))
    assert first.startswith("f.yaml:3: variable NOPE is not given; add it in vars.env, or write $${ for ${")
    assert second.startswith("f.yaml:6: variable NO is not given")


@pytest.mark.parametrize("text", ["a: ${V:-x}", "a: ${}", "a: '${ V }'", "a: ${V", "a: ${1}", "a: ${V-}"])
def test_what_only_a_shell_would_understand_is_an_error(text: str) -> None:
    assert "names no variable" in problems(text, V="v")[0]


def test_keys_hold_no_variables() -> None:
    assert problems("${V}: x", V="v") == ["f.yaml:1: key '${V}': only values may hold variables"]


def test_wrong_value_is_told_with_the_line_where_it_stands() -> None:
    text = TASK.replace("spec:\n", "spec:\n  priority: ${P}\n", 1).replace("${TAG}", "1").lstrip()
    with pytest.raises(InvalidManifest, match=r"f.yaml:5: task/web: spec.priority: "):
        load_sources([("f.yaml", text.encode())], default_namespace="d", variables=variables(P="much"))


def test_variables_that_nothing_uses_are_told() -> None:
    tree = load_sources(
        [("f.yaml", TASK.encode())], default_namespace="d", variables=variables(TAG="1", OLD="x")
    )
    assert tree.documents[0].raw["spec"]["containers"][0]["image"] == "berth/demo:1"
    assert tree.unused == ("OLD",)


def test_small_file_can_not_become_a_huge_one() -> None:
    text = "a:\n" + "- ${V}\n" * 1000
    assert "characters" in problems(text, V="x" * (MAX_FILE_BYTES // 1000 + 1))[0]


def test_alias_is_filled_once() -> None:
    assert filled("a: &x ['$${V}', '${V}']\nb: *x", V="v") == {"a": ["${V}", "v"], "b": ["${V}", "v"]}


@given(
    st.dictionaries(st.sampled_from("abc"), st.text(max_size=8), min_size=1),
    st.text(alphabet=st.characters(exclude_categories=["Cs", "Cc"]), max_size=12),
)
def test_quoted_values_hold_exactly_the_text(raw: dict[str, str], value: str) -> None:
    template = dict.fromkeys(raw, "<${V}>")
    assert filled(json.dumps(template), V=value) == dict.fromkeys(raw, f"<{value}>")


@given(st.text(alphabet=st.sampled_from("${}AV \n"), max_size=12))
def test_escaping_every_brace_gives_the_text_back(text: str) -> None:
    assert filled(json.dumps({"a": text.replace("${", "$${")}), V="v") == {"a": text}


# The file of variables


def test_yaml_values_are_taken_as_they_are_written() -> None:
    assert read("TAG: 1.10\nN: 007\nSURE: yes\nDAY: 2020-01-02\nTEXT: 'a b'\nNOTHING:\n") == {
        "TAG": "1.10", "N": "007", "SURE": "yes", "DAY": "2020-01-02", "TEXT": "a b", "NOTHING": "",
    }  # fmt: skip


def test_lines_of_an_env_file_are_taken() -> None:
    text = '# who\nWHO=world\nexport TAG = 1.10\nQUOTED="a = b"\nEMPTY=\nURL=http://x/?a=b\n'
    assert read(text, "prod.env") == {
        "WHO": "world", "TAG": "1.10", "QUOTED": "a = b", "EMPTY": "", "URL": "http://x/?a=b",
    }  # fmt: skip


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("A: [1]", "v:1: variable A must have one value"),
        ("A: 1\nA: 2", "v:2: key 'A' appears twice"),
        ("A=1\nA=2", "v:2: variable A is given twice; first at v:1"),
        ("a-b: 1", "v:1: 'a-b' is no name of a variable"),
        ("A=1\nnonsense", "v:2: is no line NAME=VALUE"),
        ("- A", "v:1: a file of variables is one mapping"),
        ("A: 1\n---\nB: 2", "one mapping"),
        ("A: }", "v:1: is not valid YAML"),
        (f"A: {'x' * (MAX_VALUE_CHARACTERS + 1)}", "characters; at most"),
    ],
)
def test_bad_file_of_variables_is_told_with_its_line(text: str, told: str) -> None:
    with pytest.raises(InvalidManifest) as caught:
        read_variables("v", text.encode())
    assert told in str(caught.value)


# Folders


def test_manifests_of_a_tree_are_read_in_the_order_of_their_names() -> None:
    second = TASK.replace("name: web", "name: second")
    files = {"b.yaml": second.encode(), "a/x.yml": TASK.encode(), "README.md": b"#", "t.schema.json": b"{}"}
    files |= {".github/workflows/ci.yaml": b"on: push", "a/.x.yaml": b"-"}
    tree = load_tree(files, default_namespace="d", variables=variables(TAG="1"))
    assert [each.source for each in tree.documents] == ["a/x.yml:2", "b.yaml:2"]


def test_problems_of_all_files_are_told_at_once() -> None:
    files = {"a.yaml": b"a: ]", "b.yaml": TASK.encode(), "c.yaml": TASK.encode()}
    with pytest.raises(InvalidManifest) as caught:
        load_tree(files, default_namespace="d")
    told = [str(each) for each in caught.value.problems]
    assert told[0].startswith("a.yaml:1: is not valid YAML")
    assert told[1].startswith("c.yaml:2: task/web: appears twice in namespace d; first at b.yaml:2")
    with pytest.raises(InvalidManifest) as caught:
        load_tree(files, default_namespace="d", variables=variables())
    told = [str(each) for each in caught.value.problems]
    assert [each.split(":")[0] for each in told] == ["a.yaml", "b.yaml", "c.yaml"]


def test_folder_for_kustomize_is_not_read_file_by_file() -> None:
    with pytest.raises(InvalidManifest, match=r"base/kustomization.yaml: is for kustomize"):
        load_tree(
            {"base/kustomization.yaml": b"resources: []", "a.yaml": TASK.encode()}, default_namespace="d"
        )


def test_secret_in_clear_is_named_with_how_to_seal_it_and_without_its_value() -> None:
    secret = {
        "apiVersion": "berth/v1",
        "kind": "Secret",
        "metadata": {"name": "s"},
        "stringData": {"a": "hunter2"},
    }
    tree = load_tree({"s.yaml": yaml.safe_dump(secret).encode()}, default_namespace="team")
    (problem,) = clear_secrets(tree.documents)
    assert "berth secret seal -f s.yaml -n team" in str(problem)
    assert "hunter2" not in str(problem)
