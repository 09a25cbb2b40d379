"""get: templates, custom columns, order, labels, and what is said of those that can't be read."""

from collections.abc import Callable, Iterator
from typing import Any

import pytest

from cli.jsonpath import fill, parse_template
from client import paging
from client.errors import BadOption
from schemas.keys import ObjectRef, cluster_ref
from store.api import Listing
from store.errors import Compacted, Unavailable
from store.memory import MemoryStore
from tests.cli.helpers import Shell
from tests.cli.test_get import a_small_cluster, stored
from tests.client.helpers import NOW, World, make_object, make_task

DATA = {
    "items": [
        {
            "metadata": {"name": "a", "labels": {"app.k8s/x": "1"}},
            "spec": {"c": [{"n": "x", "v": 1, "ok": True}]},
        },
        {"metadata": {"name": "b"}, "spec": {"c": []}},
    ]
}


@pytest.mark.parametrize(
    ("template", "expected"),
    [
        ("{.items[*].metadata.name}", "a b"),
        ("names: {.items[*].metadata.name}.", "names: a b."),
        ('{range .items[*]}{.metadata.name}{"\\t"}{.spec.c[0].v}{"\\n"}{end}', "a\t1\nb\t\n"),
        ("{range .items[*]}{range .spec.c[*]}{.n}{end}{','}{end}", "x,,"),
        (r"{.items[0].metadata.labels.app\.k8s/x}", "1"),
        ("{.items[0].metadata.labels['app.k8s/x']}", "1"),
        ("{.items[?(@.metadata.name=='a')].spec.c[?(@.v==1)].n}", "x"),
        ('{.items[?(@.metadata.name=="b")].metadata.name}', "b"),
        ("{.items[?(@.metadata.labels)].metadata.name}", "a"),
        ("{..name}", "a b"),
        ("{.items[-1].metadata.name}", "b"),
        ("{.items[0:2].metadata.name}", "a b"),
        ("{@.items[0].metadata.name}{$.items[1].metadata.name}", "ab"),
        ("{.items[0].spec.c[0]}", '{"n":"x","v":1,"ok":true}'),
        ("{.items[0].spec.c[0].ok}", "true"),
        ("{.nothing.here}", ""),
        ("plain", "plain"),
        ('{"a \\"b\\" }"}', 'a "b" }'),
    ],
)
def test_templates_are_kubectls(template: str, expected: str) -> None:
    assert fill(parse_template(template), DATA) == expected


@pytest.mark.parametrize(
    ("template", "why", "where"),
    [
        ("x {.items", "'{' is not closed", 3),
        ("{.items[0}", "the '[' at character 7 is not closed", 1),
        ("{range .items[*]}{.a}", "{range} has no {end}", 1),
        ("a{end}", "{end} without {range}", 2),
        ("{range}{end}", "{range} needs a path", 1),
        ("{.a b}", "unexpected ' '", 1),
        ("{}", "{} is empty", 1),
        ('{"\\q"}', "is no text", 1),
        ("{.items[?(@.a==)]}", "can't be read", 1),
    ],
)
def test_template_that_does_not_parse_shows_where(template: str, why: str, where: int) -> None:
    with pytest.raises(BadOption) as caught:
        parse_template(template)
    assert why in str(caught.value)
    message, shown, mark = str(caught.value).splitlines()
    assert f"at character {where}:" in message
    assert shown.strip() == template
    assert mark.index("^") - 2 == where - 1


def test_jsonpath_of_one_and_of_many(world: World, berth: Shell) -> None:
    a_small_cluster(world)
    assert berth("get", "task", "web", "-o", "jsonpath={.status.node}").out == "n1"
    result = berth(
        "get", "tasks", "-o", 'jsonpath={range .items[*]}{.metadata.name}={.status.state}{"\\n"}{end}'
    )
    assert result.lines == ["broken=", "web=Running", "worker=Pending"]
    result = berth("get", "tasks", "-o", "jsonpath={.items[")
    assert (result.code, result.out) == (1, "")
    assert "-o jsonpath: '{' is not closed; at character 1:\n  {.items[\n  ^" in result.err


def test_custom_columns(world: World, berth: Shell) -> None:
    a_small_cluster(world)
    columns = "custom-columns=NAME:.metadata.name,ON:.status.node,IMAGES:.spec.containers[*].image"
    assert berth("get", "tasks", "-o", columns).lines == [
        "NAME     ON       IMAGES",
        "broken   <none>   <none>",
        "web      n1       berth/demo:1",
        "worker   <none>   berth/demo:1",
    ]
    result = berth("get", "tasks", "-o", "custom-columns=NAME")
    assert (result.code, result.out) == (1, "")
    assert "'NAME' is not of the form HEADER:PATH" in result.err


def test_rows_are_sorted_by_a_path(world: World, berth: Shell) -> None:
    for name, grace in (("a", "30s"), ("b", 5), ("c", 10)):
        stored(world, make_task(name, grace=grace))
    stored(world, make_task("d"))
    names = berth("get", "tasks", "--sort-by", ".spec.grace", "-o", "name").lines
    assert names == ["task/b", "task/c", "task/a", "task/d"]
    assert berth("get", "tasks", "--sort-by", ".metadata.name", "--no-headers").lines[0].startswith("a ")
    result = berth("get", "tasks", "--sort-by", ".spec[")
    assert (result.code, result.out) == (1, "")
    assert "path '.spec[' can't be read" in result.err


def test_labels_as_columns(world: World, berth: Shell) -> None:
    task = make_task("web")
    task["metadata"]["labels"] = {"app": "web", "berth/tier": "front"}
    stored(world, task)
    stored(world, make_task("x"))
    assert berth("get", "tasks", "--show-labels", "-L", "berth/tier,app").lines == [
        "NAME   READY   STATUS    RESTARTS   AGE   TIER    APP   LABELS",
        "web    0/1     Pending   0          5m    front   web   app=web,berth/tier=front",
        "x      0/1     Pending   0          5m                  <none>",
    ]


def test_field_selector(world: World, berth: Shell) -> None:
    a_small_cluster(world)
    assert berth("get", "tasks", "--field-selector", "status.node=n1", "-o", "name").lines == ["task/web"]
    others = berth(
        "get", "tasks", "--field-selector", "status.state!=Running,metadata.name!=broken", "-o", "name"
    )
    assert others.lines == ["task/worker"]
    assert "can't be read" in berth("get", "tasks", "--field-selector", "status.node").err


def test_all_is_what_runs(world: World, berth: Shell) -> None:
    a_small_cluster(world)
    assert [line.split()[0] for line in berth("get", "all", "--no-headers").lines] == [
        "task/broken",
        "task/web",
        "task/worker",
    ]


def test_forms_that_berth_has_not_are_told(berth: Shell) -> None:
    result = berth("get", "tasks", "-o", "go-template={{.x}}")
    assert (result.code, result.out) == (1, "")
    assert "use -o jsonpath=TEMPLATE" in result.err
    assert "write for example -o jsonpath='{.metadata.name}'" in berth("get", "tasks", "-o", "jsonpath").err


# Pages


class Compacting(MemoryStore):
    """Everything before the newest revision is compacted between two pages."""

    def __init__(self, clock: Callable[[], float]) -> None:
        super().__init__(clock)
        self.compactions = 0

    def page(self, start: str, end: str, *, limit: int, revision: int = 0) -> Listing:
        if revision and self.compactions and "/status/" not in start:
            self.compactions -= 1
            raise Compacted(revision + 1)
        return super().page(start, end, limit=limit, revision=revision)


def many_tasks(world: World, count: int) -> None:
    for index in range(count):
        stored(world, make_task(f"t-{index:03}"))
        world.set_status(f"t-{index:03}", state="Running", node="n1")


def test_many_rows_come_by_pages_of_one_revision(monkeypatch: pytest.MonkeyPatch, world: World) -> None:
    monkeypatch.setattr(paging, "FIRST_PAGE_KEYS", 2)
    monkeypatch.setattr(paging, "MAX_PAGE_KEYS", 3)
    many_tasks(world, 7)
    world.client.delete(world.client.get("task", "t-005"), wait=False)
    pages = world.client.pages("tasks", "default")
    shown = [next(pages)]
    world.leader.remove(ObjectRef("tasks", "default", "t-006"))
    shown += pages
    assert [len(page) for page in shown] == [2, 3, 2]
    views = [view for page in shown for view in page]
    assert [view.name for view in views] == [f"t-{index:03}" for index in range(7)]
    assert all(view.task_status is not None and view.task_status.node == "n1" for view in views)
    assert [view.name for view in views if view.is_terminating] == ["t-005"]


def test_several_kinds_come_one_after_the_other_at_one_revision(world: World) -> None:
    stored(world, make_object("Queue", "q"))
    many_tasks(world, 2)
    pages = world.client.pages_of(("tasks", "deployments", "queues"), "default")
    shown = [next(pages)]
    world.leader.remove(cluster_ref("queues", "q"))
    shown += pages
    named = [(plural, [view.name for view in views]) for plural, views in shown]
    assert named == [("tasks", ["t-000", "t-001"]), ("queues", ["default", "q"])]


def test_rows_of_the_first_kind_are_printed_before_the_next_one_is_read(
    monkeypatch: pytest.MonkeyPatch, world: World, berth: Shell
) -> None:
    many_tasks(world, 1)
    read = paging.object_pages

    def broken_after_the_first(*asked: Any) -> Iterator[Any]:
        yield next(read(*asked))
        raise Unavailable("etcd is gone")

    monkeypatch.setattr(paging, "object_pages", broken_after_the_first)
    result = berth("get", "tasks,deployments", "--no-headers")
    assert result.lines[0].startswith("task/t-000")
    assert "etcd is gone" in result.err


def test_pages_go_on_at_a_newer_revision_after_a_compaction(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(paging, "FIRST_PAGE_KEYS", 2)
    monkeypatch.setattr(paging, "MAX_PAGE_KEYS", 2)
    store = Compacting(lambda: NOW)
    world = World(store)
    many_tasks(world, 5)
    pages = world.client.pages("tasks", None)
    names = [view.name for view in next(pages)]
    store.compactions = 1
    names += [view.name for page in pages for view in page]
    assert names == [f"t-{index:03}" for index in range(5)]
    assert any("of a newer revision" in each for each in world.said)


def test_large_objects_make_small_pages(monkeypatch: pytest.MonkeyPatch, world: World) -> None:
    monkeypatch.setattr(paging, "FIRST_PAGE_KEYS", 2)
    monkeypatch.setattr(paging, "PAGE_BYTES", 100)
    many_tasks(world, 5)
    assert [len(page) for page in world.client.pages("tasks", "default")] == [2, 1, 1, 1]


def test_columns_grow_and_never_shrink(monkeypatch: pytest.MonkeyPatch, world: World, berth: Shell) -> None:
    monkeypatch.setattr(paging, "FIRST_PAGE_KEYS", 1)
    monkeypatch.setattr(paging, "MAX_PAGE_KEYS", 1)
    for name in ("a", "b-is-longer", "c"):
        stored(world, make_task(name))
    assert berth("get", "tasks").lines == [
        "NAME   READY   STATUS    RESTARTS   AGE",
        "a      0/1     Pending   0          5m",
        "b-is-longer   0/1     Pending   0          5m",
        "c             0/1     Pending   0          5m",
    ]


def test_other_kinds_are_one_page(world: World, berth: Shell) -> None:
    stored(world, make_object("Queue", "q"))
    assert berth("get", "queues", "-o", "name").lines == ["queue/default", "queue/q"]
