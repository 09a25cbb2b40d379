"""Which side of a copy is in a container; which task is meant."""

import pytest

from cli.cp import split_place
from cli.refs import task_name
from client.errors import BadOption, NotFound


@pytest.mark.parametrize(
    ("text", "place"),
    [
        ("web:/etc/hosts", ("web", "/etc/hosts")),
        ("task/web:/etc", ("web", "/etc")),
        ("tasks/web:etc", ("web", "etc")),
        ("web:/a:b", ("web", "/a:b")),
        ("./web:/etc", None),
        ("folder/web:/etc", None),
        ("/abs/a:b", None),
        ("plain", None),
        (":/etc", None),
    ],
)
def test_place_in_a_container_is_told_from_a_local_path(text: str, place: tuple[str, str] | None) -> None:
    assert split_place(text) == place


def test_place_without_a_path_is_told() -> None:
    with pytest.raises(BadOption, match="write web:/path"):
        split_place("web:")


def test_only_tasks_have_containers() -> None:
    assert task_name("web") == task_name("task/web") == "web"
    with pytest.raises(BadOption, match="only tasks have containers"):
        task_name("node/n1")
    with pytest.raises(NotFound, match="no kind"):
        task_name("planet/x")
