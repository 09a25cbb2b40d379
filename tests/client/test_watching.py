import itertools
from collections.abc import Callable
from typing import Any

from schemas.keys import task_ref
from store.errors import Unavailable
from store.memory import MemoryStore, MemoryWatch
from tests.client.helpers import World, make_task


def take(watch: Any, count: int) -> list[tuple[str, bool]]:
    return [(ref.name, view is not None) for ref, view in itertools.islice(watch, count)]


def test_watch_shows_what_is_there_and_then_every_change(world: World) -> None:
    world.apply(make_task("a"))
    watch = world.client.watch("tasks", "default")
    assert take(watch, 1) == [("a", True)]
    world.while_waiting = [
        lambda: world.apply(make_task("b")),
        lambda: world.leader.remove(task_ref("default", "a")),
    ]
    assert take(watch, 2) == [("b", True), ("a", False)]


def test_watch_survives_compaction_and_misses_nothing(world: World) -> None:
    world.apply(make_task("a"))
    watch = world.client.watch("tasks", "default")
    take(watch, 1)

    def away() -> None:
        world.store.end_watches()  # type: ignore[attr-defined]
        world.apply(make_task("b"))
        world.leader.remove(task_ref("default", "a"))
        world.store.compact(world.store.get("x").revision)

    world.while_waiting = [away]
    assert sorted(take(watch, 2)) == [("a", False), ("b", True)]


def test_status_and_requests_wake_the_watch_too(world: World) -> None:
    world.apply(make_task("a"))
    watch = world.client.watch("tasks", None)
    take(watch, 1)
    world.leader.is_away = True
    world.while_waiting = [
        lambda: world.set_status("a", state="Running"),
        lambda: world.client.delete(world.client.get("task", "a"), wait=False),
    ]
    seen = [view for _, view in itertools.islice(watch, 2)]
    assert [view.task_status.state for view in seen] == ["Running", "Running"]
    assert [view.is_terminating for view in seen] == [False, True]


def test_nodes_are_watched_by_heartbeat_and_report(world: World) -> None:
    world.add_node("n1")
    watch = world.client.watch("nodes", None)
    assert take(watch, 1) == [("n1", True)]
    world.while_waiting = [lambda: world.add_node("n2", ready=None)]
    assert take(watch, 1) == [("n2", True)]


class Flaky(MemoryStore):
    """A store that can be away."""

    is_away = False

    def watch(
        self, prefixes: tuple[str, ...], start_revision: int, notify: Callable[[], None]
    ) -> MemoryWatch:
        if self.is_away:
            raise Unavailable("no answer")
        return super().watch(prefixes, start_revision, notify)


def test_outage_is_told_once_and_then_the_watch_goes_on() -> None:
    store = Flaky(lambda: 0.0)
    world = World(store)
    world.apply(make_task("a"))
    watch = world.client.watch("tasks", "default")
    take(watch, 1)

    def leave() -> None:
        store.is_away = True
        store.end_watches()

    def come_back() -> None:
        store.is_away = False
        world.apply(make_task("b"))

    world.while_waiting = [leave, lambda: None, lambda: None, come_back]
    assert take(watch, 1) == [("b", True)]
    assert world.said == ["the watch waits for etcd, rows may be old: no answer"]
