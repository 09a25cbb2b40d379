import pytest

from client.errors import NotFound
from client.reading import at_one_revision
from client.selector import parse_selector
from schemas.keys import task_ref
from store.api import Listing
from store.errors import Compacted
from store.memory import MemoryStore
from tests.client.helpers import KEYS, NOW, World, make_object, make_task
from tests.client.owned import keep, make_deployment, make_owned, make_template


def names(world: World, kind: str, **options: object) -> list[str]:
    return [view.name for view in world.client.list(kind, **options).objects[world.client.kind(kind).plural]]  # type: ignore[arg-type]


def test_objects_come_by_namespace_and_name(world: World) -> None:
    world.apply(make_object("Namespace", "a-team"), make_task("b"), make_task("a"), make_task("z", "a-team"))
    assert names(world, "tasks") == ["a", "b"]
    assert names(world, "tasks", namespace=None) == ["z", "a", "b"]


def test_built_in_objects_are_there_until_written(world: World) -> None:
    assert names(world, "namespaces") == ["default"]
    assert world.client.get("queue", "default").spec_kv is None
    world.apply(make_object("Queue", "default", weight=3))
    assert world.client.get("queue", "default").raw["spec"] == {"weight": 3}
    assert names(world, "queues") == ["default"]


def test_selector_keeps_what_matches(world: World) -> None:
    labelled = make_task("a")
    labelled["metadata"]["labels"] = {"app": "x"}
    world.apply(labelled, make_task("b"))
    assert names(world, "tasks", selector=parse_selector("app=x")) == ["a"]


def test_node_exists_by_its_report_alone(world: World) -> None:
    world.add_node("n1", ready=None)
    view = world.client.get("node", "n1")
    assert names(world, "nodes") == ["n1"]
    assert view.report is not None
    assert view.spec_kv is None


def test_node_that_is_gone_stays_visible_by_its_status(world: World) -> None:
    world.add_node("n1", ready="Unknown", beating=False)
    assert names(world, "nodes") == ["n1"]


@pytest.mark.parametrize(
    ("value", "why"),
    [
        (b"garbage", "not JSON"),
        (b"\xff\xfe", "not JSON"),
        (b"[]", "not a JSON object"),
        (b'{"kind": "Task"}', "metadata.uid is missing"),
        (b'{"kind": "Queue", "apiVersion": "berth/v1", "metadata": {"name": "x", "uid": "u"}}', "kind"),
        (
            b'{"kind":"Task","apiVersion":"berth/v1","metadata":{"name":"other","uid":"u"},"spec":{"containers":'
            b'[{"name":"c","image":"i"}]}}',
            "metadata.name is 'other'",
        ),
    ],
)
def test_what_cannot_be_read_is_shown_and_hides_nothing(world: World, value: bytes, why: str) -> None:
    world.apply(make_task("good"))
    world.put(KEYS.spec(task_ref("default", "x")), value)
    good, bad = world.client.list("tasks").objects["tasks"]
    assert not good.is_unreadable
    assert bad.is_unreadable
    assert why in bad.error


def test_status_of_an_earlier_object_of_that_name_is_not_shown(world: World) -> None:
    world.apply(make_task())
    world.put(KEYS.status(task_ref("default", "web")), {"uid": "another", "state": "Running"})
    assert world.client.get("task", "web").task_status is None


def test_task_that_a_person_wrote_beside_an_owned_one_of_its_name_is_the_one_shown(world: World) -> None:
    world.apply(make_deployment(), make_task("web-1-0", priority=7))
    make_owned(world, keep(world, "web", 1, make_template()), 1, 0)
    (listed,) = world.client.list("tasks").objects["tasks"]
    (paged,) = next(world.client.pages("tasks", "default"))
    for view in (listed, paged, world.client.get("task", "web-1-0")):
        assert (view.task.spec.priority, view.owner) == (7, None)
        assert view.uid == world.json_at("/berth/spec/default/tasks/web-1-0")["metadata"]["uid"]


def test_unknown_object_and_kind_say_what_to_look_at(world: World) -> None:
    with pytest.raises(NotFound, match='task "x" not found in namespace default; see: berth get tasks'):
        world.client.get("task", "x")
    with pytest.raises(NotFound, match='there is no kind "widget"; known kinds: configmaps, cronjobs'):
        world.client.get("widget", "x")


class Busy(MemoryStore):
    """Somebody writes, and everything before is compacted, between two listings."""

    compactions = 0

    def list(self, prefix: str, revision: int = 0) -> Listing:
        if revision and self.compactions:
            self.compactions -= 1
            raise Compacted(revision + 1)
        return super().list(prefix, revision)


def test_read_starts_again_when_its_revision_is_compacted() -> None:
    store = Busy(lambda: NOW)
    world = World(store)
    world.apply(make_task())
    store.compactions = 2
    assert names(world, "tasks") == ["web"]
    store.compactions = 9
    with pytest.raises(Compacted):
        names(world, "tasks")


def test_all_listings_of_a_read_are_of_one_revision(world: World) -> None:
    world.apply(make_task())

    def read(reading: object) -> tuple[int, int]:
        first = len(reading.kvs("/berth/spec/"))  # type: ignore[attr-defined]
        world.apply(make_task("later"))
        return first, len(reading.kvs("/berth/spec/"))  # type: ignore[attr-defined]

    assert at_one_revision(world.store, read) == (1, 1)
