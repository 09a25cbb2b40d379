from typing import Any

import pytest

from client.errors import Contended, ObjectUnreadable, Refused, TimedOut
from schemas.errors import InvalidManifest
from schemas.keys import cluster_ref, task_ref
from store.api import Put, Txn, TxnResult
from store.errors import PermissionDenied
from store.memory import MemoryStore
from tests.client.helpers import KEYS, NOW, World, docs, make_object, make_task
from tests.client.owned import keep, make_deployment, make_owned, make_template

WEB = KEYS.spec(task_ref("default", "web"))


def test_first_apply_creates_the_second_changes_nothing(world: World) -> None:
    assert world.apply(make_task()) == [("task/web", "created")]
    before = world.store.get(WEB).revision
    assert world.apply(make_task()) == [("task/web", "unchanged")]
    assert world.store.get(WEB).revision == before


def test_created_object_has_a_uid_that_an_update_keeps(world: World) -> None:
    world.apply(make_task())
    uid = world.json_at(WEB)["metadata"]["uid"]
    assert world.apply(make_task(grace="5s")) == [("task/web", "configured")]
    assert world.json_at(WEB)["metadata"]["uid"] == uid
    assert world.json_at(WEB)["spec"]["grace"] == "5s"


def test_last_applied_form_is_stored_with_the_object(world: World) -> None:
    world.apply(make_task(grace="5s"))
    (key,) = world.keys_under("/berth/applied/")
    assert key == "/berth/applied/default/tasks/web/berth"
    assert world.json_at(key)["spec"]["grace"] == "5s"
    assert "uid" not in world.json_at(key)["metadata"]


def test_removed_field_goes_and_fields_of_others_stay(world: World) -> None:
    world.apply(make_task(grace="5s", queue="default"))
    raw = world.json_at(WEB)
    raw["spec"]["priority"] = 7
    world.put(WEB, raw)
    world.apply(make_task(queue="default"))
    assert world.json_at(WEB)["spec"]["priority"] == 7
    assert "grace" not in world.json_at(WEB)["spec"]


def test_unknown_fields_of_a_newer_version_survive(world: World) -> None:
    world.apply(make_task())
    raw = world.json_at(WEB)
    raw["spec"]["fromTheFuture"] = {"x": [1]}
    raw["spec"]["containers"][0]["alsoNew"] = True
    world.put(WEB, raw)
    world.apply(make_task(grace="1s"))
    assert world.json_at(WEB)["spec"]["fromTheFuture"] == {"x": [1]}
    assert world.json_at(WEB)["spec"]["containers"][0]["alsoNew"] is True


def test_managers_do_not_remove_each_others_fields(world: World) -> None:
    world.apply(make_task(grace="5s"))
    gitops = world.new_client(manager="gitops")
    gitops.apply(docs(make_task(priority=3)))
    gitops.apply(docs(make_task()))
    assert world.json_at(WEB)["spec"]["grace"] == "5s"
    assert "priority" not in world.json_at(WEB)["spec"]


def test_change_that_replaces_the_task_is_named_and_a_live_one_is_not(world: World) -> None:
    world.apply(make_task())
    (live,) = world.client.apply(docs(make_task(grace="5s", priority=4)))
    assert (live.action, live.replaces) == ("configured", ())
    changed = make_task(grace="5s", priority=4)
    changed["spec"]["containers"][0]["image"] = "berth/demo:2"
    (result,) = world.client.apply(docs(changed))
    assert result.replaces == ("spec.containers[main].image",)


def test_nothing_is_written_when_one_of_many_is_denied(world: World) -> None:
    with pytest.raises(InvalidManifest, match="queue 'none' does not exist"):
        world.apply(make_task("good"), make_object("Queue", "q"), make_task("bad", queue="none"))
    assert world.keys_under("/berth/") == []


def test_objects_of_one_apply_may_name_each_other_in_any_order(world: World) -> None:
    task = make_task(namespace="team", queue="q", priorityClassName="high")
    results = world.apply(
        task,
        make_object("PriorityClass", "high", value=5),
        make_object("Namespace", "team", queues=["q"], defaultQueue="q", maxPriority=9),
        make_object("Queue", "q"),
    )
    assert [ref for ref, _ in results] == ["namespace/team", "queue/q", "priorityclass/high", "task/web"]


def test_unknown_namespace_is_an_error_unless_it_is_to_be_created(world: World) -> None:
    with pytest.raises(InvalidManifest, match="apply with --create-namespace"):
        world.apply(make_task(namespace="team"))
    assert world.apply(make_task(namespace="team"), create_namespace=True) == [
        ("namespace/team", "created"),
        ("task/web", "created"),
    ]
    assert world.apply(make_task(namespace="team"), create_namespace=True) == [("task/web", "unchanged")]


def test_namespace_that_is_being_deleted_takes_no_task(world: World) -> None:
    world.apply(make_object("Namespace", "team"))
    world.client.delete(world.client.get("ns", "team"), wait=False)
    with pytest.raises(InvalidManifest, match="is being deleted"):
        world.apply(make_task(namespace="team"))


def test_terminating_object_is_waited_for_and_created_anew(world: World) -> None:
    world.apply(make_task())
    uid = world.json_at(WEB)["metadata"]["uid"]
    world.client.delete(world.client.get("task", "web"), wait=False)
    assert world.apply(make_task(grace="9s")) == [("task/web", "created")]
    assert world.json_at(WEB)["metadata"]["uid"] != uid
    assert "waiting until it is gone" in world.said[0]


def test_object_that_stays_terminating_ends_the_apply_in_time(world: World) -> None:
    world.apply(make_task())
    world.client.delete(world.client.get("task", "web"), wait=False)
    world.leader.is_away = True
    with pytest.raises(TimedOut, match="task/web"):
        world.apply(make_task(), timeout_s=20)


def test_apply_onto_what_cannot_be_read_is_refused_with_what_to_do(world: World) -> None:
    world.put(WEB, b"garbage")
    with pytest.raises(ObjectUnreadable, match="berth delete task/web -n default --force"):
        world.apply(make_task())
    kv = world.store.get(WEB).kv
    assert kv is not None
    assert kv.value == b"garbage"


def test_no_documents_are_an_error(world: World) -> None:
    with pytest.raises(Refused, match="no objects"):
        world.client.apply(())


class Meddler(MemoryStore):
    """A store on which somebody else writes right before the next transactions of a client that put an object."""

    meddlings: list[Any] = []  # noqa: RUF012

    def txn(self, txn: Txn) -> TxnResult:
        writes = any(isinstance(op, Put) and op.key.startswith("/berth/spec/") for op in txn.success)
        if writes and self.meddlings:
            self.meddlings.pop(0)()
        return super().txn(txn)


def meddled(times: int) -> tuple[World, list[int]]:
    """Return a world in which a colleague raises the priority before each of the next writes."""
    quiet = World()
    quiet.apply(make_task())
    store = Meddler(lambda: NOW, server=quiet.store._server)  # type: ignore[attr-defined]
    count: list[int] = []

    def meddle() -> None:
        raw = quiet.json_at(WEB)
        count.append(1)
        raw["spec"]["priority"] = len(count)
        quiet.put(WEB, raw)

    store.meddlings = [meddle] * times
    return World(store), count


def test_lost_race_is_merged_again_and_keeps_what_the_other_wrote() -> None:
    world, _ = meddled(times=3)
    assert world.apply(make_task(grace="5s")) == [("task/web", "configured")]
    assert world.json_at(WEB)["spec"]["priority"] == 3
    assert world.json_at(WEB)["spec"]["grace"] == "5s"


def test_race_lost_at_every_try_is_an_error() -> None:
    world, _ = meddled(times=9)
    with pytest.raises(Contended, match="apply again"):
        world.apply(make_task(grace="5s"))


def test_large_object_and_its_applied_form_are_both_stored(world: World) -> None:
    task = make_task()
    task["metadata"]["annotations"] = {"data": "x" * 900_000}
    assert world.apply(task) == [("task/web", "created")]
    assert world.apply(task) == [("task/web", "unchanged")]
    assert len(world.keys_under("/berth/applied/")) == 1


def test_merged_object_that_is_wrong_is_not_written(world: World) -> None:
    raw = make_task(volumes=[{"name": "v", "emptyDir": {}}])
    raw["metadata"]["uid"] = "u"
    world.put(WEB, raw)
    with pytest.raises(InvalidManifest, match="merged with what is stored it is wrong"):
        world.apply(make_task(volumes=[{"name": "v", "hostPath": {"path": "/x"}}]))


def test_shown_object_can_be_applied_again(world: World) -> None:
    from cli.output import to_json

    world.apply(make_task())
    world.set_status("web", state="Running")
    shown = to_json(world.client.get("task", "web"))
    assert shown["metadata"]["generation"] == 1
    assert world.apply(shown) == [("task/web", "unchanged")]


def test_queue_without_spec_is_stored_as_written(world: World) -> None:
    world.apply(make_object("Queue", "q"))
    assert "spec" not in world.json_at(KEYS.spec(cluster_ref("queues", "q")))


class GroupMeddler(MemoryStore):
    """A store on which somebody else changes one object right before many are written together."""

    meddling: Any = None

    def txn(self, txn: Txn) -> TxnResult:
        together = any(isinstance(op, Txn) for op in txn.success)
        if together and self.meddling is not None:
            meddle, self.meddling = self.meddling, None
            meddle()
        return super().txn(txn)


def test_many_objects_are_written_in_one_transaction_and_told_of_in_order(world: World) -> None:
    names = [f"web-{number}" for number in range(40)]
    assert world.apply(*map(make_task, names)) == [(f"task/{name}", "created") for name in names]
    kvs = world.store.list("/berth/spec/default/tasks/").kvs
    assert len({kv.mod_revision for kv in kvs}) == 1
    assert len({world.json_at(kv.key)["metadata"]["uid"] for kv in kvs}) == 40
    assert len(world.keys_under("/berth/applied/")) == 40


def test_of_many_objects_one_that_lost_a_race_is_merged_again_in_its_turn() -> None:
    quiet = World()
    quiet.apply(make_task("a"), make_task("b"), make_task("c"))
    store = GroupMeddler(lambda: NOW, server=quiet.store._server)  # type: ignore[attr-defined]
    key = "/berth/spec/default/tasks/b"
    store.meddling = lambda: quiet.put(
        key, quiet.json_at(key) | {"spec": quiet.json_at(key)["spec"] | {"priority": 7}}
    )
    world = World(store)
    tasks = [make_task(name, grace="5s") for name in "abc"]
    assert world.apply(*tasks) == [
        ("task/a", "configured"),
        ("task/b", "configured"),
        ("task/c", "configured"),
    ]
    assert world.json_at(key)["spec"]["priority"] == 7
    assert {world.json_at(f"/berth/spec/default/tasks/{name}")["spec"]["grace"] for name in "abc"} == {"5s"}


def test_of_many_tasks_one_that_an_owner_has_just_made_is_refused() -> None:
    quiet = World()
    quiet.apply(make_deployment())
    owner = keep(quiet, "web", 1, make_template())
    store = GroupMeddler(lambda: NOW, server=quiet.store._server)  # type: ignore[attr-defined]
    store.meddling = lambda: make_owned(quiet, owner, 1, 0)
    with pytest.raises(Refused, match="change deployment/web instead"):
        World(store).apply(*map(make_task, ("a", "web-1-0", "z")))
    assert quiet.keys_under("/berth/spec/default/tasks/") == [
        "/berth/spec/default/tasks/a",
        "/berth/spec/default/tasks/z",
    ]


def test_many_objects_of_which_nothing_changed_write_nothing(world: World) -> None:
    tasks = [make_task(f"web-{number}") for number in range(40)]
    world.apply(*tasks)
    before = world.store.get("/").revision
    assert {action for _, action in world.apply(*tasks)} == {"unchanged"}
    assert world.store.get("/").revision == before


class Guarded(MemoryStore):
    """A store that refuses, as etcd does, a whole transaction that writes a forbidden key anywhere."""

    forbidden = "/berth/spec/default/tasks/c"

    def txn(self, txn: Txn) -> TxnResult:
        ops = [op for outer in txn.success for op in (outer.success if isinstance(outer, Txn) else (outer,))]
        keys = [op.key for op in ops if isinstance(op, Put)]
        if self.forbidden in keys:
            raise PermissionDenied(f"{keys[0]} is refused")
        return super().txn(txn)


def test_of_many_objects_one_that_is_forbidden_is_named_and_those_before_it_are_written() -> None:
    world = World(Guarded(lambda: NOW))
    written: list[str] = []
    results = world.client.apply_planned(world.client.plan(docs(*map(make_task, "abcd"))))
    with pytest.raises(PermissionDenied, match=f"{Guarded.forbidden} is refused"):
        written.extend(str(result.ref) for result in results)
    assert written == ["task/a", "task/b"]
    assert world.keys_under("/berth/spec/") == [f"/berth/spec/default/tasks/{name}" for name in "ab"]
