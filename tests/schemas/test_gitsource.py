"""What a GitSource may name: repositories, refs, folders, namespaces and kinds."""

from typing import get_args

import pytest
from pydantic import ValidationError

from schemas.gitsource import GitSourceSpec, KindName
from schemas.kinds import KINDS

URL = "https://git.example.com/team/deploy.git"


def spec(**more: object) -> GitSourceSpec:
    return GitSourceSpec.parse_written({"url": URL, **more})


def refusal(**more: object) -> str:
    with pytest.raises(ValidationError) as caught:
        spec(**more)
    return str(caught.value)


@pytest.mark.parametrize(
    "url",
    [
        URL,
        "http://127.0.0.1:8080/x.git",
        "https://[::1]:8443/x",
        "ssh://git@host:2222/srv/x.git",
        "git@github.com:team/deploy.git",
        "file:///srv/git/deploy.git",
    ],
)
def test_repositories_are_named_by_the_common_forms(url: str) -> None:
    assert spec(url=url).url == url


@pytest.mark.parametrize(
    "url",
    [
        "",
        "deploy.git",
        "/srv/git/x.git",
        "--upload-pack=touch /tmp/x",
        "-oProxyCommand=x@host:y",
        "ext::sh -c touch% /tmp/x",
        "git://host/x",
        "ftp://host/x",
        "https:///x",
        "https://-host/x",
        "ssh://-oProxyCommand=x/y",
        "ssh://git@-host/y",
        "git@-host:x",
        "git@host:-x",
        "https://host/a b",
        "https://host/a\nb",
        "file://host/x",
    ],
)
def test_other_urls_are_refused(url: str) -> None:
    assert "must be https://HOST/PATH" in refusal(url=url)


@pytest.mark.parametrize("url", ["https://ada:hunter2@host/x.git", "http://token@host/x"])
def test_credentials_in_a_url_are_sent_to_a_secret(url: str) -> None:
    assert "put them into a Secret" in refusal(url=url)


@pytest.mark.parametrize("name", ["main", "release/1.2", "v1.0", "a-b_c"])
def test_branches_and_tags_have_names_of_git(name: str) -> None:
    assert spec(branch=name).ref == f"refs/heads/{name}"
    assert spec(tag=name).ref == f"refs/tags/{name}"


@pytest.mark.parametrize(
    "name", ["", "-f", "a..b", "a b", "a:b", "x.lock", "a/", "/a", "a//b", ".a", "a@{1}", "a~1", "*"]
)
def test_other_names_are_refused(name: str) -> None:
    assert "is no name of a branch or tag" in refusal(branch=name)


@pytest.mark.parametrize(
    "path", ["/etc", "..", "a/../b", "../x", ".git", "a/.git/hooks", "a//b", "a\\b", ":(top)x", "."]
)
def test_a_folder_outside_of_the_repository_is_refused(path: str) -> None:
    assert "must be a folder inside the repository" in refusal(path=path)


def test_a_slash_at_the_end_of_a_folder_means_nothing() -> None:
    assert spec(path="deploy/prod/").folder == "deploy/prod"
    assert spec().folder == ""


def test_a_commit_pins_a_branch_and_a_branch_excludes_a_tag() -> None:
    assert spec(branch="main", commit="a" * 40).ref == "refs/heads/main"
    assert "whole id of a commit" in refusal(commit="abc123")
    assert "a branch or a tag, not both" in refusal(branch="main", tag="v1")


def test_a_repository_is_not_asked_all_the_time() -> None:
    assert "interval must be at least 5s" in refusal(interval="1s")
    assert spec(interval="5s").interval == 5


def test_every_kind_may_be_named_and_those_without_namespace_have_to_be() -> None:
    assert set(get_args(KindName)) == {kind.name for kind in KINDS}
    for kind in KINDS:
        assert spec().may_write_kind(kind.name, is_namespaced=kind.namespaced) == kind.namespaced
        assert spec(kinds=[kind.name]).may_write_kind(kind.name, is_namespaced=kind.namespaced)
    assert not spec(kinds=["Task"]).may_write_kind("Job", is_namespaced=True)


def test_objects_without_namespace_go_into_the_first() -> None:
    assert spec().default_namespace == "default"
    assert spec(namespaces=["team", "other"]).default_namespace == "team"
    assert spec(namespaces=["*"]).default_namespace == "default"
    assert spec(namespaces=["*"]).may_write_namespace("anything")
    assert "at least 1" in refusal(namespaces=[])
